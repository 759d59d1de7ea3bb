"""Manifest of a training run: named parts in the content store, one root on the chain, each part provable alone.

A manifest maps names to bytes, by convention canonical JSON (`to_json`) so that anybody can read it. Its root is the
named-parts root: the state tree's formulas (leaf = SHA-256(00 || uvarint(len name) || name || 20 || SHA-256(value)),
inner = SHA-256(01 || left || right), path-compressed over the sorted names) without the upper leaf. So one part, say
the partition of one input, can be shown and proven while the others stay private.

Parts that the trainer and `openledger record` write (`/0000` counts the inputs in the entry's order):

    about               format version, kind of run, framework, what the recorder itself checked
    base                the model trained from: name, artefact and tensor digest; adapters below it
    code                digest of the training code and versions of the libraries
    data-order          root and count of the examples in the order in which they were consumed
    input/0000          partition of one input: DataNet, version, weight, steps in order, split, sampling, counts, roots
    loss-trace          training loss of every step in millionths of a nat; of the steps named, where a tool logged some
    output              name, SHA-256 and size of every file of the artefact
    owner               address of the account that records the run, which may claim the entry (ownership.py)
    recipe              the recipe, canonical JSON
    seed                the seed and everything else that steers random choices
    training            steps, batch, optimizer, schedule and the like of a run that another tool did, as far as known
    tokenizer           name, SHA-256 and size of every tokenizer file
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Any, Literal

from msgspec import Meta

from abci_app.hashing import HASH_BYTES
from abci_app.state.codec import CodecError, Record, decode, encode
from abci_app.state.tree.pages import inner_hash, leaf_hash
from abci_app.state.tree.trie import root_of
from openledger.content.folder import ArtefactFile
from openledger.content.store import ContentStore
from openledger.errors import UsageError

# Thirteen fixed parts and one for every input of the largest mix, with room for later parts (attribution).
MAX_PARTS = 256
MAX_PART_NAME = 64
MAX_PART_BYTES = 4 * 2**20
MAX_MANIFEST_BYTES = 16 * 2**20
# No lower bound on structure: a path cannot be longer than the number of leaves.
MAX_PROOF_STEPS = MAX_PARTS

PartName = Annotated[str, Meta(min_length=1, max_length=MAX_PART_NAME, pattern=r"\A[a-z0-9][a-z0-9/-]*\Z")]
PartValue = Annotated[bytes, Meta(min_length=1, max_length=MAX_PART_BYTES)]
Side = Literal["left", "right"]


class ManifestError(UsageError, ValueError):
    """A manifest is malformed, or a part or proof does not belong to it."""


class _ManifestRecord(Record, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=1):
    """Stored form: [1, [[name, value]...]] in canonical MessagePack, names in increasing order."""

    parts: Annotated[list[tuple[PartName, PartValue]], Meta(min_length=1, max_length=MAX_PARTS)]


@dataclass(frozen=True, slots=True)
class PartProof:
    """One part and the siblings from its leaf up to the root; `side` is where the sibling stands."""

    name: str
    value: bytes
    path: tuple[tuple[Side, bytes], ...]


@dataclass(frozen=True)
class Manifest:
    """Named parts of one run; names are unique and none is the beginning of another."""

    parts: Mapping[str, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        """Reject what has no unambiguous root."""
        decoded = _decode_record(encode(_ManifestRecord(sorted(self.parts.items()))))
        object.__setattr__(self, "parts", dict(decoded.parts))

    @property
    def root(self) -> bytes:
        """The named-parts root, 32 bytes: what an entry records."""
        return named_parts_root(self.parts)

    def encode(self) -> bytes:
        """Stored form."""
        return encode(_ManifestRecord(list(self.parts.items())))

    @classmethod
    def decode(cls, data: bytes) -> "Manifest":
        """Parse the stored form; raises `ManifestError`."""
        return cls(dict(_decode_record(data).parts))

    def json(self, name: str) -> Any:
        """A part read as JSON; raises `ManifestError` when there is none of this name."""
        if name not in self.parts:
            raise ManifestError(f"the manifest has no part {name!r}; it has {', '.join(self.parts)}")
        try:
            return json.loads(self.parts[name])
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"part {name!r} is not JSON: {error}") from error

    @property
    def inputs(self) -> tuple[Any, ...]:
        """The `input/NNNN` parts, in order."""
        return tuple(self.json(name) for name in self.parts if name.startswith("input/"))

    def prove(self, name: str) -> PartProof:
        """One part with the path to the root."""
        if name not in self.parts:
            raise ManifestError(f"the manifest has no part {name!r}; it has {', '.join(self.parts)}")
        leaves = _leaves(self.parts)
        path: list[tuple[Side, bytes]] = []
        while len(leaves) > 1:
            split = _split(leaves)
            left, right = leaves[:split], leaves[split:]
            if name.encode() < right[0][0]:
                path.append(("right", root_of(right)))
                leaves = left
            else:
                path.append(("left", root_of(left)))
                leaves = right
        return PartProof(name, self.parts[name], tuple(reversed(path)))


def verify_part(proof: PartProof, root: bytes) -> None:
    """Check that a part belongs to the manifest with this root; raises `ManifestError`."""
    if len(proof.path) > MAX_PROOF_STEPS or any(len(sibling) != HASH_BYTES for _, sibling in proof.path):
        raise ManifestError(f"proof of part {proof.name!r} is malformed")
    node = leaf_hash(proof.name.encode(), proof.value)
    for side, sibling in proof.path:
        node = inner_hash(sibling, node) if side == "left" else inner_hash(node, sibling)
    if node != root:
        raise ManifestError(f"part {proof.name!r} does not belong to the manifest with root {root.hex()}")


def named_parts_root(parts: Mapping[str, bytes]) -> bytes:
    """Named-parts root: the state tree's trie over (name, value), without its upper leaf."""
    return root_of(_leaves(parts))


