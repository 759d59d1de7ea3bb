"""Bundles of every kind in the vectors say what they should to a program written from the documents."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.protocol.bundles import check_bundle, compact, open_bundle
from tests.protocol.further import show_result
from tests.protocol.verifier import NOT_FOUND, Refused

VECTORS = json.loads((Path(__file__).parents[2] / "tests/vectors/bundles.json").read_text())
GENESIS = VECTORS["genesis"].encode()
BUNDLES = {one["kind"]: one for one in VECTORS["bundles"]}
MUTATIONS = 200


def _checked(kind: str) -> dict[str, Any]:
    return check_bundle(BUNDLES[kind]["bundle"].encode(), GENESIS)


def test_the_vectors_have_every_kind() -> None:
    assert list(BUNDLES) == [
        "query", "query with names", "denial", "raw read", "raw read with attachments",
        "query below the anchor, with headers down to it", "rows of a version",
    ]  # fmt: skip


def test_queries_with_and_without_names_are_answered() -> None:
    lineage = show_result("/query/models/lineage", _checked("query")["result"])
    assert ([one["stored"]["entry"]["kind"] for one in lineage["entries"]], lineage["frontier"]) == (
        ["lora", "lora", "import"],
        [],
    )
    clean = _checked("query with names")
    assert show_result("/query/models/clean", clean["result"])["answer"] == "unknown-below"
    assert clean["names"] == BUNDLES["query with names"]["names"]


def test_a_denial_is_proven() -> None:
    assert _checked("denial") == {"result": None, "denied": NOT_FOUND, "names": []}
    assert BUNDLES["denial"]["denied"] == NOT_FOUND


def test_a_raw_read_says_what_is_there_and_what_is_not() -> None:
    read, said = _checked("raw read"), BUNDLES["raw read"]
    assert [value and value.hex() for value in read["values"]] == said["values"]
    assert [[[key.hex(), value.hex()] for key, value in rows] for rows in read["rows"]] == said["rows"]


def test_headers_lead_down_to_an_older_answer_and_attachments_stay_in_order() -> None:
    below = BUNDLES["query below the anchor, with headers down to it"]
    headers = [int(one["height"]) for one in open_bundle(below["bundle"].encode())["headers"]]
    assert headers == sorted(headers, reverse=True)
    assert headers[-1] == 4
    assert _checked(below["kind"])["denied"] == 0
    attached = open_bundle(BUNDLES["raw read with attachments"]["bundle"].encode())["attachments"]
    assert [(one["kind"], one["name"]) for one in attached] == [("document", "recipe.yaml"), ("manifest", "manifest")]


@pytest.mark.parametrize("kind", BUNDLES)
def test_a_changed_byte_is_refused(kind: str) -> None:
    data, chance = BUNDLES[kind]["bundle"].encode(), random.Random(kind)
    for _ in range(MUTATIONS):
        at = chance.randrange(len(data))
        changed = data[:at] + bytes([data[at] ^ 1 << chance.randrange(7)]) + data[at + 1 :]
        with pytest.raises(Refused):
            check_bundle(changed, GENESIS)


@pytest.mark.parametrize("kind", BUNDLES)
def test_another_form_is_refused_although_its_checksum_is_right(kind: str) -> None:
    bundle = json.loads(BUNDLES[kind]["bundle"])
    spaced = json.dumps(bundle).encode() + b"\n"
    other_order = compact(dict(reversed(bundle.items()))) + b"\n"
    further_field = compact(bundle | {"note": ""}) + b"\n"
    for data in (spaced, other_order, further_field, compact(bundle)):
        with pytest.raises(Refused):
            check_bundle(data, GENESIS)
