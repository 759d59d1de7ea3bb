"""Commitment of a gradient index: what the chain records about it, and proofs of any piece of it.

Named parts (openledger.data.manifest), so each can be shown and proven alone; JSON is canonical:

    about            format and method
    basis/0000       SHA-256 and size of the file with the bases of checkpoint 0 (attribution.lga.index.reader)
    build            digest of everything that the index was built from
    checkpoint/0000  tensor digest of the adapter at checkpoint 0
    copies           which leaves are copies by their codes, of which, and how it was decided (lga/code_copies.py)
    dataset          count and list root of row leaf | contribution | owner, in the order of the leaves
    leaves           count and list root of row leaf | contribution | owner | codes, int16 little-endian
    owners           count and list root of owner | sums of the codes of its leaves that are no copies, int64
                     little-endian; owners of all leaves, increasing
    parameters       counts, exponent, cap, modules with their shapes, settings (`attribution.lga.parameters`)
    scales/0000      SHA-256 and size of the file with the scales of checkpoint 0
    source/...       digests that the trainer binds to it: model, tokenizer, code

Leaves are in the order of (contribution, row leaf), one for every different row that the run trained on.
Nothing here needs numpy or torch.
"""

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from msgspec import Meta

from abci_app.hashing import HASH_BYTES, list_root_from, sha256
from abci_app.state.codec import CodecError, Record, decode, encode
from attribution.errors import AttributionError
from attribution.lga.code_copies import COPIES, CodeCopies
from attribution.lga.parameters import MAX_CODES, MAX_EXAMPLES, IndexParameters
from attribution.spans.blocks import opened_root, opening_hashes
from openledger.data.manifest import (
    MAX_MANIFEST_BYTES,
    MAX_PART_BYTES,
    MAX_PROOF_STEPS,
    Manifest,
    ManifestError,
    PartName,
    PartProof,
    Side,
    to_json,
    verify_part,
)

METHOD = 1
"""Number of this method in a provenance entry; 2 is attribution by spans."""
METHOD_NAME = "lga-1"
FORMAT = 1
LEAVES, OWNERS, DATASET = "leaves", "owners", "dataset"
LIST_OF = {LEAVES: "attribution-leaves", OWNERS: "attribution-owners", DATASET: "attribution-dataset"}

OWNER_BYTES = 32
# Row leaf, contribution and owner of an example.
KEY_BYTES = 96
MAX_ITEM_BYTES = KEY_BYTES + 8 * MAX_CODES
# Siblings from a leaf to the root of MAX_EXAMPLES leaves.
MAX_PATH = MAX_EXAMPLES.bit_length()
MAX_PROOF_BYTES = MAX_ITEM_BYTES + MAX_PART_BYTES + 2**16