def put_manifest(store: ContentStore, manifest: Manifest) -> bytes:
    """Store a manifest under its root, return the root."""
    store.put_named("manifest", manifest.root, manifest.encode())
    return manifest.root


def get_manifest(store: ContentStore, root: bytes) -> Manifest:
    """The manifest with this root; raises `ContentMissing`, or `ContentCorrupt` when it does not recompute."""
    blob = store.get_named("manifest", root, lambda data: Manifest.decode(data).root, MAX_MANIFEST_BYTES)
    return Manifest.decode(blob)


def to_json(value: Any) -> bytes:
    """Canonical JSON: keys sorted, no spaces, ASCII only, integers and strings only as leaves (no floats, no null)."""
    _check_json(value, "value")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _check_json(value: Any, place: str) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ManifestError(f"{place} has a key that is no string: {key!r}")
            _check_json(item, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check_json(item, f"{place}[{index}]")
    elif not isinstance(value, str | int):
        raise ManifestError(
            f"{place} is a {type(value).__name__}; a manifest holds strings, integers and booleans only"
        )


def _decode_record(data: bytes) -> _ManifestRecord:
    if len(data) > MAX_MANIFEST_BYTES:
        raise ManifestError(f"manifest has {len(data)} bytes, more than {MAX_MANIFEST_BYTES}")
    try:
        record = decode(_ManifestRecord, data)
    except CodecError as error:
        raise ManifestError(f"malformed manifest: {error}") from error
    names = [name for name, _ in record.parts]
    for name, following in pairwise(names):
        if name >= following or following.startswith(name):
            raise ManifestError(f"part names must increase and not begin one another: {name!r}, {following!r}")
    return record


def _leaves(parts: Mapping[str, bytes]) -> list[tuple[bytes, bytes]]:
    """Sorted (name, leaf hash) pairs."""
    return [(name.encode(), leaf_hash(name.encode(), parts[name])) for name in sorted(parts)]


def _split(leaves: Sequence[tuple[bytes, bytes]]) -> int:
    """Index of the first name with a one at the first bit in which the first and the last name differ."""
    first, last = leaves[0][0], leaves[-1][0]
    at = next(index for index, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    bit = 1 << ((first[at] ^ last[at]).bit_length() - 1)
    return next(index for index, (name, _) in enumerate(leaves) if name[at] & bit)


def files_of(manifest: Manifest, part: str = "output") -> tuple[ArtefactFile, ...]:
    """The files that a part lists; raises `ManifestError` when it does not."""
    try:
        return tuple(
            ArtefactFile(str(file["name"]), bytes.fromhex(file["sha256"]), int(file["bytes"]))
            for file in manifest.json(part)["files"]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestError(f"part {part!r} does not list files: {error}") from error
