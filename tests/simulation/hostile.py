"""Mallory's attempts. Her operations are well signed and paid for, and must all be refused; her mischief is neither."""

from collections.abc import Callable

from msgspec import structs

from abci_app.errors import Code
from abci_app.module import Message
from abci_app.modules.bank import Burn, Transfer
from abci_app.modules.datanets.records import (
    CONTRIBUTIONS,
    DATANETS,
    CreateDatanet,
    CreateVersion,
    ReviewContribution,
    RevokeContribution,
    Status,
)
from abci_app.modules.governance import (
    CastVote,
    LockGopen,
    ParameterChange,
    ProposalStatus,
    SetParameters,
    Spend,
    VoteChoice,
)
from abci_app.modules.governance.parameters import FREEZE_BLOCKS
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.members import ALL_ROLES, SetMember
from abci_app.modules.models.records import (
    ENTRIES,
    MAX_RUNS,
    CreateModel,
    RecordReproduction,
    RecordRuns,
    SupersedeEntry,
)
from tests.kit.modules.drafts import FREE, RUN, contribute, digest, entry, run_of, terms
from tests.kit.modules.hall import proposal_of
from tests.kit.signing import Key, Signer
from tests.simulation.rules import some_net, with_status
from tests.simulation.world import FUNDS, POISON_NOPEN, Operation, World

FORBIDDING = terms(name="no derivatives", no_derivatives=2)
NOBODY = digest("nothing has this id")


def attempt(world: World, *messages: Message) -> Operation:
    return Operation(world.mallory, messages, hostile=True)


def spend_too_much(world: World) -> Operation:
    """Also after a part that would work: all or nothing."""
    friend = world.rng.choice(world.actors).address
    return attempt(world, Transfer(friend, 1), Burn(1), Transfer(friend, 2 * FUNDS))


def make_herself_a_registrar(world: World) -> Operation:
    return attempt(world, SetMember(world.mallory.address, ALL_ROLES, "me", 0))


def build_without_the_role(world: World) -> Operation:
    return attempt(world, CreateModel(world.fresh("model"), ""))


def take_a_name(world: World) -> Operation | None:
    chosen = some_net(world)
    if chosen is None:
        return None
    return attempt(world, CreateDatanet(chosen[1].name, "", chosen[1].default_terms_id, (), 1))


def contribute_what_others_contributed(world: World) -> Operation | None:
    """Contribute rows of somebody else again, or somebody else's file under other rows."""
    chosen = some_net(world)
    held = with_status(world, chosen[1], world.rng.choice([Status.PENDING, Status.ACCEPTED])) if chosen else []
    stored = CONTRIBUTIONS.get(world.store, world.rng.choice(held)) if held else None
    if chosen is None or stored is None:
        return None
    copied, own = stored.contribution, contribute(chosen[0], world.fresh("copy"))
    field = world.rng.choice(["rows_root", "content_digest"])
    # Rows of what is rejected, or withdrawn before it was accepted, are free again: an earlier place in the same block
    # may have done that, and then the copy is rightly taken.
    message = structs.replace(own, **{field: getattr(copied, field)})
    return Operation(world.mallory, (message,), hostile=stored.status == Status.ACCEPTED)


def judge_and_revoke_what_is_not_hers(world: World) -> Operation | None:
    chosen = some_net(world)
    if chosen is None or not chosen[1].contributors:
        return None
    victim = world.rng.choice(list(chosen[1].contributors))
    message = world.rng.choice(
        [ReviewContribution(victim, 1, 0), RevokeContribution(victim, 3), CreateVersion(chosen[0], "mine")]
    )
    return attempt(world, message)


def vote_twice(world: World) -> Operation | None:
    """The second vote of one transaction fails, so the first must not count."""
    chosen = some_net(world)
    pending = with_status(world, chosen[1], Status.PENDING) if chosen else []
    if chosen is None or not pending:
        return None
    stored = DATANETS.get(world.store, chosen[0])
    assert stored is not None
    vote = ReviewContribution(pending[0], 1, 0)
    return Operation(chosen[1].owner, (vote, vote), hostile=True)


