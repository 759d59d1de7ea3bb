"""`openledger node start`: the ABCI server in this process, CometBFT supervised beside it.

Started in an order in which nothing waits and nothing half-starts: home locked, files and ports checked, state opened,
socket bound, CometBFT started. Stopped in the reverse order, so that CometBFT never loses the application mid-block.
When the application fails (an unexpected exception), CometBFT is stopped and the exit code is EXIT_HALTED; where
only the disk was full, it is EXIT_DISK_FULL. When CometBFT cannot go on, the exit code is EXIT_COMETBFT.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from abci_app.chain.application import Application
from abci_app.chain.queries import LocalNode
from abci_app.errors import InvariantBroken
from abci_app.module import Alarm
from node import cometbft, disk, genesis
from node.abci_connection import UPGRADE_GRACE_SECONDS
from node.abci_server import AbciApplication, AbciServer, Address, Halt
from node.agreement import require_agreement
from node.child_log import is_disk_full
from node.comet_heights import comet_base
from node.errors import NodeError
from node.faults import VARIABLE, Fault, FaultyApplication, parse_source
from node.home import Home, NodeSettings
from node.joining import begin_again_where_unfinished, joins_by_snapshot
from node.leveldb.memory import StoreMemory
from node.leveldb.store import LevelDBStore
from node.log_tail import NODE_LOG
from node.logs import set_up_logging
from node.metrics.measuring import Counts, MeasuredApplication
from node.metrics.readings import Sources
from node.metrics.server import HOST, PATH, serving
from node.onions import Revealing
from node.ports import require_free
from node.progress import NEXT_SECONDS, BlockWatch, every
from node.snapshots.block_keeping import BlockKeeping, BlockNeeds, BlockTimes
from node.snapshots.service import NodeSnapshots
from node.supervisor import Supervisor, end_left_over
from openledger.keys.wallet import is_development_chain
from openledger.light.verifier import TrustRules

_LOG = logging.getLogger("openledger.node")

# The application raised where no exception is expected; starting again without a look at the log is no cure.
EXIT_HALTED = 70
# CometBFT cannot go on: an error in its files or settings, or its consensus fails at one height again and again.
EXIT_COMETBFT = 71
# The application could not write; nothing is lost, and a start goes on once there is space.
EXIT_DISK_FULL = 74


class Ending:
    """Why the node stops: asked to, or because the application failed. Safe to use in a signal handler."""

    def __init__(self) -> None:
        self.halt: Halt | None = None
        self.failure = ""
        # Not an Event: its lock would be taken twice when a second signal interrupts the handler of the first.
        self._asked: queue.SimpleQueue[None] = queue.SimpleQueue()

    def ask(self) -> None:
        """Ask the node to stop."""
        self._asked.put(None)

    def halted(self, halt: Halt) -> None:
        """The application failed."""
        self.halt = halt
        self.ask()

    def outdated(self, reason: str) -> None:
        """Stop soon: the chain goes on by rules that this program lacks, and peers may still need its last block.

        CometBFT may never ask the application again: with the others stopped, no proposal comes.
        """
        _LOG.critical("%s; others may still fetch the last block here for %d seconds", reason, UPGRADE_GRACE_SECONDS)
        halt = Halt("commit", None, reason, is_upgrade=True)
        timer = threading.Timer(UPGRADE_GRACE_SECONDS, self.halted, (halt,))
        timer.daemon = True
        timer.start()

    def failed(self, failure: str) -> None:
        """CometBFT cannot go on."""
        self.failure = failure
        self.ask()

    def wait(self) -> None:
        """Return once somebody has asked."""
        self._asked.get()


@dataclass(slots=True)
class _BlockClock:
    """How far this node is behind: a node that catches up must not refuse peers by a list that may be old."""

    server: AbciServer | None = None

    def seconds_behind(self) -> int:
        """Seconds since the last executed block's time; very many before the first one."""
        known = self.seconds_behind_or_none()
        return int(time.time()) if known is None else known

    def seconds_behind_or_none(self) -> int | None:
        """Seconds since the last executed block's time; None before the first one."""
        block = self.server.last_block_seconds if self.server is not None else None
        return None if block is None else int(time.time()) - block


