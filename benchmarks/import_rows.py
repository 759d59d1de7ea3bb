"""Time, memory and repeatability of `openledger data add` on a large file.

    python -m benchmarks.import_rows [--rows 1000000] [--folder DIR] [--processes N]

A file of chats of some 500 bytes a row is made. The command contributes it in a process of its own to a chain in this
one. The first attempt is killed after `--kill-after` seconds (0: it is not) and the same command is given again. Both
attempts are measured together: time, processor time of all processes, their resident memory at its highest. Then the
rows of all submissions are read from the content store and compared with the file, one by one: none is missing, none
is there twice.
"""

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from benchmarks.report import print_table
from openledger.data.rows import RowBatch
from tests.kit.openledger.contributing import Garden
from tests.kit.openledger.served_node import served
from tests.kit.repository import ROOT

_WORDS = 20_000
_POLL_SECONDS = 0.1


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where file, home and content store go (default: a new one)")
    parser.add_argument("--processes", type=int, help="passed to the command")
    parser.add_argument("--kill-after", type=float, default=20.0, help="seconds (0: no kill)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        measure(Path(folder), arguments)


def measure(folder: Path, arguments: argparse.Namespace) -> None:
    """One file, at most two attempts, one table."""
    garden = Garden(folder)
    garden.keep_key()
    path = folder / "rows.jsonl"
    make_file(path, arguments.rows)
    with served(garden.node) as url:
        killed_mib = killed_seconds = 0.0
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        if arguments.kill_after:
            killed_mib, killed_seconds, _ = attempt(garden, url, path, arguments, arguments.kill_after)
        peak_mib, last_seconds, code = attempt(garden, url, path, arguments, 0)
        seconds = killed_seconds + last_seconds
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if code:
        raise SystemExit(f"the command ended with {code}")
    check_rows(garden, path)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    size_mib = path.stat().st_size / 2**20
    rows = arguments.rows
    killed = f"killed after {arguments.kill_after:g} s, then " if arguments.kill_after else ""
    print_table(
        f"Import of {rows:,} rows, {size_mib:.0f} MiB of JSON Lines, {killed}to its end",
        ("all attempts, s", "rows/s", "processor s", "rows a processor s", "most memory, MiB", "submissions"),
        [
            (
                f"{seconds:.1f}",
                f"{rows / seconds:,.0f}",
                f"{processor:.1f}",
                f"{rows / processor:,.0f}",
                f"{max(peak_mib, killed_mib):,.0f}",
                len(garden.submissions()),
            )
        ],
    )


def make_file(path: Path, rows: int) -> None:
    """Chats of random words, some 500 bytes each."""
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(_WORDS)]
    with path.open("w") as file:
        for number in range(rows):
            asked, said = " ".join(rng.choices(words, k=25)), " ".join(rng.choices(words, k=40))
            turns = [{"role": "user", "content": f"{asked}?"}, {"role": "assistant", "content": f"{said}."}]
            file.write(json.dumps({"id": number, "messages": turns}, separators=(",", ":")) + "\n")


def attempt(
    garden: Garden, url: str, path: Path, arguments: argparse.Namespace, kill_after_seconds: float
) -> tuple[float, float, int]:
    """Run the command; its highest memory in MiB, its seconds, its exit code."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OPENLEDGER_HOME": str(garden.home),
        "OPENLEDGER_NODE": url,
        "OPENLEDGER_CHAIN_ID": "dev-garden",
        "OPENLEDGER_KEYS": "test",
        "OPENLEDGER_CONTENT": str(garden.folder / "content"),
    }
    line = [sys.executable, "-m", "openledger_cli.main", "data", "add", "garden", str(path), "--from", "dana"]
    line += ["--unverified", *(["--processes", str(arguments.processes)] if arguments.processes is not None else [])]
    started, peak_mib = time.monotonic(), 0.0
    process = subprocess.Popen(line, env=environment, start_new_session=True)
    while process.poll() is None:
        peak_mib = max(peak_mib, memory_mib(process.pid))
        if kill_after_seconds and time.monotonic() - started > kill_after_seconds:
            os.kill(process.pid, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)
    return peak_mib, time.monotonic() - started, process.returncode


def memory_mib(pid: int) -> float:
    """Resident memory of a process and of those below it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += (task / "children").read_text().split()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return pages * resource.getpagesize() / 2**20 + sum([memory_mib(int(child)) for child in set(children)])


def check_rows(garden: Garden, path: Path) -> None:
    """Every row of the file is in the submissions once, in order."""
    store = garden.store

    def contributed() -> Iterator[bytes]:
        for stored in garden.submissions():
            yield from RowBatch.decode(store.get(stored.contribution.content_digest)).rows

    with path.open("rb") as file:
        for number, (line, row) in enumerate(zip_longest(file, contributed()), 1):
            if line is None or row is None or line.removesuffix(b"\n") != row:
                raise SystemExit(f"row {number} is not line {number} of the file")


if __name__ == "__main__":
    main()
