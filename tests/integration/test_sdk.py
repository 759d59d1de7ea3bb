"""The SDK and the command against a real CometBFT node: pipelining, waiting, verified answers, history."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from abci_app.bech32 import encode_id
from abci_app.chain.genesis import GenesisState
from abci_app.modules.bank import AccountQuery, BankCode, Transfer
from abci_app.modules.datanets.records import CreateDatanet, CreateVersion, Decision, ReviewContribution
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.models.kinds import EntryKind
from abci_app.modules.models.records import CreateModel, RecordRuns, entry_id_of
from node import cometbft
from node.devnet import Devnet
from openledger.client.async_client import AsyncClient
from openledger.client.client import Client
from openledger.client.light_client import LightClient
from openledger.errors import NodeUnreachable, TransactionFailed
from openledger.exit_codes import ExitCode
from openledger.keys.signer import Signer
from openledger.keys.wallet import Wallet
from openledger.light.anchors import parse_genesis
from openledger.light.results import LightSettings
from openledger_cli.main import main
from tests.kit.modules import drafts

pytestmark = pytest.mark.integration

ALICE, BOB, CAROL = [Signer.from_seed(bytes([number]) * 32) for number in (1, 2, 3)]
OPEN = 10**9
QUICK: cometbft.Changes = {("consensus", "timeout_commit"): "100ms", ("consensus", "timeout_propose"): "500ms"}


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """One validator; Alice and Bob have money."""
    state = GenesisState(balances=tuple([(encode_id("open", one.address), 1_000 * OPEN) for one in (ALICE, BOB)]))
    with Devnet.create(tmp_path_factory.mktemp("sdk") / "net", app_state=state, comet=QUICK) as net:
        yield net


def _url(net: Devnet) -> str:
    return net.nodes[0].rpc_url


def _light(net: Devnet) -> LightClient:
    anchor = parse_genesis(net.nodes[0].home.genesis_file.read_bytes())
    return LightClient(_url(net), anchor=anchor, settings=LightSettings(without_witness=True))


def test_a_transfer_is_committed_and_the_balance_is_proven(net: Devnet) -> None:
    with Client(_url(net), chain_id="dev-1", light=_light(net)) as client:
        committed = client.send(ALICE, Transfer(CAROL.address, 7)).wait()
        net.wait_for_height(committed.height + 2)
        answer = client.query("bank", "account", AccountQuery(CAROL.address))
        assert (answer.verified, answer.value.balance_nopen) == (True, 7)
        assert answer.height >= committed.height
        assert client.transaction(committed.hash) == committed
        assert [one.hash for one in client.history(CAROL.address).transactions] == [committed.hash]


def test_a_failed_transaction_has_its_code_and_height(net: Devnet) -> None:
    with Client(_url(net)) as client, pytest.raises(TransactionFailed) as caught:
        client.send(ALICE, Transfer(ALICE.address, 7)).wait()
    assert (caught.value.code, caught.value.codespace) == (BankCode.SELF_TRANSFER, "bank")
    assert caught.value.height > 0


def test_three_hundred_transactions_of_one_account_are_pipelined(net: Devnet) -> None:
    with Client(_url(net)) as client:
        sent = client.send_many(BOB, [[Transfer(CAROL.address, 1)] for _ in range(300)])
        committed = client.wait_all(sent, 60.0)
        assert [one.sequence for one in committed] == [one.sequence for one in sent]
        assert len({one.hash for one in committed}) == 300


def test_the_async_client_sends_side_by_side(net: Devnet) -> None:
    async def story() -> None:
        async with AsyncClient(_url(net)) as client:
            sent = await asyncio.gather(*[client.send(ALICE, Transfer(CAROL.address, 1 + n)) for n in range(20)])
            committed = await client.wait_all(sent)
            assert {one.code for one in committed} == {0}

    asyncio.run(story())


def test_the_command_sends_and_verifies(
    net: Devnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Wallet.open(tmp_path, "test", "dev-1").import_seed("alice", bytes([1]) * 32)
    for name, value in (("HOME", str(tmp_path)), ("KEYS", "test"), ("NODE", _url(net)), ("WITNESSES", "none")):
        monkeypatch.setenv(f"OPENLEDGER_{name}", value)
    monkeypatch.setenv("OPENLEDGER_GENESIS", str(net.nodes[0].home.genesis_file))
    recipient = encode_id("open", b"\x09" * 32)
    words = ["tx", "bank", "transfer", "--from", "alice", "--recipient", recipient, "--amount", "2OPEN"]
    assert main([*words, "--output", "json"]) == 0
    height = json.loads(capsys.readouterr().out)["height"]
    net.wait_for_height(height + 2)
    bundle = tmp_path / "bundle.json"
    assert main(["query", "account", recipient, "--bundle", str(bundle), "--output", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["verified"], answer["result"]["balance_nopen"]) == (True, 2 * OPEN)
    genesis = str(net.nodes[0].home.genesis_file)
    assert main(["verify", str(bundle), "--genesis", genesis, "--node", "http://127.0.0.1:1"]) == 0
    bundle.write_bytes(bundle.read_bytes().replace(b'"height"', b'"hight"', 1))
    assert main(["verify", str(bundle), "--genesis", genesis]) == ExitCode.NOT_VERIFIED


@pytest.fixture
def command(
    net: Devnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Run `openledger` with three plain keys; returns its JSON, or its standard error when it fails with `code`."""
    wallet = Wallet.open(tmp_path, "test", "dev-1")
    for number, name in enumerate(("alice", "bob", "carol"), 1):
        wallet.import_seed(name, bytes([number]) * 32)
    for name, value in (("HOME", str(tmp_path)), ("KEYS", "test"), ("NODE", _url(net)), ("WITNESSES", "none")):
        monkeypatch.setenv(f"OPENLEDGER_{name}", value)
    monkeypatch.setenv("OPENLEDGER_GENESIS", str(net.nodes[0].home.genesis_file))

    def command(*words: str, code: int = 0) -> Any:
        found = main([*words, "--output", "json"])
        printed = capsys.readouterr()
        assert found == code, printed.err
        return json.loads(printed.out) if not code and printed.out else printed.err

    return command


