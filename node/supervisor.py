"""Runs CometBFT as a child process and starts it again whenever it ends.

CometBFT ends with exit code 0 when the application's socket closes or the application answers an exception, so the
exit code says nothing: it is restarted always, after a delay that grows while it does not stay up.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_LOG = logging.getLogger("openledger.supervisor")

# One log file is kept beside the current one; each at most this large.
MAX_LOG_BYTES = 64 * 1024 * 1024
# CometBFT answers SIGTERM within a second; a flush of a large database may take longer.
_STOP_SECONDS = 20.0
# One whose application was killed has nothing to finish, and now and then never ends by itself (v0.38.25, when the
# application goes between FinalizeBlock and Commit). Its databases survive SIGKILL.
_LEFT_OVER_SECONDS = 3.0
_POLL_SECONDS = 0.2
_LAST_LINE_BYTES = 500


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
    """Keeps one command running from `start` to `stop`. Its output goes to `log_file`, its pid to `pid_file`."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log_file: Path,
        pid_file: Path,
        environment: dict[str, str] | None = None,
        back_off: BackOff | None = None,
    ) -> None:
        self.restarts = 0
        self._command = list(command)
        self._log_file = log_file
        self._pid_file = pid_file
        self._environment = environment
        self._back_off = back_off or BackOff()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

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

    def _run(self) -> None:
        delay: float | None = None
        while not self._stopping.is_set():
            started = time.monotonic()
            self._run_once()
            if self._stopping.is_set():
                return
            delay = self._back_off.after(delay, time.monotonic() - started)
            self.restarts += 1
            _LOG.warning(
                "%s ended; starting it again in %.1f s. It said last: %s", self._name, delay, self._last_line()
            )
            self._stopping.wait(delay)

    @property
    def _name(self) -> str:
        return Path(self._command[0]).name

    def _run_once(self) -> None:
        """One run of the command, to its end or to `stop`."""
        with self._log_file.open("ab") as log:
            try:
                process = subprocess.Popen(
                    self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment,
                    start_new_session=True,  # Ctrl-C in a terminal reaches us alone; we stop things in order
                )  # fmt: skip
            except OSError as error:
                _LOG.error("cannot start %s: %s", self._name, error)
                return
            self._process = process
            self._pid_file.write_text(f"{process.pid}\n")
            while process.poll() is None and not self._stopping.is_set():
                self._stopping.wait(_POLL_SECONDS)
                self._bound_log()
            if process.returncode is None:
                _terminate(process)
            _LOG.info("%s ended with code %s", self._name, process.returncode)
            self._pid_file.unlink(missing_ok=True)

    def _last_line(self) -> str:
        """The end of the child's log, for whoever looks at the console."""
        try:
            with self._log_file.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _LAST_LINE_BYTES))
                lines = log.read().decode(errors="replace").strip().splitlines()
        except OSError:
            return "nothing"
        return lines[-1] if lines else "nothing"

    def _bound_log(self) -> None:
        """Move a full log aside; the child goes on appending to the emptied file."""
        if self._log_file.stat().st_size <= MAX_LOG_BYTES:
            return
        older = self._log_file.with_suffix(".old.log")
        older.write_bytes(self._log_file.read_bytes())
        os.truncate(self._log_file, 0)


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
