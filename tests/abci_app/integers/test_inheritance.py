"""Shares over layers sum exactly and follow the schedule of the chain."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.integers import NumbersRefused
from abci_app.integers.inheritance import (
    MAX_LAYERS,
    MAX_PARENTS,
    Layer,
    LayerAmount,
    LayeredShares,
    ParentPart,
    kept_part,
    layered_shares,
)
from abci_app.integers.shares import Shares
from abci_app.modules.models import DEFAULT_SCHEDULE
from abci_app.modules.models.records import MAX_PARENTS as ADMITTED_PARENTS
from abci_app.modules.models.records import InheritanceSchedule
from abci_app.types import PPB

POOL = b"\xff" * 32


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


ALICE, BOB, CAROL, DORA = map(key, (101, 102, 103, 104))
BASE, FIRST, SECOND = map(key, (1, 2, 3))


def paid(unexplained: int = 0, **parts: int) -> Shares:
    names = {"alice": ALICE, "bob": BOB, "carol": CAROL, "dora": DORA}
    return Shares(tuple(sorted((names[name], part) for name, part in parts.items())), unexplained, True)


def layer(entry_id: bytes, own: Shares | None, *parents: tuple[bytes, int, int], has_data: bool = True) -> Layer:
    return Layer(
        entry_id, int.from_bytes(entry_id, "big"), tuple(ParentPart(*parent) for parent in parents), has_data, own
    )


def stacked(*layers: Layer) -> dict[bytes, Layer]:
    return {item.entry_id: item for item in layers}


def test_a_fine_tune_on_a_fine_tune_credits_both_and_leaves_the_base_to_the_pool() -> None:
    layers = stacked(
        layer(BASE, None, has_data=False),
        layer(FIRST, paid(alice=PPB), (BASE, PPB, 200_000_000)),
        layer(SECOND, paid(bob=600_000_000, alice=300_000_000, unexplained=100_000_000), (FIRST, PPB, 250_000_000)),
    )
    assert layered_shares(SECOND, layers) == LayeredShares(
        ((ALICE, 425_000_000), (BOB, 450_000_000)),
        125_000_000,
        (
            LayerAmount(SECOND, 750_000_000, ((ALICE, 225_000_000), (BOB, 450_000_000)), 75_000_000),
            LayerAmount(FIRST, 200_000_000, ((ALICE, 200_000_000),), 0),
            LayerAmount(BASE, 50_000_000, (), 50_000_000),
        ),
    )
    assert layered_shares(FIRST, layers).by_owner == ((ALICE, 800_000_000),)
    assert layered_shares(BASE, layers).unexplained_ppb == PPB


def test_undeclared_parents_and_inputs_go_to_the_pool_like_an_import() -> None:
    whole = replace(layer(FIRST, paid(alice=PPB)), undeclared_parents=True, undeclared_kept_ppb=200_000_000)
    assert layered_shares(FIRST, stacked(whole)) == LayeredShares(
        ((ALICE, 800_000_000),),
        200_000_000,
        (LayerAmount(FIRST, 800_000_000, ((ALICE, 800_000_000),), 0, 200_000_000),),
    )
    partly = replace(whole, undeclared_inputs_ppb=250_000_000)
    assert layered_shares(FIRST, stacked(partly)).by_owner == ((ALICE, 600_000_000),)
    assert layered_shares(FIRST, stacked(partly)).unexplained_ppb == 400_000_000


def test_listed_parents_beside_undeclared_ones_get_their_share_and_a_merge_keeps_nothing() -> None:
    base = layer(BASE, paid(carol=PPB))
    tuned = replace(
        layer(FIRST, paid(alice=PPB), (BASE, 300_000_000, 100_000_000)),
        undeclared_parents=True, undeclared_kept_ppb=200_000_000,
    )  # fmt: skip
    assert layered_shares(FIRST, stacked(base, tuned)).by_owner == ((ALICE, 830_000_000), (CAROL, 30_000_000))
    merge = replace(layer(FIRST, None, (BASE, 300_000_000, 1), has_data=False), undeclared_parents=True)
    shares = layered_shares(FIRST, stacked(base, merge))
    assert (shares.by_owner, shares.unexplained_ppb) == (((CAROL, 300_000_000),), 700_000_000)


def test_shares_that_leave_nothing_to_undeclared_parents_are_refused() -> None:
    greedy = replace(layer(FIRST, None, (BASE, PPB, 0)), undeclared_parents=True)
    with pytest.raises(NumbersRefused, match="leave no part for the undeclared ones"):
        layered_shares(FIRST, stacked(layer(BASE, None, has_data=False), greedy))


@given(*[st.integers(0, PPB)] * 3, st.integers(0, PPB - 1), st.booleans())
def test_nobody_gains_by_leaving_out_a_parent(amount: int, kept: int, more: int, share: int, has_data: bool) -> None:
    """Own data gets no more with an undeclared parent than with the same one listed, which keeps at most as much."""
    kept_listed, kept_undeclared = sorted((kept, more))
    own = paid(alice=amount, unexplained=PPB - amount)
    base = layer(BASE, None, has_data=False)
    listed = layer(FIRST, own, (BASE, PPB, kept_listed), has_data=has_data)
    silent = replace(layer(FIRST, own, (BASE, share, kept_listed), has_data=has_data), undeclared_parents=True)
    silent = replace(silent, undeclared_kept_ppb=kept_undeclared)
    paid_listed = layered_shares(FIRST, stacked(base, listed))
    paid_silent = layered_shares(FIRST, stacked(base, silent))
    assert sum(part for _, part in paid_silent.by_owner) <= sum(part for _, part in paid_listed.by_owner) + 1
    for shares in (paid_listed, paid_silent):
        assert sum(part for _, part in shares.by_owner) + shares.unexplained_ppb == PPB


def test_a_merge_passes_everything_to_its_parents() -> None:
    layers = stacked(
        layer(FIRST, paid(alice=PPB)),
        layer(SECOND, paid(bob=PPB)),
        layer(key(4), None, (FIRST, 700_000_000, 0), (SECOND, 300_000_000, 100_000_000), has_data=False),
    )
    shares = layered_shares(key(4), layers)
    assert shares.by_owner == ((ALICE, 700_000_000), (BOB, 300_000_000))
    assert (shares.unexplained_ppb, shares.layers[0]) == (0, LayerAmount(key(4), 0, (), 0))


def test_an_ancestor_on_two_paths_gets_both_parts() -> None:
    layers = stacked(
        layer(BASE, paid(alice=PPB)),
        layer(FIRST, paid(bob=PPB), (BASE, PPB, 500_000_000)),
        layer(SECOND, paid(carol=PPB), (FIRST, 500_000_000, 400_000_000), (BASE, 500_000_000, 200_000_000)),
    )
    assert layered_shares(SECOND, layers).by_owner == (
        (ALICE, 200_000_000),
        (BOB, 100_000_000),
        (CAROL, 700_000_000),
    )


def test_layers_that_are_no_ancestors_get_nothing() -> None:
    layers = stacked(layer(FIRST, paid(alice=PPB)), layer(SECOND, paid(bob=PPB)))
    assert layered_shares(SECOND, layers) == LayeredShares(
        ((BOB, PPB),), 0, (LayerAmount(SECOND, PPB, ((BOB, PPB),), 0),)
    )


@st.composite
def graphs(draw: st.DrawFn) -> dict[bytes, Layer]:
    layers: dict[bytes, Layer] = {}
    for number in range(1, draw(st.integers(1, 7)) + 1):
        chosen = draw(st.lists(st.integers(1, number - 1), unique=True, max_size=3)) if number > 1 else []
        cuts = (
            sorted(draw(st.lists(st.integers(0, PPB), min_size=len(chosen) - 1, max_size=len(chosen) - 1)))
            if chosen
            else []
        )
        shares = [high - low for low, high in zip([0, *cuts], [*cuts, PPB], strict=True)] if chosen else []
        parents = [
            (key(parent), share, draw(st.one_of(st.just(0), st.integers(0, PPB))))
            for parent, share in zip(chosen, shares, strict=True)
        ]
        first = draw(st.integers(0, PPB))
        second = draw(st.integers(0, PPB - first))
        own = draw(st.sampled_from([None, paid(alice=first, bob=second, unexplained=PPB - first - second)]))
        layers[key(number)] = layer(key(number), own, *parents, has_data=draw(st.booleans()))
    return layers


def defined(entry_id: bytes, amount: Fraction, layers: dict[bytes, Layer], totals: dict[bytes, Fraction]) -> None:
    """The formula of the module by recursion in fractions."""
    item = layers[entry_id]
    passed = Fraction(0)
    for parent in item.parents:
        kept = Fraction(parent.kept_ppb, PPB) if item.has_data else Fraction(1)
        part = amount * Fraction(parent.share_ppb, PPB) * kept
        passed += part
        defined(parent.entry_id, part, layers, totals)
    shares = [(POOL, PPB)] if item.own is None else [*item.own.by_owner, (POOL, item.own.unexplained_ppb)]
    for owner, part_ppb in shares:
        totals[owner] = totals.get(owner, Fraction(0)) + (amount - passed) * Fraction(part_ppb, PPB)


@given(graphs())
def test_layered_shares_follow_the_formula_and_sum_exactly(layers: dict[bytes, Layer]) -> None:
    top = key(len(layers))
    shares = layered_shares(top, layers)
    totals: dict[bytes, Fraction] = {}
    defined(top, Fraction(PPB), layers, totals)
    assert sum(part for _, part in shares.by_owner) + shares.unexplained_ppb == PPB
    assert sum(part.own_ppb for part in shares.layers) == PPB
    for owner, part in (*shares.by_owner, (POOL, shares.unexplained_ppb)):
        # Less than one part at each split: those of the amounts above and the layer's own.
        assert abs(part - totals.get(owner, Fraction(0))) < 4 ** len(layers)
    for item in shares.layers:
        assert sum(part for _, part in item.by_owner) + item.unexplained_ppb == item.own_ppb
    assert layered_shares(top, dict(reversed(layers.items()))) == shares


# --- From the chain's records


@pytest.mark.parametrize(
    ("age", "kept"),
    [
        (0, 200_000_000),
        (3, 200_000_000),
        (4, 100_000_000),
        (8, 50_000_000),
        (16, 12_500_000),
        (20, 10_000_000),
        (2**32 - 1, 10_000_000),
    ],
)
def test_what_ancestors_keep_halves_down_to_the_floor(age: int, kept: int) -> None:
    assert kept_part(DEFAULT_SCHEDULE, age) == kept


def test_schedules_at_their_edges() -> None:
    assert kept_part(InheritanceSchedule(PPB, 0, 0), 2**32 - 1) == PPB
    assert kept_part(InheritanceSchedule(PPB, 1, 0), 30) == 0
    assert kept_part(InheritanceSchedule(5, 1, PPB), 0) == 5
    assert kept_part(InheritanceSchedule(0, 1, 0), 0) == 0
    with pytest.raises(NumbersRefused, match="age_versions: -1 is no integer"):
        kept_part(DEFAULT_SCHEDULE, -1)


def test_as_many_parents_are_split_as_the_chain_admits() -> None:
    assert MAX_PARENTS == ADMITTED_PARENTS


GOOD = stacked(layer(BASE, paid(alice=PPB)), layer(FIRST, paid(bob=PPB), (BASE, PPB, 200_000_000)))


@pytest.mark.parametrize(
    ("layers", "field", "reason"),
    [
        ({}, "layers", "is missing"),
        ({FIRST: GOOD[FIRST]}, "layers", "parent .* is missing"),
        ({FIRST: GOOD[BASE]}, f"layers.{FIRST.hex()}", "holds another entry"),
        ({**GOOD, FIRST: replace(GOOD[FIRST], number=1)}, f"layers.{FIRST.hex()}.number", "later than its child"),
        (
            {**GOOD, FIRST: replace(GOOD[FIRST], parents=(ParentPart(BASE, 1, 1),))},
            f"layers.{FIRST.hex()}.share_ppb",
            "do not sum",
        ),
        (
            {**GOOD, FIRST: replace(GOOD[FIRST], parents=(ParentPart(BASE, PPB, PPB + 1),))},
            f"layers.{FIRST.hex()}.kept_ppb",
            "is no integer",
        ),
        ({**GOOD, FIRST: replace(GOOD[FIRST], own=paid(bob=1))}, f"layers.{FIRST.hex()}.own", "do not sum"),
        ({**GOOD, FIRST: replace(GOOD[FIRST], own=paid(bob=-1))}, f"layers.{FIRST.hex()}.own", "-1 is no integer"),
    ],
)
def test_contradicting_layers_are_refused_with_the_field(layers: dict[bytes, Layer], field: str, reason: str) -> None:
    with pytest.raises(NumbersRefused, match=reason) as caught:
        layered_shares(FIRST, layers)
    assert caught.value.field == field


def test_more_layers_than_a_page_are_refused() -> None:
    layers = stacked(*[layer(key(number), None) for number in range(1, MAX_LAYERS + 2)])
    with pytest.raises(NumbersRefused, match=f"layers: {MAX_LAYERS + 1} are more than {MAX_LAYERS}"):
        layered_shares(BASE, layers)
