"""Partition and data order: exact shares, splits by content, the same everywhere."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.hashing import list_root, row_leaf, uvarint
from abci_app.types import PPB
from tests.kit.trainer.tiny import tiny_recipe
from trainer.dataset import Row
from trainer.partition import (
    Partition,
    PartitionError,
    data_order,
    data_order_root,
    held_out_rows,
    is_held_out,
    make_partition,
    rows_used,
)
from trainer.recipe import Dataset, Recipe, Split, parse_recipe
from trainer.steps import Deduplicate, MinChars


def rows(texts: list[str], contribution: int = 1, salt: int = 0) -> list[Row]:
    made = []
    for index, text in enumerate(texts):
        data = json.dumps({"text": text}).encode()
        made.append(Row(bytes([contribution]) * 32, index, data, row_leaf(bytes([salt]) * 16, data)))
    return made


def partitions(recipe: Recipe, counts: list[int], salt: int = 0) -> list[Partition]:
    return [
        make_partition(
            Dataset(datanet="x", version=1, weight_ppb=PPB),
            index,
            rows([f"{index} {n}" for n in range(count)], index, salt),
        )
        for index, count in enumerate(counts)
    ]


def test_counts_follow_the_filters_and_every_row_has_one_place() -> None:
    dataset = Dataset(datanet="x", version=1, weight_ppb=PPB, filters=[MinChars(characters=2), Deduplicate()])
    texts = ["a", "bb", "bb", "ccc", ""] + [f"text {number}" for number in range(200)]
    made = make_partition(dataset, 3, rows(texts))
    assert (made.row_count, made.kept_by_filter) == (205, (203, 202))
    assert len(made.training) + len(made.held_out) == 202
    assert 5 <= len(made.held_out) <= 40
    assert {example.input_index for example in made.training} == {3}
    placed = [example.completion for example in made.training + made.held_out]
    assert sorted(placed) == sorted({*texts} - {"a", ""})
    assert {example.prompt for example in made.training} == {""}


def test_the_split_depends_on_the_rows_bytes_and_the_splits_name_only() -> None:
    split, other = Split(held_out_ppb=PPB // 2), Split(held_out_ppb=PPB // 2, name="other")
    data = [row.data for row in rows([str(number) for number in range(400)])]
    chosen = [is_held_out(split, item) for item in data]
    assert 150 < sum(chosen) < 250
    assert chosen != [is_held_out(other, item) for item in data]
    assert not any(is_held_out(Split(held_out_ppb=0), item) for item in data)
    salted = [
        make_partition(Dataset(datanet="x", version=1, weight_ppb=PPB), 0, rows(["a", "b", "c"], 1, salt))
        for salt in (0, 1)
    ]
    assert [e.completion for e in salted[0].training] == [e.completion for e in salted[1].training]


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=5), st.integers(1, 60), st.integers(1, 4))
def test_the_mix_never_strays_a_whole_row_per_input_from_its_shares(weights: list[int], steps: int, batch: int) -> None:
    shares = [weight * PPB // sum(weights) for weight in weights]
    shares[0] += PPB - sum(shares)
    datasets = [{"datanet": f"d{index}", "version": 1, "weight_ppb": share} for index, share in enumerate(shares)]
    text = {"version": 1, "name": "x", "model": {"base": "b"}, "output": {"model": "m"}, "datasets": datasets}
    text["train"] = {"steps": steps, "batch_size": batch}
    recipe = parse_recipe(json.dumps(text))
    order = data_order(recipe, partitions(recipe, [3] * len(shares)))
    assert len(order) == steps * batch
    taken: Counter[int] = Counter()
    for position, example in enumerate(order, 1):
        taken[example.input_index] += 1
        for index, share in enumerate(shares):
            assert abs(share * position - PPB * taken[index]) <= PPB * len(shares)


def test_every_pass_takes_every_row_once_in_an_order_of_its_own() -> None:
    recipe = tiny_recipe(("steps: 6, batch_size: 2", "steps: 80, batch_size: 2"))
    made = partitions(recipe, [40, 40])
    order = [example.row.index for example in data_order(recipe, made) if example.input_index == 0]
    size = len(made[0].training)
    first, second = order[:size], order[size : 2 * size]
    assert sorted(first) == sorted(second) == [example.row.index for example in made[0].training]
    assert first != second


def test_salts_change_roots_but_not_the_order_of_texts() -> None:
    recipe = tiny_recipe()
    one, two = (data_order(recipe, partitions(recipe, [20, 20], salt)) for salt in (0, 1))
    assert [example.completion for example in one] == [example.completion for example in two]
    assert data_order_root(one) != data_order_root(two)
    assert data_order_root(one) == list_root("data-order", [uvarint(e.input_index) + e.row.leaf for e in one])


def test_rows_used_are_the_different_rows_in_the_order_of_the_version() -> None:
    recipe = tiny_recipe(("steps: 6", "steps: 40"))
    made = partitions(recipe, [4, 9])
    order = data_order(recipe, made)
    assert rows_used(order, 0) == tuple(example.row.leaf for example in made[0].training)
    assert set(rows_used(order, 1)) <= {example.row.leaf for example in made[1].training}


def test_held_out_rows_come_from_the_inputs_in_turn_up_to_a_limit() -> None:
    recipe = tiny_recipe()
    made = partitions(recipe, [200, 200])
    chosen = held_out_rows(made, 6)
    assert [example.input_index for example in chosen] == [0, 1, 0, 1, 0, 1]
    assert len(held_out_rows(made, 10_000)) == sum(len(item.held_out) for item in made)
    assert held_out_rows(made, 0) == ()


def test_a_recipe_that_leaves_nothing_says_which_filter() -> None:
    dataset = Dataset(datanet="x", version=1, weight_ppb=PPB, filters=[MinChars(characters=99)])
    with pytest.raises(PartitionError, match=r"datasets\[2\]: no row of 3 is left .* at least 99 characters"):
        make_partition(dataset, 2, rows(["a", "b", "c"]))
    bare = [Row(bytes(32), 4, b'{"body":"x"}', bytes(32))]
    with pytest.raises(
        PartitionError, match="row 4: rows have neither 'completion' nor 'text' but body; add a template"
    ):
        make_partition(Dataset(datanet="x", version=1, weight_ppb=PPB), 0, bare)
