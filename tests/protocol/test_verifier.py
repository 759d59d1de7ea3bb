"""The verifier written from the documents agrees with the vectors, refuses what is mutated, and asks a node itself."""

from __future__ import annotations

import ast
import hashlib
import json
import random
import sys
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest

from abci_app.bech32 import decode_id, encode_id
from abci_app.chain.genesis import GenesisState
from abci_app.modules.datanets.records import CreateDatanet, CreateVersion, Decision, ReviewContribution
from abci_app.modules.licences import RegisterTerms, terms_id_of
from abci_app.modules.models.impact import ImpactQuery
from abci_app.modules.models.kinds import EntryKind
from abci_app.modules.models.lineage import LineageQuery
from abci_app.modules.models.records import CreateModel, RecordRuns, entry_id_of
from abci_app.state.codec import encode
from node import cometbft
from node.devnet import Devnet
from openledger.client.client import Client
from openledger.client.light_client import LightClient
from openledger.documents import to_document
from openledger.keys.signer import Signer
from openledger.light.anchors import parse_genesis
from openledger.light.results import LightSettings
from tests.kit.modules import drafts
from tests.protocol import verifier
from tests.protocol.further import Further, show_result

ROOT = Path(__file__).parents[2]
ANSWERS = json.loads((ROOT / "tests/vectors/answers.json").read_text())
PROOFS = json.loads((ROOT / "tests/vectors/proofs.json").read_text())
LIGHT = json.loads((ROOT / "tests/vectors/light.json").read_text())
ANSWERED = [one for one in ANSWERS["answers"] if not one["path"].endswith("/verdict")]
PREFIXES = ("open1", "oldata1", "olcontrib1", "olrun1", "olmodel1", "olterms1")
MUTATIONS_EACH = 40
MAX_LINES = 400
ALICE, BOB = [Signer.from_seed(bytes([number]) * 32) for number in (1, 2)]


def plain_document(document: Any) -> Any:
    """A document with ids in hexadecimal, since the verifier writes no bech32m."""
    if isinstance(document, dict):
        return {name: plain_document(item) for name, item in document.items()}
    if isinstance(document, list):
        return [plain_document(item) for item in document]
    if isinstance(document, str) and document.startswith(PREFIXES):
        return decode_id(document)[1].hex()
    return document


def _verify(one: dict[str, Any], proof: bytes, height: int = ANSWERS["height"]) -> dict[str, Any]:
    app_hash = bytes.fromhex(ANSWERS["app_hash"])
    queries = Further(proof, height, app_hash)
    answer = queries.answer(one["path"], bytes.fromhex(one["data"]))
    return {"names": queries.names, "result": show_result(one["path"], answer["result"]), "denied": answer["denied"]}


def _leaf(key: bytes, value: bytes) -> bytes:
    record = b"\0" + bytes([len(key)]) + key + b"\x20" + hashlib.sha256(value).digest()
    return hashlib.sha256(record).digest()


def _hidden(proof: bytes, hidden_leaf: int) -> bytes:
    """The proof with one of its leaves hidden behind its hash."""
    version, height, pairs, tokens, hashes, ranges = msgpack.unpackb(proof)
    places = [at for at, token in enumerate(tokens) if token == 0]
    at = places[hidden_leaf]
    before = 32 * tokens[:at].count(2)
    leaf = _leaf(*pairs[2 * hidden_leaf : 2 * hidden_leaf + 2])
    pairs = pairs[: 2 * hidden_leaf] + pairs[2 * hidden_leaf + 2 :]
    tokens = tokens[:at] + b"\x02" + tokens[at + 1 :]
    return bytes(msgpack.packb([version, height, pairs, tokens, hashes[:before] + leaf + hashes[before:], ranges]))


@pytest.mark.parametrize("one", ANSWERED, ids=lambda one: one["name"])
def test_it_agrees_with_every_answer_of_the_vectors(one: dict[str, Any]) -> None:
    assert _verify(one, bytes.fromhex(one["proof"])) == {
        "names": plain_document(one["names"]),
        "result": plain_document(one["result"]),
        "denied": one["denial"]["code"] if one["denial"] else 0,
    }


