"""The deeds of people who govern: gOPEN comes, moves and goes, proposals are made, voted on and take effect."""

from abci_app.mechanisms.locks import Purpose, Withdraw
from abci_app.modules.governance import (
    HOLDERS,
    PROPOSALS,
    Action,
    AppointMember,
    CastVote,
    Delegate,
    LockGopen,
    NoteDown,
    ParameterChange,
    ProposalStatus,
    Propose,
    RaiseObjection,
    Scope,
    SetParameters,
    Spend,
    UnlockGopen,
    VoteChoice,
)
from abci_app.modules.members import Role
from tests.kit.signing import Signer
from tests.simulation.world import Operation, World


def lock_gopen(world: World) -> Operation:
    return Operation(world.rng.choice(world.actors), (LockGopen(world.rng.randint(1, 10**9)),))


def unlock_gopen(world: World) -> Operation | None:
    holder = world.rng.choice(world.actors)
    known = HOLDERS.get(world.store, holder.address)
    return Operation(holder, (UnlockGopen(world.rng.randint(1, known.amount_nopen)),)) if known else None


def withdraw_gopen(world: World) -> Operation:
    """Mostly there is nothing yet, or nothing any more."""
    return Operation(world.rng.choice(world.actors), (Withdraw(Purpose.GOPEN, b""),))


def delegate(world: World) -> Operation:
    holder, to = world.rng.choice(world.actors), world.rng.choice(world.actors)
    return Operation(holder, (Delegate(to.address),))


def propose(world: World) -> Operation:
    """Some are refused when they are due, since another one took effect meanwhile."""
    proposer = world.rng.choice(world.actors)
    message = Propose(
        scope=Scope.CHAIN,
        object_id=b"",
        actions=some_actions(world),
        title="a proposal",
        digest=b"",
        maximum_deposit_nopen=8 * 10**9,
    )
    return Operation(proposer, (message,))


def some_actions(world: World) -> tuple[Action, ...]:
    """Actions that would succeed now, as a rule."""
    other = world.rng.choice(world.actors)
    actions: list[tuple[Action, ...]] = [
        (NoteDown("so be it", b""),),
        (SetParameters("governance", (ParameterChange(5, world.rng.randint(10, 20)),)),),
        (Spend(other.address, world.rng.choice((10**6, 10**14))), NoteDown("paid", b"")),
        (AppointMember(member=other.address, roles=_roles_of(world, other), name="m", organisation=0),),
    ]
    return world.rng.choice(actions)


def _roles_of(world: World, member: Signer) -> int:
    """Olga stays the registrar, and nobody else becomes one."""
    return Role.REGISTRAR | Role.BUILDER if member is world.actors[0] else Role.BUILDER | Role.REVIEWER


def cast_vote(world: World) -> Operation | None:
    number = _some_proposal(world, ProposalStatus.VOTING)
    if not number:
        return None
    choice = world.rng.choice((VoteChoice.YES, VoteChoice.YES, VoteChoice.YES, *VoteChoice))
    return Operation(world.rng.choice(world.actors), (CastVote(number, choice),))


def raise_objection(world: World) -> Operation | None:
    number = _some_proposal(world, ProposalStatus.TIMELOCK)
    return Operation(world.rng.choice(world.actors), (RaiseObjection(number),)) if number else None


def _some_proposal(world: World, status: ProposalStatus) -> int:
    """Number of a proposal that stands so, or 0."""
    found = [number for (number,), each in PROPOSALS.iterate(world.store) if each.standing == status]
    return world.rng.choice(found) if found else 0
