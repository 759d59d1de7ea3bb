"""The text that Prometheus reads: every value at its place, whatever stands in a label."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.metrics.exposition import Distribution, Metric, Reading, exposition
from node.metrics.measuring import Histogram
from tests.kit.node.exposition import parse

PLAIN = Metric("a_total", "counter", "How many\n\\ of them.")
LABELLED = Metric("b", "gauge", "Some.", ("kind", "of"))
SECONDS = Metric("c_seconds", "histogram", "How long.", ("phase",))


def test_the_page_is_written_line_by_line() -> None:
    readings = [
        Reading(PLAIN, {(): 10**18 + 1}),
        Reading(LABELLED, {("x", 'say "no"\\\n'): 0.5, ("y", ""): -1}),
        Reading(SECONDS, {("commit",): Distribution(below={0.1: 1, 2.5: 3}, count=4, total=12.25)}),
        Reading(Metric("d", "gauge", "Nothing is known of it.")),
    ]
    assert exposition(readings) == (
        "# HELP a_total How many\\n\\\\ of them.\n"
        "# TYPE a_total counter\n"
        "a_total 1000000000000000001\n"
        "# HELP b Some.\n"
        "# TYPE b gauge\n"
        'b{kind="x",of="say \\"no\\"\\\\\\n"} 0.5\n'
        'b{kind="y",of=""} -1\n'
        "# HELP c_seconds How long.\n"
        "# TYPE c_seconds histogram\n"
        'c_seconds_bucket{phase="commit",le="0.1"} 1\n'
        'c_seconds_bucket{phase="commit",le="2.5"} 3\n'
        'c_seconds_bucket{phase="commit",le="+Inf"} 4\n'
        'c_seconds_sum{phase="commit"} 12.25\n'
        'c_seconds_count{phase="commit"} 4\n'
    )


labels = st.text(
    st.characters(exclude_characters="\r\v\f\x1c\x1d\x1e\x85\u2028\u2029", exclude_categories=["Cs"]), max_size=8
)


@given(st.dictionaries(st.tuples(labels, labels), st.integers() | st.floats(allow_nan=False), min_size=1, max_size=5))
def test_whatever_a_label_holds_is_read_again(values: dict[tuple[str, ...], float]) -> None:
    found = parse(exposition([Reading(LABELLED, values)]))["b"]
    assert found.samples == {("b", (("kind", kind), ("of", of))): float(value) for (kind, of), value in values.items()}


@given(st.lists(st.sampled_from([0.0, 1.0, 1.5, 2.0, 3.0])))
def test_a_histogram_counts_a_value_under_each_bound_that_it_does_not_exceed(values: list[float]) -> None:
    histogram = Histogram((1.0, 2.0))
    for value in values:
        histogram.add(value)
    below = {bound: sum([value <= bound for value in values]) for bound in (1.0, 2.0)}
    assert histogram.read() == Distribution(below=below, count=len(values), total=sum(values))
    assert parse(exposition([Reading(SECONDS, {("x",): histogram.read()})]))["c_seconds"].kind == "histogram"


@pytest.mark.parametrize(
    "page",
    [
        "a 1\n",
        "# HELP a x\n# TYPE a gauge\na 1",
        "# HELP a x\na 1\n",
        "# HELP a x\n# TYPE a gauge\na 1\na 2\n",
        "# HELP a x\n# TYPE a gauge\nb 1\n",
        '# HELP a x\n# TYPE a gauge\na{b="c"d="e"} 1\n',
        "# HELP a x\n# TYPE a gauge\na one\n",
        '# HELP a x\n# TYPE a histogram\na_bucket{le="1"} 1\na_sum 1\na_count 1\n',
    ],
)
def test_the_reader_of_these_tests_refuses_what_is_not_the_format(page: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        parse(page)
