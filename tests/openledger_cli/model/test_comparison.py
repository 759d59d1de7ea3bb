"""Two versions side by side: what changed, and no more about which change helped than the measurements say."""

import json
from typing import Any

import pytest
from msgspec import structs

from abci_app.modules.models.lineage import LineagePage, LineageQuery
from abci_app.modules.models.records import Evaluation
from openledger.data.manifest import Manifest, to_json
from openledger_cli.model.comparison import ModelSide, VersionComparison, compare
from tests.kit.openledger.story import Story

LOSS, ACCURACY = "held-out-loss-micronats", "accuracy"


@pytest.fixture(scope="module")
def page() -> LineagePage:
    found = Story.tell().ledger.ask("models", "lineage", LineageQuery(b"", "tutor", 2, (), 100, 100))
    assert isinstance(found, LineagePage)
    return found


def evaluation(page: LineagePage, value: int, interval: int = 10, **changes: Any) -> Evaluation:
    """A measurement on the first DataNet version of the lineage."""
    datanet = page.datanets[0]
    made = Evaluation(
        benchmark_datanet_id=datanet.datanet_id, benchmark_version=datanet.version, metric=LOSS, value=value,
        sample_size=40, interval=interval, evaluator=bytes(32), height=5, time_seconds=9,
    )  # fmt: skip
    return structs.replace(made, **changes)


def side(page: LineagePage, name: str, *evaluations: Evaluation, **parts: Any) -> ModelSide:
    recipe = {"train": {"learning_rate": "0.1", "steps": 3, **parts.pop("train", {})}, "name": name}
    manifest = Manifest({"recipe": to_json(recipe), **{key: to_json(value) for key, value in parts.items()}})
    return ModelSide(name, with_tensors(page, name), manifest, evaluations)


def with_tensors(page: LineagePage, name: str) -> LineagePage:
    """The lineage of an entry that gave other numbers."""
    root = page.entries[0]
    output = structs.replace(root.stored.entry.output, tensor_digest=name.encode().ljust(32, b"."))
    stored = structs.replace(root.stored, entry=structs.replace(root.stored.entry, output=output))
    return structs.replace(page, entries=(structs.replace(root, stored=stored), *page.entries[1:]))


def judged(page: LineagePage, before: int, after: int, **options: Any) -> VersionComparison:
    first, second = side(page, "a@1", evaluation(page, before)), side(page, "a@2", evaluation(page, after), **options)
    return compare(first, second)


def test_one_change_and_intervals_apart_say_that_it_helped(page: LineagePage) -> None:
    found = judged(page, 900, 800, train={"steps": 6})
    assert [(each.group, each.text) for each in found.changes] == [("hyperparameters", "train.steps: 3 before, 6 now")]
    assert found.measured[0].text.endswith("a@1 0.0009 ± 0.0000, a@2 0.0008 ± 0.0000 (40 rows): a@2 is better")
    assert found.conclusion == "a@2 is better, and only one thing changed: the change of hyperparameters helped."
    assert judged(page, 800, 900, train={"steps": 6}).conclusion.endswith("the change of hyperparameters harmed.")


def test_the_same_numbers_are_neither_better_nor_worse(page: LineagePage) -> None:
    first, second = side(page, "a@1", evaluation(page, 900)), side(page, "a@1", evaluation(page, 100))
    assert compare(first, second).conclusion.startswith("Both have the very same numbers in their tensors")


def test_models_from_outside_differ_in_where_they_came_from(page: LineagePage) -> None:
    first, second = (side(page, name, source={"source": f"org/{name}"}) for name in ("a@1", "a@2"))
    assert [each.text for each in compare(first, second).changes] == ["outside: org/a@1 before, org/a@2 now"]


def test_overlapping_intervals_tell_nothing_apart(page: LineagePage) -> None:
    for after in (881, 880, 900, 919):
        found = judged(page, 900, after, train={"steps": 6})
        assert found.measured[0].told_apart is False
        assert found.conclusion == "No evaluation tells them apart, so no change is shown to have helped or harmed."
    assert judged(page, 900, 879, train={"steps": 6}).measured[0].told_apart is True


def test_several_changes_at_once_leave_open_which_helped(page: LineagePage) -> None:
    parts = {"input/0000": {"datanet": page.datanets[0].datanet_id.hex(), "filters": [{"min_chars": 9}]}}
    first = side(page, "a@1", evaluation(page, 900))
    second = side(page, "a@2", evaluation(page, 800), train={"steps": 6}, **parts)
    assert compare(first, second).conclusion == (
        "a@2 is better. Several things changed at once (filters, hyperparameters), so nothing says which of them made "
        "the difference: train a version that changes one alone."
    )


