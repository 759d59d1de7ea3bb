"""The deeds of people who govern: gOPEN comes, moves and goes, proposals are made, voted on and take effect."""

from abci_app.mechanisms.locks import Purpose, Withdraw
from abci_app.modules.governance import (
    HOLDERS,
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
from tests.simulation.deeds import Take
from tests.simulation.world import Operation, World

# Enough for every deposit and fee of a block.
MUCH_NOPEN = 10**11


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
    return Operation(proposer, (message,), certain=_must_be_taken(world, proposer, message.actions))


def _must_be_taken(world: World, proposer: Signer, actions: tuple[Action, ...]) -> bool:
    """Whether nothing that others do in the same block can make this be refused: it spends all that an epoch may."""
    governance = world.book.governance
    able = [holder for holder, lots in governance.lots.items() if lots[0][0] < governance.epoch]
    calm = not governance.spent_nopen and len(governance.open_now()) < 6
    own = [each for each in governance.open_now() if each.proposer == proposer.address]
    takes = [deed for deed in world.workshop.deeds.get(world.chain.next_height, []) if isinstance(deed, Take)]
    rich = world.book.money.balances[proposer.address] > MUCH_NOPEN and not takes
    return len(actions) == 2 and calm and rich and len(able) > 3 and not own


def some_actions(world: World) -> tuple[Action, ...]:
    """Actions that would succeed now, as a rule."""
    other = world.rng.choice(world.actors)
    most_nopen = world.book.governance.treasury_start_nopen // 5_000 * 49_999 // 100_000
    actions: list[tuple[Action, ...]] = [
        (NoteDown("so be it", b""),),
        (SetParameters("governance", (ParameterChange(5, world.rng.randint(10, 20)),)),),
        (Spend(other.address, world.rng.choice((10**6, 10**14))), NoteDown("paid", b"")),
        # Together just below what an epoch may spend.
        (Spend(other.address, most_nopen), Spend(other.address, most_nopen)),
        (AppointMember(member=other.address, roles=_roles_of(world, other), name="m", organisation=0),),
    ]
    return world.rng.choice(actions)


def _roles_of(world: World, member: Signer) -> int:
    """Olga stays the registrar, and nobody else becomes one."""
    return Role.REGISTRAR | Role.BUILDER if member is world.actors[0] else Role.BUILDER | Role.REVIEWER


def cast_vote(world: World) -> Operation | None:
    """Mostly by somebody whose vote counts and is not there yet; also changed votes, and votes of nobody's gOPEN."""
    governance = world.book.governance
    numbers = [each.number for each in governance.open_now() if each.standing == ProposalStatus.VOTING]
    if not numbers:
        return None
    proposal = governance.proposals[world.rng.choice(numbers)]
    missing = [
        who
        for who in world.actors
        if who.address not in proposal.ballots and governance.power(who.address, proposal.epoch)
    ]
    voter = world.rng.choice(world.actors if world.chance(4) or not missing else missing)
    choice = world.rng.choice((*[VoteChoice.YES] * 6, *VoteChoice))
    return Operation(voter, (CastVote(proposal.number, choice),))


def raise_objection(world: World) -> Operation | None:
    """By somebody who has power: a few together can cancel what is critical."""
    powers, people = world.book.validators.live_powers(), [*world.operators, *world.actors]
    objectors = [who for who in people if powers.get(who.address)]
    open_ones = [each for each in world.book.governance.open_now() if each.standing == ProposalStatus.TIMELOCK]
    critical = [each.number for each in open_ones if each.is_critical]
    if not objectors or not critical:
        return None
    return Operation(world.rng.choice(objectors), (RaiseObjection(world.rng.choice(critical)),))
