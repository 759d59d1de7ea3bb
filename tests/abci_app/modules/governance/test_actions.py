"""What actions do, what they are refused for, and what a dry run says of them."""

import pytest

from abci_app import versions
from abci_app.accounts import get_account, show_address
from abci_app.bech32 import encode_id
from abci_app.chain import block, registry
from abci_app.mechanisms import epochs
from abci_app.mechanisms.deadlines import STUCK
from abci_app.mechanisms.freezes import FOREVER, Freezable
from abci_app.module import TREASURY_ACCOUNT
from abci_app.modules.bank import BankCode
from abci_app.modules.governance import (
    AppointMember,
    CancelUpgrade,
    CastVote,
    DryRunQuery,
    DryRunView,
    FreezeObject,
    GovernanceCode,
    NoteDown,
    OpenQuery,
    ParameterChange,
    ProposalQuery,
    ProposalStatus,
    RetryStuck,
    Scope,
    SetParameters,
    SetValidator,
    Spend,
    Upgrade,
    UpgradeQuery,
    UpgradeView,
    VoteChoice,
    applying,
    is_critical,
)
from abci_app.modules.governance.queries import MAX_DRY_RUN_HEIGHT
from abci_app.modules.members import Role
from abci_app.state.codec import CodecError, decode, encode
from abci_app.versions import APP_VERSION, PLAN, AppVersion, Plan, Rules
from tests.kit.modules.hall import EPOCH, HALL_FUNDS, OPEN, TIMELOCK, VOTING, Hall, make_committee, proposal_of
from tests.kit.modules.ledger import ALICE, BOB, CARL, DORA, EVE
from tests.kit.scheduled import JOBS, Job, Jobs, job_id, raises

DIGEST = bytes(range(32))


@pytest.fixture
def hall() -> Hall:
    """Alice, Bob and Carl vote with 100 OPEN each."""
    return Hall.of_voters()


def upgrade(height: int, app_version: int = 3) -> Upgrade:
    return Upgrade(height=height, name="two", app_version=app_version, lock_digest=DIGEST)


# --- The treasury