@pytest.mark.parametrize("one", ANSWERED, ids=lambda one: one["name"])
def test_a_changed_byte_a_hidden_leaf_and_another_height_are_refused(one: dict[str, Any]) -> None:
    proof, chance = bytes.fromhex(one["proof"]), random.Random(one["name"])
    for _ in range(MUTATIONS_EACH):
        at = chance.randrange(len(proof))
        changed = proof[:at] + bytes([proof[at] ^ 1 << chance.randrange(8)]) + proof[at + 1 :]
        with pytest.raises(verifier.Refused):
            _verify(one, changed)
    for leaf in range(len(msgpack.unpackb(proof)[2]) // 2):
        with pytest.raises(verifier.Refused):
            _verify(one, _hidden(proof, leaf))
    for height in (ANSWERS["height"] - 1, ANSWERS["height"] + 1):
        with pytest.raises(verifier.Refused):
            _verify(one, proof, height)


def test_it_agrees_with_the_proofs_of_the_vectors() -> None:
    app_hash = bytes.fromhex(PROOFS["app_hash"])
    for one in PROOFS["native"]:
        state = verifier.State(bytes.fromhex(one["proof"]), PROOFS["height"], app_hash)
        values = [state.get(bytes.fromhex(key)) for key in one["keys"]]
        assert [value and value.hex() for value in values] == one["values"], one["name"]
        rows = [state.rows(bytes.fromhex(start), bytes.fromhex(end)) for start, end in one["ranges"]]
        assert [[[key.hex(), value.hex()] for key, value in found] for found in rows] == one["rows"], one["name"]
    for one in PROOFS["native_refused"]:
        with pytest.raises(verifier.Refused):
            verifier.State(bytes.fromhex(one["proof"]), PROOFS["height"], app_hash)


def test_it_agrees_with_the_headers_of_the_vectors_and_refuses_changed_ones() -> None:
    validators = verifier.validators_of(json.loads(LIGHT["genesis"])["validators"])
    assert verifier.validators_hash(validators).lower() == LIGHT["validators_hash"]
    block = json.loads(LIGHT["bundle"])["blocks"][-1]
    assert verifier.header_hash(block["header"]).hex() == LIGHT["header_hash"]
    verifier.check_header(block, LIGHT["chain_id"], validators, validators)
    for name, value in (
        ("app_hash", "00" * 32),
        ("height", "5"),
        ("chain_id", "other"),
        ("validators_hash", "00" * 32),
    ):
        changed = {"header": block["header"] | {name: value}, "commit": block["commit"]}
        with pytest.raises(verifier.Refused):
            verifier.check_header(changed, LIGHT["chain_id"], validators, validators)
    absent = {"block_id_flag": 1, "validator_address": "", "timestamp": "0001-01-01T00:00:00Z", "signature": None}
    signatures = [absent, absent, *block["commit"]["signatures"][2:]]
    with pytest.raises(verifier.Refused, match="2/3 or less"):
        unsigned = {"header": block["header"], "commit": block["commit"] | {"signatures": signatures}}
        verifier.check_header(unsigned, LIGHT["chain_id"], validators, validators)
    strangers = {bytes([number]) * 32: 10 for number in range(4)}
    with pytest.raises(verifier.Refused, match="1/3 of trust"):
        verifier.check_header(block, LIGHT["chain_id"], validators, strangers)


def test_it_is_short_and_imports_nothing_of_this_project() -> None:
    text = (Path(__file__).parent / "verifier.py").read_text()
    assert len(text.splitlines()) <= MAX_LINES
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert not [node for node in imports if isinstance(node, ast.ImportFrom) and node.level]
    names = [name.name for node in imports if isinstance(node, ast.Import) for name in node.names]
    names += [node.module or "" for node in imports if isinstance(node, ast.ImportFrom)]
    outside = {name.partition(".")[0] for name in names} - sys.stdlib_module_names
    assert outside == {"msgpack", "cryptography"}


@pytest.mark.integration
def test_asking_a_node_itself_it_agrees_with_the_sdk(tmp_path: Path) -> None:
    quick: cometbft.Changes = {("consensus", "timeout_commit"): "100ms", ("consensus", "timeout_propose"): "500ms"}
    balances = tuple([(encode_id("open", one.address), 10**12) for one in (ALICE, BOB)])
    with Devnet.create(tmp_path / "net", app_state=GenesisState(balances=balances), comet=quick) as net:
        datanet_id, entry_ids = _fill(net)
        genesis = net.nodes[0].home.genesis_file.read_bytes()
        node = verifier.Node(net.nodes[0].rpc_url, genesis)
        questions: tuple[tuple[str, Any], ...] = (
            ("lineage", LineageQuery(b"", "tutor", 0, (), 100, 10)),
            ("lineage", LineageQuery(entry_ids[-1], "", 0, (), 1, 0)),
            ("lineage", LineageQuery(b"", "", 0, (entry_ids[1], entry_ids[0]), 100, 1)),
            ("impact", ImpactQuery(b"", "notes", 1, 0, 0, (), 100)),
            ("impact", ImpactQuery(datanet_id, "", 0, 0, 0, (), 1)),
        )
        settings = LightSettings(without_witness=True)
        with LightClient(net.nodes[0].rpc_url, anchor=parse_genesis(genesis), settings=settings) as light:
            answers = [light.query("models", name, args) for name, args in questions]
        for (name, args), answer in zip(questions, answers, strict=True):
            found = node.ask(f"/query/models/{name}", encode(args), answer.height)
            shown = show_result(f"/query/models/{name}", found["result"])
            assert (shown, found["height"]) == (plain_document(to_document(answer.value)), answer.height)
        denied = node.ask("/query/models/lineage", encode(LineageQuery(b"", "nobody", 0, (), 100, 10)))
        assert (denied["result"], denied["denied"]) == (None, verifier.NOT_FOUND)
        lying = verifier.Node(net.nodes[0].rpc_url, genesis)
        lying.base = lying.base | {"next_validators_hash": "00" * 32}
        with pytest.raises(verifier.Refused):
            lying.ask("/query/models/lineage", encode(questions[0][1]))


def _fill(net: Devnet) -> tuple[bytes, list[bytes]]:
    """Record a base, a tune of it on a DataNet version, and a merge of both; give the DataNet and the entries."""
    base = drafts.entry("base", kind=EntryKind.IMPORT, terms_id=terms_id_of(drafts.FREE))
    with Client(net.nodes[0].rpc_url) as client:
        made = client.send(
            ALICE, RegisterTerms(drafts.FREE), CreateDatanet("notes", "", terms_id_of(drafts.FREE), (), 1),
            CreateModel("tutor", ""), RecordRuns((drafts.run_of(base),)),
        )  # fmt: skip
        datanet_id, model_id = made.sent.object_id("datanet", 1), made.sent.object_id("model", 2)
        rows = drafts.contribute(datanet_id, "rows")
        tune = drafts.entry("tune", data=((datanet_id, 1),), made_from=(entry_id_of(base),))
        merge = drafts.entry("merge", data=((datanet_id, 1),), made_from=(entry_id_of(base), entry_id_of(tune)))
        made.wait()
        client.send(BOB, rows).wait()
        contribution_id = drafts.contribution_id(rows, BOB.address, terms_id_of(drafts.FREE))
        client.send(
            ALICE, ReviewContribution(contribution_id, Decision.ACCEPT, 0), CreateVersion(datanet_id, ""),
            RecordRuns(tuple([drafts.run_of(one, model_id=model_id) for one in (tune, merge)])),
        ).wait()  # fmt: skip
        net.wait_for_height(client.status().sync_info.latest_block_height + 2)
    return datanet_id, [entry_id_of(one) for one in (base, tune, merge)]
