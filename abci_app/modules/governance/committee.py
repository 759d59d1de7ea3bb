"""The committee and the members that governance appoints: the one place that reaches those modules."""

from abci_app.errors import Rejected
from abci_app.module import HookContext
from abci_app.modules.governance.actions import AppointMember, SetValidator
from abci_app.modules.governance.codes import GovernanceCode
from abci_app.modules.members import MEMBERS, Member, MemberChanged
from abci_app.state.overlay import Overlay
from abci_app.state.store import StateView


def live_powers(view: StateView) -> dict[bytes, int]:
    """Operators of live validators and their powers: none as long as validators have no operators."""
    return {}


def set_validator(state: Overlay, context: HookContext, action: SetValidator) -> None:
    """Admit or remove a validator; refused as long as validators have no operators."""
    raise Rejected(GovernanceCode.NOT_YET, "SetValidator: validators of this chain have no operators yet")


def appoint_member(state: Overlay, context: HookContext, action: AppointMember) -> None:
    """Write a membership; roles 0 ends it."""
    if action.roles:
        MEMBERS.set(state, action.member, Member(action.member, action.roles, action.name))
    else:
        MEMBERS.delete(state, action.member)
    context.emit(MemberChanged(action.member, action.roles))
