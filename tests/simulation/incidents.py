"""What happens around blocks: absences, failed rounds, evidence, jumps of time, silence, and deeds of later modules.

Each incident is a function of the world and prepares the next block. Hostile people are among them: who withholds
reveals while a draw waits, who lets rounds fail, who floods deadlines, who locks and leaves in a flash.
"""

from collections.abc import Callable

from abci_app.mechanisms.locks import Purpose, Withdraw
from abci_app.module import TREASURY_ACCOUNT
from tests.kit.modules.consensus import BOND
from tests.kit.modules.drafts import digest
from tests.simulation import deeds
from tests.simulation.book.validators import Standing
from tests.simulation.deeds import BREAKS, BREAKS_TWICE, REFUSES, WORKS, Key, job_id
from tests.simulation.world import Operation, World

Incident = Callable[[World], None]
PPB = 10**9
# Purposes that no module of the chain uses yet; the last one belongs to an object and not to an account.
FREE_PURPOSES = (Purpose.REVIEWER_BOND, Purpose.CONTRIBUTION_STAKE, Purpose.CASE_ESCROW)
POT = (int(Purpose.DATANET_POT), digest("a pot"), digest("a DataNet"))
PARTS = ((PPB,), (PPB // 2, PPB // 2), (333_333_333, 333_333_333, 333_333_334), (1, PPB - 1))


# --- CometBFT


def be_away(world: World) -> None:
    """One validator signs nothing for a while, or comes back."""
    comet = world.comet
    if comet.absent:
        comet.absent = []
        return
    candidates = [key for key in sorted(comet.sets[world.chain.next_height]) if comet.may_be_absent(key)]
    if candidates:
        comet.absent = [world.rng.choice(candidates)]


def return_where_needed(world: World) -> None:
    """Who is away comes back before the others are too few."""
    comet = world.comet
    comet.absent = [key for key in comet.absent if comet.may_be_absent(key)]


def fail_rounds(world: World) -> None:
    """The block is decided in a later round."""
    world.comet.this_round = world.rng.choice([1, 1, 2, 5])


def jump(world: World) -> None:
    """Nothing is decided for a while."""
    world.chain.ahead_seconds += world.rng.choice([1, 5, 30, 3_600])


def accuse(world: World) -> None:
    """Evidence against a key of now, one that was rotated or removed, or nobody's; sometimes against two."""
    height = world.chain.height
    if not height:
        return
    validators = world.book.validators
    known = [*validators.owners, digest("nobody")[:20]]
    again = [
        address
        for address, owner in validators.owners.items()
        if validators.members[owner].standing == Standing.TOMBSTONED
    ]
    if again and world.chance(2):
        known = again
    for address in world.rng.sample(known, min(len(known), world.rng.choice([1, 1, 2]))):
        world.comet.accuse(address, world.rng.randint(max(1, height - 20), height))


def keep_silent(world: World) -> None:
    """A validator withholds its reveals for a while, as who does not like a draw would."""
    if world.silent:
        world.silent = []
    else:
        world.silent = [world.rng.choice(list(world.book.validators.live_powers()))]


# --- Locks


def a_lock(world: World) -> Key:
    """Somebody's lock, with an object or without."""
    purpose = world.rng.choice(FREE_PURPOSES)
    object_id = bytes(32) if purpose == Purpose.REVIEWER_BOND else digest(f"object {world.rng.randrange(2)}")
    return int(purpose), object_id, world.rng.choice(world.actors).address


def a_full_lock(world: World) -> Key:
    """A lock with something in it, if there is one."""
    full = [key for key, held in world.book.money.locks.items() if held.total_nopen and key[0] in FREE_PURPOSES]
    return world.rng.choice(full) if full else a_lock(world)


def some_receivers(world: World) -> deeds.Receivers:
    """Accounts and locks, with parts that leave remainders."""
    parts = world.rng.choice(PARTS)
    places: list[bytes | Key] = [TREASURY_ACCOUNT, world.rng.choice(world.actors).address, POT, a_lock(world)]
    return tuple(zip(world.rng.sample(places, len(parts)), parts, strict=True))


def lock(world: World) -> None:
    """Amounts that leave remainders; sometimes a whale's, sometimes more than there is."""
    world.do(deeds.Take(a_lock(world), world.rng.choice([1, 7, 1_001, 10**6 + 3, 10**9 + 7, 10**13])))


def release(world: World) -> None:
    """Let a part leave, by height and time; also all at once, as a flash locker does."""
    key = a_full_lock(world)
    held_nopen = world.book.money.held(key).amount_nopen
    amount_nopen = held_nopen if world.chance(4) else world.rng.randint(0, max(held_nopen // 2, 1))
    for _ in range(world.rng.choice([1, 1, 2, 9])):
        blocks, seconds = world.rng.choice([0, 1, 3, 6, 25]), world.rng.choice([0, 0, 3, 20])
        world.do(deeds.Release(key, amount_nopen, blocks, seconds))
        amount_nopen //= 3


def spend_of_a_lock(world: World) -> None:
    """Give back, pay or move, now and then more than there is."""
    key = a_full_lock(world)
    amount_nopen = world.rng.randint(0, world.book.money.held(key).amount_nopen + 1)
    with_payees = [each for each in world.book.money.payees if world.chance(2)]
    recipient = world.rng.choice(with_payees or [world.rng.choice(world.actors).address])
    choices: list[deeds.Deed] = [
        deeds.GiveBack(key, amount_nopen),
        deeds.Pay(key, recipient, amount_nopen),
        deeds.Move(key, world.rng.choice([POT, a_lock(world)]), amount_nopen),
        deeds.Pay(POT, recipient, world.rng.randint(0, 10**6)),
    ]
    world.do(world.rng.choice(choices))


def punish(world: World) -> None:
    """Slash or fine a lock, also where some of it leaves."""
    key, receivers = a_full_lock(world), some_receivers(world)
    leaving = [
        each for each, held in world.book.money.locks.items() if len(held.leaving) > 1 and each[0] in FREE_PURPOSES
    ]
    if leaving and world.chance(2):
        key = world.rng.choice(leaving)
    held = world.book.money.held(key)
    if world.chance(2):
        world.do(deeds.Slash(key, world.rng.choice([0, 1, PPB // 3, PPB]), receivers))
    else:
        most_nopen = held.total_nopen + 10 if world.chance(2) else held.amount_nopen
        newest_nopen = held.leaving[-1][0] // 2 if held.leaving else 0
        world.do(deeds.Fine(key, world.rng.choice([most_nopen, held.amount_nopen + newest_nopen]), receivers))


def withdrawals(world: World) -> list[Operation]:
    """Owners who try to take out what leaves: it must succeed exactly when the book says so.

    Only locks that nothing else happens to in the same block.
    """
    book, height = world.book, world.chain.next_height
    seconds = world.chain.seconds(height)
    touched = [
        key
        for deed in world.workshop.deeds.get(height, [])
        for key in [getattr(deed, "key", None), getattr(deed, "target", None)]
    ]
    owners = {signer.address: signer for signer in world.actors}
    found: list[Operation] = []
    for key, held in book.money.locks.items():
        if not held.leaving or key[2] not in owners or key in touched or not world.chance(2):
            continue
        message = Withdraw(key[0], b"" if key[1] == bytes(32) else key[1])
        can = book.can_withdraw(key[2], message, height, seconds)
        if all(each.signer.address != key[2] for each in found):
            found.append(Operation(owners[key[2]], (message,), hostile=not can, certain=can))
    return found[:3]


# --- Deadlines and draws


def schedule(world: World) -> None:
    """Jobs of all lanes, that end in all ways, some due already."""
    for _ in range(world.rng.randint(1, 4)):
        job = job_id(world.rng.choice([WORKS, WORKS, REFUSES, BREAKS, BREAKS_TWICE]), world.next_serial())
        world.do(deeds.Schedule(world.rng.randrange(3), job, world.chain.height + world.rng.randint(0, 12)))


def schedule_anew(world: World) -> None:
    """A job gets another deadline: the earlier entry is stale."""
    waiting = [job for job, each in world.book.deadlines.jobs.items() if each.due_height > world.chain.next_height]
    if waiting:
        job = world.rng.choice(waiting)
        lane = world.book.deadlines.lane_of(job)
        world.do(deeds.Schedule(lane, job, world.chain.height + world.rng.randint(1, 12)))


def flood(world: World) -> None:
    """A whale lets far more be due at once than a lane runs in a block."""
    lane, count = world.rng.choice([(1, 150), (2, 13)])
    height = world.chain.height + world.rng.randint(2, 5)
    for _ in range(count):
        ending = REFUSES if world.chance(10) else WORKS
        world.do(deeds.Schedule(lane, job_id(ending, world.next_serial()), height))


def ask_draw(world: World) -> None:
    """Work that needs a draw, mostly with something at stake."""
    at_stake_nopen = world.rng.choice([0, BOND, 200 * BOND])
    world.do(deeds.AskDraw(digest(world.fresh("draw")), at_stake_nopen))


# --- Proposals of the committee, until those of governance


def admit(world: World) -> None:
    """Candidates are admitted, powers change, now and then somebody is removed."""
    known = world.book.validators.members
    candidates = [each for each, member in known.items() if member.standing == Standing.CANDIDATE]
    active = [each for each, member in known.items() if member.standing == Standing.ACTIVE]
    if candidates and world.chance(2):
        world.do(deeds.Admit(world.rng.choice(candidates), world.rng.randint(1, 20)))
    elif active:
        removes = len(active) > 4 and world.chance(6)
        world.do(deeds.Admit(world.rng.choice(active), 0 if removes else world.rng.randint(1, 30)))


def exodus(world: World) -> None:
    """Somebody gains power, then half of all are asked to leave at once: an epoch lets go less than a third."""
    known = world.book.validators.members
    active = [each for each, member in known.items() if member.standing == Standing.ACTIVE]
    if len(active) < 5:
        return
    leaving = world.rng.sample(active, len(active) // 2)
    staying = [each for each in active if each not in leaving]
    world.do(*[deeds.Admit(each, known[each].admitted + 10) for each in staying])
    world.do_at(world.chain.next_height + 1, *[deeds.Admit(each, 0) for each in leaving])


# Incident -> once in so many blocks.
INCIDENTS: dict[Incident, int] = {
    be_away: 18, fail_rounds: 6, jump: 8, accuse: 40, keep_silent: 15, lock: 3, release: 4, spend_of_a_lock: 4,
    punish: 4, schedule: 4, schedule_anew: 6, flood: 40, ask_draw: 12, admit: 6, exodus: 40,
}  # fmt: skip


def happen(world: World) -> None:
    """What happens before the next block."""
    for incident, one_in in INCIDENTS.items():
        if world.chance(one_in):
            incident(world)
    return_where_needed(world)


def false_reveals(world: World) -> list[bytes]:
    """What a proposer may not show: another one's reveal, its own one too early or again, and noise."""
    owner = world.book.validators.owners.get(world.chain.proposer, b"")
    beacon, height = world.book.beacon, world.chain.next_height
    counts = bool(beacon.shown) and world.chain.commit.round == 0
    onions = {who: each.at(height) for who, each in beacon.onions.items()}
    if counts and beacon.shown_by in onions:
        onions[beacon.shown_by] = beacon.shown
    own = onions.get(owner, b"")
    reveal = world.links.get(own, b"")
    others = [world.links.get(onion, b"") for who, onion in onions.items() if who != owner]
    found = [own, world.links.get(reveal, b""), world.rng.randbytes(32), *others]
    return [each for each in found if each and each != reveal]
