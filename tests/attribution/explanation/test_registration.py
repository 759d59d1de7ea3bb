"""Rows, owners and copies that an index lists are those that the chain registered, or the explanation is refused."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest

from abci_app.hashing import list_root
from abci_app.modules.models.kinds import EntryKind, Undeclared
from abci_app.modules.models.records import (
    Admission,
    Attribution,
    Entry,
    InheritanceSchedule,
    Input,
    Output,
    Run,
    StoredEntry,
)
from abci_app.types import PPB
from attribution.explanation.document import Explanation, SpanPart
from attribution.explanation.evidence import LeafList
from attribution.explanation.explanation import leaves_of
from attribution.explanation.registration import Registered, check_rows, compare_registration, count_copies_in_order
from attribution.lga.code_clusters import search_copies
from attribution.lga.code_copies import DEFAULT_COSINE_PPB, OFF_PPB, CodeCopies
from openledger.data.rows import RowCommitment
from openledger.data.versions import ContributionRecord, VersionRecord
from openledger.errors import NotVerified
from tests.kit.attribution.explained import FIRST as FIRST_ENTRY
from tests.kit.attribution.explained import SECOND as SECOND_ENTRY
from tests.kit.attribution.explained import Story
from tests.kit.attribution.small_index import committed, key

FIRST, SECOND, THIRD = key(3), key(2), key(1)
Place = tuple[int, bytes, int]


def record(contribution_id: bytes, owner: bytes = bytes(32), place: Place = (0, b"", 0)) -> ContributionRecord:
    height, datanet_id, number = place
    rows = RowCommitment(bytes(32), 20, 1, bytes(32), b"")
    return ContributionRecord(contribution_id, owner, rows, height, number, datanet_id)


def leaves(order: tuple[int, ...]) -> LeafList:
    """Two rows of each contribution; those of the third are like the first's. `order` is what the index says."""
    rows = tuple(
        sorted((name, key(100 * at + row), key(at)) for at, name in enumerate((FIRST, SECOND, THIRD)) for row in (0, 1))
    )
    codes = np.random.default_rng(1).integers(-900, 900, size=(6, 200)).astype(np.int16)
    codes[:2] = codes[4:] + 1
    index = committed(rows, codes, search_copies(codes, order, DEFAULT_COSINE_PPB))
    return LeafList(index.commitment, index.keys)


@pytest.mark.parametrize(
    ("first", "third"),
    [
        ((4, b"b", 9), (5, b"a", 1)),
        ((4, b"a", 9), (4, b"b", 1)),
        ((4, b"a", 1), (4, b"a", 2)),
    ],
)
def test_height_datanet_and_number_decide_who_was_first(first: Place, third: Place) -> None:
    honest, reverse = leaves((4, 5, 2, 3, 0, 1)), leaves((0, 1, 2, 3, 4, 5))
    places = {FIRST: first, SECOND: (1, b"a", 1), THIRD: third}
    records = {name: record(name, place=place) for name, place in places.items()}
    assert honest.commitment.copies.found == ((0, 4), (1, 5))
    assert count_copies_in_order(records, honest, "here") == 2
    with pytest.raises(NotVerified, match=r"here.copies.found\[0\]: leaf 4 is credited through leaf 0, which .* later"):
        count_copies_in_order(records, reverse, "here")


def test_rows_of_one_contribution_are_not_compared_with_each_other() -> None:
    index = leaves((4, 5, 2, 3, 0, 1)).commitment.copies
    rows = tuple((FIRST, key(row), key(1)) for row in range(6))
    codes = np.ones((6, 200), dtype=np.int16)
    copies = CodeCopies(index.minimum_cosine_ppb, "compared", index.order, ((0, 4), (1, 4)))
    same = committed(rows, codes, copies)
    assert count_copies_in_order({FIRST: record(FIRST)}, LeafList(same.commitment, same.keys), "here") == 2


@dataclass
class Chain:
    """The DataNet that both entries of the story were trained on: contributions and their owners."""

    owners: dict[bytes, bytes]
    asked: list[tuple[str, int]] = field(default_factory=list)

    def datanet_version(self, reference: str, version: int) -> VersionRecord:
        self.asked.append((reference, version))
        records = tuple(record(name, owner) for name, owner in self.owners.items())
        return VersionRecord.of(key(70), version, records)


def stored(leaves: LeafList | None = None) -> StoredEntry:
    """An entry that consumed these rows."""
    rows = [] if leaves is None else [name[:32] for name in leaves.keys]
    inputs = (Input(key(70), 3, 10**9, len(rows), list_root("rows-used", rows)),)
    output = Output(key(1), key(1), 1, "safetensors")
    entry = Entry(
        kind=EntryKind.LORA,
        parents=(),
        inputs=inputs,
        undeclared=Undeclared.PARENTS,
        terms_id=key(1),
        manifest_root=key(1),
        output=output,
        attribution=Attribution(3, key(1)),
    )
    admission = Admission(2, 1, 1, key(1), 1, 1, key(1), 1, InheritanceSchedule(0, 0, 0))
    return StoredEntry(entry, admission, Run(1, 2, b"", "", "", 0), key(1), 1, b"", admission.recorder, 0)


def entries_of(story: Story) -> dict[bytes, StoredEntry]:
    return {entry_id: stored(leaves) for entry_id, leaves in leaves_of(story.document).items()}


def owners_of(story: Story) -> dict[bytes, bytes]:
    rows = {contribution: owner for index in (story.first, story.second) for contribution, _, owner in index.rows}
    return rows | {key(1_000): key(10), key(1_100): key(11)}


