"""State proofs, checked with the standard library alone: the native multi-proof and CometBFT's `simple:v` path.

Native proof, one answer for many keys and whole ranges (design 4.4), canonical MessagePack:

    [1, height, [key, value ...], tokens, hashes, [start, end ...]]

`tokens` (bin, one byte each) is the tree in pre-order: 0 a leaf (the next key and value), 1 an inner node (left, then
right follow), 2 a subtree that is not shown (the next 32 bytes of `hashes`, bin), never two of them below one node. All
three lists are consumed exactly; keys strictly increase; an empty tree has no tokens. Every range [start, end) has a
left boundary leaf below start or nothing left of it, a right boundary leaf at or above end or nothing right of it, and
no hidden subtree between the two: so no key inside it can be left out. Ranges are in order and do not touch each other.
Absence of k is the empty range [k, k || 00). The proof holds for the app hash that its tree and the upper leaf lead to;
`height` is the answering node's own word, and a verifier compares it with the header's height.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256 as _sha256
from operator import lt
from typing import Final

from abci_app.state.message_pack import MalformedBytes, Reader, pack_proof
from abci_app.state.tree.pages import HASH_BYTES, MAX_KEY_BYTES, inner_hash, leaf_hash
from abci_app.state.tree.trie import app_hash_of

LEAF: Final = 0
INNER: Final = 1
HIDDEN: Final = 2

PROOF_VERSION: Final = 1
# A page of an answer has at most 2 MB of records; boundary leaves and hashes can make a multiple of that.
MAX_PROOF_BYTES: Final = 16 * 2**20
# One level for each bit (nine a byte, pages.py) of the longest key.
MAX_DEPTH: Final = 9 * (MAX_KEY_BYTES + 1)
# Beyond this CometBFT's `total` overflows (cometbft.md 4.5).
MAX_SIMPLE_DEPTH: Final = 62
MAX_AUNTS: Final = 100

_EMPTY: Final = _sha256(b"").digest()
# In pre-order, an inner node of which nothing is shown.
_TWO_HIDDEN: Final = bytes((INNER, HIDDEN, HIDDEN))


class ProofError(ValueError):
    """A proof does not prove what it says; the text names the part that is wrong."""


class ProofTooDeep(ValueError):
    """A key lies deeper than a `simple:v` operator can express; the native and ICS-23 forms serve it."""


class UnprovenRead(LookupError):
    """A read of something that the proof says nothing about: the answer is incomplete."""


class ProvenState:
    """State view over a verified proof: answers what is proven, raises `UnprovenRead` for all else."""

    __slots__ = ("_keys", "_range_ends", "_range_starts", "_values", "app_hash", "height")

    def __init__(
        self,
        height: int,
        app_hash: bytes,
        keys: list[bytes],
        values: list[bytes],
        ranges: Sequence[tuple[bytes, bytes]],
    ) -> None:
        self.height = height
        self.app_hash = app_hash
        self._keys = keys
        self._values = dict(zip(keys, values, strict=True))
        self._range_starts = [start for start, _ in ranges]
        self._range_ends = [end for _, end in ranges]

    @property
    def ranges(self) -> list[tuple[bytes, bytes]]:
        """Proven ranges [start, end)."""
        return list(zip(self._range_starts, self._range_ends, strict=True))

    @property
    def keys(self) -> list[bytes]:
        """Every key that the proof shows, in order; boundary leaves included."""
        return list(self._keys)

    @property
    def entries(self) -> dict[bytes, bytes]:
        """Every key that the proof shows, in order, with its value."""
        return dict(self._values)

    def get(self, key: bytes) -> bytes | None:
        """The proven value; None where absence is proven."""
        value = self._values.get(key)
        if value is not None:
            return value
        index = bisect_right(self._range_starts, key) - 1
        if index >= 0 and key < self._range_ends[index]:
            return None
        raise UnprovenRead(f"the proof does not cover key {key.hex()}")

    def iterate(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """[start, end) in key order, as far as it is proven."""
        return self._backward(start, end) if reverse else self._forward(start, end)

    def _forward(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        while start < end:
            index = bisect_right(self._range_starts, start) - 1
            if index < 0 or self._range_ends[index] <= start:
                raise UnprovenRead(f"the proof does not cover the keys from {start.hex()}")
            covered = min(end, self._range_ends[index])
            for i in range(bisect_left(self._keys, start), bisect_left(self._keys, covered)):
                yield self._keys[i], self._values[self._keys[i]]
            start = covered

    def _backward(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        while start < end:
            index = bisect_left(self._range_starts, end) - 1
            if index < 0 or self._range_ends[index] < end:
                raise UnprovenRead(f"the proof does not cover the keys below {end.hex()}")
            covered = max(start, self._range_starts[index])
            for i in range(bisect_left(self._keys, end) - 1, bisect_left(self._keys, covered) - 1, -1):
                yield self._keys[i], self._values[self._keys[i]]
            end = covered


def encode_proof(
    height: int,
    entries: Sequence[bytes],
    tokens: bytes,
    hashes: bytes,
    ranges: Sequence[tuple[bytes, bytes]],
) -> bytes:
    """Canonical bytes; `entries` alternates keys and values."""
    return pack_proof(PROOF_VERSION, height, entries, tokens, hashes, [bound for pair in ranges for bound in pair])


def verify(proof: bytes, app_hash: bytes) -> ProvenState:
    """Check a native proof against an app hash taken from a verified header; raises `ProofError`."""
    if len(app_hash) != HASH_BYTES:
        raise ProofError(f"app hash has {len(app_hash)} bytes, needs {HASH_BYTES}")
    if len(proof) > MAX_PROOF_BYTES:
        raise ProofError(f"proof has {len(proof)} bytes, at most {MAX_PROOF_BYTES}")
    height, keys, values, tokens, hashes, bounds = _read(proof)
    _check_entries(keys, values)
    root = _root(keys, values, tokens, hashes)
    if app_hash_of(root) != app_hash:
        raise ProofError("root does not lead to the app hash")
    ranges = list(zip(bounds[::2], bounds[1::2], strict=True))
    _check_ranges(keys, tokens, ranges)
    return ProvenState(height, app_hash, keys, values, ranges)


def _read(proof: bytes) -> tuple[int, list[bytes], list[bytes], bytes, bytes, list[bytes]]:
    reader = Reader(proof)
    try:
        if reader.array_size() != 6:
            raise ProofError("proof is not a list of six parts")
        version = reader.integer()
        if version != PROOF_VERSION:
            raise ProofError(f"proof version {version} is unknown; this verifier knows {PROOF_VERSION}")
        height = reader.integer()
        entries = reader.byte_strings()
        tokens, hashes = reader.byte_string(), reader.byte_string()
        bounds = reader.byte_strings()
        reader.finish()
    except MalformedBytes as error:
        raise ProofError(f"proof is malformed: {error}") from error
    if len(entries) % 2 or len(bounds) % 2:
        raise ProofError("keys and values, or starts and ends of ranges, do not pair up")
    return height, entries[::2], entries[1::2], tokens, hashes, bounds


def _check_entries(keys: Sequence[bytes], values: Sequence[bytes]) -> None:
    if not all(map(lt, (b"", *keys), keys)):
        raise ProofError("keys do not strictly increase")
    longest_bytes = max(map(len, keys), default=0)
    if longest_bytes > MAX_KEY_BYTES:
        raise ProofError(f"a key has {longest_bytes} bytes, at most {MAX_KEY_BYTES}")
    if not all(values):
        raise ProofError("a value is empty")


def _root(keys: Sequence[bytes], values: Sequence[bytes], tokens: bytes, hashes: bytes) -> bytes:
    """Root of the shown tree: backwards through the pre-order, so that both children of a node stand before it."""
    if _TWO_HIDDEN in tokens:
        raise ProofError("two hidden subtrees stand side by side: one hash hides both")
    if tokens.count(LEAF) != len(keys) or len(hashes) != HASH_BYTES * tokens.count(HIDDEN):
        raise ProofError("tokens do not match the number of keys or hashes")
    if not tokens:
        return _EMPTY
    stack: list[tuple[bytes, int]] = []
    leaf, hidden = len(keys), len(hashes)
    for token in reversed(tokens):
        if token == INNER:
            if len(stack) < 2:
                raise ProofError("tokens do not form a tree: an inner node lacks a child")
            left, left_height = stack.pop()
            right, right_height = stack.pop()
            height = left_height + 1 if left_height > right_height else right_height + 1
            if height > MAX_DEPTH:
                raise ProofError(f"tree is deeper than {MAX_DEPTH}")
            stack.append((inner_hash(left, right), height))
        elif token == LEAF:
            leaf -= 1
            stack.append((leaf_hash(keys[leaf], values[leaf]), 0))
        elif token == HIDDEN:
            hidden -= HASH_BYTES
            stack.append((hashes[hidden : hidden + HASH_BYTES], 0))
        else:
            raise ProofError(f"unknown token {token}")
    if len(stack) != 1:
        raise ProofError("tokens do not form one tree")
    return stack[0][0]


def _check_ranges(keys: Sequence[bytes], tokens: bytes, ranges: Sequence[tuple[bytes, bytes]]) -> None:
    """No hidden subtree from the last leaf below each range to the first leaf at or above its end."""
    # hidden_until[i]: hidden subtrees left of leaf i; the last one counts all.
    hidden_until: list[int] = []
    count = 0
    for run in tokens.translate(None, bytes((INNER,))).split(bytes((LEAF,))):
        count += len(run)
        hidden_until.append(count)
    previous_end = b""
    for number, (start, end) in enumerate(ranges):
        if start >= end or (number and start <= previous_end):
            raise ProofError("ranges are empty, out of order or touch each other")
        left = bisect_left(keys, start) - 1  # -1: nothing left
        right = bisect_left(keys, end)  # len(keys): nothing right
        if hidden_until[right] != (hidden_until[left] if left >= 0 else 0):
            raise ProofError(f"range from {start.hex()} is not shown completely")
        previous_end = end


@dataclass(frozen=True, slots=True)
class SimpleProof:
    """CometBFT's Merkle proof of one leaf: path of depth d as total 2^d, index = direction bits, aunts bottom-up."""

    total: int
    index: int
    leaf_hash: bytes
    aunts: tuple[bytes, ...]

    @classmethod
    def from_path(cls, key: bytes, leaf: bytes, siblings: Sequence[tuple[bytes, bool]]) -> "SimpleProof":
        """From siblings bottom-up, True where the sibling stands on the left; raises `ProofTooDeep`."""
        depth = len(siblings)
        if depth > MAX_SIMPLE_DEPTH:
            raise ProofTooDeep(
                f"key {key.hex()} lies {depth} levels deep, a simple:v proof has at most {MAX_SIMPLE_DEPTH}: "
                "ask /store/openledger/multi or /store/openledger/ics23"
            )
        index = sum([1 << level for level, (_, is_left) in enumerate(siblings) if is_left])
        return cls(1 << depth, index, leaf, tuple([sibling for sibling, _ in siblings]))

    def root(self) -> bytes:
        """Root that the path leads to, by CometBFT's rules; raises `ProofError`."""
        if not 1 <= self.total < 2**63 or not 0 <= self.index < self.total:
            raise ProofError(f"index {self.index} of {self.total} is not a place in a tree")
        if len(self.aunts) > MAX_AUNTS or any(len(h) != HASH_BYTES for h in (self.leaf_hash, *self.aunts)):
            raise ProofError(f"more than {MAX_AUNTS} aunts, or a hash that has not {HASH_BYTES} bytes")
        sides: list[bool] = []  # top-down, True: the leaf is in the right half
        index, total = self.index, self.total
        while total > 1:
            split = 1 << ((total - 1).bit_length() - 1)  # largest power of two below total
            sides.append(index >= split)
            index, total = (index - split, total - split) if index >= split else (index, split)
        if len(sides) != len(self.aunts):
            raise ProofError(f"path needs {len(sides)} aunts, has {len(self.aunts)}")
        node = self.leaf_hash
        for is_right, aunt in zip(reversed(sides), self.aunts, strict=True):
            node = inner_hash(aunt, node) if is_right else inner_hash(node, aunt)
        return node


def verify_simple(proof: SimpleProof, key: bytes, value: bytes, app_hash: bytes) -> None:
    """Check one existing key; raises `ProofError`. Index and total are not bound to the root: never infer order."""
    if not key or not value:
        raise ProofError("key or value is empty")
    if leaf_hash(key, value) != proof.leaf_hash:
        raise ProofError("leaf hash does not belong to the key and value")
    if app_hash_of(proof.root()) != app_hash:
        raise ProofError("root does not lead to the app hash")
