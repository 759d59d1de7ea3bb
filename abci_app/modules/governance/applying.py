"""Taking effect: what each action does to the state, and when it is refused.

The same function runs when a proposal is submitted, on a scratch overlay, and when it is executed; so what cannot work
is refused before anybody votes, by the text that names why. Nothing here decides who may propose what.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from abci_app.accounts import show_address
from abci_app.bech32 import encode_id
from abci_app.errors import Rejected
from abci_app.mechanisms import deadlines, epochs, freezes
from abci_app.mechanisms.freezes import Freezable, FreezeChanged
from abci_app.mechanisms.payees import payee_of
from abci_app.module import TREASURY_ACCOUNT, DeadlineKind, HookContext
from abci_app.modules import bank, datanets, members, models, validators
from abci_app.modules.governance.actions import (
    Action,
    AmendDatanet,
    AppointMember,
    CancelUpgrade,
    FreezeObject,
    NoteDown,
    RetryStuck,
    Scope,
    SetOwner,
    SetParameters,
    SetValidator,
    Spend,
    Upgrade,
)
from abci_app.modules.governance.codes import GovernanceCode
from abci_app.modules.governance.parameters import FREEZE_BLOCKS, TREASURY_CAP
from abci_app.modules.members import Role
from abci_app.parameters import (
    ParameterError,
    Parameters,
    Section,
    read_parameters,
    with_changes,
    write_parameters,
)
from abci_app.state.overlay import Overlay
from abci_app.state.store import StateView
from abci_app.state.table import MutableState
from abci_app.types import PPB
from abci_app.versions import (
    APP_VERSION,
    PLAN,
    Plan,
    app_version_of,
    cancel_version,
    schedule_version,
    scheduled_version,
)

_PREFIX_OF_KIND = {Freezable.DATANET: "oldata", Freezable.MODEL: "olmodel", Freezable.ENTRY: "olrun"}
_NAME_OF_KIND = {Freezable.DATANET: "DataNet", Freezable.MODEL: "model", Freezable.ENTRY: "entry"}


@dataclass(frozen=True, slots=True)
class Book:
    """The rules of other modules that actions reach: they are known once all modules are, so they are asked for."""

    sections: Callable[[], tuple[Section, ...]]
    kinds: Callable[[], Mapping[int, DeadlineKind]]


@dataclass(slots=True)
class Applying:
    """Actions on their way into a state."""

    state: Overlay
    context: HookContext
    scope: Scope
    book: Book

    def all(self, actions: Iterable[Action]) -> None:
        """Apply actions in their order; a refusal names the action, and the caller drops what the others wrote."""
        for place, action in enumerate(actions, 1):
            try:
                _APPLY[type(action)](self, action)
            except Rejected as rejection:
                raise Rejected(rejection.code, f"action {place}: {rejection.text}") from rejection

    @property
    def by_committee(self) -> bool:
        """Whether validators decided it, who may do less."""
        return self.scope == Scope.COMMITTEE


def live_parameters(view: StateView, book: Book) -> Parameters:
    """The parameters as they are now, which a block may have changed already."""
    return read_parameters(view, book.sections()) or Parameters()


def treasury_left_nopen(view: StateView, parameters: Parameters) -> int:
    """How much of the treasury may still be spent in this epoch by these parameters."""
    epoch = epochs.current(view)
    cap_nopen = epoch.treasury_start_nopen * parameters[TREASURY_CAP] // PPB
    return max(cap_nopen - epoch.spent_nopen, 0)


def _set_parameters(applying: Applying, action: SetParameters) -> None:
    sections, version = applying.book.sections(), app_version_of(applying.state)
    changes = [(each.index, each.value) for each in action.changes]
    try:
        changed = with_changes(
            sections, live_parameters(applying.state, applying.book), action.section, changes, version
        )
    except ParameterError as error:
        raise Rejected(GovernanceCode.PARAMETER_REFUSED, str(error)) from None
    section = next(section for section in sections if section.name == action.section)
    write_parameters(applying.state, [section], changed, version)


def _appoint_member(applying: Applying, action: AppointMember) -> None:
    is_registrar = members.roles_of(applying.state, action.member) & Role.REGISTRAR
    if applying.by_committee and (is_registrar or action.roles & Role.REGISTRAR):
        raise Rejected(
            GovernanceCode.REGISTRAR_PROTECTED,
            "the committee makes, changes and removes no registrar: that takes a proposal of the chain",
        )
    members.set_member(
        applying.state,
        applying.context,
        address=action.member,
        roles=action.roles,
        name=action.name,
        organisation=action.organisation,
    )


def _set_validator(applying: Applying, action: SetValidator) -> None:
    if action.power:
        validators.set_admitted(applying.state, applying.context, action.operator, action.power)
    else:
        validators.remove(applying.state, applying.context, action.operator)


def _freeze(applying: Applying, action: FreezeObject) -> None:
    state, height, kind = applying.state, applying.context.height, Freezable(action.object_kind)
    require_object(state, kind, action.object_id)
    until_height = height + 1
    if not action.until_height:
        freezes.lift(state, kind, action.object_id, height, by_committee=applying.by_committee)
    elif applying.by_committee:
        longest_blocks = live_parameters(state, applying.book)[FREEZE_BLOCKS]
        until_height = freezes.freeze_by_committee(
            state,
            kind,
            action.object_id,
            until_height=action.until_height,
            height=height,
            longest_blocks=longest_blocks,
        ).until_height
    else:
        until_height = freezes.freeze_by_chain(state, kind, action.object_id, action.until_height, height).until_height
    applying.context.emit(FreezeChanged(object=action.object_id, kind=action.object_kind, until_height=until_height))


def require_object(view: StateView, kind: Freezable, object_id: bytes) -> None:
    """Raises `Rejected` for an object that does not exist."""
    found: object = {
        Freezable.DATANET: datanets.find_datanet,
        Freezable.MODEL: models.find_model,
        Freezable.ENTRY: models.find_entry,
    }[kind](view, object_id)
    if found is None:
        shown = encode_id(_PREFIX_OF_KIND[kind], object_id)
        raise Rejected(GovernanceCode.UNKNOWN_OBJECT, f"there is no {_NAME_OF_KIND[kind]} {shown}")


def _spend(applying: Applying, action: Spend) -> None:
    state = applying.state
    # Of the block, not of the state: nobody raises the cap and spends by it in one proposal.
    left_nopen = treasury_left_nopen(state, applying.context.block.parameters)
    if action.amount_nopen > left_nopen:
        epoch = epochs.current(state)
        raise Rejected(
            GovernanceCode.TREASURY_CAP,
            f"{action.amount_nopen} nopen are asked of the treasury, {left_nopen} may still be spent in epoch "
            f"{epoch.number}: ask for less, or in another epoch",
        )
    bank.move(state, TREASURY_ACCOUNT, payee_of(state, action.recipient), action.amount_nopen)
    epochs.note_spent(state, action.amount_nopen)


def _upgrade(applying: Applying, action: Upgrade) -> None:
    state, height = applying.state, applying.context.height
    known, scheduled = APP_VERSION.get(state), scheduled_version(state)
    if scheduled is not None:
        raise Rejected(
            GovernanceCode.UPGRADE_REFUSED,
            f"version {scheduled.next} of the rules is planned for height {scheduled.from_height}: cancel that first",
        )
    current = known.current if known else 0
    if action.app_version <= current:
        raise Rejected(
            GovernanceCode.UPGRADE_REFUSED,
            f"the chain has version {current} of the rules, so {action.app_version} cannot follow",
        )
    if action.height <= height + 1:
        raise Rejected(
            GovernanceCode.UPGRADE_TOO_SOON,
            f"the upgrade is planned for height {action.height}, which nobody could prepare for at height {height}: "
            "name a later one",
        )
    schedule_version(state, action.app_version, action.height, height)
    plan = Plan(height=action.height, name=action.name, app_version=action.app_version, lock_digest=action.lock_digest)
    PLAN.set(state, plan)


def _cancel_upgrade(applying: Applying, action: CancelUpgrade) -> None:
    scheduled = scheduled_version(applying.state)
    if scheduled is None or scheduled.from_height <= applying.context.height:
        raise Rejected(GovernanceCode.NO_UPGRADE, "no upgrade is planned: there is nothing to cancel")
    cancel_version(applying.state, applying.context.height)
    forget_plan(applying.state)


def forget_plan(state: MutableState) -> None:
    """Remove the plan of an upgrade that does not happen."""
    state.delete(PLAN.key())


def _retry_stuck(applying: Applying, action: RetryStuck) -> None:
    deadlines.retry_stuck(applying.state, applying.context, applying.book.kinds(), action.number)


def _refuse_datanet(applying: Applying, action: AmendDatanet | SetOwner) -> None:
    raise Rejected(
        GovernanceCode.NOT_YET, f"{type(action).__name__}: no DataNet has a constitution yet, its owner decides"
    )


def _note(applying: Applying, action: NoteDown) -> None:
    """Nothing happens."""


_APPLY: Mapping[type[Any], Callable[[Applying, Any], None]] = {
    SetParameters: _set_parameters,
    AppointMember: _appoint_member,
    SetValidator: _set_validator,
    FreezeObject: _freeze,
    Spend: _spend,
    Upgrade: _upgrade,
    CancelUpgrade: _cancel_upgrade,
    RetryStuck: _retry_stuck,
    AmendDatanet: _refuse_datanet,
    SetOwner: _refuse_datanet,
    NoteDown: _note,
}


def describe_recipient(view: StateView, recipient: bytes) -> str:
    """Who receives a payment, and through whom."""
    payee = payee_of(view, recipient)
    through = "" if payee == recipient else f" (through its payee {show_address(payee)})"
    return f"{show_address(recipient)}{through}"
