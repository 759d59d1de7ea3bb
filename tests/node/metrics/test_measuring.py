"""What is counted beside the blocks, and what one look at the state finds."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest

from abci_app.chain.application import Application
from abci_app.chain.queries import LocalNode
from abci_app.modules.bank import Transfer
from node.home import Home
from node.leveldb.store import LevelDBStore
from node.metrics.catalogue import CATALOGUE
from node.metrics.exposition import Distribution, Reading
from node.metrics.measuring import PHASES, Counts, MeasuredApplication
from node.metrics.readings import Sources, readings_of_state
from node.snapshots.folder import SnapshotFolder
from tests.kit.chain import Chain, accounts_with
from tests.kit.node.exposition import parse
from tests.kit.scheduled import Jobs, raises
from tests.kit.signing import Signer


def values(readings: Iterable[Reading]) -> dict[str, dict[tuple[str, ...], Any]]:
    """Values by name, without what all names begin with."""
    return {reading.metric.name.removeprefix("openledger_"): dict(reading.values) for reading in readings}


def measured(chain: Chain, counts: Counts) -> Chain:
    """The same chain, each call of whose application takes a second by its clock."""
    ticks = count()
    chain.application.local = LocalNode(committed=counts.committed)
    chain.application = cast("Application", MeasuredApplication(chain.application, counts, lambda: float(next(ticks))))
    return chain


def test_blocks_fees_and_judged_transactions_are_counted_once() -> None:
    alice, bob, counts = Signer.named("alice"), Signer.named("bob"), Counts()
    chain = measured(Chain.start(accounts_with(10**9, [alice])), counts)
    good = alice.transaction(Transfer(bob.address, 5))
    assert chain.check(good)[0] == 0
    assert chain.check(b"no transaction")[0] != 0
    assert chain.application.waiting_transactions == 1
    assert chain.propose(good) == [good]
    assert chain.accepts(good)
    chain.application.work_ahead()
    chain.block(good)
    assert chain.check(alice.transaction(Transfer(bob.address, 5)))[0] == 0
    too_much = alice.transaction(Transfer(bob.address, 10**9), sequence=1)
    assert chain.codes(too_much) != [0]
    paid_nopen = 10**9 - 5 - chain.balance(alice)
    found = values(counts.read())
    assert found["check_tx_total"] == {
        ("new", "accepted"): 2,
        ("new", "refused"): 1,
        ("recheck", "accepted"): 0,
        ("recheck", "refused"): 0,
    }
    assert found["transactions_total"] == {("done",): 1, ("failed",): 1}
    assert found["fees_nopen_total"] == {(): paid_nopen}
    assert found["last_block_time_seconds"] == {(): chain.seconds(2)}
    assert found["block_weight_units"][()] > 0
    times = {phase: cast("Distribution", found["block_phase_seconds"][phase,]) for phase in PHASES}
    assert {phase: (each.count, each.total, each.below[1.0]) for phase, each in times.items()} == {
        "prepare_proposal": (1, 1.0, 1),
        "process_proposal": (1, 1.0, 1),
        "work_ahead": (1, 1.0, 1),
        "finalize_block": (2, 2.0, 2),
        "commit": (2, 2.0, 2),
    }


def test_a_measured_chain_has_the_hashes_of_one_that_is_not() -> None:
    plain, other = (Chain.start(accounts_with(10**9, [Signer.named("alice")])) for _ in range(2))
    chain = measured(other, Counts())
    for each in (plain, chain):
        each.block(Signer.named("alice").transaction(Transfer(b"\x01" * 32, 7)))
        each.block()
    assert chain.hashes == plain.hashes


def test_scheduled_work_is_counted_while_it_waits_and_when_a_bug_put_it_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = Jobs().register(monkeypatch)
    chain = Chain.start({})
    chain.block()
    before = values(readings_of_state(chain.application.store, 1))
    jobs.deeds |= {"end": raises(KeyError("a bug")), "handler": raises(KeyError("another"))}
    jobs.plan = {2: [(2, number, 4) for number in range(6)]}

    def look() -> dict[str, dict[tuple[str, ...], Any]]:
        chain.block()
        return values(readings_of_state(chain.application.store, chain.height))

    waits, still, due, after = look(), look(), look(), look()
    lane_2 = [(each["deadlines_waiting"]["2",], each["deadlines_backlog_heights"]["2",]) for each in (waits, still)]
    assert lane_2 == [(6, 0), (6, 0)]
    # Four of six in a block: the lane goes on in the next one.
    assert (due["deadlines_waiting"]["2",], due["deadlines_backlog_heights"]["2",]) == (2, 1)
    assert (after["deadlines_waiting"]["2",], after["deadlines_backlog_heights"]["2",]) == (0, 0)
    assert before["put_aside"] == {("hook",): 0, ("deadline",): 0}
    assert due["put_aside"] == {("hook",): 1, ("deadline",): 4}
    assert after["put_aside"] == {("hook",): 1, ("deadline",): 6}


def test_the_page_of_a_node_has_every_metric_of_the_catalogue_but_those_of_snapshots(tmp_path: Path) -> None:
    home, counts = Home(tmp_path), Counts()
    home.store_folder.mkdir(parents=True)
    store = LevelDBStore.open(home.store_folder)
    try:
        chain = Chain.start(accounts_with(10**9, [Signer.named("alice")]), store=store)
        rules = chain.application
        folder = SnapshotFolder(home.snapshot_folder)
        sources = Sources(
            home=home,
            store=store,
            application=rules,
            snapshots=folder,
            counts=counts,
            cometbft_restarts=lambda: 3,
            alarms=lambda: 2,
        )
        assert parse(sources.page())["openledger_height"].samples == {("openledger_height", ()): 0}
        measured(chain, counts).block()
        found = parse(sources.page())
    finally:
        store.close()
    snapshots = {"openledger_snapshot_height", "openledger_snapshot_made_time_seconds"}
    assert {each.name: each.kind for each in CATALOGUE if each.name not in snapshots} == {
        name: family.kind for name, family in found.items()
    }
    single = {name: family.samples.get((name, ())) for name, family in found.items()}
    names = ("openledger_height", "openledger_cometbft_restarts_total", "openledger_log_alarms_total")
    assert [single[name] for name in names] == [1, 3, 2]
    assert single["openledger_store_bytes"]
    caches = found["openledger_cache_bytes"].samples
    assert [dict(labels)["cache"] for _, labels in caches] == ["values", "pages", "query_pages"]
    assert sum(caches.values()) > 0
