"""Dashboard and alert examples: read whole, and no name in them that a node does not serve."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import yaml

from node.metrics.catalogue import CATALOGUE
from tests.kit.repository import ROOT

FOLDER = ROOT / "docs" / "operators"
SERVED = {
    name: set(metric.labels) | ({"le"} if metric.kind == "histogram" else set())
    for metric in CATALOGUE
    for name in (
        [metric.name + suffix for suffix in ("_bucket", "_sum", "_count")]
        if metric.kind == "histogram"
        else [metric.name]
    )
}
# Labels that Prometheus adds to every metric.
ADDED = {"instance", "job"}
_NAME = re.compile(r"\bopenledger_[a-z_]+")
_SELECTED = re.compile(r"(openledger_[a-z_]+)\{([^}]*)\}")
_GROUPED = re.compile(r"by \(([^)]*)\)")
_ACTION = re.compile(r"openledger (node|query) ([a-z]+)")


def check_expressions(expressions: Iterable[str]) -> set[str]:
    """All names that are used; asserts that each exists with the labels that are selected and grouped by."""
    used: set[str] = set()
    for expression in expressions:
        assert expression.count("(") == expression.count(")"), expression
        names = set(_NAME.findall(expression))
        assert names <= set(SERVED), expression
        for name, selected in _SELECTED.findall(expression):
            labels = set(re.findall(r"([a-z_]+)=", selected))
            assert labels <= SERVED[name] | ADDED, expression
        for grouped in _GROUPED.findall(expression):
            assert {label.strip() for label in grouped.split(",")} <= set.union(
                *[SERVED[each] for each in names]
            ) | ADDED
        used |= names
    return used


def family_of(name: str) -> str:
    """The name in the catalogue."""
    found = [metric.name for metric in CATALOGUE if name == metric.name or name.startswith(metric.name + "_")]
    return max(found, key=len)


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    board: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
    panels = board["panels"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    used = check_expressions([target["expr"] for panel in panels for target in panel["targets"]])
    shown = {family_of(name) for name in used}
    assert {metric.name for metric in CATALOGUE} - shown == set()
    for panel in panels:
        names = set.union(*[set(_NAME.findall(target["expr"])) for target in panel["targets"]])
        told = {label for target in panel["targets"] for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])}
        assert told <= set.union(*[SERVED[name] for name in names]) | ADDED


def test_no_two_panels_lie_on_each_other() -> None:
    board: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
    taken: set[tuple[int, int]] = set()
    for place in [panel["gridPos"] for panel in board["panels"]]:
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_each_alert_says_what_happened_and_what_to_do() -> None:
    document = yaml.safe_load((FOLDER / "alerts.yaml").read_text())
    (group,) = document["groups"]
    rules = group["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    check_expressions([rule["expr"] for rule in rules])
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert set(rule["annotations"]) == {"summary", "action"}
        told = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        names = _NAME.findall(rule["expr"])
        assert told <= set().union(*[SERVED[name] for name in names]) | ADDED
