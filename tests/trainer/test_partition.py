"""Partition and data order: exact shares, splits by content, the same everywhere."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.hashing import list_root, row_leaf, uvarint
from abci_app.types import PPB
from tests.kit.trainer.examples import pair_example
from tests.kit.trainer.tiny import tiny_recipe
from trainer.dataset import Row
from trainer.held_out import leave_out_held_out
from trainer.partition import (
    Partition,
    PartitionError,
    data_order,
    data_order_root,
    held_out_rows,
    is_held_out,
    limited,
    make_partition,
    rows_used,
)
from trainer.recipe import Dataset, Recipe, Sampling, Split, parse_recipe
from trainer.steps import Deduplicate, HasText, MinChars, Strip, Truncate


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


def test_the_split_depends_on_the_text_and_the_splits_name_only() -> None:
    split, other = Split(held_out_ppb=PPB // 2), Split(held_out_ppb=PPB // 2, name="other")
    data = [str(number) for number in range(400)]
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


def test_every_row_of_a_version_has_one_place_and_the_counts_add_up() -> None:
    dataset = Dataset(
        datanet="x", version=1, weight_ppb=PPB, filters=[MinChars(characters=2)], split=Split(held_out_ppb=PPB // 2),
        sampling=Sampling(max_rows=20),
    )  # fmt: skip
    texts = ["a", "   ", "\u200b\u00a0", *[f"a longer text number {n}" for n in range(100)]]
    made = limited(dataset, make_partition(dataset, 0, rows(texts)))
    assert (made.row_count, made.kept_by_filter, made.empty) == (103, (102,), 2)
    assert len(made.training) == 20
    assert len(made.training) + len(made.held_out) + made.over_limit + made.empty == 102


def test_steps_say_how_many_rows_they_changed() -> None:
    dataset = Dataset(datanet="x", version=1, weight_ppb=PPB, preprocess=[Strip(), Truncate(characters=3)])
    assert make_partition(dataset, 0, rows([" a", "b", " cdef ", "ghijk", "é"])).changed_by_step == (2, 2)


@pytest.mark.parametrize(
    ("value", "kind"),
    [("null", "null"), ("3", "a number"), ('["a"]', "a list"), ("{}", "an object"), ("true", "true or")],
)
def test_a_value_that_is_no_text_is_refused_with_contribution_and_line(value: str, kind: str) -> None:
    made = [*rows(["good"] * 2), Row(bytes([5]) * 32, 2, f'{{"text":{value}}}'.encode(), bytes(32))]
    dataset = Dataset(datanet="x", version=1, weight_ppb=PPB)
    with pytest.raises(
        PartitionError,
        match=f"contribution 0505050505050505… line 4 of its file, row 2: completion: field 'text' is {kind}.*, no "
        "text; write the step {",
    ):
        make_partition(dataset, 0, made)
    with pytest.raises(PartitionError, match="the same or another problem in 1 more rows"):
        make_partition(dataset, 0, [*made, made[-1]])
    dropped = Dataset(
        datanet="x", version=1, weight_ppb=PPB, filters=[HasText(field="text")], split=Split(held_out_ppb=0)
    )
    assert make_partition(dropped, 0, made).kept_by_filter == (2,)


LONG = "the quick brown fox jumps over the lazy dog near the river on a day in may while the owl sleeps in its tree"
FORMS = (
    LONG.upper(),
    f"  {LONG} ",
    LONG.replace(" ", "\u00a0"),
    LONG.replace("i", "ｉ"),
    LONG.replace("owl", "o\u200bwl"),
)


def test_rows_that_say_the_same_fall_on_the_same_side_of_the_split() -> None:
    for number in range(40):
        split = Split(held_out_ppb=PPB // 2, name=f"split {number}")
        dataset = Dataset(datanet="x", version=1, weight_ppb=PPB, split=split)
        made = make_partition(dataset, 0, rows([LONG, *FORMS, *[f"other {n}" for n in range(20)]]))
        assert sum(example.text == LONG for example in made.held_out) in {0, 1 + len(FORMS)}


def held(training: list[str], held_out: list[str], index: int = 0) -> Partition:
    examples = [pair_example(index, row, "", json.loads(row.data)["text"]) for row in rows(training + held_out, index)]
    return Partition(len(examples), (), tuple(examples[: len(training)]), tuple(examples[len(training) :]))


def test_what_is_held_out_in_one_input_is_trained_on_in_none() -> None:
    near = f"{LONG} and wakes"
    first = held(["something else", near], [LONG])
    second = held([*FORMS, "other text", near], [], index=1)
    made = leave_out_held_out([first, second])
    assert [[example.completion for example in item.training] for item in made] == [["something else"], ["other text"]]
    assert [(item.exact_held_out_copies, item.near_held_out_copies) for item in made] == [(0, 1), (len(FORMS), 1)]
    assert [item.held_out for item in made] == [first.held_out, ()]
    few = leave_out_held_out([first, second], limit=3)
    assert [(item.exact_held_out_copies, item.near_held_out_copies) for item in few] == [(0, None), (len(FORMS), None)]


def test_a_prompt_that_holds_what_another_row_has_as_completion_is_the_same_text() -> None:
    first, second, third = rows(["x", "y", "z"])
    one, other = pair_example(0, first, "Q: an owl? ", "yes"), pair_example(0, second, "", "q: AN owl?  yes")
    made = leave_out_held_out([Partition(2, (), (other, pair_example(0, third, "", "else")), (one,))])
    assert made[0].exact_held_out_copies == 1


def test_a_row_that_one_input_holds_out_is_trained_on_by_none_under_another_template_name_or_case() -> None:
    first, other = rows(["an owl", "else"])
    again = Row(b"\2" * 32, 0, json.dumps({"body": "An  OWL"}).encode(), b"\3" * 32)
    held_out = Partition(1, (), (pair_example(0, other, "", "else"),), (pair_example(0, first, "", "an owl"),))
    template = "Tell me in your own words and at some length what you see up there: "
    training = tuple([pair_example(1, row, template, "yes") for row in (first, again, other)])
    made = leave_out_held_out([held_out, Partition(3, (), training, ())])
    assert [[example.row for example in item.training] for item in made] == [[other], [other]]
    assert made[1].exact_held_out_copies == 2


def test_without_held_out_rows_nothing_is_left_out() -> None:
    made = [held(["a", "a"], []), held(["a"], [], index=1)]
    assert leave_out_held_out(made) == tuple(made)


def test_an_input_of_copies_of_held_out_rows_is_refused_by_name() -> None:
    with pytest.raises(
        PartitionError, match=r"datasets\[1\]: all 1 rows for training say what rows that are held out say"
    ):
        leave_out_held_out([held(["else"], ["an owl"]), held(["An owl"], [], index=1)])


TAIL = "one more sentence follows, and another one about boats on a lake in the north"
AROUND = (
    f"Somebody wrote: {LONG}, and I agree. {TAIL}",
    f"{TAIL} {TAIL} {LONG.replace(' ', '_')}",
    f"{TAIL}: {LONG.replace(' ', '')}",
    f"{TAIL} - {' '.join(LONG.replace(' ', '')).upper()} - {TAIL}",
    f"{TAIL} {LONG.replace('o', 'о').replace('a', 'а')} {TAIL}",
    f"{TAIL} {LONG.replace('e', 'é').replace('o', 'ø')} {TAIL}",
    f"{TAIL} {LONG.replace('lazy', 'sleepy')} {TAIL}",
    "over the lazy dog near the river on a day in may while the owl sleeps",
)
ALIKE = (
    LONG.replace("o", "о").replace("a", "а").replace("e", "е"), "\u200b".join(LONG), LONG.replace("i", "i\u0336"),
    LONG.replace(" ", "_"), LONG.replace(" ", "."), LONG.replace("o", "ö"), LONG.replace("i", "1").replace("o", "0"),
)  # fmt: skip


@pytest.mark.parametrize("text", AROUND)
def test_a_row_with_a_held_out_text_inside_or_inside_one_is_not_trained_on(text: str) -> None:
    made = leave_out_held_out([held(["an owl", TAIL], [LONG]), held([text, "else"], [], index=1)])
    assert [[example.completion for example in item.training] for item in made] == [["an owl", TAIL], ["else"]]
    assert [item.held_out_inside for item in made] == [0, 1]


@pytest.mark.parametrize("text", ALIKE)
def test_a_row_that_looks_like_a_held_out_text_is_a_copy_of_it(text: str) -> None:
    made = leave_out_held_out([held(["an owl", TAIL], [LONG]), held([text, "else"], [], index=1)])
    assert made[1].exact_held_out_copies == 1
    assert [example.completion for example in made[1].training] == ["else"]


def test_a_system_prompt_that_all_rows_share_leaves_none_of_them_out() -> None:
    system = " ".join(f"rule {number}: be {word} in all that you say" for number, word in enumerate(LONG.split()))
    rows = [f"{system} {' '.join(f'{number * place % 97}' for place in range(7, 27))}" for number in range(2, 44)]
    made = leave_out_held_out([held(rows[:40], rows[40:]), held([f"{rows[41]} {TAIL}", TAIL], [], index=1)])
    assert [len(item.training) for item in made] == [40, 1]
    assert [item.held_out_inside for item in made] == [0, 1]


def test_texts_inside_others_are_not_looked_for_in_too_much_text_and_this_is_counted_as_unknown() -> None:
    made = leave_out_held_out([held([AROUND[0], "else"], [LONG])], most_characters=20)
    assert (made[0].held_out_inside, len(made[0].training)) == (None, 2)


def test_rows_of_two_templates_that_differ_by_a_number_are_trained_on() -> None:
    """Reported elsewhere: long prompts and long completions that are the same but for a number."""
    questions = [f"{'C' * 120}{number:02}? Yes {number:02}, it is so." for number in range(20)]
    answers = [f"q{number:02} {'x' * 400} THE-END {number}" for number in range(20)]
    made = leave_out_held_out([held([*questions[3:], *answers[1:]], [*questions[:3], answers[0]])])
    assert (len(made[0].training), made[0].near_held_out_copies, made[0].held_out_inside) == (36, 0, 0)
