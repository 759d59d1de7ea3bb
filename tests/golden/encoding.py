"""`encoding.json`: hashes, integers, canonical MessagePack, ids as text, state keys."""

from __future__ import annotations

from typing import Any

import msgpack  # type: ignore[import-untyped]  # an independent codec

from abci_app.accounts import ACCOUNTS, DELEGATIONS
from abci_app.bech32 import PREFIXES, encode_id
from abci_app.hashing import LIST_KINDS, TAGS, list_root, merkle_root, row_leaf, tagged_hash, uvarint
from abci_app.modules.datanets.records import ACCEPTED
from abci_app.modules.models.records import BY_INPUT, NAMES, NUMBERS
from tests.golden.values import plain, typed

_ID = bytes(range(32))
_INTEGERS = (0, 1, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**53, 2**63 - 1)
_SIGNED = (-1, -32, -33, -128, -129, -32_768, -32_769, -(2**31), -(2**31) - 1, -(2**63) + 1)
_BYTE_STRING_SIZES = (0, 1, 255, 256)
_LIST_SIZES = (0, 15, 16)


def _packed(kind: str, value: Any) -> dict[str, Any]:
    return {"kind": kind, "value": plain(value), "bytes": msgpack.packb(value).hex()}


def _not_canonical() -> list[dict[str, str]]:
    cases = {
        "1 as uint 8": "cc01",
        "255 as uint 16": "cd00ff",
        "65535 as uint 32": "ce0000ffff",
        "4294967295 as uint 64": "cf00000000ffffffff",
        "-1 as int 8": "d0ff",
        "empty list as array 16": "dc0000",
        "empty bytes as bin 16": "c50000",
        "text 'a' as str 8": "d90161",
        "nil": "c0",
        "true": "c3",
        "map": "80",
        "float 1.0": "cb3ff0000000000000",
        "extension": "d40001",
        "trailing byte after 1": "0100",
        "cut off": "cd01",
    }
    return [{"why": why, "bytes": data} for why, data in cases.items()]


def make() -> dict[str, Any]:
    """The content of the file."""
    items = [b"item %d" % number for number in range(9)]
    packed = [_packed("integer", number) for number in (*_INTEGERS, *_SIGNED)]
    packed += [_packed("bytes", bytes(size)) for size in _BYTE_STRING_SIZES]
    packed += [_packed("text", text) for text in ("", "a", "x" * 31, "x" * 32)]
    packed += [_packed("list", [1] * size) for size in _LIST_SIZES]
    return {
        "about": "see README.md; bytes are lower-case hex, integers above 2^53-1 decimal text",
        "uvarint": [{"value": plain(number), "bytes": uvarint(number).hex()} for number in _INTEGERS],
        "tagged_hash": [
            {"tag": tag, "data": data.hex(), "hash": tagged_hash(tag, data).hex()}
            for tag in TAGS.values()
            for data in (b"", b"abc")
        ],
        "merkle_root": [
            {"items": plain(items[:size]), "root": merkle_root(items[:size]).hex()} for size in range(len(items) + 1)
        ],
        "list_root": [
            {"kind": kind, "items": plain(items[:size]), "root": list_root(kind, items[:size]).hex()}
            for kind in LIST_KINDS
            for size in (0, 1, 5)
        ],
        "row_leaf": [
            {"salt": bytes(range(16)).hex(), "row": row.hex(), "leaf": row_leaf(bytes(range(16)), row).hex()}
            for row in (b"", b'{"text":"gr\xc3\xbc\xc3\x9fe"}')
        ],
        "messagepack": packed,
        "messagepack_refused": _not_canonical(),
        "ids": [
            {"prefix": prefix, "kind": kind, "id": id_bytes.hex(), "text": encode_id(prefix, id_bytes)}
            for prefix, kind in PREFIXES.items()
            for id_bytes in (_ID, bytes(32), b"\xff" * 32)
        ],
        "ids_refused": _ids_refused(),
        "state_keys": [
            {"table": table.prefix.decode(), "parts": typed(parts), "key": table.key(*parts).hex()}
            for table, parts in (
                (ACCOUNTS, (_ID,)),
                (DELEGATIONS, (_ID, b"\x01" * 32)),
                (ACCEPTED, (_ID, 258)),
                (NAMES, ("team/model",)),
                (NUMBERS, (2**40,)),
                (BY_INPUT, (_ID, 1, 7)),
            )
        ],
    }


def _ids_refused() -> list[dict[str, str]]:
    text = encode_id("olrun", _ID)
    flipped = text[:-1] + ("q" if text[-1] != "q" else "p")
    return [
        {"why": "a character changed", "text": flipped},
        {"why": "two characters swapped", "text": text[:8] + text[9] + text[8] + text[10:]},
        {"why": "the prefix of another kind", "text": "olmodel" + text[len("olrun") :]},
        {"why": "an unknown prefix", "text": "bc" + text[len("olrun") :]},
        {"why": "mixed case", "text": text[:10].upper() + text[10:]},
        {"why": "a character left out", "text": text[:12] + text[13:]},
        {"why": "no separator", "text": text.replace("1", "", 1)},
        {"why": "empty", "text": ""},
    ]
