"""The determinism rules find what they are for, leave the rest alone, and hold in abci_app."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.kit.repository import ROOT, tracked_files
from tests.tidy.determinism_rules import find_violations

ALLOWED_BROAD_EXCEPTS = Counter(
    {"abci_app/chain/application.py": 1, "abci_app/chain/block.py": 1, "abci_app/mechanisms/protection.py": 1}
)
"""The proposer leaves a transaction out; a block's unknown exception is raised again with its place named; what a hook
or a deadline raised is put aside.

Each of these lines carries a comment that starts with `# determinism:` and gives the reason.
"""

PLANTED = [
    ("import", "import time"),
    ("import", "import os.path"),
    ("import", "from random import randrange"),
    ("import", "import secrets"),
    ("import", "import datetime"),
    ("import", "import locale"),
    ("import", "import socket"),
    ("import", "import threading"),
    ("import", "import asyncio"),
    ("import", "import math"),
    ("import", "from decimal import Decimal"),
    ("import", "import numpy as np"),
    ("import", "import torch"),
    ("import", "import json"),
    ("import", "from nacl.utils import random"),
    ("import", "from nacl import utils"),
    ("import", "from node import run"),
    ("import", "def f():\n    import plyvel"),
    ("float", "x = 0.5"),
    ("float", "x = 1e9"),
    ("float", "x = 2j"),
    ("division", "def f(a, b): return a / b"),
    ("division", "def f(a):\n    a /= 2"),
    ("name", "def f(a): return round(a)"),
    ("name", "def f(a): return float(a)"),
    ("name", "def f(a): return hash(a)"),
    ("name", "def f(a): return sorted(a, key=id)"),
    ("name", "def f(a): return repr(a)"),
    ("name", "def f(a): return object.__repr__(a)"),
    ("name", "print(1)"),
    ("name", "def f(): return open('x')"),
    ("name", "def f(): return eval('1')"),
    ("set order", "for x in {1, 2}: pass"),
    ("set order", "for x in set((1, 2)): pass"),
    ("set order", "s = {1, 2}\nt = [x for x in s]"),
    ("set order", "def f(s: set[int]):\n    for x in s: pass"),
    ("set order", "def f(s: frozenset[int] | None):\n    for x in s: pass"),
    ("set order", "def f(s: 'set[int]'): return list(s)"),
    ("set order", "def f():\n    s = set()\n    return tuple(s)"),
    ("set order", "def f(a, b): return [k for k in a.keys() & b.keys()]"),
    ("set order", "def f(a, b):\n    for k in a.keys() - b: pass"),
    ("set order", "s = {1} | {2}\nfor x in s: pass"),
    ("set order", "s = {1}\nfor x in s.union([2]): pass"),
    ("set order", "s = {'a'}\nt = ','.join(s)"),
    ("set order", "s = {1}\nt = [*s]"),
    ("set order", "s = {1}\nfirst = s.pop()"),
    ("set order", "s = {1, 2}\na, b = s"),
    ("set order", "s = {1}\nt = next(iter(s))"),
    ("set order", "s = {1}\nt = {x: 1 for x in s}"),
    ("set order", "s = {1}\nt = sum(x for x in s)"),
    ("set order", "s = {1}\nt = dict.fromkeys(s)"),
    ("set order", "s = {1}\ndef f():\n    yield from s"),
    ("set order", "s = {1}\nfor i, x in enumerate(s): pass"),
    ("set order", "def f(s: set[int]):\n    def g():\n        return [x for x in s]\n    return g"),
    ("broad except", "try: pass\nexcept: pass"),
    ("broad except", "try: pass\nexcept Exception: pass"),
    ("broad except", "try: pass\nexcept (ValueError, BaseException) as e: pass"),
    ("broad except", "import builtins\ntry: pass\nexcept builtins.Exception: pass"),
    ("assert", "def f(a):\n    assert a > 0"),
    ("async", "async def f(): pass"),
]


@pytest.mark.parametrize(("rule", "source"), PLANTED)
def test_a_planted_violation_is_found(rule: str, source: str) -> None:
    assert rule in {finding.rule for finding in find_violations(source)}


@pytest.mark.parametrize(
    "source",
    [
        "from abci_app.state import codec",
        "from . import sibling",
        "from collections.abc import Sequence\nimport hashlib",
        "import msgspec\nfrom nacl.bindings import crypto_sign_open",
        "def f(a, b): return a // b, a % b",
        "def f(id, hash): return id + hash",
        "s = {1, 2}\nfor x in sorted(s): pass",
        "s = {1, 2}\nif 1 in s: pass",
        "s = {1, 2}\nn = len(s)",
        "s = {1, 2}\nt = sorted(x + 1 for x in s)",
        "s = {1, 2}\nt = {x + 1 for x in s}",
        "for x in {1: 2}: pass",
        "def f(stack): return stack.pop()",
        "def f(table): return table.pop(1)",
        "try: pass\nexcept (ValueError, KeyError): pass",
        "def f(a): return f'{a!r}'",
    ],
)
def test_what_is_deterministic_is_left_alone(source: str) -> None:
    assert find_violations(source) == []


def test_a_finding_names_its_line_and_reason() -> None:
    findings = find_violations("x = 1\n\ny = x / 2\n")
    assert [(finding.line, finding.rule) for finding in findings] == [(3, "division")]


def _core_files() -> list[Path]:
    return [path for path in tracked_files("*.py") if path.parts[0] == "abci_app" and "pb" not in path.parts]


def test_abci_app_keeps_the_determinism_rules() -> None:
    found = [
        f"{path}:{finding.line}: {finding.rule}: {finding.text}"
        for path in _core_files()
        for finding in find_violations((ROOT / path).read_text())
        if finding.rule != "broad except"
    ]
    assert found == []


def test_abci_app_has_only_the_broad_excepts_that_are_listed_and_explained() -> None:
    counts: Counter[str] = Counter()
    unexplained = []
    for path in _core_files():
        source = (ROOT / path).read_text()
        lines = source.splitlines()
        for finding in find_violations(source):
            if finding.rule == "broad except":
                counts[str(path)] += 1
                if "# determinism: " not in lines[finding.line - 1]:
                    unexplained.append(f"{path}:{finding.line}")
    assert (counts, unexplained) == (ALLOWED_BROAD_EXCEPTS, [])
