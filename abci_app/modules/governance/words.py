"""Words for actions: what each would change, as people read it, against the state as it is."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from abci_app.accounts import show_address
from abci_app.bech32 import encode_id
from abci_app.mechanisms import deadlines, freezes
from abci_app.mechanisms.freezes import FOREVER, Freezable
from abci_app.modules import datanets, members, models
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
from abci_app.modules.governance.applying import Book, describe_recipient, live_parameters, treasury_left_nopen
from abci_app.modules.governance.parameters import FREEZE_BLOCKS
from abci_app.modules.members import Role
from abci_app.parameters import Amount
from abci_app.state.store import StateView
from abci_app.versions import APP_VERSION, PLAN

_AMOUNT = Amount()


@dataclass(frozen=True, slots=True)
class Describing:
    """The state that actions are read against, and who decides about them."""

    view: StateView
    scope: Scope
    book: Book

    def lines(self, action: Action) -> tuple[str, ...]:
        """Say what an action would change, a line a change."""
        return tuple(_DESCRIBE[type(action)](self, action))


def _set_parameters(describing: Describing, action: SetParameters) -> Iterator[str]:
    sections = {section.name: section for section in describing.book.sections()}
    section, live = sections.get(action.section), live_parameters(describing.view, describing.book)
    for change in action.changes:
        parameter = section.by_index.get(change.index) if section else None
        if parameter is None:
            yield f"parameter {change.index} of {action.section} becomes {change.value}: there is no such parameter"
            continue
        is_allowed = parameter.minimum <= change.value <= parameter.maximum
        value = parameter.unit.words(change.value) if is_allowed else str(change.value)
        yield f"{parameter.full_name} becomes {value} (now {parameter.unit.words(live[parameter])})"


def _appoint_member(describing: Describing, action: AppointMember) -> Iterator[str]:
    known = members.roles_of(describing.view, action.member)
    becomes = f"has the roles {role_words(action.roles)}" if action.roles else "is no member any more"
    named = f" ({action.name})" if action.name else ""
    yield f"{show_address(action.member)}{named} {becomes} (now {role_words(known) if known else 'no member'})"


def role_words(roles: int) -> str:
    """Roles as people read them."""
    return " and ".join([role.name.lower() for role in Role if roles & role]) or "none"


def _set_validator(describing: Describing, action: SetValidator) -> Iterator[str]:
    name = show_address(action.operator)
    if action.power:
        yield f"validator {name} has a power of {action.power:,}, which it reaches within the limits of epochs"
    else:
        yield f"validator {name} is removed, and its bond leaves"


def _freeze(describing: Describing, action: FreezeObject) -> Iterator[str]:
    kind = Freezable(action.object_kind)
    name = object_name(describing.view, kind, action.object_id)
    if not action.until_height:
        yield f"{name} is frozen no more"
        return
    stops = freezes.STOPPED[kind]
    if describing.scope == Scope.COMMITTEE:
        longest = live_parameters(describing.view, describing.book)[FREEZE_BLOCKS]
        until = "" if action.until_height == FOREVER else f", or until height {action.until_height} if that is sooner"
        yield f"{name} is frozen for {longest:,} blocks{until}: {stops}"
    else:
        yield f"{name} is frozen {freezes.until_words(action.until_height)}: {stops}"


def object_name(view: StateView, kind: Freezable, object_id: bytes) -> str:
    """An object of a freeze as people call it."""
    if kind == Freezable.DATANET:
        return f"DataNet {datanets.name_of(view, object_id)}"
    if kind == Freezable.MODEL:
        model = models.find_model(view, object_id)
        return f"model {model.name if model else encode_id('olmodel', object_id)}"
    return f"entry {encode_id('olrun', object_id)}"


def _spend(describing: Describing, action: Spend) -> Iterator[str]:
    left = treasury_left_nopen(describing.view, live_parameters(describing.view, describing.book))
    yield (
        f"{describe_recipient(describing.view, action.recipient)} receives {_AMOUNT.words(action.amount_nopen)} of the "
        f"treasury, which may spend {_AMOUNT.words(left)} more in this epoch"
    )


def _upgrade(describing: Describing, action: Upgrade) -> Iterator[str]:
    known = APP_VERSION.get(describing.view)
    yield (
        f"from height {action.height} on, version {action.app_version} of the rules holds (now "
        f"{known.current if known else 0}): nodes need release {action.name} with lock digest "
        f"{action.lock_digest.hex()} by then"
    )


def _cancel_upgrade(describing: Describing, action: CancelUpgrade) -> Iterator[str]:
    plan = PLAN.get(describing.view)
    yield f"upgrade {plan.name}, planned for height {plan.height}, does not happen" if plan else "no upgrade is planned"


def _retry_stuck(describing: Describing, action: RetryStuck) -> Iterator[str]:
    stuck = deadlines.STUCK.get(describing.view, action.number)
    if stuck is None:
        yield f"work {action.number} is done again: none is stuck under that number"
    else:
        yield f"work {action.number}, kind {stuck.deadline.kind}, due at height {stuck.due_height}, is done again"


def _amend(describing: Describing, action: AmendDatanet) -> Iterator[str]:
    yield f"the DataNet has the constitution of digest {action.constitution_digest.hex()}"


def _set_owner(describing: Describing, action: SetOwner) -> Iterator[str]:
    yield f"the DataNet belongs to {show_address(action.owner)}"


def _note(describing: Describing, action: NoteDown) -> Iterator[str]:
    yield f"nothing changes; noted: {action.text}"


_DESCRIBE: Mapping[type[Any], Callable[[Describing, Any], Iterator[str]]] = {
    SetParameters: _set_parameters,
    AppointMember: _appoint_member,
    SetValidator: _set_validator,
    FreezeObject: _freeze,
    Spend: _spend,
    Upgrade: _upgrade,
    CancelUpgrade: _cancel_upgrade,
    RetryStuck: _retry_stuck,
    AmendDatanet: _amend,
    SetOwner: _set_owner,
    NoteDown: _note,
}
