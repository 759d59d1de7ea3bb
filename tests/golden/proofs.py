"""`proofs.json`: native proofs, `simple:v` paths and ICS-23 proofs over one state, and forgeries of them."""

from __future__ import annotations

from typing import Any

from abci_app.state.ics23 import commitment_proofs
from abci_app.state.memory_store import MemoryStore, MemoryVersion
from abci_app.state.message_pack import Reader
from abci_app.state.proof import encode_proof
from abci_app.state.tree.pages import leaf_hash
from tests.golden.tree import accounts
from tests.golden.values import plain

HEIGHT = 300
STATE = accounts(20) | {b"models/number/%d" % number: b"entry %d" % number for number in range(1, 13)}
_KEYS = sorted(STATE)
_TABLE = (b"models/number/", b"models/number0")
# name -> (keys, ranges) asked for
REQUESTS: dict[str, tuple[list[bytes], list[tuple[bytes, bytes]]]] = {
    "nothing": ([], []),
    "one key": ([_KEYS[7]], []),
    "absent between two keys": ([_KEYS[7] + b"\x00"], []),
    "absent before all keys": ([b"a"], []),
    "absent after all keys": ([b"zz"], []),
    "a table, complete": ([], [_TABLE]),
    "an empty range": ([], [(b"models/number/3\x00", b"models/number/4")]),
    "everything": ([], [(b"\x00", b"\xff")]),
    "keys and ranges together": (
        [_KEYS[0], _KEYS[19], b"b"],
        [(_KEYS[3], _KEYS[6]), (b"models/number/2", b"models/number/5")],
    ),
}


def version() -> MemoryVersion:
    """The state that everything is proven of."""
    store = MemoryStore()
    store.commit(store.stage(HEIGHT, sorted(STATE.items())))
    return store.latest()


def _native(proven: MemoryVersion, name: str) -> dict[str, Any]:
    keys, ranges = REQUESTS[name]
    return {
        "name": name,
        "keys": plain(keys),
        "ranges": plain(ranges),
        "proof": proven.prove(keys, ranges).hex(),
        "values": [plain(STATE.get(key)) for key in keys],
        "rows": [plain([row for row in sorted(STATE.items()) if start <= row[0] < end]) for start, end in ranges],
    }


def parts_of(proof: bytes) -> tuple[int, list[bytes], bytes, bytes, list[bytes]]:
    """Height, keys and values, tokens, hashes, bounds."""
    reader = Reader(proof)
    reader.array_size(), reader.integer()
    return reader.integer(), reader.byte_strings(), reader.byte_string(), reader.byte_string(), reader.byte_strings()


def _forgeries(proven: MemoryVersion) -> list[dict[str, str]]:
    """Each must be refused for the app hash of the file."""
    honest = proven.prove([], [_TABLE])
    height, entries, tokens, hashes, _ = parts_of(honest)
    ranges = [_TABLE]

    def again(
        entries: list[bytes] = entries, tokens: bytes = tokens, hashes: bytes = hashes, ranges: Any = ranges
    ) -> bytes:
        return encode_proof(height, entries, tokens, hashes, ranges)

    shown = [index for index, token in enumerate(tokens) if token == 0]
    hidden_leaf = leaf_hash(entries[6], entries[7])
    hidden_before = tokens[: shown[3]].count(2)
    without_leaf = again(
        entries[:6] + entries[8:],
        tokens[: shown[3]] + b"\x02" + tokens[shown[3] + 1 :],
        hashes[: 32 * hidden_before] + hidden_leaf + hashes[32 * hidden_before :],
    )
    cases = {
        "another value": again([*entries[:3], b"entry x", *entries[4:]]),
        "another key": again([*entries[:2], b"models/number/0", *entries[3:]]),
        "a key of the range hidden behind its hash": without_leaf,
        "a range that the shown leaves do not cover": again(ranges=[(b"account/", b"models/number0")]),
        "ranges that touch each other": again(
            ranges=[(b"models/number/", b"models/number/3"), (b"models/number/3", b"n")]
        ),
        "an empty range": again(ranges=[(b"n", b"n")]),
        "keys out of order": again([*entries[2:4], *entries[:2], *entries[4:]]),
        "a token too many": again(tokens=tokens + b"\x02"),
        "an unknown token": again(tokens=b"\x03" + tokens[1:]),
        "a hash too many": again(hashes=hashes + bytes(32)),
        "a changed hash": again(hashes=bytes([hashes[0] ^ 1]) + hashes[1:]),
        "no tokens at all": again([], b"", b""),
        "a trailing byte": honest + b"\x00",
        "cut off": honest[:-1],
        "an unknown version": b"\x96\x02" + honest[2:],
        "height not in its shortest form": b"\x96\x01\xce\x00\x00\x01\x2c" + honest[5:],
        "five parts": b"\x95" + honest[1:],
        "empty": b"",
    }
    return [{"why": why, "proof": proof.hex()} for why, proof in cases.items()]


def _simple(proven: MemoryVersion, key: bytes) -> dict[str, Any]:
    proof = proven.prove_simple(key)
    return {
        "key": key.hex(),
        "value": STATE[key].hex(),
        "total": proof.total,
        "index": proof.index,
        "leaf_hash": proof.leaf_hash.hex(),
        "aunts": plain(proof.aunts),
    }


def _ics23(proven: MemoryVersion, key: bytes) -> dict[str, Any]:
    [(_, proof), (_, upper)] = commitment_proofs(proven, key)
    return {"key": key.hex(), "value": plain(STATE.get(key)), "proof": proof.hex(), "proof_of_root": upper.hex()}


def make() -> dict[str, Any]:
    """The content of the file."""
    proven = version()
    return {
        "about": "see README.md; a value of null means that the key is absent",
        "height": HEIGHT,
        "entries": plain(sorted(STATE.items())),
        "root": proven.root_hash().hex(),
        "app_hash": proven.app_hash.hex(),
        "native": [_native(proven, name) for name in REQUESTS],
        "native_refused": _forgeries(proven),
        "simple": [_simple(proven, key) for key in _KEYS[::5]],
        "ics23": [_ics23(proven, key) for key in (_KEYS[0], _KEYS[11], b"a", _KEYS[7] + b"\x00", b"zz")],
    }
