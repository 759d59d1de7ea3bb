"""The deeds of validators and of who wants to be one. A rule may fail: somebody may just have been jailed."""

from abci_app.modules.validators import (
    AddBond,
    Apply,
    Leave,
    RotateKey,
    SetOnion,
    SetOwnPeers,
    SetWorker,
    Unjail,
    ValidatorStatus,
)
from abci_app.modules.validators.records import VALIDATORS
from tests.kit.modules.consensus import BOND
from tests.kit.signing import Key, Signer
from tests.simulation.book import bond_of
from tests.simulation.world import Operation, World


def _status(world: World, who: Signer) -> int:
    found = VALIDATORS.get(world.store, who.address)
    return found.status if found else 0


def apply(world: World) -> Operation:
    """Actors that are members right now succeed."""
    key = Key.named(world.fresh("consensus key"))
    message = Apply(key.public, world.new_onion(), BOND + world.rng.randint(0, 9))
    return Operation(world.rng.choice([*world.actors[1:], *world.operators]), (message,))


def add_bond(world: World) -> Operation:
    return Operation(world.rng.choice(world.operators), (AddBond(world.rng.randint(1, BOND // 100)),))


def leave(world: World) -> Operation | None:
    """Candidates only: a proposal would have to bring others in."""
    candidates = [who for who in world.actors if _status(world, who) == ValidatorStatus.CANDIDATE]
    return Operation(world.rng.choice(candidates), (Leave(),)) if candidates else None


def unjail(world: World) -> Operation | None:
    """Make the bond whole and come back, sometimes too early."""
    people = [*world.operators, *world.actors]
    jailed = [who for who in people if _status(world, who) == ValidatorStatus.JAILED]
    if not jailed or not world.chance(3):
        return None
    who = world.rng.choice(jailed)
    missing_nopen = BOND - world.book.money.held(bond_of(who.address)).amount_nopen
    return Operation(who, (AddBond(max(missing_nopen, 1)), Unjail()))


def rotate_key(world: World) -> Operation:
    return Operation(world.rng.choice(world.operators), (RotateKey(Key.named(world.fresh("consensus key")).public),))


def set_onion(world: World) -> Operation:
    return Operation(world.rng.choice(world.operators), (SetOnion(world.new_onion()),))


def set_worker(world: World) -> Operation:
    keys = Key.named(world.fresh("worker")).public, world.rng.randbytes(32)
    message = SetWorker(*keys, world.rng.randint(0, 1)) if world.chance(2) else SetWorker(b"", b"", 0)
    return Operation(world.rng.choice(world.operators), (message,))


def set_own_peers(world: World) -> Operation:
    nodes = tuple([f"{world.rng.randrange(2**160):040x}" for _ in range(world.rng.randint(0, 4))])
    return Operation(world.rng.choice(world.operators), (SetOwnPeers(nodes),))


# Rule -> how often it is chosen.
VALIDATOR_RULES = {
    apply: 1,
    add_bond: 1,
    leave: 1,
    unjail: 3,
    rotate_key: 1,
    set_onion: 1,
    set_worker: 1,
    set_own_peers: 1,
}
