"""A fuzz target makes an input from randomness, judges any input, and says in a word what became of the input."""

import atexit
import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from abci_app.chain.registry import MODULES
from abci_app.errors import Code
from node.leveldb.memory import StoreMemory
from tests.fuzz.corpus import Corpus

# A rejection is one line for people.
MAX_LOG_CHARACTERS = 2_000
# Every cache of a node is bounded, at 150 MiB together: a campaign would measure how they fill up. Here each is full
# after some hundred blocks, long before memory is compared, so that what grows from then on is a leak.
SMALL_MEMORY = StoreMemory(
    pages_bytes=4 * 2**20,
    query_pages_bytes=2**18,
    values_bytes=2**18,
    block_cache_bytes=2**20,
    write_buffer_bytes=2**18,
    open_files=64,
)

KNOWN_CODES: dict[int, str] = {
    **{int(code): code.name for code in Code},
    **{int(code): f"{module.name} {code.name}" for module in MODULES for code in module.errors},
}


def own_folder() -> Path:
    """A folder that is removed when the program ends."""
    folder = Path(tempfile.mkdtemp(prefix="openledger-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class Violation(Exception):
    """An input was answered in a way that nobody may see."""


@dataclass(frozen=True, slots=True)
class Target:
    """One way into the node. `judge` raises for a fault: `Violation`, or any exception of the code under test."""

    name: str
    # How often against the others.
    weight: float
    make: Callable[[random.Random, Corpus], bytes]
    judge: Callable[[Corpus, bytes], str]


def code_name(code: int, log: str, codespace: str) -> str:
    """The name of a rejection's code; raises unless it is one that is documented, with one line that says why."""
    if isinstance(code, IntEnum):
        code = int(code)
    name = KNOWN_CODES.get(code)
    if not code or name is None:
        raise Violation(f"rejected with code {code}, which no module has")
    if not log or len(log) > MAX_LOG_CHARACTERS or "\n" in log:
        raise Violation(f"code {code} with the text {log[:200]!r}, which is not one line")
    expected = name.split(" ")[0] if " " in name else "openledger"
    if codespace != expected:
        raise Violation(f"code {code} of {expected} came with codespace {codespace!r}")
    return name
