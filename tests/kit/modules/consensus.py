"""Plays CometBFT for a chain of validators: who signs at which height, absences, proposers, evidence."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from abci_app.modules.validators import consensus_address
from abci_app.pb import abci_pb2 as pb
from abci_app.types import NOPEN_PER_OPEN
from tests.kit.chain import Chain
from tests.kit.modules.ledger import FREE, Ledger
from tests.kit.signing import Key, Signer

BOND = NOPEN_PER_OPEN
# Parameters at their minimum, so that epochs and jails pass quickly.
QUICK = {
    "fees": FREE,
    "epochs": {"epoch_blocks": 10},
    "governance": {"voting_blocks": 20, "timelock_blocks": 10, "unlock_blocks": 40, "deposit_nopen": BOND},
    "beacon": {"silent_penalty_nopen": BOND // 20},
    "validators": {"validator_bond_nopen": BOND, "jail_blocks": 10, "jail_limit_blocks": 10_000},
}
FUNDS = 100 * BOND
OPERATORS = tuple([Signer.named(f"operator {number}") for number in range(12)])
REGISTRAR = Signer.named("registrar")


def consensus_key(name: object) -> bytes:
    """The public consensus key of a name."""
    return Key.named(f"consensus {name}").public


def onion(name: object) -> str:
    """The end of somebody's chain of hashes, in hex."""
    return Key.named(f"onion {name}").public.hex()


def section_of(signers: Mapping[bytes, int], operators: Sequence[Signer]) -> list[dict[str, object]]:
    """The genesis section: each key with its power and an operator, who bonds what is needed."""
    return [
        {"public_key": key.hex(), "power": power, "operator": who.address.hex(), "bond_nopen": BOND}
        for (key, power), who in zip(signers.items(), operators, strict=False)
    ]


@dataclass(slots=True)
class Consensus:
    """A chain's ledger and what CometBFT knows of it."""

    ledger: Ledger
    # Height -> who signs it: key -> power.
    sets: dict[int, dict[bytes, int]]
    # Keys that sign and propose nothing.
    absent: list[bytes] = field(default_factory=list)
    evidence: list[pb.Misbehavior] = field(default_factory=list)

    @classmethod
    def start(
        cls,
        powers: Iterable[int],
        *,
        candidates: int = 0,
        parameters: Mapping[str, Any] | None = None,
        **app_state: Any,
    ) -> "Consensus":
        """Operator n has the n-th power and a bond; so many more have money and are members."""
        signers = {consensus_key(number): power for number, power in enumerate(powers)}
        people = OPERATORS[: len(signers) + candidates]
        members = [{"address": who.address.hex(), "roles": ["validator"], "name": ""} for who in people]
        members.append({"address": REGISTRAR.address.hex(), "roles": ["registrar"], "name": ""})
        chain = Chain.start(
            {who.address: FUNDS for who in [*people, REGISTRAR]},
            signers=signers,
            parameters=parameters or QUICK,
            validators=section_of(signers, people),
            members=members,
            **app_state,
        )
        return cls(Ledger(chain), {1: signers, 2: signers})

    @property
    def chain(self) -> Chain:
        """The chain."""
        return self.ledger.chain

    @property
    def height(self) -> int:
        """Height of the last commit."""
        return self.chain.height

    def signing(self, height: int) -> dict[bytes, int]:
        """Who signs a height, in CometBFT's order."""
        found = self.sets[height]
        in_order = sorted(found, key=lambda key: (-found[key], consensus_address(key)))
        return {key: found[key] for key in in_order}

    def announce(self, proposer: bytes | None = None) -> None:
        """Let the next block name who proposes it, who signed the one before, and what evidence there is."""
        chain, height = self.chain, self.chain.next_height
        present = [key for key in self.signing(height) if key not in self.absent]
        chain.proposer = consensus_address(proposer or present[height % len(present)])
        votes = self.signing(height - 1).items() if height > 1 else ()
        chain.commit = pb.CommitInfo(round=0, votes=[self._vote(key, power) for key, power in votes])
        chain.misbehaviour, self.evidence = self.evidence, []

    def follow(self, response: pb.ResponseFinalizeBlock) -> None:
        """Take what the block that was just committed returns for the heights after the next."""
        following = dict(self.sets[self.height + 1])
        for update in response.validator_updates:
            key = update.pub_key.ed25519
            if update.power:
                following[key] = update.power
            else:
                del following[key]  # CometBFT stops for good at an absent key
        assert following, "CometBFT stops for good at an empty set"
        self.sets[self.height + 2] = following

    def block(self, *transactions: bytes, proposer: bytes | None = None) -> pb.ResponseFinalizeBlock:
        """Decide one block as this set would."""
        self.announce(proposer)
        response = self.chain.decide(*transactions)
        self.follow(response)
        return response

    def _vote(self, key: bytes, power: int) -> pb.VoteInfo:
        flag = pb.BLOCK_ID_FLAG_ABSENT if key in self.absent else pb.BLOCK_ID_FLAG_COMMIT
        return pb.VoteInfo(validator=pb.Validator(address=consensus_address(key), power=power), block_id_flag=flag)

    def blocks(self, count: int) -> None:
        """So many empty blocks."""
        for _ in range(count):
            self.block()

    def until_tick(self, epoch_blocks: int = 10) -> None:
        """Go on until a block that ended an epoch is committed."""
        while True:
            self.block()
            if (self.height - 1) % epoch_blocks == 0:
                return

    def accuse(self, key: bytes, height: int | None = None, seconds: int | None = None) -> None:
        """Let the next block carry evidence that a key signed twice."""
        when = self.height if height is None else height
        evidence = pb.Misbehavior(
            type=pb.MISBEHAVIOR_DUPLICATE_VOTE,
            validator=pb.Validator(address=consensus_address(key), power=1),
            height=when,
        )
        evidence.time.seconds = self.chain.seconds(when) if seconds is None else seconds
        self.evidence.append(evidence)

    def leave_blank(self) -> None:
        """Let blocks name neither proposer nor commit, so that messages' effects stand alone."""
        self.chain.proposer, self.chain.commit, self.chain.misbehaviour = b"", pb.CommitInfo(), []
