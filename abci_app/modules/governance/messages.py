"""Messages of the governance module."""

from typing import Annotated, ClassVar

from msgspec import Meta

from abci_app.errors import Rejected
from abci_app.module import Message
from abci_app.modules.bank import require_no_module_account
from abci_app.modules.governance.actions import (
    MAX_ACTIONS_BYTES,
    SCOPES_OF,
    Actions,
    AppointMember,
    Scope,
    ScopeNumber,
    Spend,
)
from abci_app.modules.governance.codes import GovernanceCode
from abci_app.modules.governance.records import VoteChoice
from abci_app.modules.members import ALL_ROLES
from abci_app.state.codec import encode
from abci_app.types import Bytes32, Integer, Nopen, OptionalBytes32, Text, words


class LockGopen(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0901):
    """Lock OPEN; each locked nopen is one vote, from the next epoch on."""

    weight_each: ClassVar[int] = 24

    amount_nopen: Nopen

    def maximum_spend_nopen(self) -> int:
        """The amount."""
        return self.amount_nopen


class UnlockGopen(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0902):
    """Let locked gOPEN leave, what was locked last first; it can be withdrawn after `unlock_blocks`."""

    weight_each: ClassVar[int] = 24

    amount_nopen: Nopen


class Delegate(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0903):
    """Let another account vote with the sender's gOPEN, from the next epoch on; the sender's own address ends that."""

    weight_each: ClassVar[int] = 30

    delegate: Bytes32

    def validate(self) -> None:
        """A module has no vote."""
        require_no_module_account("delegate", self.delegate)


class Propose(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0904):
    """Put actions to the vote of a scope; they are tried out first, and the deposit is taken."""

    weight_each: ClassVar[int] = 60

    scope: ScopeNumber
    # The DataNet whose contributors decide, else empty.
    object_id: OptionalBytes32
    actions: Actions
    title: Annotated[Text, Meta(min_length=1)]
    # Of a longer text in a content store, or empty.
    digest: OptionalBytes32
    maximum_deposit_nopen: Nopen

    def validate(self) -> None:
        """The actions are small, of that scope, and name what they can."""
        check_actions(Scope(self.scope), self.object_id, self.actions)
        if len(self.digest) not in (0, 32):
            raise Rejected(GovernanceCode.BAD_ACTIONS, f"digest has {len(self.digest)} bytes, must be none or 32")

    def maximum_spend_nopen(self) -> int:
        """The deposit that the sender agrees to."""
        return self.maximum_deposit_nopen

    def list_items(self) -> int:
        """Each action costs its try-out."""
        return len(self.actions)


class CastVote(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0905):
    """Vote on a proposal; a later vote of the same sender takes the place of the earlier one."""

    weight_each: ClassVar[int] = 70

    proposal: Integer
    choice: Annotated[int, words(VoteChoice)]

    def validate(self) -> None:
        """The choice is one."""
        if self.choice not in list(VoteChoice):
            raise Rejected(
                GovernanceCode.BAD_CHOICE, f"choice is {self.choice}, must be 1 yes, 2 no, 3 abstain, 4 veto"
            )


class RaiseObjection(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0906):
    """Object, as a live validator, to a critical proposal in its timelock; more than a third of power cancels it."""

    weight_each: ClassVar[int] = 70

    proposal: Integer


def check_actions(scope: Scope, object_id: bytes, actions: Actions) -> None:
    """Raises `Rejected` for actions that no state could make right."""
    size_bytes = len(encode(actions))
    if size_bytes > MAX_ACTIONS_BYTES:
        raise Rejected(
            GovernanceCode.BAD_ACTIONS, f"the actions have {size_bytes} bytes, at most {MAX_ACTIONS_BYTES}: split them"
        )
    if len(object_id) != (32 if scope == Scope.DATANET else 0):
        raise Rejected(GovernanceCode.WRONG_SCOPE, "a proposal of a DataNet's contributors names it, no other does")
    for place, action in enumerate(actions, 1):
        scopes = SCOPES_OF[type(action)]
        if scope not in scopes:
            allowed = " or ".join([each.name.lower() for each in scopes])
            raise Rejected(
                GovernanceCode.WRONG_SCOPE,
                f"action {place}, {type(action).__name__}, is for a proposal of scope {allowed}, "
                f"not of {scope.name.lower()}",
            )
        if isinstance(action, AppointMember) and action.roles & ~ALL_ROLES:
            raise Rejected(
                GovernanceCode.BAD_ACTIONS, f"action {place}: roles {action.roles} has bits that are no role"
            )
        if isinstance(action, Spend):
            require_no_module_account(f"action {place}: recipient", action.recipient)
            if not action.amount_nopen:
                raise Rejected(GovernanceCode.BAD_ACTIONS, f"action {place}: a payment of 0 nopen")