def start(folder: Path, ending: Ending | None = None, *, log_format: str = "") -> int:
    """Run the node until SIGTERM, SIGINT, `ending`, or a failure of the application; the exit code.

    `log_format` holds instead of the home's. Raises NodeError for what the operator can correct.
    """
    home = Home(folder.resolve())
    home.require_initialised()
    settings = home.settings()
    settings = replace(settings, log_format=log_format or settings.log_format)
    with home.lock(), home.socket_path() as socket_path:
        alarms = set_up_logging(home, settings)
        if disk.free_bytes(home.folder) < disk.PAUSE_BELOW_BYTES:
            _LOG.critical("stopped: %s", disk.full_in_words(home.folder))
            return EXIT_DISK_FULL
        binary = cometbft.binary_path(settings.cometbft_binary)
        own = [str(binary), "start", "--home", str(home.folder)]
        end_left_over(home.pid_file, own)  # a killed node's CometBFT may still hold the ports that are checked next
        fault = check(home, settings)
        cometbft.require_known_settings(binary, home)
        ending = ending or Ending()
        known: LevelDBStore | None = None
        command = [*own, "--proxy_app", f"unix://{socket_path}"]
        supervisor = _supervisor(home, command, ending, lambda: known.height if known is not None else 0)
        with _signals(ending), open_store(home, settings) as store:
            begin_again_where_unfinished(home, store)
            _say_how_it_begins(home, store)
            found = require_agreement(home, store, store.height)
            require_signing_files(home, found.comet_blocks)
            known = store
            clock, counts = _BlockClock(), Counts()
            local = _local_node(home, clock, counts, ending)
            with open_snapshots(home, settings, store) as snapshots:
                rules = _application(store, local, snapshots)
                sources = Sources(
                    home=home,
                    store=store,
                    application=rules,
                    snapshots=snapshots.folder,
                    counts=counts,
                    cometbft_restarts=lambda: supervisor.restarts,
                    alarms=lambda: alarms.alarms,
                )
                application: AbciApplication = MeasuredApplication(rules, counts) if settings.metrics_port else rules
                after_answer = None
                if fault is not None:
                    faulty = FaultyApplication(application, fault, lambda: supervisor.pid)
                    application, after_answer = faulty, faulty.after_answer
                    snapshots.restoring.reach = faulty.restoring
                server = AbciServer(application, Address(socket_path), on_halt=ending.halted, after_answer=after_answer)
                clock.server = server
                calm_collector()
                watch = BlockWatch(lambda: store.height, clock.seconds_behind_or_none)
                with every(NEXT_SECONDS, watch.look), _metrics(settings, sources):
                    _serve(home, server, supervisor, ending)
        known = None
    return _exit_code(home, ending)


def _supervisor(home: Home, command: Sequence[str], ending: Ending, height: Callable[[], int]) -> Supervisor:
    """CometBFT's supervisor, not started."""
    return Supervisor(
        command,
        log_file=home.log_folder / "cometbft.log",
        pid_file=home.pid_file,
        environment=cometbft.environment(),
        height=height,
        on_failure=ending.failed,
        left_socket=cometbft.signer_socket(home),
    )


def _exit_code(home: Home, ending: Ending) -> int:
    """Say why the node ended; its exit code."""
    if ending.halt is not None and is_disk_full(str(ending.halt)):
        _LOG.critical("stopped: the disk is full: %s; free space and start again, nothing is lost", ending.halt)
        return EXIT_DISK_FULL
    if ending.halt is not None:
        _LOG.critical("stopped: %s; details in %s", ending.halt, home.log_folder / NODE_LOG)
        return EXIT_HALTED
    if ending.failure:
        _LOG.critical("stopped: %s; details in %s", ending.failure, home.log_folder / "cometbft.log")
        return EXIT_COMETBFT
    _LOG.info("stopped")
    return 0


def require_signing_files(home: Home, comet_blocks: int) -> None:
    """Raises NodeError where CometBFT would make a new key, or forget what the key has signed, without a word."""
    for path in (home.validator_key_file, home.node_key_file):
        if not path.is_file():
            raise NodeError(f"{path} is missing: put it back from its backup; CometBFT would make another one")
    if comet_blocks and not home.signing_state_file.is_file():
        raise NodeError(
            f"{home.signing_state_file} is missing although this node has {comet_blocks} blocks: put back the newest "
            "one that exists; without it this validator could sign twice"
        )


def _report(alarm: Alarm) -> None:
    """Tell operators of a bug that the chain put aside; every node of the chain says the same at the same height."""
    trace = "".join(traceback.format_exception(alarm.error))
    _LOG.critical("%s; `openledger query deadlines stuck` and `failing` list them\n%s", alarm.text, trace)


def _say_how_it_begins(home: Home, store: LevelDBStore) -> None:
    """Tell of a first start. Raises NodeError for a genesis document that nothing can begin with."""
    if store.height:
        return
    summary = genesis.validate(genesis.read(home.genesis_file))
    if joins_by_snapshot(home):
        _LOG.info("first start: the newest snapshot of the peers is fetched, then the blocks after it")
    else:
        _LOG.info("first start: the state of %d accounts is built from genesis", summary.accounts)


def _local_node(home: Home, clock: _BlockClock, counts: Counts, ending: Ending) -> LocalNode:
    """Collect the facts and calls that the application has of this node."""
    return LocalNode(
        persistent_peers=chosen_peers(home),
        seconds_behind=clock.seconds_behind,
        committed=counts.committed,
        alarm=_report,
        reveal=Revealing(home).reveal,
        outdated=ending.outdated,
    )


