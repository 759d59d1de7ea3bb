"""The commitment of an entry: one root, parts that are provable alone, refusals that name the part."""

from pathlib import Path

import pytest

from abci_app.integers.shares import PayoutPolicy
from attribution.entry import GRADIENTS, SPANS, EntryCommitment, get_commitment
from attribution.errors import AttributionError
from openledger.content.store import ContentCorrupt, ContentMissing, ContentStore
from openledger.data.manifest import Manifest, verify_part

POLICY = PayoutPolicy(500_000_000, 400_000_000, 10**9, 0, b"\x07" * 32)
BOTH = EntryCommitment({GRADIENTS: b"\x01" * 32, SPANS: b"\x02" * 32}, POLICY)


def test_the_method_number_names_the_indexes() -> None:
    assert EntryCommitment({GRADIENTS: b"\x01" * 32}, POLICY).method == 1
    assert EntryCommitment({SPANS: b"\x01" * 32}, POLICY).method == 2
    assert BOTH.method == 3


def test_a_stored_commitment_comes_back_under_its_root_and_each_part_is_provable(tmp_path: Path) -> None:
    store = ContentStore.open(tmp_path)
    root = BOTH.put(store)
    assert get_commitment(store, 3, root) == BOTH
    for name in (GRADIENTS, SPANS, "payout"):
        verify_part(BOTH.manifest.prove(name), root)


def test_another_method_another_root_or_a_changed_blob_is_refused(tmp_path: Path) -> None:
    store = ContentStore.open(tmp_path)
    root = BOTH.put(store)
    with pytest.raises(AttributionError, match="method: the entry records method 1, its commitment is 3"):
        get_commitment(store, 1, root)
    with pytest.raises(ContentMissing):
        get_commitment(store, 3, bytes(32))
    other = EntryCommitment({SPANS: b"\x03" * 32}, POLICY)
    (written,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    written.write_bytes(other.manifest.encode())
    with pytest.raises(ContentCorrupt):
        get_commitment(store, 3, root)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"payout": b"{}"}, "payout: is no payout policy"),
        ({"payout": b"[]"}, "payout: is no payout policy"),
        ({"payout": BOTH.manifest.parts["payout"].replace(b":0", b": 0")}, "payout: is not in canonical form"),
        ({"payout": BOTH.manifest.parts["payout"].replace(b"500000000", b"600000001")}, "policy.flat_ppb: together"),
        ({"lga-1": b"short"}, "lga-1: a root has 32 bytes, not 5"),
        ({"shapley": bytes(32)}, "methods: .* at least one of lga-1, tsa-1"),
    ],
)
def test_malformed_parts_are_refused_by_name(change: dict[str, bytes], text: str) -> None:
    with pytest.raises(AttributionError, match=text):
        EntryCommitment.of(Manifest({**BOTH.manifest.parts, **change}))
