"""Crashes on demand, for the tests that kill a node at every point of a block's life.

    OPENLEDGER_FAULT=POINT:HEIGHT[:WHO]    WHO = application (the default), cometbft, or both: gets SIGKILL
    OPENLEDGER_FAULT=file:PATH             whenever this file appears, take such a text from it and remove it

Honoured only on development chains (`openledger.keys.wallet.is_development_chain`); elsewhere the node refuses to
start.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from abci_app.pb import abci_pb2 as pb
from node.abci_server import AbciApplication
from node.errors import NodeError

_LOG = logging.getLogger("openledger.faults")

VARIABLE = "OPENLEDGER_FAULT"
Point = Literal[
    "before_finalize_block",  # the request has arrived, nothing is executed
    "before_finalize_block_answer",  # the block is executed, CometBFT does not know
    "after_finalize_block_answer",  # CometBFT may or may not have saved the answer
    "before_store_write",  # Commit has arrived, nothing is written
    "after_store_write",  # the batch is synced, Commit is not answered; with cometbft: its state is not saved
    "after_commit_answer",  # CometBFT is about to save its state, or has just done so
    # While a snapshot is restored; HEIGHT is the number of the chunk, 0 where there is none.
    "restoring_begun",  # the map is accepted, the store is empty
    "restoring_chunk",  # this chunk is written, its answer is not given
    "restoring_top",  # all of the state is written, none of it counts
    "restoring_adopted",  # all of it counts, CometBFT does not know
]
_FILE_PREFIX = "file:"
Who = Literal["application", "cometbft", "both"]
# How long CometBFT is given to be gone before the application goes on without it.
_GONE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Fault:
    """Kill `who` once, at this point of this height."""

    point: Point
    height: int
    who: Who = "application"

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Raises NodeError for anything but POINT:HEIGHT[:WHO]."""
        point, _, rest = text.partition(":")
        height, _, who = rest.partition(":")
        if point not in get_args(Point) or not height.isdigit() or who not in ("", *get_args(Who)):
            raise NodeError(
                f"{VARIABLE}={text!r}: give POINT:HEIGHT or POINT:HEIGHT:WHO, POINT one of "
                f"{', '.join(get_args(Point))}, WHO one of {', '.join(get_args(Who))}"
            )
        return cls(point, int(height), who or "application")  # type: ignore[arg-type]


def parse_source(text: str) -> Fault | Path:
    """The variable's value: a fault, or the file from which faults are taken. Raises NodeError."""
    return Path(text.removeprefix(_FILE_PREFIX)) if text.startswith(_FILE_PREFIX) else Fault.parse(text)


class FaultyApplication:
    """An application that passes every call on, and kills at the fault's point."""

    def __init__(self, application: AbciApplication, source: Fault | Path, comet_pid: Callable[[], int | None]) -> None:
        self._application = application
        self._fault = source if isinstance(source, Fault) else None
        self._file = source if isinstance(source, Path) else None
        self._comet_pid = comet_pid
        self._height = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._application, name)

    def finalize_block(self, request: pb.RequestFinalizeBlock) -> pb.ResponseFinalizeBlock:
        self._height = request.height
        self._take_from_file()
        self._reach("before_finalize_block")
        answer = self._application.finalize_block(request)
        self._reach("before_finalize_block_answer")
        return answer

    def commit(self, request: pb.RequestCommit) -> pb.ResponseCommit:
        self._reach("before_store_write")
        answer = self._application.commit(request)
        self._reach("after_store_write")
        return answer

    def after_answer(self, kind: str) -> None:
        """For `AbciServer(after_answer=...)`."""
        if kind == "finalize_block":
            self._reach("after_finalize_block_answer")
        elif kind == "commit":
            self._reach("after_commit_answer")

    def restoring(self, point: str, number: int) -> None:
        """For `Restoring(reach=...)`."""
        self._take_from_file()
        self._height = number
        self._reach(f"restoring_{point}")  # type: ignore[arg-type]

    def _take_from_file(self) -> None:
        if self._file is not None and self._file.exists():
            self._fault = Fault.parse(self._file.read_text().strip())
            self._file.unlink()

    def _reach(self, point: Point) -> None:
        fault = self._fault
        if fault is None or (fault.point, fault.height) != (point, self._height):
            return
        self._fault = None
        _LOG.warning("fault: killing %s %s at height %d", fault.who, point, self._height)
        if fault.who != "application":
            _kill_and_wait(self._comet_pid())
        if fault.who != "cometbft":
            os.kill(os.getpid(), signal.SIGKILL)


def _kill_and_wait(pid: int | None) -> None:
    """SIGKILL, and wait until it has taken effect: a zombie or gone."""
    if pid is None:
        raise NodeError("fault injection: CometBFT is not running")
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + _GONE_SECONDS
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