def check(story: Story, owners: dict[bytes, bytes], document: Explanation | None = None) -> Registered:
    shown = document or story.document
    return compare_registration(Chain(owners), shown, entries_of(story), leaves_of(shown))


def test_rows_spans_and_copies_of_all_layers_are_compared_with_the_inputs_of_their_entries(story: Story) -> None:
    chain = Chain(owners_of(story))
    rows = len(story.first.rows) + len(story.second.rows)
    found = compare_registration(chain, story.document, entries_of(story), leaves_of(story.document))
    assert (found, chain.asked) == (Registered(rows, 0), [(key(70).hex(), 3)])
    given = leaves_of(story.document, story.evidence)
    assert given == leaves_of(story.document)
    assert set(given) == {FIRST_ENTRY, SECOND_ENTRY}


def test_a_row_of_another_contributor_is_refused(story: Story) -> None:
    """A trainer could write any address beside a row."""
    owners = owners_of(story) | {key(100): key(88)}
    with pytest.raises(NotVerified, match=r"layers\[0\].gradients: row \d+ is said to be of 0+b; contribution 0+64 is"):
        check(story, owners)


def test_a_row_of_a_contribution_that_is_no_input_is_refused(story: Story) -> None:
    owners = owners_of(story)
    del owners[key(200)]
    with pytest.raises(NotVerified, match=r"row \d+ is of contribution 0+c8, which is not in the inputs of the entry"):
        check(story, owners)


def test_more_rows_than_were_registered_are_refused(story: Story) -> None:
    rows = tuple((key(200), key(row), key(12)) for row in range(21))
    many = committed(rows, np.eye(21, 24, dtype=np.int16))
    listed = {SECOND_ENTRY: LeafList(many.commitment, many.keys)}
    with pytest.raises(NotVerified, match=r"layers\[0\].gradients: 21 rows of contribution 0+c8, which registered 20;"):
        compare_registration(Chain(owners_of(story)), story.document, {SECOND_ENTRY: stored()}, listed)


def test_rows_that_the_entry_did_not_consume_are_refused(story: Story) -> None:
    """The entry recorded how many rows it consumed and their root, in the order of the chain."""
    entries, given = entries_of(story), leaves_of(story.document)
    used = story.second.rows
    others = committed((*used[:-1], (used[-1][0], bytes(32), used[-1][2])), story.second.codes)
    fewer = committed(used[:-1], story.second.codes[:-1])
    turned = committed(used, story.second.codes, CodeCopies(PPB // 2, "compared", tuple(range(len(used)))[::-1], ()))
    for index in (others, fewer, turned):
        listed = given | {SECOND_ENTRY: LeafList(index.commitment, index.keys)}
        wanted = rf"layers\[0\].gradients: \d+ rows of input 0; they are not the {len(used)} that the entry says"
        with pytest.raises(NotVerified, match=wanted):
            compare_registration(Chain(owners_of(story)), story.document, entries, listed)


def test_without_an_order_rows_are_counted_and_of_inputs_that_share_rows_nothing_is_said(story: Story) -> None:
    index = committed(story.second.rows, story.second.codes, CodeCopies(OFF_PPB, "off", (), ()))
    listed = LeafList(index.commitment, index.keys)
    version = Chain(owners_of(story)).datanet_version("", 3)
    inputs = stored(listed).entry.inputs
    entries = entries_of(story) | {SECOND_ENTRY: stored(listed)}
    given = leaves_of(story.document) | {SECOND_ENTRY: listed}
    found = compare_registration(Chain(owners_of(story)), story.document, entries, given)
    assert found == Registered(len(story.first.rows) + len(story.second.rows), 0, ("off",))
    check_rows([msgspec.structs.replace(inputs[0], rows_used_root=bytes(32))], [version], listed, "here")
    with pytest.raises(NotVerified, match="here: 15 rows of input 0; they are not the 14 that the entry says"):
        check_rows([msgspec.structs.replace(inputs[0], rows_used=14)], [version], listed, "here")
    silent = msgspec.structs.replace(inputs[0], rows_used=0, rows_used_root=b"")
    with pytest.raises(NotVerified, match="of which the entry does not declare which rows it consumed"):
        check_rows([silent], [version], listed, "here")
    check_rows([msgspec.structs.replace(inputs[0], rows_used=14)] * 2, [version] * 2, listed, "here")


def with_match(document: Explanation, **changes: str) -> Explanation:
    """The first match of the first span with other fields."""
    layer = document.layers[0]
    assert isinstance(layer.spans, SpanPart)
    span = layer.spans.spans[0]
    matches = (msgspec.structs.replace(span.matches[0], **changes), *span.matches[1:])
    spans = (msgspec.structs.replace(span, matches=matches), *layer.spans.spans[1:])
    layer = msgspec.structs.replace(layer, spans=msgspec.structs.replace(layer.spans, spans=spans))
    return msgspec.structs.replace(document, layers=(layer, *document.layers[1:]))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"owner": key(12).hex()}, r"matches\[0\] is said to be of 0+c; contribution 0+3e8 is of 0+a;"),
        ({"contribution_id": key(7).hex()}, r"matches\[0\] is of contribution 0+7, which is not in the inputs"),
        ({"credited": key(12).hex()}, r"matches\[0\] is credited to 0+c, who has no row with this span"),
    ],
)
def test_a_span_is_credited_to_the_contributors_who_have_it(story: Story, changes: dict[str, str], reason: str) -> None:
    with pytest.raises(NotVerified, match=rf"layers\[0\].spans.spans\[0\].{reason}"):
        check(story, owners_of(story), with_match(story.document, **changes))