def test_the_treasury_pays_within_what_an_epoch_may_spend(hall: Hall) -> None:
    cap_nopen = epochs.current(hall.store).treasury_start_nopen * 5_000_000 // 10**9
    number = hall.pass_and_execute(DORA, Spend(EVE.address, cap_nopen // 2))
    assert hall.status(number) == ProposalStatus.EXECUTED
    assert hall.chain.balance(EVE) == HALL_FUNDS + cap_nopen // 2
    left_nopen = epochs.current(hall.store).treasury_start_nopen * 5_000_000 // 10**9 - cap_nopen // 2
    if epochs.current(hall.store).spent_nopen:
        assert hall.refuse(DORA, proposal_of(Spend(EVE.address, left_nopen + 1))) == (
            GovernanceCode.TREASURY_CAP,
            (
                f"action 1: {left_nopen + 1} nopen are asked of the treasury, {left_nopen} may still be spent in epoch "
                f"{epochs.current(hall.store).number}: ask for less, or in another epoch"
            ),
        )
    hall.wait(EPOCH)
    assert epochs.current(hall.store).spent_nopen == 0


def test_a_proposal_that_raises_the_cap_spends_by_the_old_one() -> None:
    """Parameters act from the next block on, so there is a block in which everybody sees the new cap first."""
    hall = Hall.of_voters(governance={"treasury_cap_ppb": 1_000_000})
    cap_nopen = epochs.current(hall.store).treasury_start_nopen // 1_000
    raise_cap = SetParameters("governance", (ParameterChange(7, 5_000_000),))
    assert hall.refuse(DORA, proposal_of(raise_cap, Spend(EVE.address, cap_nopen + 1))) == (
        GovernanceCode.TREASURY_CAP,
        (
            f"action 2: {cap_nopen + 1} nopen are asked of the treasury, {cap_nopen} may still be spent in epoch "
            f"{epochs.current(hall.store).number}: ask for less, or in another epoch"
        ),
    )


def test_what_arrives_in_the_treasury_meanwhile_widens_nothing(hall: Hall) -> None:
    """The cap is of the treasury as the epoch found it: a payment in does not raise what may be paid out."""
    start_nopen = epochs.current(hall.store).treasury_start_nopen
    cap_nopen = start_nopen * 5_000_000 // 10**9
    code, text = hall.refuse(DORA, proposal_of(Spend(EVE.address, cap_nopen + 1)))
    assert (code, f"{cap_nopen} may still be spent" in text) == (GovernanceCode.TREASURY_CAP, True)
    assert get_account(hall.store, TREASURY_ACCOUNT).balance_nopen >= start_nopen


def test_no_module_is_paid(hall: Hall) -> None:
    assert hall.refuse(DORA, proposal_of(Spend(TREASURY_ACCOUNT, 1)))[0] == BankCode.MODULE_ACCOUNT


# --- Upgrades


def test_an_upgrade_is_planned_and_cancelled(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "RULES", Rules(2, 3, {}))
    make_committee(monkeypatch, {ALICE.address: 10})
    height = hall.height + 100
    number = hall.pass_and_execute(DORA, upgrade(height))
    assert hall.status(number) == ProposalStatus.EXECUTED
    plan = Plan(height=height, name="two", app_version=3, lock_digest=DIGEST)
    assert hall.ask("governance", "upgrade", UpgradeQuery()) == UpgradeView(AppVersion(2, 3, height), plan)
    assert hall.refuse(DORA, proposal_of(upgrade(height + 100))) == (
        GovernanceCode.UPGRADE_REFUSED,
        f"action 1: version 3 of the rules is planned for height {height}: cancel that first",
    )
    cancel = hall.propose(ALICE, CancelUpgrade(), scope=Scope.COMMITTEE)
    hall.accept(ALICE, CastVote(cancel, VoteChoice.YES))
    hall.wait(1)
    assert hall.status(cancel) == ProposalStatus.EXECUTED
    assert (APP_VERSION.get(hall.store), PLAN.get(hall.store)) == (AppVersion(2, 0, 0), None)
    assert hall.refuse(DORA, proposal_of(CancelUpgrade())) == (
        GovernanceCode.NO_UPGRADE,
        "action 1: no upgrade is planned: there is nothing to cancel",
    )


def test_an_upgrade_that_comes_too_soon_or_goes_back_is_refused(hall: Hall) -> None:
    latest = hall.height + 1 + VOTING + VOTING // 4 + TIMELOCK
    assert hall.refuse(DORA, proposal_of(NoteDown("first", b""), upgrade(latest + 1))) == (
        GovernanceCode.UPGRADE_TOO_SOON,
        (
            f"action 2: the upgrade is planned for height {latest + 1}, this proposal may take effect at {latest}: "
            f"plan it for height {latest + 2} or later"
        ),
    )
    assert hall.refuse(DORA, proposal_of(upgrade(10**6, app_version=2))) == (
        GovernanceCode.UPGRADE_REFUSED,
        "action 1: the chain has version 2 of the rules, so 2 cannot follow",
    )
    height = hall.height
    view = hall.ask("governance", "dry_run", DryRunQuery(Scope.CHAIN, b"", (upgrade(height + 1),), height))
    assert (view.code, view.text) == (
        GovernanceCode.UPGRADE_TOO_SOON,
        (
            f"action 1: the upgrade is planned for height {height + 1}, which nobody could prepare for at height "
            f"{height}: name a later one"
        ),
    )


# --- Stuck work


def test_stuck_work_is_done_again_by_proposal(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = Jobs().register(monkeypatch)
    hall = Hall.of_voters()
    jobs.plan[hall.height + 1] = [(0, 7, hall.height + 2)]
    jobs.deeds["handler"] = raises(RuntimeError("a bug"))
    hall.wait(3)
    assert [number for (number,), _ in STUCK.iterate(hall.store)] == [1]
    del jobs.deeds["handler"]
    monkeypatch.setattr(registry, "MODULES", vars(block)["MODULES"])
    number = hall.propose(DORA, RetryStuck(1))
    hall.vote(number, VoteChoice.YES, ALICE, BOB)
    hall.wait_until(hall.proposal(number).ends_height)
    hall.wait_until(hall.proposal(number).executes_height)
    assert hall.status(number) == ProposalStatus.EXECUTED
    assert JOBS.get(hall.store, job_id(7)) == Job(0, 1, 0)
    assert list(STUCK.iterate(hall.store)) == []


# --- Dry run


def test_a_dry_run_says_in_words_what_would_change(hall: Hall) -> None:
    actions = (
        SetParameters("fees", (ParameterChange(0, 500), ParameterChange(1, 10**6))),
        AppointMember(member=EVE.address, roles=Role.BUILDER | Role.SERVER, name="Eve", organisation=0),
        Spend(BOB.address, 3 * OPEN),
        NoteDown("so be it", b""),
    )
    left = epochs.current(hall.store).treasury_start_nopen * 5_000_000 // 10**9
    assert hall.ask("governance", "dry_run", DryRunQuery(Scope.CHAIN, b"", actions, hall.height)) == DryRunView(
        0,
        "",
        (
            "fees.fee_per_byte_nopen becomes 500 nopen (now 0 nopen)",
            "fees.fee_per_weight_nopen becomes 1,000,000 nopen (0.001 OPEN) (now 0 nopen)",
            f"{show_address(EVE.address)} (Eve) has the roles builder and server (now no member)",
            (
                f"{show_address(BOB.address)} receives 3,000,000,000 nopen (3 OPEN) of the treasury, which may spend "
                f"{left:,} nopen ({left // OPEN:,}{_decimals(left)} OPEN) more in this epoch"
            ),
            "nothing changes; noted: so be it",
        ),
    )
    assert hall.newest == 0


def _decimals(nopen: int) -> str:
    rest = f"{nopen % OPEN:09d}".rstrip("0")
    return f".{rest}" if rest else ""


def test_a_dry_run_of_what_is_refused_says_why_and_of_which_action(hall: Hall) -> None:
    actions = (NoteDown("first", b""), SetParameters("fees", (ParameterChange(0, 10**7),)))
    assert hall.ask("governance", "dry_run", DryRunQuery(Scope.CHAIN, b"", actions, hall.height)) == DryRunView(
        GovernanceCode.PARAMETER_REFUSED,
        "action 2: fees.fee_per_byte_nopen is 10000000, must be 0 to 1,000,000 nopen (0.001 OPEN)",
        (
            "nothing changes; noted: first",
            "fees.fee_per_byte_nopen becomes 10000000 (now 0 nopen)",
        ),
    )
    view = hall.ask("governance", "dry_run", DryRunQuery(Scope.COMMITTEE, b"", actions, hall.height))
    assert view.code == GovernanceCode.WRONG_SCOPE


def test_who_validates_and_who_registers_is_critical_for_the_chain_and_quick_for_the_committee() -> None:
    registrar = AppointMember(EVE.address, int(Role.REGISTRAR), "", 0)
    for action in (registrar, SetValidator(EVE.address, 10), SetValidator(EVE.address, 0)):
        assert is_critical((NoteDown("seen", b""), action))
    assert not is_critical((NoteDown("seen", b""), CancelUpgrade()))


def test_what_is_no_kind_of_object_is_no_freeze() -> None:
    frozen = FreezeObject(object_kind=7, object_id=bytes(32), until_height=0)
    with pytest.raises(CodecError):
        decode(FreezeObject, encode(frozen))


@pytest.mark.parametrize("object_id", [b"\x01", bytes(31)])
def test_open_proposals_are_those_of_an_id_or_of_none(hall: Hall, object_id: bytes) -> None:
    assert hall.ask("governance", "open", OpenQuery(Scope.DATANET, object_id)) == (
        GovernanceCode.WRONG_SCOPE,
        f"object_id has {len(object_id)} bytes: give 32 bytes, a DataNet's id, or none",
    )


def test_a_dry_run_at_any_height_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    hall = Hall.of_voters()
    freeze = FreezeObject(object_kind=Freezable.DATANET, object_id=bytes(32), until_height=FOREVER)
    monkeypatch.setattr(applying, "require_object", lambda *_: None)
    for scope in (Scope.CHAIN, Scope.COMMITTEE):
        view = hall.ask("governance", "dry_run", DryRunQuery(scope, b"", (freeze,), MAX_DRY_RUN_HEIGHT))
        assert (view.code, view.text) == (0, "")
    with pytest.raises(CodecError, match="Expected `int` <= "):
        decode(DryRunQuery, encode(DryRunQuery(Scope.CHAIN, b"", (freeze,), MAX_DRY_RUN_HEIGHT + 1)))


def test_every_action_has_words(hall: Hall) -> None:
    net = bytes(32)
    actions = (
        SetValidator(CARL.address, 10),
        SetValidator(CARL.address, 0),
        FreezeObject(object_kind=Freezable.ENTRY, object_id=net, until_height=FOREVER),
        FreezeObject(object_kind=Freezable.MODEL, object_id=net, until_height=0),
        upgrade(500),
        CancelUpgrade(),
        RetryStuck(4),
    )
    view = hall.ask("governance", "dry_run", DryRunQuery(Scope.CHAIN, b"", actions, hall.height))
    carl = show_address(CARL.address)
    assert view.effects == (
        f"validator {carl} has a power of 10, which it reaches within the limits of epochs",
        f"validator {carl} is removed, and its bond leaves",
        f"entry {encode_id('olrun', net)} is frozen for good: it becomes no version and nothing is built on it",
        f"model {encode_id('olmodel', net)} is frozen no more",
        (
            f"from height 500 on, version 3 of the rules holds (now 2): nodes need release two with lock digest "
            f"{DIGEST.hex()} by then"
        ),
        "no upgrade is planned",
        "work 4 is done again: none is stuck under that number",
    )


def test_a_proposal_is_shown_with_what_it_would_change(hall: Hall) -> None:
    number = hall.propose(DORA, SetParameters("fees", (ParameterChange(0, 500),)))
    view = hall.ask("governance", "proposal", ProposalQuery(number))
    assert [each.effects for each in view.actions] == [("fees.fee_per_byte_nopen becomes 500 nopen (now 0 nopen)",)]
    assert (view.proposal.number, view.validators_power, view.objecting_power) == (number, 0, 0)
