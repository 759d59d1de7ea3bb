"""Messages of validators: what each changes, and every reason for which it is refused."""

from typing import Any

import pytest
from msgspec import structs

from abci_app.accounts import ACCOUNTS, Account, show_address
from abci_app.errors import Code, Rejected
from abci_app.mechanisms import beacon, locks
from abci_app.mechanisms.beacon.records import ONIONS, Onion
from abci_app.mechanisms.locks.records import BY_OWNER, LOCKS
from abci_app.module import Message
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
    bond_key,
    consensus_address,
    is_own_peer,
)
from abci_app.modules.validators.handlers import new_validator
from abci_app.modules.validators.records import (
    BY_KEY,
    LIST,
    MAX_LISTED,
    OWN_PEERS,
    TURNOVER,
    VALIDATORS,
    JailReason,
    KeyOwner,
    OwnPeers,
    Turnover,
    ValidatorList,
    ValidatorRecord,
    ValidatorsCode,
)
from abci_app.state.codec import encode
from abci_app.state.overlay import Overlay
from abci_app.state.store import StateView
from abci_app.state.table import PRESENT
from tests.kit.modules.consensus import BOND, FUNDS, OPERATORS, Consensus, consensus_key, onion
from tests.kit.modules.ledger import execute
from tests.kit.signing import Key, Signer

NEW_KEY = Key.named("a new consensus key").public
ONION = bytes.fromhex(onion("new"))
FIRST, FIFTH, SIXTH = OPERATORS[0], OPERATORS[4], OPERATORS[5]
KEY_0 = consensus_key(0).hex()
NODE, OTHER_NODE = "01" * 20, "ab" * 20
STRANGER = Signer.named("stranger")
NO_VALIDATOR = (
    ValidatorsCode.NOT_A_VALIDATOR,
    f"{show_address(FIFTH.address)} is not a validator: it must apply first",
)


@pytest.fixture
def world() -> Consensus:
    """Four validators of power 10, and two members with money; one block is made."""
    world = Consensus.start([10] * 4, candidates=2)
    world.block()
    world.leave_blank()
    return world


@pytest.fixture
def state(world: Consensus) -> Overlay:
    """The state after that block, to be changed by hand."""
    return Overlay(world.ledger.store)


def record(view: StateView, who: Signer) -> ValidatorRecord:
    found = VALIDATORS.get(view, who.address)
    assert found is not None
    return found


def put(state: Overlay, who: Signer, **values: Any) -> None:
    """Bring a validator into another state, as hooks do."""
    VALIDATORS.set(state, who.address, structs.replace(record(state, who), **values))


def refusal(state: Overlay, who: Signer, message: Message, height: int = 2) -> tuple[int, str]:
    """Code and text."""
    with pytest.raises(Rejected) as refused:
        execute(Overlay(state), who, message, height)
    return refused.value.code, refused.value.text


# --- Apply


def test_a_member_applies_and_nothing_else_moves(world: Consensus) -> None:
    before = world.chain.state()
    events = world.ledger.accept(FIFTH, Apply(NEW_KEY, ONION, BOND + 5))
    after = world.chain.state()
    operators = LIST.get(world.ledger.store)
    assert operators is not None
    assert set(operators.operators[:4]) == {who.address for who in OPERATORS[:4]}
    assert operators.operators[4:] == (FIFTH.address,)
    changed = {key: after.get(key) for key in {*before, *after} if before.get(key) != after.get(key)}
    assert changed == {
        ONIONS.key(FIFTH.address): encode(
            Onion(owner=FIFTH.address, onion=ONION, used=0, next_onion=b"", next_from_height=0)
        ),
        ACCOUNTS.key(FIFTH.address): encode(Account(1, FUNDS - BOND - 5, FIFTH.policy)),
        ACCOUNTS.key(locks.LOCKS_ACCOUNT): encode(Account(0, 5 * BOND + 5, b"")),
        LOCKS.key(*bond_key(FIFTH.address)): encode(locks.Lock(FIFTH.address, BOND + 5, ())),
        BY_OWNER.key(FIFTH.address, locks.Purpose.VALIDATOR_BOND, locks.NO_OBJECT): PRESENT,
        LIST.key(): encode(operators),
        BY_KEY.key(consensus_address(NEW_KEY)): encode(KeyOwner(FIFTH.address)),
        VALIDATORS.key(FIFTH.address): encode(new_validator(FIFTH.address, NEW_KEY)),
    }
    assert events == [("validator_changed", {"operator": FIFTH.address.hex(), "status": "candidate", "why": "applied"})]
    assert world.chain.violations() == []


