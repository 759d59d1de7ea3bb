"""A chain that governs itself quickly: short votes and epochs, small deposits, nothing costs a fee."""

from dataclasses import dataclass
from typing import Any

import pytest

from abci_app.module import Message
from abci_app.modules import validators
from abci_app.modules.governance import (
    PROPOSALS,
    Action,
    CastVote,
    LockGopen,
    Proposal,
    ProposalStatus,
    Propose,
    Scope,
    VoteChoice,
)
from abci_app.types import NOPEN_PER_OPEN
from tests.kit.chain import Chain
from tests.kit.modules.ledger import EVERYBODY, FREE, Ledger
from tests.kit.signing import Signer

OPEN = NOPEN_PER_OPEN
HALL_FUNDS = 1_000 * OPEN
VOTING, TIMELOCK, UNLOCK, EPOCH, FREEZE = 20, 10, 40, 10, 10
GOVERNED = (b"governance/", b"electorates/", b"freezes/", b"locks/", b"upgrade/", b"chain/version/")
GOVERNANCE = {
    "voting_blocks": VOTING,
    "timelock_blocks": TIMELOCK,
    "unlock_blocks": UNLOCK,
    "deposit_nopen": OPEN,
    "freeze_blocks": FREEZE,
    "electorate_floor_nopen": 0,
    "treasury_cap_ppb": 5_000_000,
}


@dataclass(slots=True)
class Hall(Ledger):
    """The chain and shorthand for governing it."""

    @classmethod
    def begin(cls, *, governance: dict[str, Any] | None = None, **app_state: Any) -> "Hall":
        """Everybody has `HALL_FUNDS`; nobody has locked any."""
        parameters = {
            "fees": FREE,
            "governance": {**GOVERNANCE, **(governance or {})},
            "epochs": {"epoch_blocks": EPOCH},
            **app_state.pop("parameters", {}),
        }
        return cls(Chain.start({who.address: HALL_FUNDS for who in EVERYBODY}, parameters=parameters, **app_state))

    @classmethod
    def of_voters(cls, amounts: dict[int, int] | None = None, **options: Any) -> "Hall":
        """Alice, Bob, Carl, Dora and Eve have locked so many OPEN each, and their votes count."""
        hall = cls.begin(**options)
        for number, amount in (amounts or {0: 100, 1: 100, 2: 100}).items():
            hall.accept(EVERYBODY[number], LockGopen(amount * OPEN))
        hall.wait(EPOCH)
        return hall

    def refuse(self, signer: Signer, *messages: Message) -> tuple[int, str]:
        """A transaction that fails and leaves nothing of what governance keeps; its code and log.

        Epochs and deadlines go on in the same block.
        """
        before = self._governed()
        result = self.send(signer, *messages)
        assert (result.code > 0, self._governed()) == (True, before)
        return result.code, result.log

    def _governed(self) -> dict[bytes, bytes]:
        return {key: value for key, value in self.chain.state().items() if key.startswith(GOVERNED)}

    def wait(self, blocks: int) -> None:
        """Make empty blocks."""
        for _ in range(blocks):
            self.chain.block()

    def wait_until(self, height: int) -> None:
        """Make empty blocks until a height is committed."""
        self.wait(height - self.height)

    def propose(self, who: Signer, *actions: Action, scope: Scope = Scope.CHAIN) -> int:
        """Put actions to the vote; the proposal's number."""
        self.accept(who, proposal_of(*actions, scope=scope))
        return self.newest

    @property
    def newest(self) -> int:
        """Number of the newest proposal."""
        return max([number for (number,), _ in PROPOSALS.iterate(self.store)], default=0)

    def proposal(self, number: int) -> Proposal:
        """A proposal as it stands."""
        found = PROPOSALS.get(self.store, number)
        assert found is not None
        return found

    def status(self, number: int) -> ProposalStatus:
        """How a proposal stands."""
        return ProposalStatus(self.proposal(number).standing)

    def vote(self, number: int, choice: VoteChoice, *voters: Signer) -> None:
        """Everybody votes the same."""
        for voter in voters:
            self.accept(voter, CastVote(number, choice))

    def pass_and_execute(self, who: Signer, *actions: Action) -> int:
        """Alice, Bob and Carl are for it, the timelock passes; the number."""
        number = self.propose(who, *actions)
        self.vote(number, VoteChoice.YES, *EVERYBODY[:3])
        self.wait_until(self.proposal(number).ends_height)
        self.wait_until(self.proposal(number).executes_height)
        return number


def proposal_of(*actions: Action, scope: Scope = Scope.CHAIN, maximum_deposit_nopen: int = 8 * OPEN) -> Propose:
    """A message that puts actions to the vote."""
    return Propose(
        scope=scope,
        object_id=b"",
        actions=actions,
        title="a proposal",
        digest=b"",
        maximum_deposit_nopen=maximum_deposit_nopen,
    )


def make_committee(monkeypatch: pytest.MonkeyPatch, powers: dict[bytes, int]) -> None:
    """Let these accounts be the live validators, with these powers; the dictionary may change later."""
    monkeypatch.setattr(validators, "live_powers", lambda view: tuple(powers.items()))
