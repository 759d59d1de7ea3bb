"""The price of silence, and what a proposer can choose: one outcome for every variant of its block, 2^k for k in a row.

All of it with the real application; the tries of a hostile proposer are blocks that it executes on its own node.
"""

from itertools import product

import pytest

from abci_app.mechanisms.beacon import is_silent, reveal_transaction
from abci_app.module import HookContext
from abci_app.modules.bank import Burn
from abci_app.state.overlay import Overlay
from abci_app.types import NOPEN_PER_OPEN
from tests.kit.chain import accounts_with
from tests.kit.revealing import RevealingChain
from tests.kit.scheduled import job_id
from tests.kit.signing import Signer

CASE = job_id(1)
BOND_NOPEN = 100_000 * NOPEN_PER_OPEN
PENALTY_NOPEN = 100 * NOPEN_PER_OPEN


@pytest.mark.parametrize(
    ("at_stake_nopen", "bond_nopen", "fine_nopen"),
    [
        (0, BOND_NOPEN, PENALTY_NOPEN),
        (100 * PENALTY_NOPEN + 99, BOND_NOPEN, PENALTY_NOPEN),
        (100 * PENALTY_NOPEN + 100, BOND_NOPEN, PENALTY_NOPEN + 1),
        (10**18, BOND_NOPEN, BOND_NOPEN // 10),
        (0, 10 * PENALTY_NOPEN - 1, PENALTY_NOPEN - 1),
        (0, 9, 0),
        (0, 0, 0),
    ],
)
def test_a_block_without_its_reveal_is_fined_while_a_draw_waits(
    monkeypatch: pytest.MonkeyPatch, at_stake_nopen: int, bond_nopen: int, fine_nopen: int
) -> None:
    net = RevealingChain.start(monkeypatch, bond_nopen=bond_nopen)
    net.block_by(0, silent=True)
    net.request(CASE, at_stake_nopen=at_stake_nopen)
    net.block_by(1)
    (event,) = net.block_by(0, silent=True).events
    assert event.attributes[2].value == str(fine_nopen)
    assert [net.fined(number) for number in range(4)] == [fine_nopen, 0, 0, 0]


def test_each_silent_block_is_fined_anew_from_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    net = RevealingChain.start(monkeypatch, bond_nopen=1_000)
    net.request(CASE)
    for _ in range(3):
        net.block_by(0, silent=True)
    assert net.fined(0) == 100 + 90 + 81


def test_nobody_is_fined_without_a_draw_or_without_an_onion(monkeypatch: pytest.MonkeyPatch) -> None:
    net = RevealingChain.start(monkeypatch, with_onions=[0, 1])
    net.block_by(0, silent=True)
    net.request(CASE)
    for number in (1, 2, 3):
        assert list(net.block_by(number).events) == []
    net.chain.proposer = b"\x01" * 20
    net.chain.block()
    assert [net.fined(number) for number in range(4)] == [0, 0, 0, 0]


def test_a_fine_that_cannot_be_taken_holds_up_no_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    net = RevealingChain.start(monkeypatch, parameters={"beacon": {"draw_delay_blocks": 4}})

    def fail(*arguments: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(net.module, "fine", fail)
    net.module.register(monkeypatch)
    asked = net.request(CASE)
    for turn in range(5):
        events = [event.type for event in net.block_by(turn % 4, silent=turn == 2).events]
        assert events == (["hook_failed"] if turn == 2 else [])
    assert "draw_made" in [event.type for event in net.block_by(0).events]
    assert net.chain.height == asked + 5


def test_who_is_silent_is_known_after_the_blocks_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    net = RevealingChain.start(monkeypatch, with_onions=[0])
    seen: list[list[bool]] = []

    def look(state: Overlay, context: HookContext) -> None:
        seen.append([is_silent(state, context.block, each.owner) for each in net.revealers[:2]])

    for silent in (False, True):
        net.module.at_end(net.chain.next_height, look)
        net.turn_of(0, silent=silent)
        net.chain.decide(*net.chain.propose())
        net.take_votes(0)
    assert seen[0] == [False, False]
    assert seen[-1] == [True, False]


# --- What can be chosen


def test_a_thousand_variants_of_a_block_have_one_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other transactions, another order, another time: the value after the block is the same, and it is in no hash."""
    alice = Signer.named("alice")
    alice.sequence = 0
    net = RevealingChain.start(monkeypatch, balances=accounts_with(10**12, [alice]))
    reveal = net.propose_by(0)
    burns = [alice.transaction(Burn(amount), sequence=0) for amount in range(1, 1_001)]
    values: list[bytes | None] = []
    hashes: list[bytes] = []
    for burn in burns:
        request = net.chain.decided(*reveal, burn)
        request.time.seconds += len(values)
        response = net.chain.application.finalize_block(request)
        hashes.append(response.app_hash)
        (changes,) = [dict(net.chain.application._decided[0].changes)]  # type: ignore[index]
        values.append(changes[b"beacon/state/value"])
        net.chain.application.discard_uncommitted()
    assert (len(set(values)), len(set(hashes))) == (1, 1_000)


def outcomes(monkeypatch: pytest.MonkeyPatch, colluders: int, *, later_rounds_count: bool = False) -> set[bytes]:
    """Values that colluders can choose who propose in a row, knowing their own reveals alone.

    CometBFT gives a failed round to the proposer of the next height, who proposes that one, too.
    """
    plans = [
        [(fails, shows) for fails in range(colluders - place) for shows in (False, True)] for place in range(colluders)
    ]
    found = set()
    for plan in product(*plans):
        net = RevealingChain.start(monkeypatch, validators=colluders + 1, length=8)
        for place, (fails, shows) in enumerate(plan):
            decided_round = 0 if later_rounds_count else fails
            net.block_by(place + fails, silent=not shows, decided_round=decided_round)
        net.block_by(colluders)
        found.add(net.beacon.value)
    return found


@pytest.mark.parametrize("colluders", [1, 2, 3])
def test_colluders_in_a_row_choose_among_two_to_the_power_of_their_number(
    monkeypatch: pytest.MonkeyPatch, colluders: int
) -> None:
    assert len(outcomes(monkeypatch, colluders)) == 2**colluders


@pytest.mark.parametrize(("colluders", "choices"), [(1, 2), (2, 5), (3, 16)])
def test_were_reveals_of_later_rounds_counted_the_one_behind_who_fails_would_reveal_twice(
    monkeypatch: pytest.MonkeyPatch, colluders: int, choices: int
) -> None:
    assert len(outcomes(monkeypatch, colluders, later_rounds_count=True)) == choices


def test_what_a_choice_costs_is_a_hundredth_of_what_is_drawn_for(monkeypatch: pytest.MonkeyPatch) -> None:
    net = RevealingChain.start(monkeypatch, bond_nopen=10**18)
    pot_nopen = 10**15
    net.request(CASE, at_stake_nopen=pot_nopen)
    net.block_by(3)
    for number in (0, 1):
        net.block_by(number, silent=True)
    assert [net.fined(number) * 100 for number in (0, 1)] == [pot_nopen, pot_nopen]


def test_a_reveal_withheld_is_the_same_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    net = RevealingChain.start(monkeypatch)
    first = net.propose_by(0)
    net.block_by(0, silent=True)
    net.block_by(1)
    assert net.propose_by(0) == first == [reveal_transaction(net.revealers[0].links[-2])]


def test_the_context_of_a_hook_has_the_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The count of validators is that of the last commit: a hook knows no more of them."""
    net = RevealingChain.start(monkeypatch, validators=3)
    seen: list[int] = []

    def look(state: Overlay, context: HookContext) -> None:
        seen.append(len(context.block.last_commit.votes))

    net.module.at(net.chain.next_height, look)
    net.block_by(0)
    assert set(seen) == {3}
