"""The committee and the members that governance appoints: the one place that reaches those modules."""

from abci_app.module import HookContext
from abci_app.modules import members, validators
from abci_app.modules.governance.actions import AppointMember, SetValidator
from abci_app.state.overlay import Overlay
from abci_app.state.store import StateView


def live_powers(view: StateView) -> dict[bytes, int]:
    """Operators of live validators and their powers, read now: at most 64."""
    return dict(validators.live_powers(view))


def set_validator(state: Overlay, context: HookContext, action: SetValidator) -> None:
    """Admit a validator with a power, or remove it; raises `Rejected` where it cannot be."""
    if action.power:
        validators.set_admitted(state, context, action.operator, action.power)
    else:
        validators.remove(state, context, action.operator)


def appoint_member(state: Overlay, context: HookContext, action: AppointMember) -> None:
    """Write a membership; roles 0 ends it. Its box key stays the member's."""
    members.set_member(
        state,
        context,
        address=action.member,
        roles=action.roles,
        name=action.name,
        organisation=action.organisation,
    )
