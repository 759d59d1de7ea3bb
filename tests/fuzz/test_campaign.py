"""A part of what `scripts/fuzz` runs by the million; and that it would see each kind of fault."""

import random
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from abci_app.chain import authentication, block, registry
from abci_app.chain.application import Application
from abci_app.chain.block import TransactionResult
from abci_app.chain.registry import HANDLERS, MESSAGE_TYPES
from abci_app.module import Context
from abci_app.modules.bank import Burn
from abci_app.pb import abci_pb2 as pb
from abci_app.state.codec import CodecError, decode
from abci_app.state.overlay import Overlay
from abci_app.state.work import Work
from node.leveldb.store import LevelDBStore
from tests.fuzz import dear_queries, documents, pages, queries, streams, threads, transactions
from tests.fuzz.by_type import draw
from tests.fuzz.campaign import TARGETS, Failure, Report, Tally, replay, run_campaign, table
from tests.fuzz.corpus import Corpus, build_corpus
from tests.fuzz.mutation import pack
from tests.fuzz.target import SMALL_MEMORY, Target, Violation, code_name
from tests.kit.repository import ROOT

COUNT = 20_000
DAMAGED, SIGNED = transactions.TARGETS
QUERY, PROOF = queries.TARGETS
(STREAM,) = streams.TARGETS
BUNDLE, ANSWER, GENESIS = documents.TARGETS
(THREADS,) = threads.TARGETS
(DEAR,) = dear_queries.TARGETS
(PAGES,) = pages.TARGETS


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return build_corpus()


@pytest.mark.slow
def test_twenty_thousand_malformed_inputs_do_no_harm(corpus: Corpus) -> None:
    before = corpus.world.chain.state()
    report = run_campaign(corpus, COUNT, seed=7)
    assert (report.faults, report.failures, report.count) == ([], [], COUNT)
    assert set(report.tallies) == {target.name for target in TARGETS}
    assert corpus.world.chain.state() == before
    refused = set(report.tallies[SIGNED.name].outcomes)
    assert len(refused) > 40, "well signed transactions must reach the rules"


def test_the_command_takes_some_targets_and_names_all_when_it_does_not_know_one() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "fuzz"), "--count", "60", "--only"]
    run = subprocess.run([*command, "pages, bundle"], capture_output=True, text=True, check=False, timeout=100)
    names = {
        line.split()[0]
        for line in run.stdout.splitlines()[1:]
        if line and not line.startswith((" ", "60", "mem", "seed"))
    }
    assert (run.returncode, names) == (0, {"pages", "bundle"})
    wrong = subprocess.run([*command, "bundles"], capture_output=True, text=True, check=False, timeout=100)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("scripts/fuzz: no target bundles: --only takes damaged-transaction, ")


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_the_same_seed_makes_the_same_inputs(corpus: Corpus, target: Target) -> None:
    first, second = ([target.make(random.Random(seed), corpus) for seed in range(50)] for _ in range(2))
    assert first == second
    assert len(set(first)) > 40


@pytest.mark.parametrize("message", MESSAGE_TYPES, ids=lambda message: message.__name__)
def test_drawn_messages_mostly_decode(corpus: Corpus, message: type) -> None:
    rng = random.Random(1)
    decoded = 0
    for _ in range(100):
        try:
            decode(message, pack(draw(rng, message, corpus.known)))
            decoded += 1
        except CodecError:
            continue
    assert decoded >= 20


# --- Planted faults


def first_failure(corpus: Corpus, target: Target, count: int = 3_000) -> Failure:
    report = run_campaign(corpus, count, seed=3, targets=(target,))
    assert report.failures, "the planted fault was not found"
    assert report.faults
    return report.failures[0]


def raise_sometimes(context: Context, message: Burn) -> None:
    if message.amount_nopen > 7:
        raise ZeroDivisionError("a bug in a handler")