class _PartRecord(Record, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    name: PartName
    value: Annotated[bytes, Meta(min_length=1, max_length=MAX_PART_BYTES)]
    path: Annotated[
        list[tuple[Side, Annotated[bytes, Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]]],
        Meta(max_length=MAX_PROOF_STEPS),
    ]


class _ItemRecord(Record, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=1):
    """[1, index, item, [hash...], [name, value, [[side, hash]...]]] in canonical MessagePack."""

    index: Annotated[int, Meta(ge=0, lt=MAX_EXAMPLES)]
    item: Annotated[bytes, Meta(min_length=OWNER_BYTES, max_length=MAX_ITEM_BYTES)]
    hashes: Annotated[
        list[Annotated[bytes, Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]], Meta(max_length=MAX_PATH)
    ]
    part: _PartRecord


@dataclass(frozen=True, slots=True)
class ItemProof:
    """One item of a committed list, its siblings up to the list's root, and the part that holds this root."""

    index: int
    item: bytes
    hashes: tuple[bytes, ...]
    part: PartProof

    def encode(self) -> bytes:
        """Stored form."""
        part = _PartRecord(self.part.name, self.part.value, list(self.part.path))
        return encode(_ItemRecord(index=self.index, item=self.item, hashes=list(self.hashes), part=part))

    @classmethod
    def decode(cls, data: bytes, field: str = "proof") -> "ItemProof":
        """Parse the stored form; raises `AttributionError` for `field`."""
        if len(data) > MAX_PROOF_BYTES:
            raise AttributionError(field, f"has {len(data)} bytes, more than {MAX_PROOF_BYTES}")
        try:
            record = decode(_ItemRecord, data)
        except CodecError as error:
            raise AttributionError(field, f"is malformed: {error}") from error
        part = PartProof(record.part.name, record.part.value, tuple(record.part.path))
        return cls(record.index, record.item, tuple(record.hashes), part)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One training example of the index; codes as integers in the index's exponent."""

    row_leaf: bytes
    contribution_id: bytes
    owner: bytes
    codes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OwnerSum:
    """Sums of the codes of one owner's credited examples."""

    owner: bytes
    sums: tuple[int, ...]


@dataclass(frozen=True)
class IndexCommitment:
    """The parts; `root` is what the chain records."""

    manifest: Manifest

    @property
    def root(self) -> bytes:
        """Named-parts root, 32 bytes."""
        return self.manifest.root

    @cached_property
    def parameters(self) -> IndexParameters:
        """The part `parameters`; raises `AttributionError`."""
        return IndexParameters.decode(self._part("parameters"))

    @cached_property
    def copies(self) -> CodeCopies:
        """The part `copies`; raises `AttributionError`."""
        return CodeCopies.decode(self._part(COPIES), self.parameters.examples)

    @property
    def build(self) -> bytes:
        """Digest of everything that the index was built from."""
        return _digest(_json_part(self._part("build"), "build", {"inputs"})["inputs"], "commitment.build")

    def list_root(self, name: str) -> bytes:
        """Root of the list `leaves`, `owners` or `dataset`; raises `AttributionError`."""
        return _list_part(self._part(name), name)[1]

    def file(self, name: str) -> tuple[bytes, int]:
        """SHA-256 and size of the file that the part `basis/0000` or `scales/0000` stands for."""
        value = _json_part(self._part(name), name, {"bytes", "sha256"})
        size = value["bytes"]
        if type(size) is not int or size < 1:
            raise AttributionError(f"commitment.{name}", "must state the size of a file")
        return _digest(value["sha256"], f"commitment.{name}"), size

    def checkpoint(self, number: int) -> bytes:
        """Tensor digest of the adapter at a checkpoint."""
        place = f"checkpoint/{number:04d}"
        return _digest(_json_part(self._part(place), place, {"tensors"})["tensors"], f"commitment.{place}")

    def check(self) -> None:
        """Every part is there, well-formed and fits the parameters; raises `AttributionError` with the part."""
        parameters = self.parameters
        about = _json_part(self._part("about"), "about", {"format", "method"})
        if (about["format"], about["method"]) != (FORMAT, METHOD_NAME):
            raise AttributionError("commitment.about", f"is {about}; this program knows {METHOD_NAME} format {FORMAT}")
        counts = {LEAVES: parameters.examples, DATASET: parameters.examples, OWNERS: parameters.owners}
        for name, count in counts.items():
            found = _list_part(self._part(name), name)[0]
            if found != count:
                raise AttributionError(f"commitment.{name}", f"counts {found}, the parameters {count}")
        _ = self.copies
        for number in range(parameters.checkpoints):
            self.file(f"basis/{number:04d}")
            self.file(f"scales/{number:04d}")
            self.checkpoint(number)
        if len(self.build) != HASH_BYTES:
            raise AttributionError("commitment.build", "must be a digest")
        known = {"about", "build", "parameters", COPIES, LEAVES, DATASET, OWNERS} | {
            f"{kind}/{number:04d}"
            for kind in ("basis", "scales", "checkpoint")
            for number in range(parameters.checkpoints)
        }
        surplus = [name for name in self.manifest.parts if name not in known and not name.startswith("source/")]
        if surplus:
            raise AttributionError(f"commitment.{surplus[0]}", "is no part of an index")

    def encode(self) -> bytes:
        """Stored form."""
        return self.manifest.encode()

    @classmethod
    def decode(cls, data: bytes) -> "IndexCommitment":
        """Parse and check the stored form; raises `AttributionError` with the part."""
        if len(data) > MAX_MANIFEST_BYTES:
            raise AttributionError("commitment", f"has {len(data)} bytes, more than {MAX_MANIFEST_BYTES}")
        try:
            commitment = cls(Manifest.decode(data))
        except ManifestError as error:
            raise AttributionError("commitment", str(error)) from error
        commitment.check()
        return commitment

    def prove_part(self, name: str) -> PartProof:
        """One part with its path to the root; check it with `openledger.data.manifest.verify_part`."""
        self._part(name)
        return self.manifest.prove(name)

    def prove_item(self, name: str, index: int, item: bytes, levels: Sequence[Sequence[bytes]]) -> ItemProof:
        """One item of the list `name`, whose tree `levels` (leaf hashes first) is given."""
        count = len(levels[0])
        if not 0 <= index < count:
            raise AttributionError(name, f"there is no number {index}; it has {count}, from 0")
        hashes = opening_hashes([index], count, lambda level, at: levels[level][at])
        return ItemProof(index=index, item=item, hashes=tuple(hashes), part=self.prove_part(name))

    def _part(self, name: str) -> bytes:
        value = self.manifest.parts.get(name)
        if value is None:
            raise AttributionError(f"commitment.{name}", "is missing; the index is of another kind")
        return value


def make_commitment(
    parameters: IndexParameters,
    lists: Mapping[str, tuple[int, bytes]],
    copies: CodeCopies,
    files: Mapping[str, tuple[bytes, int]],
    checkpoints: Sequence[bytes],
    build: bytes,
    source: Mapping[str, bytes],
) -> IndexCommitment:
    """Put the parts together; `lists` holds (count, root), `files` (SHA-256, size), `source` parts without prefix."""
    parts = {
        "about": to_json({"format": FORMAT, "method": METHOD_NAME}),
        "build": to_json({"inputs": build.hex()}),
        "parameters": parameters.encode(),
        COPIES: copies.encode(),
    }
    parts |= {name: to_json({"count": count, "root": root.hex()}) for name, (count, root) in lists.items()}
    parts |= {name: to_json({"bytes": size, "sha256": digest.hex()}) for name, (digest, size) in files.items()}
    parts |= {f"checkpoint/{at:04d}": to_json({"tensors": digest.hex()}) for at, digest in enumerate(checkpoints)}
    parts |= {f"source/{name}": value for name, value in source.items()}
    try:
        commitment = IndexCommitment(Manifest(parts))
    except ManifestError as error:
        raise AttributionError("source", str(error)) from error
    commitment.check()
    return commitment


def tree_of(leaf_hashes: Iterable[bytes]) -> list[list[bytes]]:
    """All levels of the RFC 6962 tree over at least one leaf hash, leaves first."""
    levels = [list(leaf_hashes)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        level = [sha256(b"\x01" + below[at] + below[at + 1]) for at in range(0, len(below) - 1, 2)]
        levels.append([*level, below[-1]] if len(below) % 2 else level)
    return levels


def item_hash(item: bytes) -> bytes:
    """Leaf hash of one item."""
    return sha256(b"\x00" + item)


def root_of_tree(name: str, levels: Sequence[Sequence[bytes]]) -> bytes:
    """List root of the list `name`."""
    return list_root_from(LIST_OF[name], len(levels[0]), levels[-1][0])


def verify_leaf(proof: ItemProof, root: bytes) -> Leaf:
    """The proven leaf of the index with this commitment root; raises `AttributionError` with what does not fit."""
    item = _verify_item(proof, root, LEAVES)
    codes = item[KEY_BYTES:]
    if len(item) <= KEY_BYTES or len(codes) % 2 or len(codes) > 2 * MAX_CODES:
        raise AttributionError("proof.item", f"a leaf does not have {len(item)} bytes")
    values = struct.unpack(f"<{len(codes) // 2}h", codes)
    if min(values) == -(2**15):
        raise AttributionError("proof.item", "holds -32768; codes are within +-32767")
    return Leaf(row_leaf=item[:32], contribution_id=item[32:64], owner=item[64:96], codes=values)


def verify_owner(proof: ItemProof, root: bytes) -> OwnerSum:
    """The proven sums of one owner; raises `AttributionError` with what does not fit."""
    item = _verify_item(proof, root, OWNERS)
    if len(item) <= OWNER_BYTES or len(item) % 8:
        raise AttributionError("proof.item", f"the sums of an owner do not have {len(item)} bytes")
    return OwnerSum(item[:OWNER_BYTES], struct.unpack(f"<{(len(item) - OWNER_BYTES) // 8}q", item[OWNER_BYTES:]))


def verify_parameters(proof: PartProof, root: bytes) -> IndexParameters:
    """The proven part `parameters`; raises `AttributionError`."""
    _verify_part(proof, root, "parameters")
    return IndexParameters.decode(proof.value)


def _verify_item(proof: ItemProof, root: bytes, name: str) -> bytes:
    _verify_part(proof.part, root, name)
    count, expected = _list_part(proof.part.value, name)
    if proof.index >= count:
        raise AttributionError("proof.index", f"{proof.index} of a list of {count}")
    tree_root = opened_root([(proof.index, proof.item)], proof.hashes, count, "proof.hashes")
    if list_root_from(LIST_OF[name], count, tree_root) != expected:
        raise AttributionError("proof.item", f"is not number {proof.index} of the committed {name}")
    return proof.item


def _verify_part(proof: PartProof, root: bytes, name: str) -> None:
    if proof.name != name:
        raise AttributionError("proof.part", f"is {proof.name!r}, not {name!r}")
    try:
        verify_part(proof, root)
    except ManifestError as error:
        raise AttributionError("proof.part", f"{error}; the proof is for another index") from error


def _list_part(value: bytes, name: str) -> tuple[int, bytes]:
    """(count, root) of a list's part."""
    part = _json_part(value, name, {"count", "root"})
    count = part["count"]
    if type(count) is not int or not 0 < count <= MAX_EXAMPLES:
        raise AttributionError(f"commitment.{name}", f"counts {count!r}; an index has 1 to {MAX_EXAMPLES}")
    return count, _digest(part["root"], f"commitment.{name}")


def _json_part(value: bytes, name: str, keys: set[str]) -> Any:
    field = f"commitment.{name}"
    try:
        part = json.loads(value)
        canonical = to_json(part) == value
    except (ValueError, RecursionError) as error:
        raise AttributionError(field, f"is not JSON as manifests hold it: {error}") from error
    if not isinstance(part, dict) or set(part) != keys or not canonical:
        raise AttributionError(field, f"must be canonical JSON with exactly {', '.join(sorted(keys))}")
    return part


def _digest(value: object, field: str) -> bytes:
    if not isinstance(value, str) or len(value) != 2 * HASH_BYTES or set(value) - set("0123456789abcdef"):
        raise AttributionError(field, "must hold a digest of 64 lower-case hexadecimal digits")
    return bytes.fromhex(value)
