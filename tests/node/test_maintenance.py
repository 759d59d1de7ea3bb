"""`node check` on a real store: a whole one passes, and every fault of a store is named."""

from __future__ import annotations

from pathlib import Path

import plyvel
import pytest

from abci_app.accounts import ACCOUNTS, Account
from abci_app.modules.members import PEER_LIST, PeerList
from abci_app.state.codec import encode
from abci_app.types import SUPPLY_NOPEN
from node.errors import NodeError
from node.home import Home
from node.leveldb.store import LevelDBStore
from node.maintenance import MAX_FAULTS_SHOWN, check
from node.run import open_store
from openledger.exit_codes import ExitCode
from openledger_cli.main import main
from tests.kit.chain import Chain, accounts_with
from tests.kit.signing import Signer

ALICE, BOB = Signer.named("alice"), Signer.named("bob")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A stopped node whose chain has two blocks; CometBFT's files are empty, nothing here reads them."""
    home = Home(tmp_path / "n")
    home.config_folder.mkdir(parents=True)
    home.comet_config_file.touch()
    home.genesis_file.touch()
    with open_store(home, home.settings()) as store:
        chain = Chain.start(accounts_with(10**9, [ALICE, BOB]), store=store)
        chain.block()
        chain.block()
    return home


def commit(home: Home, *changes: tuple[bytes, bytes | None]) -> None:
    """One more block that writes what no transaction could."""
    with open_store(home, home.settings()) as store:
        store.commit(store.stage(store.height + 1, sorted(changes)))


def refusal_of(home: Home) -> str:
    with pytest.raises(NodeError) as refusal:
        check(home)
    return str(refusal.value)


CONTRADICTS = "the state of height 3 contradicts itself, although its tree is whole: "
REPORT = ". This is a bug: keep this home and report it"
FROM_NOWHERE = f"bank: balances sum to {SUPPLY_NOPEN + 1} nopen, supply is {SUPPLY_NOPEN}"


def test_a_whole_state_passes_and_the_command_says_so(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(home) == 2
    assert main(["node", "check", "--home", str(home.folder)]) == 0
    assert capsys.readouterr().out == "the state of height 2 is whole and holds every invariant\n"


def test_a_node_without_blocks_has_nothing_to_check(tmp_path: Path) -> None:
    home = Home(tmp_path / "n")
    home.config_folder.mkdir(parents=True)
    home.comet_config_file.touch()
    home.genesis_file.touch()
    assert check(home) == 0


def test_a_broken_invariant_is_named_with_its_module_in_one_line(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(home, (ACCOUNTS.key(b"nobody"), encode(Account(0, 1, b""))), (PEER_LIST.key(), encode(PeerList(3, 1))))
    assert refusal_of(home) == (f"{CONTRADICTS}{FROM_NOWHERE}; members: peer count is 3, 0 peers are listed{REPORT}")
    assert main(["node", "check", "--home", str(home.folder)]) == ExitCode.FAILURE
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"error: {refusal_of(home)}\n")


def test_records_that_cannot_be_read_are_named_before_any_rule_reads_them(home: Home) -> None:
    commit(home, (ACCOUNTS.key(b"nobody"), b"\x92\x01\x00"), (b"strange/key", b"\x01"))
    key = ACCOUNTS.key(b"nobody").hex()
    said = refusal_of(home)
    assert said.startswith(f"{CONTRADICTS}account: record {key} is malformed: ")
    assert said.endswith(f"; key {b'strange/key'.hex()} belongs to no table{REPORT}")


def test_of_many_faults_the_first_are_shown_and_the_others_counted(home: Home) -> None:
    commit(home, *[(f"strange/{number}".encode(), b"\x01") for number in range(MAX_FAULTS_SHOWN + 2)])
    shown = "; ".join([f"key {f'strange/{number}'.encode().hex()} belongs to no table" for number in range(5)])
    assert refusal_of(home) == f"{CONTRADICTS}{shown}; and 2 more{REPORT}"


def test_a_value_that_was_changed_behind_the_tree_is_damage(home: Home) -> None:
    database = plyvel.DB(str(home.store_folder))
    database.put(b"k" + ACCOUNTS.key(ALICE.address), encode(Account(0, 10**9 + 1, b"")))
    database.close()
    assert refusal_of(home).startswith("the state of height 2 is damaged: keys and values do not lead to the root")


def test_a_checked_store_can_be_opened_again(home: Home) -> None:
    assert check(home) == 2
    with LevelDBStore.open(home.store_folder) as store:
        assert store.height == 2