def test_a_rule_that_raises_is_found_in_either_kind_of_transaction(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, _ = HANDLERS[Burn]
    monkeypatch.setitem(registry.HANDLERS, Burn, (module, raise_sometimes))  # type: ignore[misc]
    monkeypatch.setattr(transactions, "MESSAGE_TYPES", (Burn,))
    failure = first_failure(corpus, SIGNED)
    assert "makes a rule of the node fail: ZeroDivisionError" in failure.text


def test_a_forged_signature_that_passes_is_found(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "signature_is_valid", lambda *_: True)
    corpus.application.discard_uncommitted()
    assert first_failure(corpus, DAMAGED).text.endswith("Violation: accepted although nobody signed it")


def test_a_failed_transaction_that_leaves_something_is_found(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    execute_messages = block.execute_messages

    def leave_something(state: Overlay, *others: Any) -> TransactionResult:
        state.set(b"left/behind", b"x")
        return execute_messages(state, *others)

    monkeypatch.setattr(block, "execute_messages", leave_something)
    assert "b'left/behind'" in first_failure(corpus, SIGNED).text


def test_a_query_that_raises_is_found(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_unexpectedly(*_: object) -> pb.ResponseQuery:
        raise KeyError("a bug in a query")

    monkeypatch.setattr("abci_app.chain.queries._answer_ics23", raise_unexpectedly)
    assert "a bug in a query" in first_failure(corpus, QUERY).text
    assert "Violation: a query raised" in first_failure(corpus, STREAM).text


def test_a_proof_that_proves_too_much_is_found(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("abci_app.state.proof.app_hash_of", lambda _root: corpus.app_hash)
    assert "which has another value" in first_failure(corpus, PROOF).text


def test_a_parser_that_raises_something_else_is_found(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openledger.light.parse.msgspec.MsgspecError", KeyError)
    assert "\nmsgspec." in first_failure(corpus, ANSWER).text


def test_contributors_that_vanish_from_what_is_called_complete_are_found(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once `contributions_each` 0 in a page did that."""
    monkeypatch.setattr("openledger_cli.proofs.proven.unlisted", lambda _page: ())
    assert "complete without " in first_failure(corpus, PAGES).text


def test_pages_of_other_questions_that_pass_for_a_whole_are_found(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bring back an old fault: only cursors were compared, so that any page passes for the next one."""
    monkeypatch.setattr("openledger_cli.proofs.proven.is_first", lambda _page: True)
    monkeypatch.setattr("openledger.client.replay.is_first", lambda _page: True)
    assert first_failure(corpus, PAGES).text


def test_a_changed_state_is_found(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "app_hash", bytes(32))
    assert first_failure(corpus, ANSWER, 1).text.startswith(f"app hash {'00' * 32} became ")


def test_memory_that_grows_is_a_fault() -> None:
    report = Report(warm_bytes=10 * 2**20, end_bytes=100 * 2**20)
    assert report.faults == ["memory grew by 90 MiB after the caches were full"]


@pytest.mark.parametrize(
    ("code", "log", "codespace", "words"),
    [
        (0, "why", "openledger", "rejected with code 0"),
        (99, "why", "openledger", "rejected with code 99"),
        (1, "", "openledger", "which is not one line"),
        (1, "two\nlines", "openledger", "which is not one line"),
        (101, "why", "openledger", "came with codespace 'openledger'"),
    ],
)
def test_a_rejection_needs_a_documented_code_and_one_line(code: int, log: str, codespace: str, words: str) -> None:
    with pytest.raises(Violation, match=words):
        code_name(code, log, codespace)


# --- What people see


def test_a_saved_input_is_judged_again_by_the_target_that_its_name_says(corpus: Corpus, tmp_path: Path) -> None:
    failure = Failure("genesis", b'{"version":1}', "text")
    path = tmp_path / failure.file_name
    path.write_bytes(failure.data)
    assert replay(corpus, path) == "refused: GenesisError"
    with pytest.raises(ValueError, match=r"other\.input does not begin with one of: damaged-transaction, "):
        replay(corpus, tmp_path / "other.input")


def test_the_table_shows_each_target_and_outcome() -> None:
    tally = Tally(3, 0.0003, 0.0002)
    tally.outcomes.update(["refused", "refused", "answered"])
    lines = table(Report({"query": tally}, app_hash_before=b"\x01", app_hash_after=b"\x01")).splitlines()
    assert [line.split() for line in lines] == [
        ["target", "inputs", "us", "each", "slowest", "ms", "outcomes"],
        ["query", "3", "100", "0.2"],
        ["2", "refused"],
        ["1", "answered"],
        ["3", "inputs;", "app", "hash", "01,", "as", "before:", "yes"],
        ["memory", "0", "MiB", "at", "the", "end,", "+0.0", "MiB", "since", "caches", "were", "full"],
    ]


def test_the_program_prints_its_table_and_ends_with_0() -> None:
    root = ROOT
    done = subprocess.run(
        [sys.executable, root / "scripts" / "fuzz", "--count", "300", "--seed", "5"],
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "300 inputs; app hash" in done.stdout


def test_threads_on_the_socket_do_no_harm(corpus: Corpus) -> None:
    report = run_campaign(corpus, 60, 2, targets=(THREADS,))
    assert (report.faults, dict(report.tallies["threads"].outcomes)) == ([], {"went on": 60})


def test_the_threaded_node_fills_its_caches_in_a_hundred_bursts_so_that_a_campaign_measures_leaks_alone() -> None:
    """Each cache of a node that lives long is filled by its blocks: 150 MiB in all, which once passed for a leak."""
    node = threads.Node.start()
    corpus = Namespace(kept={"threads": node})
    for number in range(100):
        threads.judge_burst(corpus, b"%d" % number)  # type: ignore[arg-type]
    store = node.chain.application.store
    assert isinstance(store, LevelDBStore)
    filled = {
        "values": store._values._bytes / SMALL_MEMORY.values_bytes,
        "pages of queries": store._cache.for_queries._bytes / SMALL_MEMORY.query_pages_bytes,
    }
    assert [name for name, part in filled.items() if not 0.9 < part <= 1] == []
    # LevelDB has written a full buffer to a file and begun another.
    assert list((node.folder / "db").glob("*.ldb"))
    node.stop()


def test_books_that_two_threads_change_are_found(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bring back an old fault: Commit changed the books that CheckTx changes, in its own thread."""
    commit = Application.commit

    def commit_and_follow(self: Application, request: pb.RequestCommit) -> pb.ResponseCommit:
        answer = commit(self, request)
        self._books._accounts = {}
        return answer

    monkeypatch.setattr(Application, "commit", commit_and_follow)
    # Two threads must meet in the books: on a busy machine that takes some rounds.
    rounds = (run_campaign(corpus, 200, seed, targets=(THREADS,)).faults for seed in range(4, 24))
    assert any(rounds)


def test_the_dearest_questions_are_answered_or_refused_in_time(corpus: Corpus) -> None:
    report = run_campaign(corpus, 120, 2, targets=(DEAR,))
    assert report.faults == []
    assert {"answered", "QUERY_TOO_LARGE", "BAD_QUERY", "BUSY"} <= set(report.tallies["dear-query"].outcomes)


def test_a_question_without_a_budget_is_found(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dear_queries, "MAX_SECONDS", 0.05)
    monkeypatch.setattr(Work, "spend", lambda self, units: None)
    report = run_campaign(corpus, 60, 2, targets=(DEAR,))
    assert any("took" in fault for fault in report.faults)
