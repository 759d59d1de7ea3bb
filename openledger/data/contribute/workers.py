"""Processes that work on chunks of rows, as many as there are processors; none for little work.

They are plain child processes that talk over their pipes, started as a module: nothing of the calling program is run
again in them, be it a script or a notebook, and they end with it, also where it is killed.

Run as a program, this module is such a process: length (4 bytes) and MessagePack, in and out, until the input ends.
"""

import os
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import IO, Self

from msgspec import msgpack

from openledger.data.contribute.work import Chunk, ChunkResult, work
from openledger.errors import OpenLedgerError

_LENGTH = struct.Struct(">I")
# More share the reader's one process, which is then what takes the time.
MOST_PROCESSES = 8
# Starting a process takes as long as working on so much.
LEAST_BYTES = 4 * 2**20


class Workers:
    """Takes chunks, gives futures; a context manager."""

    def __init__(self, processes: int) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self._own = threading.local()
        self._pool = ThreadPoolExecutor(processes, "rows") if processes else None

    @classmethod
    def for_bytes(cls, size: int) -> "Workers":
        """Start as many processes as so many bytes of files are worth."""
        if size < LEAST_BYTES or not sys.executable:
            return cls(0)
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return cls(min(processors, MOST_PROCESSES))

    def submit(self, chunk: Chunk) -> "Future[ChunkResult]":
        """Have a chunk worked on; without processes, before this returns."""
        if self._pool is not None:
            return self._pool.submit(self._ask, chunk)
        future: Future[ChunkResult] = Future()
        future.set_result(work(chunk))
        return future

    def _ask(self, chunk: Chunk) -> ChunkResult:
        process = getattr(self._own, "process", None) or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            _write(process.stdin, msgpack.encode(chunk))
            answer = _read(process.stdout)
        except OSError:
            answer = b""
        if not answer:
            raise OpenLedgerError(
                f"a process that works on rows ended ({process.wait()}), perhaps for want of memory: give the same "
                "command again, it goes on from here"
            )
        return msgpack.decode(answer, type=ChunkResult)

    def _start(self) -> "subprocess.Popen[bytes]":
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([path for path in sys.path if path])}
        process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            # Ctrl-C at a terminal is for the command, which closes the pipes of its processes.
            process_group=0,
        )
        self._own.process = process
        self._processes.append(process)
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is None:
            return
        if error is not None:
            for process in self._processes:
                process.kill()
        self._pool.shutdown(cancel_futures=True)
        for process in self._processes:
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                _close(pipe.close)
            process.wait()


def _close(close: Callable[[], None]) -> None:
    try:
        close()
    except OSError:
        # What was not flushed to a process that is gone is of no use to it.
        return


def _write(pipe: IO[bytes], data: bytes) -> None:
    pipe.write(_LENGTH.pack(len(data)))
    pipe.write(data)
    pipe.flush()


def _read(pipe: IO[bytes]) -> bytes:
    """One message; empty at the end of the pipe."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return b""
    (length,) = _LENGTH.unpack(head)
    data = pipe.read(length)
    return data if len(data) == length else b""


def main() -> None:
    """Answer chunks until there are no more."""
    while request := _read(sys.stdin.buffer):
        try:
            _write(sys.stdout.buffer, msgpack.encode(work(msgpack.decode(request, type=Chunk))))
        except BrokenPipeError:
            os._exit(1)


if __name__ == "__main__":
    main()