def add_to_the_model_of_another(world: World) -> Operation | None:
    if not world.models:
        return None
    return attempt(
        world, RecordRuns((run_of(entry(world.fresh("entry")), model_id=world.rng.choice(list(world.models))),))
    )


def build_on_nothing(world: World) -> Operation:
    made_from, data = ([NOBODY], []) if world.chance(2) else ([], [(NOBODY, 1)])
    good, bad = [entry(world.fresh("entry"), **more) for more in ({}, {"made_from": made_from, "data": data})]  # type: ignore[arg-type]
    return attempt(world, RecordRuns((run_of(good), run_of(bad))))


def train_against_the_terms(world: World) -> Operation:
    """Registered in the same transaction, which leaves nothing of it."""
    drafted = entry(world.fresh("entry"), terms_id=terms_id_of(FORBIDDING))
    return attempt(world, RegisterTerms(FORBIDDING), RecordRuns((run_of(drafted),)))


def claim_a_bit_exact_repetition(world: World) -> Operation | None:
    if not world.entries:
        return None
    entry_id = world.rng.choice(list(world.entries))
    return attempt(world, RecordReproduction(entry_id, 1, digest("a"), digest("b"), RUN))


def supersede_what_is_not_hers(world: World) -> Operation | None:
    if len(world.entries) < 2:
        return None
    wrong, right = world.rng.sample(list(world.entries), 2)
    return attempt(world, SupersedeEntry(wrong, right, ""))


def claim_what_names_another(world: World) -> Operation | None:
    """With the very path that the named account would show."""
    known = [entry_id for entry_id in world.claims if entry_id in world.entries]
    return attempt(world, world.claims[world.rng.choice(known)][1]) if known else None


def supersede_in_a_circle(world: World) -> Operation | None:
    """By the rightful recorder of a superseded entry: back to it."""
    for entry_id, (_, recorder) in world.entries.items():
        stored = ENTRIES.get(world.store, entry_id)
        if stored is not None and stored.superseded_by_entry_id:
            successor = world.entries.get(stored.superseded_by_entry_id)
            if successor is not None and successor[1] is recorder:
                return Operation(recorder, (SupersedeEntry(stored.superseded_by_entry_id, entry_id, ""),), hostile=True)
    return None


def vote_with_a_flash_lock(world: World) -> Operation | None:
    """Lock, and vote at once on what was proposed in this epoch or before."""
    governance = world.book.governance
    voter = world.rng.choice(world.actors)
    numbers = [
        each.number
        for each in governance.proposals.values()
        if each.standing == ProposalStatus.VOTING and not governance.power(voter.address, each.epoch)
    ]
    if not numbers:
        return None
    messages = (LockGopen(10**9), CastVote(world.rng.choice(numbers), VoteChoice.YES))
    return Operation(voter, messages, hostile=True)


def propose_beyond_a_limit(world: World) -> Operation:
    """A parameter above what its code allows."""
    change = ParameterChange(FREEZE_BLOCKS.index, FREEZE_BLOCKS.maximum + 1)
    return attempt(world, proposal_of(SetParameters("governance", (change,))))


def rob_the_treasury(world: World) -> Operation:
    """More than an epoch may spend, in one proposal."""
    amount_nopen = world.book.governance.treasury_start_nopen // 5_000
    return attempt(world, proposal_of(Spend(world.mallory.address, amount_nopen), Spend(world.mallory.address, 10**12)))


ATTEMPTS: tuple[Callable[[World], Operation | None], ...] = (
    spend_too_much, make_herself_a_registrar, build_without_the_role, take_a_name, contribute_what_others_contributed,
    judge_and_revoke_what_is_not_hers, vote_twice, add_to_the_model_of_another, build_on_nothing,
    train_against_the_terms, claim_a_bit_exact_repetition, supersede_what_is_not_hers, supersede_in_a_circle,
    claim_what_names_another, vote_with_a_flash_lock, vote_with_a_flash_lock, propose_beyond_a_limit, rob_the_treasury,
)  # fmt: skip