def test_who_cannot_apply_is_told_why(state: Overlay) -> None:
    apply = Apply(NEW_KEY, ONION, BOND)
    assert refusal(state, STRANGER, apply) == (
        ValidatorsCode.NOT_A_MEMBER,
        f"{show_address(STRANGER.address)} is not a member of this chain: ask a registrar first",
    )
    assert refusal(state, FIRST, apply) == (
        ValidatorsCode.ALREADY_VALIDATOR,
        f"{show_address(FIRST.address)} is a validator already: it applies once",
    )
    assert refusal(state, FIFTH, Apply(NEW_KEY, ONION, BOND - 1)) == (
        ValidatorsCode.BOND_TOO_LOW,
        f"a validator applies with at least {BOND} nopen, not {BOND - 1}: add 1",
    )
    assert refusal(state, FIFTH, Apply(NEW_KEY, ONION, FUNDS + 1))[0] == Code.INSUFFICIENT_FUNDS
    assert refusal(state, FIFTH, Apply(consensus_key(0), ONION, BOND)) == (
        ValidatorsCode.KEY_IN_USE,
        f"consensus key {KEY_0} is or was another validator's, and no key is used twice: make a new one",
    )


def test_a_full_list_takes_nobody(state: Overlay) -> None:
    LIST.set(state, ValidatorList(tuple([bytes([number]) * 32 for number in range(MAX_LISTED)])))
    assert refusal(state, FIFTH, Apply(NEW_KEY, ONION, BOND)) == (
        ValidatorsCode.LIST_FULL,
        "the list holds 64 validators: wait until one has left",
    )


def test_nobody_applies_whose_next_bond_could_not_leave(state: Overlay) -> None:
    leaving = tuple([locks.Leaving(1, 10**6, 10**6)] * locks.MAX_LEAVING)
    LOCKS.set(state, *bond_key(FIFTH.address), locks.Lock(FIFTH.address, 0, leaving))
    assert refusal(state, FIFTH, Apply(NEW_KEY, ONION, BOND)) == (
        ValidatorsCode.EXITS_PENDING,
        "8 earlier bonds are leaving, the next one could not: withdraw one first",
    )


def test_who_left_may_apply_again_with_another_key_and_who_signed_twice_never(state: Overlay) -> None:
    put(state, FIRST, status=ValidatorStatus.LEFT, admitted=0, live=0)
    LIST.set(state, ValidatorList(tuple([who.address for who in OPERATORS[1:4]])))
    assert refusal(state, FIRST, Apply(consensus_key(0), ONION, BOND)) == (
        ValidatorsCode.KEY_IN_USE,
        f"consensus key {KEY_0} is or was yours, and no key is used twice: make a new one",
    )
    execute(state, FIRST, Apply(NEW_KEY, ONION, BOND), 2)
    assert record(state, FIRST) == new_validator(FIRST.address, NEW_KEY)
    put(state, FIRST, status=ValidatorStatus.TOMBSTONED)
    expected = (
        ValidatorsCode.TOMBSTONED,
        f"{show_address(FIRST.address)} signed twice and can never validate again: use another account",
    )
    assert refusal(state, FIRST, Apply(Key.named("yet another").public, ONION, BOND)) == expected


@pytest.mark.parametrize(
    "message",
    [
        AddBond(1),
        Leave(),
        Unjail(),
        RotateKey(NEW_KEY),
        SetOnion(ONION),
        SetWorker(b"", b"", 0),
        SetOwnPeers(()),
    ],
    ids=lambda message: type(message).__name__,
)
def test_only_validators_that_are_there_send_these(state: Overlay, message: Message) -> None:
    assert refusal(state, FIFTH, message) == NO_VALIDATOR
    for status, code in ((ValidatorStatus.LEFT, ValidatorsCode.NOT_A_VALIDATOR), (5, ValidatorsCode.TOMBSTONED)):
        put(state, FIRST, status=status, admitted=0, live=0)
        assert refusal(state, FIRST, message)[0] == code


# --- Bond, leaving, coming back


