"""Layers follow from the chain's records: ages, kept parts, and nobody above is missing."""

from __future__ import annotations

import pytest

from abci_app.integers import NumbersRefused
from abci_app.integers.inheritance import Layer, ParentPart
from abci_app.integers.shares import Shares
from abci_app.modules.models import DEFAULT_SCHEDULE
from abci_app.modules.models.kinds import EntryKind, Undeclared
from abci_app.modules.models.records import (
    Admission,
    Attribution,
    Entry,
    Input,
    Output,
    Parent,
    Run,
    StoredEntry,
)
from abci_app.types import PPB
from attribution.payout.layers import age_versions, layer_of


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


ALICE = key(101)
BASE, FIRST, SECOND = map(key, (1, 2, 3))


def stored(
    number: int,
    model: bytes,
    version: int,
    *parents: bytes,
    inputs: int = 1,
    undeclared: Undeclared = Undeclared.NOTHING,
    declared_ppb: int = PPB,
) -> StoredEntry:
    share = declared_ppb // len(parents) if parents else 0
    entry = Entry(
        kind=EntryKind.LORA,
        parents=tuple(Parent(parent, "adapter", share) for parent in parents),
        inputs=tuple(Input(key(900 + index), 1, declared_ppb // inputs, 1, bytes(32)) for index in range(inputs)),
        undeclared=undeclared,
        terms_id=b"",
        manifest_root=bytes(32),
        output=Output(bytes(32), bytes(32), 1, "safetensors"),
        attribution=Attribution(0, b""),
    )
    admission = Admission(number, 1, 1, ALICE, 1, 1, bytes(32), 0, DEFAULT_SCHEDULE)
    return StoredEntry(entry, admission, Run(0, 0, b"", "", "", 0), model, version, b"", admission.recorder, 0)


def test_undeclared_parents_keep_the_most_that_ancestors_keep_however_many_versions_came_before() -> None:
    child = stored(9, key(500), 40, FIRST, undeclared=Undeclared.PARENTS, declared_ppb=PPB // 4)
    layer = layer_of(SECOND, child, {FIRST: stored(1, key(500), 39)}, None)
    assert (layer.undeclared_parents_ppb, layer.undeclared_kept_ppb) == (PPB - PPB // 4, DEFAULT_SCHEDULE.ancestors_ppb)
    assert (layer.parents[0].kept_ppb, layer.undeclared_inputs_ppb) == (DEFAULT_SCHEDULE.ancestors_ppb, 0)


def test_undeclared_inputs_are_data_with_the_part_that_the_listed_ones_leave() -> None:
    bare = layer_of(SECOND, stored(9, b"", 0, inputs=0, undeclared=Undeclared.INPUTS), {}, None)
    assert (bare.has_data, bare.undeclared_inputs_ppb, bare.is_undeclared) == (True, PPB, True)
    partly = stored(9, b"", 0, undeclared=Undeclared.PARENTS_AND_INPUTS, declared_ppb=600_000_000)
    layer = layer_of(SECOND, partly, {}, None)
    assert (layer.undeclared_inputs_ppb, layer.undeclared_parents_ppb) == (400_000_000, PPB)


def test_age_counts_versions_between_or_before() -> None:
    mine, other = key(500), key(600)
    parent = stored(1, mine, 2)
    assert age_versions(stored(9, mine, 3, FIRST), parent) == 0
    assert age_versions(stored(9, mine, 7, FIRST), parent) == 4
    assert age_versions(stored(9, mine, 7, FIRST), stored(1, other, 90)) == 6
    assert age_versions(stored(9, mine, 1, FIRST), stored(1, b"", 0)) == 0
    assert age_versions(stored(9, b"", 0, FIRST), parent) == 0


def test_a_layer_is_read_from_the_records_of_the_chain() -> None:
    parents = {BASE: stored(1, b"", 0, inputs=1), FIRST: stored(2, key(500), 1, BASE)}
    own = Shares(((ALICE, PPB),), 0, True)
    assert layer_of(SECOND, stored(3, key(500), 6, FIRST, BASE), parents, own) == Layer(
        SECOND,
        3,
        (ParentPart(FIRST, PPB // 2, 100_000_000), ParentPart(BASE, PPB // 2, 100_000_000)),
        True,
        own,
    )
    with pytest.raises(NumbersRefused, match=f"layers: parent {BASE.hex()} of {SECOND.hex()} is missing"):
        layer_of(SECOND, stored(3, b"", 0, BASE), {}, own)