def hostile(world: World, count: int, honest: list[Operation]) -> list[Operation]:
    """Up to `count` attempts; those in somebody else's name only if that one sends nothing else in this block."""
    busy = {operation.signer.address for operation in honest}
    attempts = list[Operation]()
    for rule in world.rng.sample(ATTEMPTS, count):
        operation = rule(world)
        if operation is None or operation.signer.address in busy:
            continue
        if operation.signer is not world.mallory:
            busy.add(operation.signer.address)
        attempts.append(operation)
    return attempts


def poison(world: World) -> Operation:
    """Makes a handler raise (the test sees to it)."""
    return Operation(world.poisoner, (Burn(POISON_NOPEN),))


# --- Bytes that nobody may execute


def mischief(world: World, count: int) -> list[bytes]:
    """Replays, garbage, damaged and badly signed transactions, over-long lists: none of them pays for a place."""
    return [world.rng.choice(MISCHIEF)(world) for _ in range(count)]


def _good(world: World, **changes: object) -> bytes:
    """A transaction of Mallory's that would be valid but for what is changed."""
    sequence = world.chain.account(world.mallory.address).sequence
    given = {"sequence": sequence, "fee_limit_nopen": 10**8, **changes}
    return world.mallory.transaction(Burn(1), **given)  # type: ignore[arg-type]


def replay(world: World) -> bytes:
    """Again what succeeded once. (What was never taken may well succeed later: its sequence is still to come.)"""
    return world.rng.choice(world.done) if world.done else b""


def damaged(world: World) -> bytes:
    raw = bytearray(_good(world))
    raw[world.rng.randrange(len(raw))] ^= 1 << world.rng.randrange(8)
    return bytes(raw)


def cut(world: World) -> bytes:
    raw = _good(world)
    return raw[: world.rng.randrange(len(raw))]


def garbage(world: World) -> bytes:
    return world.rng.randbytes(world.rng.randrange(200))


def badly_signed(world: World) -> bytes:
    thief = Signer([Key.named("thief")], world.mallory.policy, world.mallory.address)
    return thief.transaction(Burn(1), sequence=world.chain.account(thief.address).sequence)


def over_long(world: World) -> bytes:
    """One run more than fits."""
    sequence = world.chain.account(world.mallory.address).sequence
    runs = (run_of(entry("x")),) * (MAX_RUNS + 1)
    return world.mallory.transaction(RecordRuns(runs), sequence=sequence, fee_limit_nopen=10**8)


def malformed_terms(world: World) -> bytes:
    """Labels must be sorted: found before anything is charged."""
    sequence = world.chain.account(world.mallory.address).sequence
    bad = structs.replace(FREE, excluded_domains=("b", "a"))
    return world.mallory.transaction(RegisterTerms(bad), sequence=sequence, fee_limit_nopen=10**8)


def expired(world: World) -> bytes:
    """Valid up to the last block; there is none before the first."""
    return _good(world, expiry_height=world.chain.height) if world.chain.height else b""


MISCHIEF: tuple[Callable[[World], bytes], ...] = (
    replay, replay, damaged, cut, garbage, badly_signed, over_long, malformed_terms,
    lambda world: _good(world, chain_id="another-chain"),
    lambda world: _good(world, fee_limit_nopen=1),
    lambda world: _good(world, sequence=10**6),
    expired,
)  # fmt: skip

# Codes that mischief and attempts draw out of the chain with any seed.
CERTAIN_CODES = frozenset(
    [Code.MALFORMED, Code.WRONG_CHAIN, Code.EXPIRED, Code.WRONG_SEQUENCE, Code.BAD_SIGNATURE, Code.INSUFFICIENT_FEE]
)
