"""The files below tests/vectors that are made by a program, and what they should hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.golden import answers, attribution, bundles, encoding, proofs, snapshots, transaction, tree
from tests.kit.repository import ROOT
from tests.openledger.light import test_vectors as light

FOLDER = ROOT / "tests" / "vectors"
FILES: dict[str, Callable[[], dict[str, Any]]] = {
    "answers.json": answers.make,
    "attribution.json": attribution.make,
    "bundles.json": bundles.make,
    "encoding.json": encoding.make,
    "light.json": light.make_vectors,
    "proofs.json": proofs.make,
    "snapshots.json": snapshots.make,
    "transaction.json": transaction.make,
    "tree.json": tree.make,
}


def content_of(name: str) -> str:
    """Make the content that the file should hold."""
    return json.dumps(FILES[name](), indent=2) + "\n"


def outdated() -> list[str]:
    """Names of files that are missing or hold something else."""
    paths = {name: FOLDER / name for name in FILES}
    return [name for name, path in paths.items() if not path.is_file() or path.read_text("utf-8") != content_of(name)]