def test_a_bond_grows(world: Consensus) -> None:
    assert world.ledger.accept(FIRST, AddBond(7)) == []
    assert locks.amount_of(world.ledger.store, bond_key(FIRST.address)) == BOND + 7
    assert world.ledger.refuse(FIRST, AddBond(0)) == (
        ValidatorsCode.ZERO_AMOUNT,
        "a bond grows by an amount above zero: give one",
    )


def test_a_candidate_that_leaves_is_gone_at_once_and_its_bond_later(world: Consensus) -> None:
    world.ledger.accept(FIFTH, Apply(NEW_KEY, ONION, BOND))
    height, seconds = world.height + 1, world.chain.seconds(world.height + 1)
    assert world.ledger.accept(FIFTH, Leave()) == [
        ("validator_changed", {"operator": FIFTH.address.hex(), "status": "leaving", "why": "asked to leave"})
    ]
    store = world.ledger.store
    leaving = locks.Leaving(amount_nopen=BOND, height=height + 400_000, time_seconds=seconds + 216_000)
    assert locks.find(store, bond_key(FIFTH.address)) == locks.Lock(FIFTH.address, 0, (leaving,))
    assert record(store, FIFTH).status == ValidatorStatus.LEFT
    assert world.chain.violations() == []


def test_nobody_leaves_twice(state: Overlay) -> None:
    execute(state, FIRST, Leave(), 2)
    expected = (
        ValidatorsCode.LEAVING,
        f"{show_address(FIRST.address)} is leaving: it can apply again when it has left",
    )
    assert refusal(state, FIRST, Leave()) == refusal(state, FIRST, RotateKey(NEW_KEY)) == expected


def test_a_jailed_validator_comes_back_after_its_time_with_a_whole_bond(state: Overlay) -> None:
    jailed = {"jailed_height": 5, "jailed_for": JailReason.MISSED, "removal_height": 10_005}
    put(state, FIRST, status=ValidatorStatus.JAILED, live=0, **jailed)
    assert refusal(state, FIRST, Unjail(), 14) == (
        ValidatorsCode.STILL_JAILED,
        "jailed until height 15, this is 14: try again then",
    )
    put(state, FIRST, admitted=10)
    locks.slash(state, bond_key(FIRST.address), 10**5, [(bytes(32), 10**9)])
    assert refusal(state, FIRST, Unjail(), 15) == (
        ValidatorsCode.BOND_TOO_LOW,
        f"a validator comes back with at least {BOND} nopen, not {BOND - 10**5}: add 100000",
    )
    execute(state, FIRST, AddBond(10**5), 15)
    execute(state, FIRST, Unjail(), 15)
    free = record(state, FIRST)
    assert (free.status, free.admitted, free.jailed_height, free.jailed_for, free.removal_height) == (2, 10, 0, 0, 0)
    assert refusal(state, FIRST, Unjail(), 16) == (
        ValidatorsCode.NOT_JAILED,
        f"{show_address(FIRST.address)} is not jailed",
    )


# --- Keys, workers, peers


def test_a_rotated_key_is_told_old_and_new_in_one_block(world: Consensus) -> None:
    raw = FIRST.transaction(RotateKey(NEW_KEY), sequence=world.ledger.next_sequence(FIRST))
    response = world.chain.decide(raw)
    (result,) = response.tx_results
    assert result.code == 0
    assert [event.type for event in result.events] == ["tx", "key_rotated"]
    updates = {update.pub_key.ed25519: update.power for update in response.validator_updates}
    assert updates == {consensus_key(0): 0, NEW_KEY: 10}
    store = world.ledger.store
    assert record(store, FIRST).consensus_key == NEW_KEY
    assert [BY_KEY.get(store, consensus_address(key)) for key in (consensus_key(0), NEW_KEY)] == [
        KeyOwner(FIRST.address)
    ] * 2
    assert TURNOVER.get(store) == Turnover(epoch=TURNOVER.get(store).epoch, power_total=40, lost=10, gained=10)  # type: ignore[union-attr]
    assert world.chain.violations() == []


def test_a_key_is_rotated_once_an_epoch_and_where_the_epoch_has_room(state: Overlay) -> None:
    execute(state, FIRST, RotateKey(NEW_KEY), 3)
    other = Key.named("another").public
    assert refusal(state, FIRST, RotateKey(other), 4) == (
        ValidatorsCode.ROTATED_ALREADY,
        "the key was rotated at height 3, in this epoch: once is possible, wait for the next one",
    )
    assert refusal(state, OPERATORS[1], RotateKey(other), 4) == (
        ValidatorsCode.ROTATION_TOO_LARGE,
        "power 10 would change hands, this epoch has room for 3 of 13: wait for the next epoch",
    )


