"""A proof bundle checked with the verifier beside it, written from section 8 of docs/protocol."""

import base64
import hashlib
import json
from itertools import pairwise
from typing import Any

from tests.protocol.further import Further
from tests.protocol.verifier import (
    BAD_QUERY,
    Document,
    Refused,
    State,
    check_header,
    header_hash,
    require,
    validators_hash,
    validators_of,
)

FIELDS = [
    "format", "version", "chain_id", "height", "question", "validator_sets", "blocks", "headers", "proof",
    "attachments", "checksum",
]  # fmt: skip


def compact(document: Document) -> bytes:
    """Write the one form of a document, without the newline."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def open_bundle(data: bytes) -> Document:
    """Read a bundle that has its one form and its checksum."""
    try:
        bundle = json.loads(data)
    except ValueError as error:
        raise Refused("no JSON") from error
    require(isinstance(bundle, dict) and list(bundle) == FIELDS, "other fields than those of a bundle")
    require(compact(bundle) + b"\n" == data, "another form")
    checksum = hashlib.sha256(compact(bundle | {"checksum": ""})).hexdigest()
    require((bundle["format"], bundle["version"]) == ("openledger-proof-bundle", 1), "no bundle of version 1")
    require(bundle["checksum"] == checksum, "another checksum")
    order = [(one["kind"], hashlib.sha256(base64.b64decode(one["data"])).digest()) for one in bundle["attachments"]]
    require(order == sorted(order), "attachments in another order")
    return dict(bundle)


def lead_to_header(bundle: Document, genesis: bytes) -> Document:
    """Follow the headers from the genesis document to the proven one."""
    document = json.loads(genesis)
    sets = {validators_hash(one): one for one in map(validators_of, bundle["validator_sets"])}
    trusted, blocks, chain_id = validators_of(document["validators"]), bundle["blocks"], document["chain_id"]
    require(blocks and blocks[0]["header"]["height"] == document["initial_height"], "no way from the genesis document")
    require(blocks[0]["header"]["validators_hash"] == validators_hash(trusted), "another first validator set")
    needed = list(dict.fromkeys(block["header"]["validators_hash"] for block in blocks))
    require(needed == list(sets), "other validator sets than those of the blocks")
    for block in blocks:
        own = sets[block["header"]["validators_hash"]]
        header = check_header(block, chain_id, own, trusted)
        trusted = sets.get(header["next_validators_hash"], own)
    for newer, older in pairwise(bundle["headers"]):
        require(header_hash(older).hex().upper() == newer["last_block_id"]["hash"], "headers that do not follow")
    headers = bundle["headers"] or [blocks[-1]["header"]]
    require(blocks[-1]["header"] in (headers[0], headers[-1]), "blocks and headers that do not meet")
    require(int(headers[-1]["height"]) == int(bundle["height"]) + 1, "a header of another height")
    require(headers[-1]["chain_id"] == bundle["chain_id"] == chain_id, "another chain")
    return dict(headers[-1])


def check_bundle(data: bytes, genesis: bytes, queries: type[Further] = Further) -> Document:
    """Say what a bundle proves: of a query the result or denial, of a raw read the values and rows."""
    bundle = open_bundle(data)
    app_hash, height = bytes.fromhex(lead_to_header(bundle, genesis)["app_hash"]), int(bundle["height"])
    question, proof = bundle["question"], base64.b64decode(bundle["proof"], validate=True)
    if "module" not in question:
        return read_raw(question, State(proof, height, app_hash))
    names = question.get("names", [])
    arguments = base64.b64decode(question["args"], validate=True)
    state = queries(proof, height, app_hash)
    require(state.find("chain/version", b"value")["current"] == question["app_version"], "rules of another version")
    state = queries(proof, height, app_hash)
    door, asked = ("named", Further.with_names(arguments, names)) if names else ("query", arguments)
    answer = state.answer(f"/{door}/{question['module']}/{question['name']}", asked)
    require(answer["denied"] != BAD_QUERY, "a question that nobody can answer")
    return answer | {"names": state.names}


def read_raw(question: Document, state: State) -> Document:
    """Read keys and ranges as they are."""
    keys = [base64.b64decode(key) for key in question.get("keys", [])]
    ranges = [[base64.b64decode(end) for end in pair] for pair in question.get("ranges", [])]
    require(keys or ranges, "a question that asks nothing")
    read: dict[str, Any] = {
        "values": [state.get(key) for key in keys],
        "rows": [state.rows(start, end) for start, end in ranges],
    }
    state.finish()
    return read