def test_two_of_three_sign_without_a_node_and_anybody_sends(
    net: Devnet, command: Callable[..., Any], tmp_path: Path
) -> None:
    with Client(_url(net)) as client:
        chain_id = client.chain_id
    nowhere = ("--node", "http://127.0.0.1:1")
    team = command("keys", "add", "team", "--shared", "alice,bob,carol", "--threshold", "2")["address"]
    command("tx", "bank", "transfer", "--from", "alice", "--recipient", team, "--amount", "5OPEN")
    files = {name: str(tmp_path / f"{name}.json") for name in ("messages", "draft", "alice", "carol", "signed")}
    transfer = {"type": "bank.transfer", "recipient": "bob", "amount_nopen": "2OPEN"}
    Path(files["messages"]).write_text(json.dumps([transfer, {"type": "bank.burn", "amount_nopen": 7}]))
    command("tx", "build", "--from", "team", "--messages", files["messages"], "--file", files["draft"])
    simulated = command("tx", "simulate", files["draft"])
    assert (simulated["code"], simulated["fee_nopen"] > 0) == (0, True)
    assert {effect["table"] for effect in simulated["effects"]} == {"account", "bank/supply"}
    for name in ("alice", "carol"):
        command("tx", "sign", files["draft"], "--with", name, "--file", files[name], "--chain-id", chain_id, *nowhere)
    assert "weigh 1 of 2" in command("tx", "broadcast", files["alice"], code=ExitCode.USAGE)
    command("tx", "combine", files["alice"], files["carol"], "--file", files["signed"], *nowhere)
    assert command("tx", "show", files["signed"], *nowhere)["missing"] == []
    sent = command("tx", "broadcast", files["signed"])
    assert (sent["code"], sent["sender"], sent["messages"]) == (0, team, ["bank.transfer", "bank.burn"])
    history = command("query", "txs", "--account", "team", "--limit", "1")
    assert (history["transactions"], history["pages"], history["total"]) == ([sent], 2, 2)
    older = command("query", "txs", "--account", "team", "--limit", "1", "--page", "2")["transactions"]
    assert [one["messages"] for one in older] == [["bank.transfer"]]
    net.wait_for_height(sent["height"] + 2)
    account = command("query", "account", "team")
    assert (account["verified"], account["result"]["sequence"]) == (True, 1)
    assert account["result"]["balance_nopen"] < 3 * OPEN
    # Sending the same file again finds it where it is.
    assert command("tx", "broadcast", files["signed"]) == sent


def test_a_lineage_on_a_real_chain_is_proven_bundled(net: Devnet, command: Callable[..., Any], tmp_path: Path) -> None:
    base = drafts.entry("base", kind=EntryKind.IMPORT, terms_id=terms_id_of(drafts.FREE))
    with Client(_url(net)) as client:
        made = client.send(
            ALICE, RegisterTerms(drafts.FREE), CreateDatanet("notes", "", terms_id_of(drafts.FREE), (), 1),
            CreateModel("tutor", ""), RecordRuns((drafts.run_of(base),)),
        )  # fmt: skip
        datanet_id, model_id = made.sent.object_id("datanet", 1), made.sent.object_id("model", 2)
        rows = drafts.contribute(datanet_id, "rows")
        contribution_id = drafts.contribution_id(rows, BOB.address, terms_id_of(drafts.FREE))
        tune = drafts.entry("tune", data=((datanet_id, 1),), made_from=(entry_id_of(base),))
        made.wait()
        client.send(BOB, rows).wait()
        client.send(
            ALICE, ReviewContribution(contribution_id, Decision.ACCEPT, 0), CreateVersion(datanet_id, ""),
            RecordRuns((drafts.run_of(tune, model_id=model_id, label="first"),)),
        ).wait()  # fmt: skip
        net.wait_for_height(client.status().sync_info.latest_block_height + 2)
    bundle = str(tmp_path / "lineage.json")
    answer = command("query", "lineage", "tutor", "--bundle", bundle)
    assert (answer["verified"], answer["complete"]) == (True, True)
    assert [item["entry_id"] for item in answer["result"]["entries"]] == [
        encode_id("olrun", entry_id_of(entry)) for entry in (tune, base)
    ]
    genesis = str(net.nodes[0].home.genesis_file)
    verdict = command("verify", bundle, "--genesis", genesis, "--node", "http://127.0.0.1:1")
    assert verdict["proven"] == f"the complete lineage of {encode_id('olrun', entry_id_of(tune))}: 2 entries"
    impact = command("query", "impact", "notes", "--version", "1")
    assert [item["model_name"] for item in impact["result"]["entries"]] == ["tutor"]
    clean = command("query", "clean", "tutor", "notes")
    assert (clean["verified"], clean["result"]["answer"]) == (True, "present")
    assert command("query", "verdict", "--input", "notes@1", "--parent", "tutor")["result"]["outcome"] == "compatible"
    unknown = command("query", "lineage", "nobody", code=ExitCode.NOT_FOUND)
    assert "there is no model named 'nobody'" in unknown


def test_nobody_at_the_address_is_said_so() -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(NodeUnreachable, match="no node answers at"):
        client.status()
