"""Steps of the beacon at the end of a block: the price of silence, then the draws."""

from abci_app.mechanisms.beacon.draws import make_draws
from abci_app.mechanisms.beacon.onions import onion_in_force
from abci_app.mechanisms.beacon.parameters import SILENT_PENALTY
from abci_app.mechanisms.beacon.records import Beacon, DrawMade, ProposerSilent, beacon_of
from abci_app.mechanisms.deadlines import schedule
from abci_app.module import BlockContext, Hook, HookContext
from abci_app.state.overlay import Overlay

# A reveal that is withheld costs at least this part of what the draws that wait decide about ...
STAKE_PART = 100
# ... and never more than this part of the bond.
BOND_PART = 10


def charge_silence(state: Overlay, context: HookContext) -> None:
    """Tell of a block whose proposer owes a reveal and shows none, and fine it while a draw waits."""
    beacon, block, revealers = beacon_of(state), context.block, context.machinery.revealers
    if beacon.shown or not block.proposer:
        return
    owner = revealers.owner_of(state, block.proposer)
    if owner is None or onion_in_force(state, owner, block.height) is None:
        return
    fine = fine_nopen(beacon, block, revealers.bond_nopen(state, owner))
    if fine:
        revealers.fine(state, context, owner, fine)
    context.emit(ProposerSilent(block.proposer, owner, fine))


def fine_nopen(beacon: Beacon, block: BlockContext, bond_nopen: int) -> int:
    """The price of a block without its reveal: nothing while no draw waits."""
    if not beacon.waiting:
        return 0
    return min(max(block.parameters[SILENT_PENALTY], beacon.at_stake_nopen // STAKE_PART), bond_nopen // BOND_PART)


def draw(state: Overlay, context: HookContext) -> None:
    """Make the draws that are due, and schedule their work for the next block."""
    for request, made in make_draws(state, context.block):
        kind = context.machinery.kinds[request.kind]
        schedule(state, context.height, kind, context.height + 1, request.object, request.number)
        context.emit(
            DrawMade(object=request.object, kind=request.kind, number=request.number, value=made.value, weak=made.weak)
        )


# Each is protected by itself: a fine that fails holds up no draw.
END_HOOKS: tuple[tuple[str, Hook], ...] = (("beacon.silence", charge_silence), ("beacon.draws", draw))
