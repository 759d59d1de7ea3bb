"""Runs CometBFT as a child process: starts it again when it ends, waits while the disk is full, gives up for good.

CometBFT ends with exit code 0 when the application's socket closes or the application answers an exception, and its
consensus can end while the process lives on (it says so in its log). `node.comet_end` judges each end. The thread that
supervises never ends by itself without saying so: after any error, it ends the child and reports.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from node import disk
from node.child_log import ChildLog
from node.comet_end import End, Verdict, judge
from node.errors import in_one_line
from node.logs import ALARM

_LOG = logging.getLogger("openledger.supervisor")

# CometBFT answers SIGTERM within a second; a flush of a large database may take longer.
_STOP_SECONDS = 20.0
# One whose application was killed has nothing to finish, and now and then never ends by itself (v0.38.25, when the
# application goes between FinalizeBlock and Commit). Its databases survive SIGKILL.
_LEFT_OVER_SECONDS = 3.0
_POLL_SECONDS = 0.2
# Asking the file system for its free space is cheap, but not worth doing five times a second.
_SPACE_SECONDS = 2.0
# A run this long without a known height counts as one that came somewhere.
_LONG_RUN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class BackOff:
    """Delays before restarts: doubling, back to the first after a run of `reset_seconds`."""

    first_seconds: float = 0.2
    longest_seconds: float = 10.0
    reset_seconds: float = 30.0

    def after(self, previous_seconds: float | None, ran_seconds: float) -> float:
        """The delay after a run that lasted `ran_seconds` and was itself delayed by `previous_seconds`."""
        if previous_seconds is None or ran_seconds >= self.reset_seconds:
            return self.first_seconds
        return min(previous_seconds * 2, self.longest_seconds)


class Supervisor:
    """Keeps one command running from `start` to `stop`. Its output goes to `log_file`, its pid to `pid_file`.

    `height` says how far the node is; a run in which it does not grow is fruitless. `on_failure` is called once, with
    one line, when the command is given up. `left_socket` is one that the command makes and
    leaves behind, which would keep its next run from starting.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log_file: Path,
        pid_file: Path,
        environment: dict[str, str] | None = None,
        back_off: BackOff | None = None,
        height: Callable[[], int] | None = None,
        on_failure: Callable[[str], None] | None = None,
        left_socket: Path | None = None,
    ) -> None:
        self.restarts = 0
        # Why nothing runs at the moment, in words; empty while the child runs or is about to.
        self.paused = ""
        self.failure = ""
        self._command = list(command)
        self._log = ChildLog(log_file)
        self._folder = log_file.parent
        self._pid_file = pid_file
        self._environment = environment
        self._back_off = back_off or BackOff()
        self._height = height
        self._on_failure = on_failure
        self._left_socket = left_socket
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run_guarded, name="supervisor", daemon=True)

    @property
    def pid(self) -> int | None:
        """Process id of the running child, None between two runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def start(self) -> None:
        """Keep the command running from now on."""
        self._thread.start()

    def stop(self) -> None:
        """SIGTERM, then SIGKILL if that does not help; returns when the child has ended."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run_guarded(self) -> None:
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001 - nothing may leave a child that nobody watches
            _LOG.critical("supervising %s failed", self._name, exc_info=True)
            self._give_up(f"supervising {self._name} failed: {in_one_line(error)}")
        finally:
            if self._process is not None and self._process.poll() is None:
                _terminate(self._process)
            self._remove_pid()

    def _run(self) -> None:
        delay: float | None = None
        fruitless_runs = 0
        while not self._stopping.is_set():
            if disk.free_bytes(self._folder) < disk.PAUSE_BELOW_BYTES:
                self._wait_for_space()
                continue
            started, height = time.monotonic(), self._height_now()
            end = self._run_once(height)
            if self._stopping.is_set():
                return
            ran_seconds = time.monotonic() - started
            if self._height is None:
                end = End(
                    code=end.code,
                    reason=end.reason,
                    disk_full=end.disk_full,
                    consensus_failed=end.consensus_failed,
                    fruitless=ran_seconds < _LONG_RUN_SECONDS,
                )
            fruitless_runs = fruitless_runs + 1 if end.fruitless else 0
            space = disk.free_bytes(self._folder) >= disk.RESUME_ABOVE_BYTES
            verdict = judge(end, fruitless_runs, space_is_left=space)
            if verdict is Verdict.GIVE_UP:
                self._give_up(f"{self._name} cannot go on: {end.reason}")
                return
            if verdict is Verdict.WAIT_FOR_SPACE:
                self._wait_for_space()
                continue
            delay = self._back_off.after(delay, ran_seconds)
            self.restarts += 1
            _LOG.warning(
                "%s ended; starting it again in %.1f s. It said last: %s", self._name, delay, end.reason, extra=ALARM
            )
            self._stopping.wait(delay)

    @property
    def _name(self) -> str:
        return Path(self._command[0]).name

    def _height_now(self) -> int:
        return 0 if self._height is None else self._height()

    def _give_up(self, failure: str) -> None:
        self.failure = failure
        if self._on_failure is not None:
            self._on_failure(failure)

    def _wait_for_space(self) -> None:
        self.paused = disk.full_in_words(self._folder)
        _LOG.critical("%s is not running: %s", self._name, self.paused)
        while disk.free_bytes(self._folder) < disk.RESUME_ABOVE_BYTES and not self._stopping.wait(_SPACE_SECONDS):
            pass
        self.paused = ""
        if not self._stopping.is_set():
            _LOG.warning("there is space on the disk again: starting %s", self._name)

    def _run_once(self, height_before: int) -> End:
        """One run of the command, to its end, to the end of its consensus or of the disk, or to `stop`."""
        self._log.forget()
        remove_socket(self._left_socket)
        try:
            process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,  # Ctrl-C in a terminal reaches us alone; we stop things in order
            )  # fmt: skip
        except OSError as error:
            _LOG.error("cannot start %s: %s", self._name, error)
            return End(
                code=-1, reason=f"cannot start: {error}", disk_full=False, consensus_failed=False, fruitless=True
            )
        self._process = process
        pump = threading.Thread(target=self._take_output, args=(process,), name="cometbft-log", daemon=True)
        pump.start()
        try:
            self._pid_file.write_text(f"{process.pid}\n")
        except OSError as error:  # `end_left_over` finds the child without it
            _LOG.error("cannot write %s: %s", self._pid_file, error)
        looked = time.monotonic()
        while process.poll() is None and not self._stopping.wait(_POLL_SECONDS):
            if self._log.consensus_failure or not pump.is_alive():
                break
            if time.monotonic() - looked > _SPACE_SECONDS:
                looked = time.monotonic()
                if disk.free_bytes(self._folder) < disk.PAUSE_BELOW_BYTES:
                    break
        if process.poll() is None:
            _terminate(process)
        pump.join(_POLL_SECONDS)
        _LOG.info("%s ended with code %s", self._name, process.returncode)
        self._remove_pid()
        log = self._log
        reason = log.consensus_failure or log.reason or log.last_line
        fruitless = self._height_now() <= height_before
        return End(
            code=process.returncode,
            reason=reason,
            disk_full=log.disk_full,
            consensus_failed=bool(log.consensus_failure),
            fruitless=fruitless,
        )

    def _take_output(self, process: subprocess.Popen[bytes]) -> None:
        """Feed the log until the child closes its output; a child whose output nobody takes is ended by `_run_once`."""
        if process.stdout is not None:
            with process.stdout as output:
                for line in output:
                    self._log.feed(line)
        self._log.close()
        process.wait()

    def _remove_pid(self) -> None:
        with contextlib.suppress(OSError):  # a reader looks whether that process is the child
            self._pid_file.unlink(missing_ok=True)


