"""The command line against the real application: results on standard output, one line for every mistake, exit codes."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from abci_app.chain.registry import MODULES, all_queries
from openledger.client import client as client_module
from openledger.client.rpc import RpcClient
from openledger.exit_codes import MEANINGS, ExitCode
from openledger.keys.key_file import Cost
from openledger.keys.signer import Signer
from openledger.keys.wallet import Wallet
from openledger_cli.main import GROUPS, build_parser, main, split_global_options
from tests.kit.chain import Chain
from tests.kit.openledger.fake_node import FakeNode

Run = Callable[..., tuple[int, str, str]]
PASSPHRASE = "correct horse"
ALICE, BOB, CAROL = [Signer.from_seed(bytes([number]) * 32) for number in (1, 2, 3)]


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> FakeNode:
    node = FakeNode(Chain.start({ALICE.address: 10**12}, chain_id="dev-1"), make_blocks_after=3)
    transport = httpx.MockTransport(node.answer)
    monkeypatch.setattr(client_module, "_rpc", lambda url: RpcClient(url, transport=transport))
    return node


@pytest.fixture
def home(tmp_path: Path) -> Path:
    cheap = Wallet.open(tmp_path, cost=Cost(32, 1, 1))
    for name in ("alice", "bob", "carol"):
        cheap.import_seed(name, _seed(name), PASSPHRASE)
    return tmp_path


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("OPENLEDGER_HOME", str(home))
    monkeypatch.setenv("OPENLEDGER_PASSPHRASE", PASSPHRASE)

    def run(*words: str) -> tuple[int, str, str]:
        code = main(list(words))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def _seed(name: str) -> bytes:
    return bytes([("alice", "bob", "carol").index(name) + 1]) * 32


def _json(result: tuple[int, str, str]) -> Any:
    assert result[0] == 0, result
    return json.loads(result[1])


# --- The tree


def test_shared_options_may_stand_anywhere() -> None:
    flags, rest = split_global_options(
        ["tx", "--output", "json", "bank", "--from", "a", "--node=http://x:1", "--", "--home"]
    )
    assert (flags["output"], flags["node"], flags["home"]) == ("json", "http://x:1", None)
    assert rest == ["tx", "bank", "--from", "a", "--", "--home"]


def test_help_names_every_group_option_and_exit_code(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    text = build_parser().format_help()
    for word in (
        *GROUPS,
        "--chain-id ID",
        "--output FORM",
        *[f"  {int(code):<4}{MEANINGS[code]}" for code in ExitCode],
    ):
        assert word in text
    assert run()[0] == 0


def test_help_of_every_message_and_query_describes_each_field(capsys: pytest.CaptureFixture[str]) -> None:
    for module in MODULES:
        for message in module.messages:
            name = "".join(
                [f"-{letter.lower()}" if letter.isupper() else letter for letter in message.__name__]
            ).lstrip("-")
            text = _help(capsys, "tx", module.name, name)
            for field in message.__struct_fields__:
                assert field.replace("_", "-") in text
    for module_name, query in all_queries():
        assert "--unverified" in _help(capsys, "query", module_name, query.replace("_", "-"))


def _help(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--help"])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_the_first_level_loads_no_chain_code_and_no_heavy_library() -> None:
    import subprocess

    code = "import sys; from openledger_cli.main import main; main([]); print(sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for heavy in ("torch", "plyvel", "httpx", "rich", "msgspec", "nacl", "yaml"):
        assert f"'{heavy}'" not in done.stderr


def test_settings_come_from_flags_then_environment_then_file(
    run: Run, home: Path, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "client.yaml").write_text("output: json\nnode: http://from-file:1\n")
    assert _json(run("status"))["node"] == "http://from-file:1"
    monkeypatch.setenv("OPENLEDGER_NODE", "http://from-environment:1")
    assert _json(run("status"))["node"] == "http://from-environment:1"
    assert _json(run("status", "--node", "http://from-flag:1"))["node"] == "http://from-flag:1"
    (home / "client.yaml").write_text("colour: red\n")
    code, _, error = run("status")
    assert (code, "unknown setting 'colour'; known: node, chain_id" in error) == (ExitCode.USAGE, True)


# --- Keys


def test_a_key_is_added_shown_exported_deleted_and_recovered(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _json(run("keys", "add", "dave", "--output", "json"))
    words = made["recovery_phrase"]
    assert len(words.split()) == 24
    assert _json(run("keys", "show", "dave", "--output", "json")) == made["key"]
    secret = _json(run("keys", "export", "dave", "--yes", "--output", "json"))["secret"]
    assert [key["name"] for key in _json(run("keys", "list", "--output", "json"))] == ["alice", "bob", "carol", "dave"]
    assert run("keys", "delete", "dave")[0] == ExitCode.USAGE
    assert run("keys", "delete", "dave", "--yes")[0] == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO(words + "\n"))
    assert _json(run("keys", "recover", "dave", "--output", "json")) == made["key"]
    monkeypatch.setattr(sys, "stdin", io.StringIO(secret + "\n"))
    assert _json(run("keys", "import", "eve", "--output", "json"))["address"] == made["key"]["address"]


def test_the_words_go_to_standard_error_in_table_form(run: Run) -> None:
    _, out, error = run("keys", "add", "dave")
    words = error.strip().splitlines()[-1]
    assert len(words.split()) == 24
    assert words.strip() not in out


# --- Transactions


def test_a_transfer_is_sent_and_found_in_the_history(run: Run, node: FakeNode) -> None:
    sent = _json(
        run(
            "tx", "bank", "transfer", "--from", "alice", "--recipient", "bob", "--amount", "1.5OPEN", "--output", "json"
        )
    )
    assert (sent["code"], sent["messages"]) == (0, ["bank.transfer"])
    assert _json(run("query", "tx", sent["hash"], "--output", "json")) == sent
    history = _json(run("query", "txs", "--account", "bob", "--output", "json"))
    assert (history["transactions"], history["total"]) == ([sent], 1)
    answer = _json(run("query", "account", "bob", "--unverified", "--output", "json"))
    assert (answer["verified"], answer["result"]["balance_nopen"]) == (False, 1_500_000_000)


def test_people_see_the_outcome_and_that_nothing_was_verified(run: Run, node: FakeNode) -> None:
    _, out, _ = run("tx", "bank", "transfer", "--from", "alice", "--recipient", "bob", "--amount", "1OPEN")
    assert "outcome   ok" in out
    _, out, error = run("query", "account", "bob", "--unverified")
    assert "balance   1 OPEN (1000000000 nopen)" in out
    assert "NOT VERIFIED: the node's word" in error


def test_a_dry_run_changes_nothing(run: Run, node: FakeNode) -> None:
    words = ("tx", "bank", "transfer", "--from", "alice", "--recipient", "bob", "--amount", "1OPEN", "--dry-run")
    document = _json(run(*words, "--output", "json"))
    assert (document["code"], node.waiting, node.index) == (0, [], {})
    assert "fee      0.0000" in run(*words)[1]
    refused = run("tx", "bank", "transfer", "--from", "carol", "--recipient", "bob", "--amount", "1OPEN", "--dry-run")
    assert (refused[0], "fund the account first" in refused[1]) == (ExitCode.REFUSED, True)


def test_two_of_three_sign_files_apart(run: Run, node: FakeNode, tmp_path: Path) -> None:
    assert run("keys", "add", "team", "--shared", "alice,bob,carol", "--threshold", "2")[0] == 0
    assert run("tx", "bank", "transfer", "--from", "alice", "--recipient", "team", "--amount", "5OPEN")[0] == 0
    messages, draft, a, c, done = [str(tmp_path / name) for name in ("m.json", "d.json", "a.json", "c.json", "s.json")]
    Path(messages).write_text('[{"type": "bank.transfer", "recipient": "carol", "amount_nopen": "1OPEN"}]')
    assert run("tx", "build", "--from", "team", "--messages", messages, "--file", draft)[0] == 0
    assert run("tx", "sign", draft, "--with", "alice", "--file", a)[0] == 0
    code, _, error = run("tx", "broadcast", a)
    assert (code, "weigh 1 of 2; keys that have not signed" in error) == (ExitCode.USAGE, True)
    assert run("tx", "sign", draft, "--with", "carol", "--file", c)[0] == 0
    assert run("tx", "combine", a, c, "--file", done)[0] == 0
    assert _json(run("tx", "show", done, "--output", "json"))["missing"] == []
    assert _json(run("tx", "simulate", done, "--output", "json"))["code"] == 0
    assert _json(run("tx", "broadcast", done, "--output", "json"))["code"] == 0
    balance = _json(run("query", "account", "carol", "--unverified", "--output", "json"))["result"]["balance_nopen"]
    assert balance == 10**9


def test_a_transaction_is_built_and_signed_without_any_node(run: Run, node: FakeNode, tmp_path: Path) -> None:
    node.down = True
    messages, draft, done = [str(tmp_path / name) for name in ("m.json", "d.json", "s.json")]
    Path(messages).write_text('[{"type": "bank.burn", "amount_nopen": 5}]')
    build = ("tx", "build", "--offline", "--from", "alice", "--messages", messages, "--file", draft)
    code, _, error = run(*build)
    assert (code, "--offline needs --chain-id, --sequence and --fee-limit" in error) == (ExitCode.USAGE, True)
    assert run(*build, "--chain-id", "dev-1", "--sequence", "0", "--fee-limit", "10000")[0] == 0
    assert run("tx", "sign", draft, "--with", "alice", "--file", done)[0] == 0
    node.down = False
    assert _json(run("tx", "broadcast", done, "--output", "json"))["messages"] == ["bank.burn"]


def test_lists_are_paged(run: Run, node: FakeNode) -> None:
    for _ in range(3):
        run("tx", "bank", "burn", "--from", "alice", "--amount", "1")
    page = _json(run("query", "txs", "--account", "alice", "--limit", "2", "--page", "2", "--output", "json"))
    assert ([one["sequence"] for one in page["transactions"]], page["pages"]) == ([0], 2)
    answer = _json(run("query", "members", "list", "--unverified", "--limit", "1", "--output", "json"))
    assert answer["result"] == {"members": [], "next_key": ""}


# --- Errors that a user makes: one line on standard error, nothing on standard output, a stable code

TRANSFER = ("tx", "bank", "transfer", "--from", "alice", "--recipient", "bob", "--amount", "1OPEN")


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("--chain-id", "dev-9", *TRANSFER), ExitCode.USAGE, "is on chain 'dev-1', not 'dev-9': pass --chain-id dev-1"),
        ((*TRANSFER, "--sequence", "7"), ExitCode.REFUSED, "sequence is 7, expected 0"),
        ((*TRANSFER[:-1], "5000OPEN"), ExitCode.REFUSED, "fund the account first"),
        ((*TRANSFER[:-1], "lots"), ExitCode.USAGE, "bank.transfer.amount_nopen: amount 'lots': write 1.5OPEN"),
        ((*TRANSFER, "--fee-limit", "1"), ExitCode.REFUSED, "leave --fee-limit out to take the estimate"),
        ((*TRANSFER[:4], "nobody", *TRANSFER[5:]), ExitCode.KEYS, "no key named 'nobody'"),
        (("tx", "send", "--from", "alice", "--messages", "no.json"), ExitCode.USAGE, "'no.json' cannot be read"),
        (("query", "tx", "00" * 32), ExitCode.UNPROVEN, "no committed transaction"),
        (("query", "tx", "zz"), ExitCode.USAGE, "must be 64 hex digits"),
        (("query", "txs", "--account", "alice", "--page", "5"), ExitCode.UNPROVEN, "page 5"),
        (("--chain-id", "dev-1", "query", "account", "alice"), ExitCode.NOT_ANCHORED, "--genesis"),
        (("query", "account", "open1qq"), ExitCode.USAGE, "'open1qq'"),
        (("keys", "show", "nobody"), ExitCode.KEYS, "no key named 'nobody': see `openledger keys list`"),
        (("--output", "xml", "status"), ExitCode.USAGE, "output 'xml': use table or json"),
        (("--keys", "test", "--chain-id", "main", "keys", "list"), ExitCode.KEYS, "for chains named dev... only"),
        (("--keys", "test", "keys", "add", "x"), ExitCode.KEYS, "no chain id is given, pass --chain-id"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_a_code(
    run: Run, node: FakeNode, words: tuple[str, ...], code: int, text: str
) -> None:
    found, out, error = run(*words)
    assert (found, out) == (code, "")
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert text in error


def test_a_wrong_passphrase_is_one_line(run: Run, node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLEDGER_PASSPHRASE", "wrong horse")
    assert run(*TRANSFER) == (
        ExitCode.KEYS,
        "",
        "error: wrong passphrase for key 'alice', or its file was changed: try again\n",
    )


def test_no_passphrase_and_nobody_to_ask(run: Run, node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENLEDGER_PASSPHRASE")
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    code, _, error = run(*TRANSFER)
    assert (code, "set OPENLEDGER_PASSPHRASE or pass --passphrase-file FILE" in error) == (ExitCode.USAGE, True)


def test_a_node_that_is_down_is_one_line(run: Run, node: FakeNode) -> None:
    node.down = True
    code, out, error = run("status")
    assert (code, out) == (ExitCode.NODE, "")
    assert "no node answers at http://127.0.0.1:26657" in error
    assert "start it with `openledger node start`" in error


def test_a_transaction_that_is_bound_to_fail_is_not_sent_unless_that_is_wanted(run: Run, node: FakeNode) -> None:
    words = ("tx", "bank", "transfer", "--from", "alice", "--recipient", "alice", "--amount", "1")
    before = _json(run("query", "account", "alice", "--unverified", "--output", "json"))
    code, out, error = run(*words)
    assert (code, out) == (ExitCode.REFUSED, "")
    assert error == (
        "error: sender and recipient are the same account (bank code 101); name another recipient; tried out and not "
        "sent, so no fee is lost (--send-anyway sends it)\n"
    )
    assert _json(run("query", "account", "alice", "--unverified", "--output", "json"))["result"] == before["result"]
    code, out, error = run(*words, "--send-anyway")
    assert code == ExitCode.REFUSED
    assert "outcome   failed: sender and recipient are the same account (bank 101)" in out
    assert "error: sender and recipient are the same account" in error


# --- Habits: names of keys, amounts in words, files of people


def test_keys_are_named_wherever_keys_go(run: Run, node: FakeNode, home: Path) -> None:
    shown = {name: _json(run("keys", "show", name, "--output", "json")) for name in ("alice", "bob", "carol")}
    words: tuple[str, ...] = ("tx", "accounts", "set-delegation", "--from", "alice", "--expiry-height", "900")
    words += ("--message-types", "datanets.contribute,bank.transfer", "--spend-limit", "1.5OPEN")
    assert run(*words, "--public-key", "bob")[0] == 0
    answer = _json(run("query", "accounts", "delegations", "--address", "alice", "--unverified", "--output", "json"))
    (found,) = [each["delegation"] for each in answer["result"]["delegations"]]
    assert found["public_key"] == shown["bob"]["public_keys"][0]
    assert found["message_types"] == ["bank.transfer", "datanets.contribute"]
    _, out, _ = run("query", "accounts", "delegations", "--address", "alice", "--unverified")
    assert "spend_limit_nopen  1.5 OPEN (1500000000 nopen)" in out
    assert "message_types      bank.transfer, datanets.contribute" in out
    code, _, error = run(*words, "--public-key", "nobody")
    assert (code, "'nobody' is neither a key that is known here" in error) == (ExitCode.KEYS, True)
    code, _, error = run(*words[:-4], "--message-types", "bank.transfers", "--spend-limit", "1", "--public-key", "bob")
    assert (code, "no message 'bank.transfers'; perhaps bank.transfer" in error) == (ExitCode.USAGE, True)
    assert run("keys", "add", "watched", "--policy", "carol")[0] == 0
    assert _json(run("keys", "show", "watched", "--output", "json"))["policy"] == shown["carol"]["policy"]
    assert run("tx", "accounts", "set-policy", "--from", "alice", "--policy", "carol", "--dry-run")[0] == 0
    by_address = ("tx", "bank", "burn", "--from", shown["alice"]["address"], "--amount", "1")
    assert run(*by_address)[0] == 0
    assert run("query", "account", shown["bob"]["address"], "--unverified")[0] == 0


def test_lists_of_transactions_say_who_sent_them(run: Run, node: FakeNode) -> None:
    run("tx", "bank", "transfer", "--from", "alice", "--recipient", "bob", "--amount", "1OPEN")
    run("tx", "bank", "transfer", "--from", "bob", "--recipient", "carol", "--amount", "0.1OPEN")
    _, out, _ = run("query", "txs", "--account", "bob")
    rows = [line.split() for line in out.splitlines() if "bank.transfer" in line]
    assert [(row[2], row[3]) for row in rows] == [("bob", "0"), ("alice", "0")]
    page = _json(run("query", "txs", "--account", "bob", "--output", "json"))
    assert [one["sender"][:5] for one in page["transactions"]] == ["open1", "open1"]


def test_a_file_is_never_written_over_unasked(run: Run, node: FakeNode, tmp_path: Path) -> None:
    draft, messages = tmp_path / "draft.json", tmp_path / "messages.json"
    draft.write_text("mine")
    messages.write_text('[{"type": "bank.burn", "amount_nopen": 5}]')
    build = ("tx", "build", "--from", "alice", "--messages", str(messages), "--draft", str(draft))
    burn = ("tx", "bank", "burn", "--from", "alice", "--amount", "5", "--draft", str(draft))
    for words in (build, burn):
        code, out, error = run(*words)
        assert (code, out, draft.read_text()) == (ExitCode.USAGE, "", "mine")
        assert error == f"error: {draft} is there already: name another file, or pass --overwrite\n"
    assert run(*burn, "--overwrite")[0] == 0
    assert json.loads(draft.read_text())["kind"]
    assert run("tx", "sign", str(draft), "--with", "alice", "--draft", str(draft))[0] == ExitCode.USAGE
    assert run("tx", "sign", str(draft), "--with", "alice", "--draft", str(draft), "--overwrite")[0] == 0
    assert _json(run("tx", "show", str(draft), "--output", "json"))["missing"] == []
