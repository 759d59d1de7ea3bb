"""A bundle of rows says to a program written from the documents which rows are in which version, and whose they are."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from typing import Any

import pytest

from tests.protocol.bundles import compact
from tests.protocol.rows import check_row_bundle, root_of
from tests.protocol.test_bundles import BUNDLES, GENESIS, MUTATIONS
from tests.protocol.verifier import Refused

ROWS = BUNDLES["rows of a version"]


def with_attachments(attachments: list[dict[str, Any]]) -> bytes:
    """The bundle with other attachments, in order, under a right checksum."""
    attachments = sorted(attachments, key=lambda one: hashlib.sha256(base64.b64decode(one["data"])).digest())
    bundle = json.loads(ROWS["bundle"]) | {"attachments": attachments, "checksum": ""}
    return compact(bundle | {"checksum": hashlib.sha256(compact(bundle)).hexdigest()}) + b"\n"


def test_the_rows_are_proven_with_version_place_and_contributor() -> None:
    assert check_row_bundle(ROWS["bundle"].encode(), GENESIS) == ROWS["rows_proven"]
    assert [(one["place"], one["submission"], one["version"]) for one in ROWS["rows_proven"]] == [
        (place, "garden#1", "garden@1") for place in (2, 3)
    ]


def test_a_changed_row_salt_or_place_is_refused_although_the_checksum_is_right() -> None:
    attachments, chance = json.loads(ROWS["bundle"])["attachments"], random.Random("rows")
    assert check_row_bundle(with_attachments(attachments), GENESIS) == ROWS["rows_proven"]
    for _ in range(MUTATIONS):
        changed = [dict(one) for one in attachments]
        one = changed[chance.randrange(len(changed))]
        data = bytearray(base64.b64decode(one["data"]))
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        one["data"] = base64.b64encode(data).decode()
        with pytest.raises(Refused):
            check_row_bundle(with_attachments(changed), GENESIS)


@pytest.mark.parametrize("data", [b"", b"\x90", b"\xc0", b"\x96\x01\x00\x01\xc4\x00\xc4\x00\x90"])
def test_what_is_no_proof_of_a_row_is_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        root_of(data)