def test_runs_of_different_tools_are_not_compared_setting_by_setting(page: LineagePage) -> None:
    ours = side(
        page, "a@1", about={"framework": "openledger trainer"}, code={"libraries": {"torch": "2"}, "digest": "x"}
    )
    theirs = side(page, "a@2", about={"framework": "transformers 5.1.0 Trainer"}, train={"steps": 6})
    found = compare(ours, theirs)
    assert [(each.group, each.text) for each in found.changes] == [
        ("tool", "openledger trainer before, transformers Trainer now")
    ]
    assert found.not_compared == (
        "settings: the two come from different tools, whose words for the same setting differ",
        "code and libraries: a@2 does not record them",
    )
    newer = side(page, "a@3", about={"framework": "transformers 5.2.0 Trainer"}, train={"steps": 6})
    assert compare(theirs, newer).changes == ()


def test_data_and_parents_that_changed_are_named(page: LineagePage) -> None:
    entry = page.entries[0].stored.entry
    weights = tuple([structs.replace(each, version=9, rows_used=1) for each in entry.inputs])
    stored = structs.replace(page.entries[0].stored, entry=structs.replace(entry, inputs=weights, parents=()))
    other = structs.replace(page, entries=(structs.replace(page.entries[0], stored=stored), *page.entries[1:]))
    groups = {each.group for each in compare(side(page, "a@1"), side(other, "a@2")).changes}
    assert groups == {"made from", "data"}


def test_without_a_common_measurement_nothing_is_said_to_be_better(page: LineagePage) -> None:
    first, second = side(page, "a@1", evaluation(page, 900)), side(page, "a@2", evaluation(page, 1, sample_size=41))
    found = compare(first, second)
    assert found.conclusion.startswith("No evaluation of both on the same rows is recorded")
    assert found.not_compared[0].endswith("measured on different rows (40 and 41)")
    assert compare(first, side(page, "a@2")).not_compared[0].endswith("only a@1 was measured")


def test_rows_held_out_by_other_rules_are_other_rows(page: LineagePage) -> None:
    parts = [
        {"input/0000": {"datanet": page.datanets[0].datanet_id.hex(), "split": {"name": name}}} for name in ("x", "y")
    ]
    found = compare(
        side(page, "a@1", evaluation(page, 900), **parts[0]), side(page, "a@2", evaluation(page, 100), **parts[1])
    )
    assert (found.measured, "measured on different rows" in found.not_compared[0]) == ((), True)


def test_directions_are_known_or_said_not_to_be(page: LineagePage) -> None:
    def apart(metric: str) -> tuple[str, bool]:
        first, second = evaluation(page, 100, metric=metric), evaluation(page, 900, metric=metric)
        measured = compare(side(page, "a@1", first), side(page, "a@2", second)).measured[0]
        return measured.better, measured.told_apart

    assert (apart(ACCURACY), apart("perplexity"), apart("colour")) == (("a@2", True), ("a@1", True), ("", True))


def test_one_row_or_no_interval_tells_nothing_apart(page: LineagePage) -> None:
    for changes in ({"sample_size": 1}, {"interval": 0}):
        first, second = (evaluation(page, value, **{"interval": 1, **changes}) for value in (1, 10**6))
        measured = compare(side(page, "a@1", first), side(page, "a@2", second)).measured[0]
        assert (measured.told_apart, "no interval is known" in measured.text) == (False, True)


def test_evaluations_that_contradict_each_other_are_said_to(page: LineagePage) -> None:
    first = side(page, "a@1", evaluation(page, 900), evaluation(page, 900, metric=ACCURACY))
    second = side(page, "a@2", evaluation(page, 100), evaluation(page, 100, metric=ACCURACY))
    assert compare(first, second).conclusion.startswith("a@2 is better in some evaluations and worse in others")


def test_what_a_store_does_not_show_is_not_guessed(page: LineagePage) -> None:
    first = side(page, "a@1", evaluation(page, 900))
    second = ModelSide("a@2", page, "the store does not have it", (evaluation(page, 100),))
    found = compare(first, second)
    assert found.conclusion.startswith("a@2 is better; what changed cannot be compared in full")
    assert found.not_compared == ("a@2: the store does not have it",)


def test_the_recorders_own_latest_measurement_counts(page: LineagePage) -> None:
    recorder = page.entries[0].stored.admission.recorder
    own = [evaluation(page, value, evaluator=recorder, height=height) for value, height in ((700, 6), (600, 7))]
    found = compare(side(page, "a@1", *own, evaluation(page, 1, height=9)), side(page, "a@2", evaluation(page, 600)))
    assert "a@1 0.0006" in found.measured[0].text


def test_hostile_manifests_are_compared_as_far_as_they_can_be_read(page: LineagePage) -> None:
    deep = b'{"a":' * 5_000 + b"1" + b"}" * 5_000
    for data in (deep, b'{"libraries": [1], "digest": 3}'):
        assert compare(ModelSide("a@1", page, Manifest({"recipe": data, "code": data}), ()), side(page, "a@2")).changes
    odd = Manifest({"recipe": b"\xff\xfe", "code": b"[1]", "input/0000": b"[]", "input/0001": b"{"})
    found = compare(ModelSide("a@1", page, odd, ()), side(page, "a@2"))
    assert any("recipe: no longer (a text of 2 bytes" in each.text for each in found.changes)
    assert json.dumps([each.text for each in found.changes])
