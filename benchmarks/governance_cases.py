"""Transactions for `benchmarks.messages` about gOPEN and proposals, each where its records are as large as they get."""

from collections.abc import Callable, Sequence

from msgspec import structs

from abci_app.chain.registry import SECTIONS
from abci_app.mechanisms import electorates, epochs, locks
from abci_app.mechanisms.electorates import MAX_RECENT
from abci_app.module import Message
from abci_app.modules.governance import (
    HOLDERS,
    PROPOSALS,
    CastVote,
    Delegate,
    Holder,
    LockGopen,
    Lot,
    ParameterChange,
    Proposal,
    ProposalStatus,
    Propose,
    RaiseObjection,
    Scope,
    SetParameters,
    Tally,
    UnlockGopen,
    gopen_key,
)
from abci_app.modules.governance.parameters import DEPOSIT, PARAMETERS
from abci_app.modules.governance.records import MAX_LOTS, VotingRules
from abci_app.parameters import Parameters, write_parameters
from abci_app.state.overlay import Overlay
from benchmarks.load import LoadAccount
from benchmarks.message_world import Case, digest

# The epoch that runs in these cases: everything is kept apart from the one sixty-three before it on.
NOW = 100
LOTS = tuple([Lot(NOW - MAX_LOTS + number, 10**6) for number in range(MAX_LOTS)])
AMOUNT_NOPEN = MAX_LOTS * 10**6
UNLIMITED = 10**9
DEPOSIT_NOPEN = 10**9


def holders(state: Overlay, senders: Sequence[LoadAccount], count: int) -> None:
    """For each: sixteen lots with a delegate of many, whose power and whose electorate keep sixty-four epochs apart."""
    epoch = epochs.current(state)
    epochs.EPOCH.set(state, structs.replace(epoch, number=NOW))
    whole = [(NOW - age, 10**15) for age in range(MAX_RECENT)]
    electorates.change(state, electorates.GOPEN, digest("many"), whole, NOW)
    for place in range(count):
        owner = senders[place].address
        locks.take(state, gopen_key(owner), AMOUNT_NOPEN)
        electorates.change(state, electorates.GOPEN, owner, [(NOW - age, 10**6) for age in range(MAX_RECENT)], NOW)
        electorates.change(state, electorates.GOPEN, owner, [(lot.epoch, lot.amount_nopen) for lot in LOTS], NOW)
        HOLDERS.set(state, owner, Holder(owner, LOTS))


def proposals(state: Overlay, senders: Sequence[LoadAccount], count: int) -> None:
    """Holders, and one proposal on which they vote or to which they object."""
    holders(state, senders, count)
    write_parameters(state, [PARAMETERS], Parameters({(PARAMETERS.name, DEPOSIT.index): DEPOSIT_NOPEN}))
    for number, standing in ((1, ProposalStatus.VOTING), (2, ProposalStatus.TIMELOCK)):
        proposal = Proposal(
            number=number,
            proposer=digest("proposer"),
            scope=Scope.CHAIN,
            object_id=b"",
            title="t" * 256,
            digest=digest("why"),
            deposit_nopen=1,
            submitted_height=1,
            epoch=NOW,
            ends_height=UNLIMITED,
            executes_height=UNLIMITED,
            standing=int(standing),
            tally=Tally(yes=0, no=0, abstain=0, veto=0),
            electorate=10**18,
            rules=VotingRules(voting_blocks=UNLIMITED, timelock_blocks=10, quorum_ppb=1, critical=1, objected_number=0),
            extended=0,
            unobjectionable=0,
        )
        PROPOSALS.set(state, number, proposal)


def eight_sections(_: bytes, place: int) -> tuple[Message, ...]:
    """A proposal that changes parameters eight times: each time all of them are read and checked."""
    section = next(section for section in SECTIONS if section.name == "fees")
    change = SetParameters(section.name, (ParameterChange(0, 1 + place % 1_000),))
    refused = SetParameters(section.name, (ParameterChange(0, UNLIMITED),))
    return (
        Propose(
            scope=Scope.CHAIN,
            object_id=b"",
            actions=(*[change] * 7, refused),
            title="t" * 256,
            digest=digest("why"),
            maximum_deposit_nopen=DEPOSIT_NOPEN,
        ),
    )


def single(message: Callable[[int], Message]) -> Callable[[bytes, int], tuple[Message, ...]]:
    """A transaction of one message."""
    return lambda _, place: (message(place),)


GOVERNANCE_CASES: tuple[Case, ...] = (
    Case("governance.lock_gopen, a seventeenth lot", single(lambda p: LockGopen(10**6)), holders),
    Case("governance.unlock_gopen, sixteen lots", single(lambda p: UnlockGopen(AMOUNT_NOPEN)), holders),
    Case("governance.delegate, sixteen lots", single(lambda p: Delegate(digest("to", p))), holders),
    # More than thirty-two are not open at a time: these are refused by their last action, with all of the work done.
    Case("governance.propose, eight times parameters", eight_sections, proposals, code=919),
    Case("governance.cast_vote", single(lambda p: CastVote(1, 1)), proposals),
    Case("governance.raise_objection", single(lambda p: RaiseObjection(2)), proposals, code=911),
)
