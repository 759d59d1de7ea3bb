"""The vectors are current, and true by definitions and libraries that share nothing with what made them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgpack  # type: ignore[import-untyped]  # an independent codec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from abci_app.bech32 import IdError, decode_id
from abci_app.chain.registry import MESSAGE_NAMES
from abci_app.chain.transaction import decode_transaction
from abci_app.errors import Rejected
from abci_app.hashing import TAGS
from abci_app.state.codec import CodecError, decode
from abci_app.state.proof import ProofError, SimpleProof, verify, verify_simple
from abci_app.state.snapshot import Announcement, FalseSnapshot, TreeRebuilder, verify_map
from tests.golden import files, samples
from tests.kit.proofcheck import needs_proofcheck, proofcheck
from tests.kit.state import trees

Case = dict[str, Any]


def load(name: str) -> dict[str, Any]:
    vectors: dict[str, Any] = json.loads((files.FOLDER / name).read_text("utf-8"))
    return vectors


ENCODING, TRANSACTION = load("encoding.json"), load("transaction.json")
TREE, PROOFS, SNAPSHOTS = load("tree.json"), load("proofs.json"), load("snapshots.json")
raw = bytes.fromhex


def raws(texts: list[str]) -> list[bytes]:
    return [raw(text) for text in texts]


def pairs(rows: list[list[str]]) -> dict[bytes, bytes]:
    return {raw(key): raw(value) for key, value in rows}


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def tagged(tag: str, data: bytes) -> bytes:
    return sha(sha(tag.encode()) * 2 + data)


def tree_hash(items: list[bytes]) -> bytes:
    """RFC 6962 as it is written: split at the largest power of two below n."""
    if not items:
        return sha(b"")
    if len(items) == 1:
        return sha(b"\x00" + items[0])
    split = 1
    while split * 2 < len(items):
        split *= 2
    return sha(b"\x01" + tree_hash(items[:split]) + tree_hash(items[split:]))


def app_hash(root: bytes) -> bytes:
    return sha(b"\x00\x0aopenledger\x20" + sha(root))


def test_the_files_are_what_scripts_vectors_writes() -> None:
    assert files.outdated() == []


def test_the_readme_describes_every_file_and_every_part() -> None:
    readme = (files.FOLDER / "README.md").read_text("utf-8")
    for path in files.FOLDER.glob("*.json"):
        assert path.name in readme
    about = {"about", "chain_id", "delegated_key", "store_name", "height", "entries", "root", "app_hash"}
    for vectors in (ENCODING, TRANSACTION, TREE, PROOFS):
        assert [part for part in vectors if part not in about and f"| `{part}` |" not in readme] == []


# --- encoding.json


def test_hashes_follow_their_definitions() -> None:
    assert {case["tag"] for case in ENCODING["tagged_hash"]} == set(TAGS.values())
    for case in ENCODING["tagged_hash"]:
        assert tagged(case["tag"], raw(case["data"])).hex() == case["hash"]
    for case in ENCODING["merkle_root"]:
        assert tree_hash(raws(case["items"])).hex() == case["root"]
    for case in ENCODING["list_root"]:
        content = bytes([len(case["items"])]) + tree_hash(raws(case["items"]))
        assert tagged(f"openledger/list/{case['kind']}/v1", content).hex() == case["root"]
    for case in ENCODING["row_leaf"]:
        assert tagged("openledger/row/v1", raw(case["salt"] + case["row"])).hex() == case["leaf"]


def test_uvarints_are_little_endian_groups_of_seven_bits() -> None:
    for case in ENCODING["uvarint"]:
        data = raw(case["bytes"])
        assert sum([(byte & 0x7F) << 7 * place for place, byte in enumerate(data)]) == int(case["value"])
        assert [byte >> 7 for byte in data] == [1] * (len(data) - 1) + [0]


@pytest.mark.parametrize("case", ENCODING["messagepack"], ids=lambda case: f"{case['kind']} {case['bytes'][:12]}")
def test_our_codec_reads_what_an_independent_one_wrote(case: Case) -> None:
    data, value = raw(case["bytes"]), case["value"]
    if case["kind"] == "integer":
        assert decode(int, data) == int(value)
    elif case["kind"] == "bytes":
        assert decode(bytes, data) == raw(value)
    elif case["kind"] == "text":
        assert decode(str, data) == value
    else:
        assert (case["kind"], decode(list[int], data)) == ("list", value)


@pytest.mark.parametrize("case", ENCODING["messagepack_refused"], ids=lambda case: case["why"])
def test_our_codec_refuses_other_forms(case: Case) -> None:
    kinds: tuple[type, ...] = (int, bytes, str, tuple[int, ...])
    for kind in kinds:
        with pytest.raises(CodecError):
            decode(kind, raw(case["bytes"]))


def test_ids_read_back_from_their_text() -> None:
    for case in ENCODING["ids"]:
        assert decode_id(case["text"]) == (case["prefix"], raw(case["id"]))


@pytest.mark.parametrize("case", ENCODING["ids_refused"], ids=lambda case: case["why"])
def test_texts_that_are_no_id_are_refused(case: Case) -> None:
    with pytest.raises(IdError):
        decode_id(case["text"])


def test_state_keys_are_a_name_and_fixed_width_parts() -> None:
    def part(table: str, value: Any) -> bytes:
        if isinstance(value, int):
            return value.to_bytes({"models/number/": 8}.get(table, 4 if value != 7 else 8), "big")
        data = raw(value[2:]) if value.startswith("0x") else value.encode("ascii")
        return tagged("openledger/key/v1", data) if table in hashed else data

    hashed = ("account/", "delegation/", "models/name/")
    for case in ENCODING["state_keys"]:
        table = case["table"]
        parts = b"".join([part(table, value) for value in case["parts"]])
        assert (table.encode() + parts).hex() == case["key"]


# --- transaction.json


@pytest.mark.parametrize("case", TRANSACTION["transactions"], ids=lambda case: case["name"])
def test_a_transaction_is_its_fields_hashed_and_signed(case: Case) -> None:
    envelope = raw(case["envelope"])
    body_bytes = raw(case["body_bytes"])
    assert msgpack.packb(msgpack.unpackb(envelope)) == envelope
    version, body, auths = msgpack.unpackb(envelope)
    assert (version, body) == (1, body_bytes)
    fields = case["body"]
    wire_fields = [wire(value) for name, value in fields.items() if name != "messages"]
    messages = [[wire(value) for name, value in message.items() if name != "type"] for message in fields["messages"]]
    assert msgpack.packb([1, *wire_fields, messages]) == body_bytes
    digest = tagged("openledger/tx/v1", body_bytes)
    assert digest.hex() == case["signed_digest"]
    assert sha(envelope).hex() == case["cometbft_hash"]
    for auth, (account, policy, signatures) in zip(case["auths"], auths, strict=True):
        assert (auth["account"], auth["policy"]) == (account.hex(), policy.hex())
        for index, signature in signatures:
            Ed25519PublicKey.from_public_bytes(_key_of(account, policy, index)).verify(signature, digest)


def wire(value: Any) -> Any:
    """A value as it travels: objects are lists of their fields, 0x begins bytes, long decimal text is an integer."""
    if isinstance(value, dict):
        return [wire(item) for item in value.values()]
    if isinstance(value, list):
        return [wire(item) for item in value]
    if isinstance(value, str) and value.startswith("0x"):
        return raw(value[2:])
    if isinstance(value, str) and len(value) > 15 and value.isdecimal():
        return int(value)
    return value


def _key_of(account: bytes, policy: bytes, index: int) -> bytes:
    presented = msgpack.unpackb(policy) if policy else None
    if presented is None:
        [known] = [each for each in TRANSACTION["accounts"] if raw(each["address"]) == account]
        presented = msgpack.unpackb(raw(known["policy"]))
    if presented[0] == 2:
        return bytes(presented[1])
    return bytes(presented[2][index][1])


def test_every_message_type_has_a_transaction() -> None:
    assert set(MESSAGE_NAMES) <= {case["name"] for case in TRANSACTION["transactions"]}
    assert [decode_transaction(raw(case["envelope"])).body.messages[0] for case in TRANSACTION["transactions"]][
        : len(samples.MESSAGES)
    ] == list(samples.MESSAGES)


def test_accounts_are_their_keys() -> None:
    for account in TRANSACTION["accounts"]:
        for key in account["keys"]:
            assert (
                Ed25519PrivateKey.from_private_bytes(raw(key["seed"])).public_key().public_bytes_raw().hex()
                == (key["public_key"])
            )
        threshold = 2 if len(account["keys"]) > 1 else 1
        policy = msgpack.packb([1, threshold, [[1, raw(key["public_key"]), 1] for key in account["keys"]]])
        assert policy.hex() == account["policy"]
        assert tagged("openledger/address/v1", policy).hex() == account["address"]
        assert decode_id(account["address_text"], "open") == ("open", raw(account["address"]))


@pytest.mark.parametrize("case", TRANSACTION["refused"], ids=lambda case: case["why"])
def test_a_malformed_transaction_is_refused_by_its_code(case: Case) -> None:
    with pytest.raises(Rejected) as caught:
        decode_transaction(raw(case["envelope"]))
    assert (int(caught.value.code), caught.value.code.name) == (case["code"], case["code_name"])


def test_ids_follow_their_definitions() -> None:
    for case in TRANSACTION["content_ids"]:
        assert msgpack.packb(wire(case["record"])).hex() == case["record_bytes"]
        assert tagged(case["hash_tag"], raw(case["record_bytes"])).hex() == case["id"]
        assert decode_id(case["text"])[1].hex() == case["id"]
    for case in TRANSACTION["object_ids"]:
        place = [case["chain_id"], raw(case["sender"]), case["sequence"], case["message_index"]]
        assert tagged(case["hash_tag"], msgpack.packb(place)).hex() == case["id"]
        assert decode_id(case["text"])[1].hex() == case["id"]
    for case in TRANSACTION["module_accounts"]:
        # Twelve zero bytes mark an address as a module's.
        digest = tagged("openledger/module-account/v1", case["name"].encode())
        assert (bytes(12) + digest[12:]).hex() == case["address"]


# --- tree.json


@pytest.mark.parametrize("case", TREE["trees"], ids=lambda case: case["name"])
def test_a_tree_is_its_definition(case: Case) -> None:
    state = pairs(case["entries"])
    root = trees.reference_root(state)
    assert (root.hex(), app_hash(root).hex()) == (case["root"], case["app_hash"])
    assert case["leaf_hashes"] == [trees.reference_root({key: value}).hex() for key, value in sorted(state.items())]


def test_blocks_lead_from_tree_to_tree() -> None:
    state: dict[bytes, bytes] = {}
    for block in TREE["blocks"]:
        for key, value in block["changes"]:
            if value is None:
                state.pop(raw(key), None)
            else:
                state[raw(key)] = raw(value)
        root = trees.reference_root(state)
        assert (root.hex(), app_hash(root).hex()) == (block["root"], block["app_hash"])
    assert state == {}


def test_named_parts_are_a_tree() -> None:
    assert trees.reference_root(pairs(TREE["named_parts"]["parts"])).hex() == TREE["named_parts"]["root"]


# --- proofs.json


@pytest.mark.parametrize("case", PROOFS["native"], ids=lambda case: case["name"])
def test_a_native_proof_gives_its_answers(case: Case) -> None:
    assert trees.reference_root(pairs(PROOFS["entries"])).hex() == PROOFS["root"]
    proven = verify(raw(case["proof"]), raw(PROOFS["app_hash"]))
    assert proven.height == PROOFS["height"]
    values = [proven.get(raw(key)) for key in case["keys"]]
    assert [None if value is None else value.hex() for value in values] == case["values"]
    for (start, end), rows in zip(case["ranges"], case["rows"], strict=True):
        assert [[key.hex(), value.hex()] for key, value in proven.iterate(raw(start), raw(end))] == rows


@pytest.mark.parametrize("case", PROOFS["native_refused"], ids=lambda case: case["why"])
def test_a_forged_native_proof_is_refused(case: Case) -> None:
    with pytest.raises(ProofError):
        verify(raw(case["proof"]), raw(PROOFS["app_hash"]))


def test_simple_paths_lead_to_the_root() -> None:
    for case in PROOFS["simple"]:
        proof = SimpleProof(case["total"], case["index"], raw(case["leaf_hash"]), tuple(raws(case["aunts"])))
        assert proof.root().hex() == PROOFS["root"]
        verify_simple(proof, raw(case["key"]), raw(case["value"]), raw(PROOFS["app_hash"]))


@needs_proofcheck
def test_ics23_proofs_are_accepted_by_its_own_library() -> None:
    root, name = raw(PROOFS["root"]), raw(TREE["store_name"])
    for case in PROOFS["ics23"]:
        value = None if case["value"] is None else raw(case["value"])
        below = proofcheck(
            "ics23", spec="tendermint", root=root, proof=raw(case["proof"]), key=raw(case["key"]), value=value
        )
        above = proofcheck(
            "ics23",
            spec="tendermint",
            root=raw(PROOFS["app_hash"]),
            proof=raw(case["proof_of_root"]),
            key=name,
            value=root,
        )
        assert (below, above) == ("ok", "ok")


# --- Snapshots


def announcement(case: Case) -> Announcement:
    return Announcement(
        height=case["height"],
        format=case["format"],
        chunks=case["chunks"],
        hash=raw(case["hash"]),
        map_bytes=raw(case["metadata"]),
    )


def shown_root(tokens: list[int], subtrees: list[bytes]) -> bytes:
    """The tree above the cuts as it is written: tokens in pre-order."""
    if tokens.pop(0) == 2:
        return subtrees.pop(0)
    return sha(b"\x01" + shown_root(tokens, subtrees) + shown_root(tokens, subtrees))


def test_the_chunks_of_a_snapshot_are_the_subtrees_of_its_map_and_together_the_state() -> None:
    told, told_map = SNAPSHOTS["announced"], SNAPSHOTS["map"]
    metadata = raw(told["metadata"])
    parts = [told_map[name] for name in ("tokens", "hashes")]
    assert msgpack.unpackb(metadata) == [
        1, told["height"], *raws(parts), told_map["entries"], told_map["subtrees"],
    ]  # fmt: skip
    assert (sha(metadata).hex(), told["chunks"]) == (told["hash"], len(SNAPSHOTS["chunks"]))
    hashes = raw(told_map["hashes"])
    subtrees = [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
    root = shown_root(list(raw(told_map["tokens"])), list(subtrees))
    assert sha(b"\x00\x0aopenledger\x20" + sha(root)).hex() == SNAPSHOTS["app_hash"]
    rows: list[tuple[bytes, bytes]] = []
    entries = list(told_map["entries"])
    for chunk, count in zip(raws(SNAPSHOTS["chunks"]), told_map["subtrees"], strict=True):
        items = msgpack.unpackb(chunk)
        found = list(zip(items[::2], items[1::2], strict=True))
        rows += found
        for size in [entries.pop(0) for _ in range(count)]:
            assert trees.reference_root(dict(found[:size])) == subtrees.pop(0)
            found = found[size:]
        assert not found
    assert rows == list(pairs(SNAPSHOTS["state"]).items())


@pytest.mark.parametrize("case", SNAPSHOTS["refused_announcements"], ids=lambda case: case["fault"])
def test_false_announcements_of_snapshots_are_refused(case: Case) -> None:
    with pytest.raises(FalseSnapshot):
        verify_map(announcement(case["announced"]), raw(SNAPSHOTS["app_hash"]))


@pytest.mark.parametrize("case", SNAPSHOTS["refused_first_chunks"], ids=lambda case: case["fault"])
def test_false_chunks_are_refused(case: Case) -> None:
    checked = verify_map(announcement(SNAPSHOTS["announced"]), raw(SNAPSHOTS["app_hash"]))
    with pytest.raises(FalseSnapshot):
        TreeRebuilder(checked).take(raw(case["chunk"]))
