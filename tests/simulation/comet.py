"""Plays CometBFT for the simulated chain: who signs and proposes which height, absences, rounds, evidence, time.

It knows what CometBFT knows: the sets that blocks told it, each in force two heights later.
"""

from dataclasses import dataclass, field

from abci_app.hashing import sha256
from abci_app.pb import abci_pb2 as pb
from tests.kit.chain import Chain


def address_of(key: bytes) -> bytes:
    """CometBFT's address of a consensus key."""
    return sha256(key)[:20]


@dataclass(slots=True)
class Comet:
    """CometBFT beside one chain."""

    chain: Chain
    # Height -> who signs it: key -> power.
    sets: dict[int, dict[bytes, int]]
    # Keys that sign and propose nothing.
    absent: list[bytes] = field(default_factory=list)
    # Evidence that the next block carries.
    evidence: list[pb.Misbehavior] = field(default_factory=list)
    # The round in which the block that is made now, and the last one, are decided.
    this_round: int = 0
    last_round: int = 0
    # Header times of committed blocks.
    times: dict[int, int] = field(default_factory=dict)

    def signing(self, height: int) -> dict[bytes, int]:
        """Who signs a height, in CometBFT's order."""
        found = self.sets[height]
        in_order = sorted(found, key=lambda key: (-found[key], address_of(key)))
        return {key: found[key] for key in in_order}

    def proposer_of(self, height: int, in_round: int) -> bytes:
        """The key whose turn it is; who is absent is passed over."""
        present = [key for key in self.signing(height) if key not in self.absent]
        return present[(height + in_round) % len(present)]

    def may_be_absent(self, key: bytes) -> bool:
        """Whether the chain goes on without this key: the others have more than two thirds."""
        height = self.chain.next_height
        powers = [self.sets[each] for each in (height - 1, height, height + 1) if each in self.sets]
        return all(3 * found.get(key, 0) < sum(found.values()) for found in powers)

    def announce(self, in_round: int) -> bytes:
        """Let the next proposal name its proposer, the last commit and the evidence; returns the proposer's key."""
        chain, height = self.chain, self.chain.next_height
        proposer = self.proposer_of(height, in_round)
        chain.proposer = address_of(proposer)
        votes = self.signing(height - 1).items() if height > 1 else ()
        chain.commit = pb.CommitInfo(
            round=self.last_round if votes else 0, votes=[self._vote(key, power) for key, power in votes]
        )
        chain.misbehaviour = list(self.evidence)
        return proposer

    def _vote(self, key: bytes, power: int) -> pb.VoteInfo:
        flag = pb.BLOCK_ID_FLAG_ABSENT if key in self.absent else pb.BLOCK_ID_FLAG_COMMIT
        return pb.VoteInfo(validator=pb.Validator(address=address_of(key), power=power), block_id_flag=flag)

    def with_another_absent(self, commit: pb.CommitInfo) -> pb.CommitInfo:
        """The commit as another validator might have seen it: one signature less."""
        other = pb.CommitInfo()
        other.CopyFrom(commit)
        for vote in other.votes:
            if vote.block_id_flag == pb.BLOCK_ID_FLAG_COMMIT:
                vote.block_id_flag = pb.BLOCK_ID_FLAG_ABSENT
                break
        return other

    def accuse(self, address: bytes, height: int) -> None:
        """Let the next block carry evidence that a key signed twice at a height that is committed."""
        evidence = pb.Misbehavior(
            type=pb.MISBEHAVIOR_DUPLICATE_VOTE, validator=pb.Validator(address=address, power=1), height=height
        )
        evidence.time.seconds = self.times[height]
        self.evidence.append(evidence)

    def follow(self, response: pb.ResponseFinalizeBlock) -> dict[bytes, int]:
        """Take what the block that was just committed tells; returns the updates. CometBFT stops where this fails."""
        height = self.chain.height
        self.times[height] = self.chain.requests[-1].time.seconds
        updates = {update.pub_key.ed25519: update.power for update in response.validator_updates}
        following = dict(self.sets[height + 1])
        for key, power in updates.items():
            assert power or key in following, "CometBFT stops for good at an update that removes an absent key"
            following[key] = power
        following = {key: power for key, power in following.items() if power}
        assert following, "CometBFT stops for good at an empty set"
        self.sets[height + 2] = following
        self.evidence, self.last_round, self.this_round = [], self.this_round, 0
        return updates