def test_a_power_above_a_third_cannot_rotate() -> None:
    state = Overlay(Consensus.start([10, 10, 10, 30]).ledger.store)
    assert refusal(state, OPERATORS[3], RotateKey(NEW_KEY)) == (
        ValidatorsCode.ROTATION_TOO_LARGE,
        "power 30 would change hands, this epoch has room for 19 of 19: ask governance for less power first",
    )


def test_three_validators_rotate_as_they_like() -> None:
    state = Overlay(Consensus.start([10] * 3).ledger.store)
    for number in range(3):
        execute(state, OPERATORS[number], RotateKey(Key.named(f"new {number}").public), 2)


def test_a_worker_has_both_keys_or_none(world: Consensus) -> None:
    worker, box = Key.named("worker").public, b"\x07" * 32
    assert world.ledger.effects(FIRST, SetWorker(worker, box, 1)) == {
        VALIDATORS.key(FIRST.address): encode(record(world.ledger.store, FIRST))
    }
    found = record(world.ledger.store, FIRST)
    assert (found.worker_key, found.box_key, found.capabilities) == (worker, box, 1)
    world.ledger.accept(FIRST, SetWorker(b"", b"", 0))
    assert record(world.ledger.store, FIRST).worker_key == b""
    expected = (
        ValidatorsCode.WORKER_INCOMPLETE,
        "a worker has a key and a box key of 32 bytes each: give both, or leave everything empty to stop",
    )
    for message in (
        SetWorker(worker, b"", 0),
        SetWorker(b"", box, 0),
        SetWorker(b"", b"", 1),
        SetWorker(b"a", b"b", 0),
    ):
        assert world.ledger.refuse(FIRST, message) == expected
    assert world.ledger.refuse(FIRST, SetWorker(worker, box, 2)) == (
        ValidatorsCode.UNKNOWN_CAPABILITY,
        "capabilities 2 has unknown bits; all are 1",
    )


def test_an_onion_is_in_force_at_once_and_the_next_one_two_epochs_later(world: Consensus) -> None:
    height, other = world.height + 1, bytes.fromhex(onion("other"))
    for each in (ONION, other):
        world.ledger.accept(FIRST, SetOnion(each))
    store = world.ledger.store
    in_force = [beacon.onion_in_force(store, FIRST.address, at) for at in (height, height + 20, height + 21)]
    assert [each.onion for each in in_force if each] == [ONION, ONION, other]


def test_who_has_left_reveals_no_more(world: Consensus) -> None:
    world.ledger.accept(FIFTH, Apply(NEW_KEY, ONION, BOND))
    world.ledger.accept(FIFTH, Leave())
    assert beacon.onion_in_force(world.ledger.store, FIFTH.address, world.height) is None


def test_a_key_that_nobody_can_sign_with_is_refused(world: Consensus) -> None:
    for message in (Apply(b"\x02" * 32, ONION, BOND), RotateKey(b"\x02" * 32), SetWorker(b"\x02" * 32, bytes(32), 0)):
        assert world.ledger.refuse(FIFTH, message)[0] == Code.BAD_POLICY


def test_a_live_validators_own_nodes_may_connect(world: Consensus) -> None:
    assert world.ledger.effects(FIRST, SetOwnPeers((NODE, OTHER_NODE))) == {
        OWN_PEERS.key(FIRST.address): encode(OwnPeers(FIRST.address, (NODE, OTHER_NODE)))
    }
    assert [is_own_peer(world.ledger.store, node) for node in (NODE, OTHER_NODE, "cd" * 20)] == [True, True, False]
    state = Overlay(world.ledger.store)
    put(state, FIRST, live=0)
    assert not is_own_peer(state, NODE)
    assert world.ledger.effects(FIRST, SetOwnPeers(())) == {OWN_PEERS.key(FIRST.address): None}
    assert world.ledger.refuse(FIRST, SetOwnPeers((NODE, NODE))) == (
        ValidatorsCode.PEER_TWICE,
        f"node {NODE} is named twice: name each node once",
    )
