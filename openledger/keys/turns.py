"""Turns of one key on one chain: commands and programs on this machine that sign with it wait for each other.

A lock of the operating system on a file in the home: it ends with the process that holds it, however that ends, so
nothing that was killed ever stands in the way. The sequence is asked of the node within the turn.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from openledger.errors import TimedOut

FOLDER = "turns"
# Longer than any transaction may take; who waits longer waits for something that hangs.
PATIENCE_SECONDS = 600.0
_POLL_SECONDS = 0.05
# A person hears of the wait after two seconds, and now and then after that.
_FIRST_SECONDS, _NEXT_SECONDS = 2.0, 10.0


@dataclass(frozen=True, slots=True)
class KeyTurns:
    """Turns in one home; `say` tells people that they wait."""

    home: Path
    say: Callable[[str], None] = lambda _: None
    patience_seconds: float = PATIENCE_SECONDS

    @contextmanager
    def of(self, address: bytes, chain_id: str) -> Iterator[None]:
        """The turn of an account on a chain; raises `TimedOut` when somebody else's does not end.

        A home that cannot be written to has no turns: then the chain's own check of sequences is all there is.
        """
        descriptor = self._open(address, chain_id)
        if descriptor is None:
            yield
            return
        try:
            self._wait(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _open(self, address: bytes, chain_id: str) -> int | None:
        name = sha256(f"{chain_id}/".encode() + address).hexdigest()[:32]
        try:
            (self.home / FOLDER).mkdir(parents=True, exist_ok=True, mode=0o700)
            return os.open(self.home / FOLDER / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return None

    def _wait(self, descriptor: int) -> None:
        started = time.monotonic()
        told = started + _FIRST_SECONDS - _NEXT_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                pass
            now = time.monotonic()
            if now - started > self.patience_seconds:
                raise TimedOut(
                    f"another command signs with this key and did not end within {self.patience_seconds:g} s: nothing "
                    "was sent; look at what else runs here and try again"
                )
            if now - told >= _NEXT_SECONDS:
                told = now
                self.say(f"waiting for another command that signs with this key ({now - started:.0f} s)")
            time.sleep(_POLL_SECONDS)
