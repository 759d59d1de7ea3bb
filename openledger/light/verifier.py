"""Which light block follows from which trusted one: adjacent, skipping, backwards, and the first after genesis.

Checks (cometbft.md 4.2): not ahead of our clock; the trusted block inside the trusting period; well-formed; chain id;
validators hash; height and time above the trusted ones; signatures of the trusted validators; of the block's own.
"More than a third" and "more than two thirds" are decided in integers. Only votes for the block count; a signature
that our library rejects counts as absent.
"""

from dataclasses import dataclass

from openledger.light.blocks import (
    ADDRESS_BYTES,
    FLAG_COMMIT,
    BlockID,
    Commit,
    Header,
    LightBlock,
    ValidatorSet,
    signature_is_valid,
)
from openledger.light.errors import (
    FromTheFuture,
    MalformedAnswer,
    NotEnoughPower,
    NotEnoughTrust,
    TrustExpired,
    VerificationFailed,
    WrongChain,
)
from openledger.light.parse import MAX_TOTAL_POWER, MAX_VALIDATORS, format_time
from openledger.light.wire import NANOSECONDS_PER_SECOND

BLOCK_PROTOCOL = 11
EMPTY_BLOCK_ID = BlockID(b"", 0, b"")


@dataclass(frozen=True, slots=True)
class TrustRules:
    """How far trust reaches. The defaults fit the evidence age of 48 hours in our genesis documents."""

    # Shorter than the time in which a double-signing validator can still be punished (three quarters of it).
    trusting_period_seconds: int = 36 * 3600
    # How far a header may be ahead of our clock.
    clock_drift_seconds: int = 10
    # Part of the trusted power that has to sign a block which is not adjacent; one third to one.
    trust_numerator: int = 1
    trust_denominator: int = 3

    def __post_init__(self) -> None:
        """Refuse levels that prove nothing."""
        if not self.trust_denominator <= 3 * self.trust_numerator <= 3 * self.trust_denominator:
            raise ValueError("the trust level must lie between 1/3 and 1")
        if self.trusting_period_seconds <= 0 or self.clock_drift_seconds < 0:
            raise ValueError("the trusting period must be positive and the clock drift not negative")


DEFAULT_RULES = TrustRules()


@dataclass(frozen=True, slots=True)
class Genesis:
    """The facts of a genesis document about the first block."""

    chain_id: str
    initial_height: int
    time_ns: int
    validators: ValidatorSet


def check_light_block(block: LightBlock, chain_id: str) -> None:
    """Everything that a block says about itself, except signatures."""
    header, commit = block.header, block.commit
    check_header(header, chain_id)
    check_validator_set(block.validators)
    if block.validators.hash != header.validators_hash:
        raise VerificationFailed(f"the validators given for height {header.height} are not those of its header")
    if commit.height != header.height or commit.block_id.hash != header.hash:
        raise VerificationFailed(f"the commit given for height {header.height} is for another block")
    if not commit.block_id.parts_total or not commit.block_id.parts_hash:
        raise MalformedAnswer("the commit's block id is incomplete")
    if len(commit.votes) != len(block.validators.validators):
        raise VerificationFailed(
            f"the commit of height {header.height} has {len(commit.votes)} votes for "
            f"{len(block.validators.validators)} validators"
        )


def check_header(header: Header, chain_id: str) -> None:
    """A header's own fields."""
    if header.chain_id != chain_id:
        raise WrongChain(f"the header is of chain {header.chain_id!r}, expected {chain_id!r}: ask a node of that chain")
    if header.block_version != BLOCK_PROTOCOL:
        raise MalformedAnswer(f"block protocol {header.block_version}, this client reads {BLOCK_PROTOCOL}")
    if header.height < 1:
        raise MalformedAnswer("header.height must be at least 1")
    for field in ("validators_hash", "next_validators_hash", "consensus_hash", "app_hash"):
        if len(getattr(header, field)) != 32:
            raise MalformedAnswer(f"header.{field} must have 32 bytes")
    if len(header.proposer_address) != ADDRESS_BYTES:
        raise MalformedAnswer(f"header.proposer_address must have {ADDRESS_BYTES} bytes")


def check_validator_set(validators: ValidatorSet) -> None:
    """Size, power, order and uniqueness."""
    members = validators.validators
    if not 1 <= len(members) <= MAX_VALIDATORS:
        raise MalformedAnswer(f"{len(members)} validators; 1 to {MAX_VALIDATORS} are allowed")
    if min(each.power for each in members) < 1 or validators.total_power > MAX_TOTAL_POWER:
        raise MalformedAnswer(f"voting power must be positive and at most {MAX_TOTAL_POWER} in total")
    if len(validators.by_address) != len(members):
        raise MalformedAnswer("a validator is listed twice")
    order = [(-each.power, each.address) for each in members]
    if order != sorted(order):
        raise MalformedAnswer("validators are not ordered by power and address")


def check_own_power(block: LightBlock, checked: "SignatureCheck | None" = None) -> None:
    """More than two thirds of the block's own validators signed it."""
    checked = checked or SignatureCheck(block)
    needed = block.validators.total_power * 2 // 3
    tallied = 0
    for index, validator in enumerate(block.validators.validators):
        vote = block.commit.votes[index]
        if vote.flag != FLAG_COMMIT:
            continue
        if vote.address != validator.address:
            raise VerificationFailed(f"vote {index} of height {block.height} is not by the validator at that place")
        if checked.is_valid(index, validator.public_key):
            tallied += validator.power
            if tallied > needed:
                return
    raise NotEnoughPower(
        f"height {block.height} is signed by {tallied} of {block.validators.total_power} power, "
        f"more than {needed} is needed"
    )


