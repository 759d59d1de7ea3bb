"""Headers, commits and validator sets, with their hashes (cometbft.md 4.1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from abci_app.hashing import merkle_root, sha256
from openledger.light import wire

ADDRESS_BYTES = 20
PUBLIC_KEY_BYTES = 32
FLAG_ABSENT, FLAG_COMMIT, FLAG_NIL = 1, 2, 3
# Go's zero time (year 1): the timestamp of an absent vote.
ZERO_TIME_NS = -62_135_596_800 * wire.NANOSECONDS_PER_SECOND


@dataclass(frozen=True, slots=True)
class BlockID:
    """Hash of a header and of the parts that its block was gossiped in; all empty before the first block."""

    hash: bytes
    parts_total: int
    parts_hash: bytes

    def encode(self) -> bytes:
        """Protobuf content."""
        return wire.block_id(self.hash, self.parts_total, self.parts_hash)


@dataclass(frozen=True)
class Header:
    """A block header; `time_ns` is nanoseconds since 1970."""

    block_version: int
    app_version: int
    chain_id: str
    height: int
    time_ns: int
    last_block_id: BlockID
    last_commit_hash: bytes
    data_hash: bytes
    validators_hash: bytes
    next_validators_hash: bytes
    consensus_hash: bytes
    app_hash: bytes
    last_results_hash: bytes
    evidence_hash: bytes
    proposer_address: bytes

    @cached_property
    def hash(self) -> bytes:
        """Root over fourteen leaves; a wrapped empty value is an empty leaf."""
        return merkle_root(
            (
                wire.consensus_version(self.block_version, self.app_version),
                wire.text_or_bytes(1, self.chain_id.encode("utf-8")),
                wire.varint(1, self.height),
                wire.timestamp(self.time_ns),
                self.last_block_id.encode(),
                wire.text_or_bytes(1, self.last_commit_hash),
                wire.text_or_bytes(1, self.data_hash),
                wire.text_or_bytes(1, self.validators_hash),
                wire.text_or_bytes(1, self.next_validators_hash),
                wire.text_or_bytes(1, self.consensus_hash),
                wire.text_or_bytes(1, self.app_hash),
                wire.text_or_bytes(1, self.last_results_hash),
                wire.text_or_bytes(1, self.evidence_hash),
                wire.text_or_bytes(1, self.proposer_address),
            )
        )


@dataclass(frozen=True, slots=True)
class Vote:
    """One entry of a commit, at the index of its validator."""

    flag: int
    address: bytes
    time_ns: int
    signature: bytes


ABSENT_VOTE = Vote(flag=FLAG_ABSENT, address=b"", time_ns=ZERO_TIME_NS, signature=b"")


@dataclass(frozen=True)
class Commit:
    """Precommits for one block."""

    height: int
    round: int
    block_id: BlockID
    votes: tuple[Vote, ...]

    def sign_bytes(self, chain_id: str, index: int) -> bytes:
        """The bytes that the validator at `index` signed, if that validator voted for this block."""
        return wire.precommit(chain_id, self.height, self.round, self.block_id.encode(), self.votes[index].time_ns)


@dataclass(frozen=True, slots=True)
class Validator:
    """An ed25519 key and its voting power."""

    public_key: bytes
    power: int

    @property
    def address(self) -> bytes:
        """First 20 bytes of SHA-256 of the key."""
        return sha256(self.public_key)[:ADDRESS_BYTES]


@dataclass(frozen=True)
class ValidatorSet:
    """Validators in CometBFT's order: power descending, then address."""

    validators: tuple[Validator, ...]

    @cached_property
    def hash(self) -> bytes:
        """Root over SimpleValidator leaves."""
        return merkle_root([wire.simple_validator(each.public_key, each.power) for each in self.validators])

    @cached_property
    def total_power(self) -> int:
        """Sum of voting powers."""
        return sum([each.power for each in self.validators])

    @cached_property
    def by_address(self) -> Mapping[bytes, Validator]:
        """Validators by address."""
        return {each.address: each for each in self.validators}


@dataclass(frozen=True, slots=True)
class LightBlock:
    """A header, the commit for it and the validators that were to sign it."""

    header: Header
    commit: Commit
    validators: ValidatorSet

    @property
    def height(self) -> int:
        """Height of the header."""
        return self.header.height

    @property
    def hash(self) -> bytes:
        """Hash of the header."""
        return self.header.hash


def signature_is_valid(public_key: bytes, signed: bytes, signature: bytes) -> bool:
    """Ed25519 by libsodium. CometBFT follows the laxer ZIP-215, so a rejection here means "absent", not "forged"."""
    if len(signature) != 64:
        return False
    try:
        crypto_sign_open(signature + signed, public_key)
    except BadSignatureError:
        return False
    return True
