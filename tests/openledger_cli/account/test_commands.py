"""`openledger account`: locks are shown with what leaves when, taken out together; payees are set and taken back."""

import hashlib
import json
from pathlib import Path

import httpx
import pytest

from abci_app.accounts import show_address
from abci_app.mechanisms.locks import NO_OBJECT, LockKey, Purpose, leave, take
from abci_app.module import HookContext
from abci_app.state.overlay import Overlay
from openledger.client import client as client_module
from openledger.client import light_client as light_client_module
from openledger.client.rpc import RpcClient
from openledger.exit_codes import ExitCode
from openledger.keys.wallet import Wallet
from openledger_cli.main import main
from tests.kit.chain import GENESIS_SECONDS
from tests.kit.modules.drafts import digest
from tests.kit.modules.ledger import ALICE, BOB, FUNDS, Ledger
from tests.kit.openledger.fake_node import FakeNode
from tests.kit.openledger.local_node import LocalNode, Run
from tests.kit.scheduled import Jobs
from tests.kit.simulated_chain import SimulatedChain

DEV_CHAIN = "dev-1"
CONTRIBUTION = digest("contribution")
BOND = LockKey(Purpose.VALIDATOR_BOND, NO_OBJECT, ALICE.address)
STAKE = LockKey(Purpose.CONTRIBUTION_STAKE, CONTRIBUTION, ALICE.address)


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> FakeNode:
    """A chain on which Alice has a bond of 0.5 OPEN, of which 0.1 have left and 0.2 leave later, and a stake."""
    jobs = Jobs().register(monkeypatch)

    def begin(state: Overlay, context: HookContext, _: bytes) -> None:
        if context.height == 1:
            take(state, BOND, FUNDS // 2)
            take(state, STAKE, FUNDS // 10)
            leave(state, context.block, BOND, FUNDS // 10, 1, 1)
            leave(state, context.block, BOND, FUNDS // 5, 10_000, 86_400)

    jobs.deeds["begin"] = begin
    return FakeNode(Ledger.start(chain_id=DEV_CHAIN).chain)


@pytest.fixture
def run(node: FakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command on that chain; answers are verified under simulated headers of the state after two blocks."""
    signed = SimulatedChain()
    signed.make_block(list(node.chain.state().items()))
    signed.make_blocks(4)
    transport, primary = httpx.MockTransport(node.answer), LocalNode(signed, "primary")
    monkeypatch.setattr(client_module, "_rpc", lambda url: RpcClient(url, transport=transport))
    monkeypatch.setattr(light_client_module, "RpcClient", lambda _url: primary)
    monkeypatch.setattr("time.time_ns", lambda: signed.now_ns)
    monkeypatch.setattr("time.time", lambda: GENESIS_SECONDS + 100.0)
    genesis = tmp_path / "genesis.json"
    genesis.write_bytes(signed.genesis_bytes())
    wallet = Wallet.open(tmp_path / "home", "test", DEV_CHAIN)
    for name in ("alice", "bob"):
        wallet.import_seed(name, hashlib.sha256(name.encode()).digest())
    settings = {"HOME": tmp_path / "home", "GENESIS": genesis, "KEYS": "test", "WITNESSES": "none"}
    for setting, value in settings.items():
        monkeypatch.setenv(f"OPENLEDGER_{setting}", str(value))

    def run(*words: str) -> tuple[int, str, str]:
        code = main(list(words))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def cells(text: str) -> list[list[str]]:
    """Rows of a table, its rules left out."""
    rows = [[cell for cell in line.strip().split("  ") if cell.strip()] for line in text.splitlines()]
    return [[cell.strip() for cell in row] for row in rows if row and "─" not in row[0]]


def test_locks_are_shown_with_what_leaves_and_the_next_step(run: Run) -> None:
    code, out, error = run("account", "locks", "alice")
    assert code == ExitCode.OK
    assert cells(out) == [
        ["purpose", "about", "amount", "state"],
        ["validator-bond", "-", "0.2 OPEN", "locked"],
        ["0.1 OPEN", "can be withdrawn"],
        ["0.2 OPEN", "leaving: from height 10001 on (9996 blocks), not before 2023-11-15 22:13:21 UTC"],
        ["contribution-stake", CONTRIBUTION.hex()[:16], "0.1 OPEN", "locked"],
        ["together 0.6 OPEN"],
    ]
    assert "verified: state after block 4" in error
    assert "next: openledger account withdraw --from alice" in error


def test_programs_get_every_lock_whole(run: Run) -> None:
    document = json.loads(run("account", "locks", "alice", "--output", "json")[1])
    assert (document["verified"], document["address"]) == (True, show_address(ALICE.address))
    assert [(lock["purpose"], lock["amount_nopen"], lock["withdrawable_nopen"]) for lock in document["locks"]] == [
        ("validator-bond", FUNDS // 5, FUNDS // 10),
        ("contribution-stake", FUNDS // 10, 0),
    ]
    assert [each["height"] for each in document["locks"][0]["leaving"]] == [2, 10_001]
    assert run("account", "locks", "bob")[1] == "none\ntogether 0 OPEN\n"


def test_everything_that_has_left_is_taken_out_at_once(run: Run, node: FakeNode) -> None:
    node.make_blocks_after = 1
    code, out, error = run("account", "withdraw", "--from", "alice")
    assert code == ExitCode.OK, error
    first, second = out.splitlines()
    assert first.startswith("0.1 OPEN of validator-bond, in block ")
    assert second == "0.1 OPEN went to alice"
    assert node.chain.balance(ALICE) == FUNDS - FUNDS * 6 // 10 + FUNDS // 10
    code, _, error = run("account", "withdraw", "--from", "alice")
    assert code == ExitCode.USAGE
    assert "nothing has finished leaving yet: the next is 0.2 OPEN, leaving: from height 10001 on" in error


def test_what_is_not_leaving_cannot_be_taken_out(run: Run) -> None:
    for words in (("--purpose", "contribution-stake", "--from", "alice"), ("--from", "bob")):
        code, _, error = run("account", "withdraw", *words)
        assert code == ExitCode.USAGE
        assert "nothing is leaving: see what is locked with `openledger account locks`" in error


def test_a_payee_is_set_shown_and_taken_back(run: Run, node: FakeNode) -> None:
    node.make_blocks_after = 1
    assert run("account", "payee", "alice")[1] == "alice receives itself what the chain pays it\n"
    code, out, error = run("account", "payee", "--to", "bob", "--from", "alice")
    assert code == ExitCode.OK, error
    assert out.endswith("on, bob receives what the chain pays alice\n")
    shown = run("account", "payee", "alice", "--unverified")[1]
    assert shown == f"bob receives what the chain pays alice\n{show_address(BOB.address)}\n"
    document = json.loads(run("account", "payee", "--end", "--from", "alice", "--output", "json")[1])
    assert document["payee"] == ""
    document = json.loads(run("account", "payee", "alice", "--unverified", "--output", "json")[1])
    assert document["payee"] == document["address"] == show_address(ALICE.address)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--to", "bob"), "whose payee? add --from KEY"),
        ((), "name an account to look at, or what to change: --to KEY|ADDRESS --from KEY"),
        (
            ("alice", "--end", "--from", "alice"),
            "alice beside --to or --end: the account that changes is that of --from",
        ),
        (("--to", show_address(bytes(32)), "--from", "alice"), "belongs to a module of the chain"),
    ],
)
def test_what_cannot_be_meant_is_said(run: Run, words: tuple[str, ...], said: str) -> None:
    code, _, error = run("account", "payee", *words)
    assert code != ExitCode.OK
    assert said in error