def check_trusted_power(
    trusted: ValidatorSet, block: LightBlock, rules: TrustRules, checked: "SignatureCheck | None" = None
) -> None:
    """More than the trust level of the trusted validators signed a later block; they are found by address."""
    checked = checked or SignatureCheck(block)
    needed = trusted.total_power * rules.trust_numerator // rules.trust_denominator
    tallied = 0
    seen: dict[bytes, None] = {}
    for index, vote in enumerate(block.commit.votes):
        validator = trusted.by_address.get(vote.address)
        if vote.flag != FLAG_COMMIT or validator is None:
            continue
        if vote.address in seen:
            raise VerificationFailed(f"the commit of height {block.height} has two votes of one validator")
        seen[vote.address] = None
        if checked.is_valid(index, validator.public_key):
            tallied += validator.power
            if tallied > needed:
                return
    raise NotEnoughTrust(
        f"height {block.height} is signed by {tallied} of {trusted.total_power} trusted power, "
        f"more than {needed} is needed"
    )


class SignatureCheck:
    """Checks each signature of one commit at most once."""

    def __init__(self, block: LightBlock) -> None:
        self._commit: Commit = block.commit
        self._chain_id = block.header.chain_id
        self._known: dict[tuple[int, bytes], bool] = {}

    def is_valid(self, index: int, public_key: bytes) -> bool:
        """Whether `public_key` signed the commit's block in vote `index`."""
        place = (index, public_key)
        if place not in self._known:
            signed = self._commit.sign_bytes(self._chain_id, index)
            self._known[place] = signature_is_valid(public_key, signed, self._commit.votes[index].signature)
        return self._known[place]


def verify_forward(trusted: LightBlock, block: LightBlock, rules: TrustRules, now_ns: int) -> None:
    """Accept a later block; raises `NotEnoughTrust` when only a block in between can help."""
    check_not_ahead(block.header, rules, now_ns)
    check_not_expired(trusted.header, rules, now_ns)
    verify_follows(trusted, block, rules)


def verify_follows(trusted: LightBlock, block: LightBlock, rules: TrustRules) -> None:
    """Check what does not depend on today: that the trusted validators and its own signed the later block."""
    check_light_block(block, trusted.header.chain_id)
    if block.height <= trusted.height:
        raise VerificationFailed(f"height {block.height} is not above the trusted height {trusted.height}")
    if block.header.time_ns <= trusted.header.time_ns:
        raise VerificationFailed(f"header {block.height} is not later than the trusted header")
    checked = SignatureCheck(block)
    if block.height == trusted.height + 1:
        if block.header.validators_hash != trusted.header.next_validators_hash:
            raise VerificationFailed(
                f"height {block.height} has other validators than height {trusted.height} announced"
            )
        # An honest chain links its headers; free to check here.
        if block.header.last_block_id.hash != trusted.hash:
            raise VerificationFailed(f"height {block.height} does not follow the trusted block {trusted.height}")
    else:
        check_trusted_power(trusted.validators, block, rules, checked)
    check_own_power(block, checked)


def verify_first(genesis: Genesis, block: LightBlock, rules: TrustRules, now_ns: int) -> None:
    """Accept the first block by the genesis document's validators."""
    check_light_block(block, genesis.chain_id)
    header = block.header
    if header.height != genesis.initial_height:
        raise VerificationFailed(f"the first block has height {header.height}, genesis says {genesis.initial_height}")
    if header.validators_hash != genesis.validators.hash:
        raise VerificationFailed("the first block has other validators than the genesis document")
    if header.time_ns != genesis.time_ns:
        raise VerificationFailed(f"the first block's time is not genesis time {format_time(genesis.time_ns)}")
    if header.last_block_id != EMPTY_BLOCK_ID:
        raise VerificationFailed("the first block names a block before it")
    check_not_ahead(header, rules, now_ns)
    check_not_expired(header, rules, now_ns)
    check_own_power(block)


def verify_backward(trusted: Header, header: Header) -> None:
    """Accept the header right below a trusted one by its hash; age does not matter."""
    check_header(header, trusted.chain_id)
    if header.height != trusted.height - 1 or header.hash != trusted.last_block_id.hash:
        raise VerificationFailed(f"header {header.height} is not the one that header {trusted.height} follows")
    if header.time_ns >= trusted.time_ns:
        raise VerificationFailed(f"header {header.height} is not older than header {trusted.height}")


def check_not_expired(header: Header, rules: TrustRules, now_ns: int) -> None:
    """Raises `TrustExpired` when the header can no longer vouch for later ones."""
    age_seconds = (now_ns - header.time_ns) // NANOSECONDS_PER_SECOND
    if header.time_ns + rules.trusting_period_seconds * NANOSECONDS_PER_SECOND <= now_ns:
        raise TrustExpired(
            f"the trusted block {header.height} is {age_seconds} s old, beyond the trusting period of "
            f"{rules.trusting_period_seconds} s: pass a newer HEIGHT:HASH from somebody you trust with --trust"
        )


def check_not_ahead(header: Header, rules: TrustRules, now_ns: int) -> None:
    """Raises `FromTheFuture` when the header is ahead of our clock by the drift or more."""
    if header.time_ns >= now_ns + rules.clock_drift_seconds * NANOSECONDS_PER_SECOND:
        raise FromTheFuture(
            f"header {header.height} is of {format_time(header.time_ns)}, ahead of this machine's clock: set the clock"
        )
