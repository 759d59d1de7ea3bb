"""A strict reader of Prometheus' text format 0.0.4: what it takes, every Prometheus takes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_HELP = re.compile(rf"# HELP ({_NAME}) ((?:[^\\\n]|\\\\|\\n)*)")
_TYPE = re.compile(rf"# TYPE ({_NAME}) (counter|gauge|histogram)")
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.+)\}})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\n|\\")*)"(?:,|$)')


@dataclass
class Family:
    """All samples under one name."""

    help: str
    kind: str = ""
    # (name of the sample, its labels in order) -> value
    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)


def parse(page: str) -> dict[str, Family]:
    """Families by name; raises ValueError for a page that is not as the format says."""
    if page and not page.endswith("\n"):
        raise ValueError("the last line does not end")
    families: dict[str, Family] = {}
    name = ""
    for line in page.splitlines():
        if match := _HELP.fullmatch(line):
            name = match[1]
            if name in families:
                raise ValueError(f"{name} comes twice")
            families[name] = Family(_plain(match[2]))
        elif match := _TYPE.fullmatch(line):
            if match[1] != name or families[name].kind or families[name].samples:
                raise ValueError(f"a type out of place: {line}")
            families[name].kind = match[2]
        elif match := _SAMPLE.fullmatch(line):
            _take(families[name], name, match)
        else:
            raise ValueError(f"no line of the format: {line}")
    for family_name, family in families.items():
        if family.kind == "histogram":
            _check_histogram(family_name, family)
    return families


def _take(family: Family, name: str, match: re.Match[str]) -> None:
    suffixes = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
    if match[1] not in [name + suffix for suffix in suffixes] or not family.kind:
        raise ValueError(f"a sample out of place: {match[0]}")
    labels = tuple([(label, _plain(value)) for label, value in _LABEL.findall(match[2] or "")])
    if sum([len(each[0]) for each in _LABEL.finditer(match[2] or "")]) != len(match[2] or ""):
        raise ValueError(f"labels that cannot be read: {match[0]}")
    if (match[1], labels) in family.samples or len({label for label, _ in labels}) != len(labels):
        raise ValueError(f"a sample or a label comes twice: {match[0]}")
    family.samples[match[1], labels] = float(match[3])


def _check_histogram(name: str, family: Family) -> None:
    """Buckets grow with their bounds up to +Inf, which holds the count."""
    rows: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    for (sample, labels), value in family.samples.items():
        if sample == f"{name}_bucket":
            rest = tuple([pair for pair in labels if pair[0] != "le"])
            rows.setdefault(rest, []).append((float(dict(labels)["le"]), value))
    for rest, buckets in rows.items():
        counts = [count for _, count in buckets]
        if buckets != sorted(buckets) or counts != sorted(counts) or buckets[-1][0] != float("inf"):
            raise ValueError(f"{name}{rest}: buckets {buckets}")
        if family.samples[f"{name}_count", rest] != counts[-1] or (f"{name}_sum", rest) not in family.samples:
            raise ValueError(f"{name}{rest}: no sum, or another count")


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), text)
