"""Damage to bytes and to trees of values: what a broken or hostile client may send."""

import random
from collections.abc import Callable
from typing import Any

import msgpack  # type: ignore[import-untyped]  # an independent codec, which packs what ours would not

Tree = Any

# Around every width of an integer on the wire, and around the bounds of stored integers.
INTEGERS = (
    0, 1, -1, 2, 31, 32, 127, 128, 255, 256, 2**16 - 1, 2**16, 2**31, 2**32 - 1, 2**32, 10**9, 10**9 + 1, 10**18,
    2**63 - 1, 2**63, 2**64 - 1, -(2**63),
)  # fmt: skip
TEXTS = ("", "a", "A", " ", "\n", "\x00", "é", "\u202e", "x:", "a/", "/a", "..", "a" * 64, "a" * 65, "a" * 257, "-1")
# No value on our wire is one of these.
STRANGERS: tuple[Any, ...] = (None, True, False, 0.5, float("nan"), {}, {"a": 1}, {1: []}, msgpack.ExtType(5, b"x"))
# MessagePack and protobuf bytes that announce something: nil, booleans, widths, containers, long lengths.
TELLING_BYTES = bytes.fromhex("00017f80ff90dc dd c0c1c2c3c4c5c6cacfd9dadbdf0a12fa9fcc".replace(" ", ""))
MAX_TREE_DEPTH = 200


def damage_bytes(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """One to three small damages; `others` are spliced in."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(_BYTE_DAMAGES)(rng, data, others)
    return data


def _flip(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    if not data:
        return b"\x80"
    place = rng.randrange(len(data))
    return data[:place] + bytes((data[place] ^ 1 << rng.randrange(8),)) + data[place + 1 :]


def _replace(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + bytes((rng.choice(TELLING_BYTES),)) + data[place + 1 :]


def _insert(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.randbytes(rng.choice((1, 1, 2, 4, 16, 64))) + data[place:]


def _cut(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _remove(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + data[place + rng.choice((1, 1, 2, 8, 32)) :]


def _repeat(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    first, last = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    return data[:last] + data[first:]


def _splice(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    other = rng.choice(others) if others else b""
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _append(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    return data + rng.choice((b"\x00", b"\xc0", b"\xff", data[:8]))


_BYTE_DAMAGES: tuple[Callable[[random.Random, bytes, list[bytes]], bytes], ...] = (
    _flip, _flip, _flip, _replace, _insert, _cut, _remove, _repeat, _splice, _append,
)  # fmt: skip


def damage_tree(rng: random.Random, tree: Tree) -> Tree:
    """A copy with one to three nodes changed, dropped, doubled, swapped or nested."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        tree = _damage_somewhere(rng, tree)
    return tree


def _damage_somewhere(rng: random.Random, tree: Tree) -> Tree:
    if isinstance(tree, list) and tree and rng.random() < 0.8:
        place = rng.randrange(len(tree))
        return [*tree[:place], _damage_somewhere(rng, tree[place]), *tree[place + 1 :]]
    if isinstance(tree, dict) and tree and rng.random() < 0.9:
        key = rng.choice(list(tree))
        return {**tree, key: _damage_somewhere(rng, tree[key])}
    return _damage_node(rng, tree)


def _damage_node(rng: random.Random, node: Tree) -> Tree:
    chance = rng.random()
    if chance < 0.06:
        return rng.choice(STRANGERS)
    if chance < 0.10:
        return rng.choice((rng.choice(INTEGERS), rng.choice(TEXTS), rng.randbytes(32), b"", []))
    if isinstance(node, bool) or node is None:
        return rng.choice(STRANGERS)
    if isinstance(node, int):
        return rng.choice((node + 1, node - 1, -node, rng.choice(INTEGERS), rng.randrange(2**20)))
    if isinstance(node, bytes):
        return damage_bytes(rng, node, [])
    if isinstance(node, str):
        return rng.choice((rng.choice(TEXTS), node + rng.choice(TEXTS), node[:-1], node.upper()))
    if isinstance(node, list):
        return _damage_list(rng, node)
    return rng.choice(STRANGERS)


def _damage_list(rng: random.Random, items: list[Tree]) -> Tree:
    kind = rng.randrange(7)
    if kind == 0 or not items:
        return [*items, *items[:1], 0]
    place = rng.randrange(len(items))
    if kind == 1:
        return items[:place] + items[place + 1 :]
    if kind == 2:
        return [*items[: place + 1], *items[place:]]
    if kind == 3:
        return rng.sample(items, len(items))
    if kind == 4:
        return items * rng.choice((2, 17, 65))
    if kind == 5:
        return items[place]
    return nested(items, rng.choice((1, 2, MAX_TREE_DEPTH)))


def nested(tree: Tree, depth: int) -> Tree:
    """The tree inside so many lists."""
    for _ in range(depth):
        tree = [tree]
    return tree


def pack(tree: Tree) -> bytes:
    """MessagePack of a tree; integers beyond 64 bits are cut to them."""
    try:
        packed: bytes = msgpack.packb(tree)
    except (OverflowError, ValueError):
        packed = msgpack.packb(_within_64_bits(tree))
    return packed


def unpack(data: bytes) -> Tree:
    """The tree of canonical bytes."""
    return msgpack.unpackb(data)


def _within_64_bits(tree: Tree) -> Tree:
    if isinstance(tree, bool):
        return tree
    if isinstance(tree, int):
        return max(-(2**63), min(tree, 2**64 - 1))
    if isinstance(tree, list | tuple):
        return [_within_64_bits(each) for each in tree]
    if isinstance(tree, dict):
        return {_within_64_bits(key): _within_64_bits(each) for key, each in tree.items()}
    return tree