def _application(store: LevelDBStore, local: LocalNode, snapshots: NodeSnapshots) -> Application:
    """The state machine. Raises NodeError where this machine's libraries would lead it to another result."""
    try:
        return Application(store, local, snapshots)
    except InvariantBroken as error:
        raise NodeError(f"{error}; install the versions that requirements/ names (scripts/setup does)") from error


def open_snapshots(home: Home, settings: NodeSettings, store: LevelDBStore) -> NodeSnapshots:
    """The snapshots of this home, by its settings; a context."""
    blocks = None
    if settings.keep_blocks:
        evidence = genesis.evidence_age(home.genesis_file)
        needs = BlockNeeds(
            keep_blocks=settings.keep_blocks,
            evidence_blocks=evidence.blocks,
            evidence_seconds=evidence.seconds,
            trusting_seconds=TrustRules().trusting_period_seconds,
        )
        times = BlockTimes(home.data_folder / "block_times")
        times.open()
        blocks = BlockKeeping(needs, times, comet_base(home))
    return NodeSnapshots(
        store,
        home.snapshot_folder,
        interval_heights=settings.snapshot_interval_heights,
        keep=settings.snapshots_kept,
        blocks=blocks,
    )


def check(home: Home, settings: NodeSettings) -> Fault | Path | None:
    """Everything that can be wrong before anything starts; the fault to inject, if any. Raises NodeError."""
    chain_id = genesis.chain_id(home.genesis_file)
    remedy = "another node may be running; stop it, or change"
    for section, (host, port) in cometbft.listen_addresses(home).items():
        if port == settings.metrics_port:
            raise NodeError(f"{home.settings_file}: metrics_port is {port}, which is the port of [{section}] laddr")
        require_free(host, port, f"{remedy} [{section}] laddr in {home.comet_config_file}")
    if settings.metrics_port:
        require_free(HOST, settings.metrics_port, f"{remedy} metrics_port in {home.settings_file}")
    wanted = os.environ.get(VARIABLE, "")
    if not wanted:
        return None
    if not is_development_chain(chain_id):
        raise NodeError(f"{VARIABLE} is set, but {chain_id} is no development chain; unset it")
    return parse_source(wanted)


def chosen_peers(home: Home) -> frozenset[str]:
    """The node ids that this operator chose as peers; the peer filter always admits them."""
    listed = str(cometbft.read_config(home)["p2p"].get("persistent_peers", ""))
    return frozenset(peer.split("@")[0].strip().lower() for peer in listed.split(",") if "@" in peer)


@contextmanager
def open_store(home: Home, settings: NodeSettings) -> Iterator[LevelDBStore]:
    """The application's state on disk, closed at the end."""
    if home.unfinished_restore_file.exists():
        raise NodeError(f"{home.folder}: a backup was not put back to the end: run `openledger node restore` again")
    home.store_folder.mkdir(parents=True, exist_ok=True)
    store = LevelDBStore.open(
        home.store_folder,
        history_heights=settings.history_heights,
        memory=StoreMemory(pages_bytes=settings.cache_mebibytes * 2**20),
    )
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _metrics(settings: NodeSettings, sources: Sources) -> Iterator[None]:
    """Serve the metrics while the node runs, where its settings say so."""
    with serving(settings.metrics_port, sources.page) as server:
        if server is not None:
            _LOG.info("metrics at http://%s:%d%s", HOST, server.port, PATH)
        yield


def _serve(home: Home, server: AbciServer, supervisor: Supervisor, ending: Ending) -> None:
    """From a bound socket to everything stopped."""
    server.start()
    try:
        supervisor.start()
        _LOG.info("node started: RPC at %s, home %s, logs in %s", cometbft.rpc_url(home), home.folder, home.log_folder)
        ending.wait()
        _LOG.info("stopping")
    finally:
        supervisor.stop()
        server.stop()


@contextmanager
def _signals(ending: Ending) -> Iterator[None]:
    """SIGTERM and SIGINT ask the node to stop."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        ending.ask()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def calm_collector() -> None:
    """Keep all objects that exist now: collecting them every few hundred transactions costs more than it frees."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def main() -> int:
    """`python -m node.run --home FOLDER`, as devnets start their nodes."""
    parser = argparse.ArgumentParser(description="run one node")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--until-input-ends", action="store_true", help="stop when standard input is closed")
    arguments = parser.parse_args()
    ending = Ending()
    if arguments.until_input_ends:
        threading.Thread(target=_wait_for_end_of_input, args=(ending,), daemon=True).start()
    try:
        return start(arguments.home, ending)
    except (NodeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _wait_for_end_of_input(ending: Ending) -> None:
    """End the node when standard input closes: a parent process that died without stopping the node has closed it."""
    try:
        while os.read(0, 1024):
            pass
    except OSError as error:  # an input that cannot be read has ended, too
        _LOG.error("standard input cannot be read: %s", error)
    ending.ask()


if __name__ == "__main__":
    sys.exit(main())