def remove_socket(path: Path | None) -> None:
    """Remove a unix socket that nobody listens at any more; what is no socket stays."""
    if path is not None and path.is_socket():
        with contextlib.suppress(OSError):  # the command says what is wrong with it
            path.unlink()


def _terminate(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        _LOG.warning("process %d does not end; killing it", process.pid)
        process.kill()
        process.wait()


def end_left_over(pid_file: Path, command: Sequence[str]) -> None:
    """End the child of a supervisor that was killed, if its command begins like this; removes the pid file.

    The child is searched for as well (where /proc is): a supervisor killed just after a restart has written no pid.
    """
    try:
        named = [int(pid_file.read_text())]
    except (OSError, ValueError):
        named = []
    for pid in {*named, *[pid for pid in _found_here(pid_file.parent) if _runs(pid, command)]}:
        if _runs(pid, command):
            _LOG.warning("ending process %d, left over from a node that was killed", pid)
        started = time.monotonic()
        while _runs(pid, command):  # a process id may be given to another program at any time
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM if time.monotonic() - started < _LEFT_OVER_SECONDS else signal.SIGKILL)
            time.sleep(0.05)
        deadline = time.monotonic() + _LEFT_OVER_SECONDS
        while _is_ending(pid) and time.monotonic() < deadline:  # it has no command any more, but still its ports
            time.sleep(0.01)
    with contextlib.suppress(OSError):  # a file system that has become read-only is named by the next write
        pid_file.unlink(missing_ok=True)


def _found_here(folder: Path) -> Iterator[int]:
    """Processes for which the folder's path means the same folder as for us: not those of other containers."""
    here = folder.stat()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # ended meanwhile, or not ours to look at
            if os.path.samestat(here, Path(f"{entry}/root{folder}").stat()):
                yield int(entry.name)


def _is_ending(pid: int) -> bool:
    """Whether this process has let its memory go and not yet everything else (a zombie has)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return state not in ("Z", "X") and not Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _runs(pid: int, command: Sequence[str]) -> bool:
    """Whether this process is alive and its command begins like this (known only where /proc is)."""
    try:
        running = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        return False
    return running[: len(command)] == [os.fsencode(argument) for argument in command]
