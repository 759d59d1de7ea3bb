"""`scripts/demo` on four real validators, with fewer training steps; then the README's tour on what it left running."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from node.home import Home
from openledger.exit_codes import ExitCode
from tests.kit.readme import ROOT, tour_commands

pytestmark = [pytest.mark.integration, pytest.mark.ml, pytest.mark.slow, pytest.mark.timeout(900)]

VALIDATORS = 4
# Every claim of issue 3, part 8, in the demo's own words.
CLAIMS = (
    "all validators have one app hash",
    "3 witnesses agree with it",
    "rejected them as plagiarism, proven",
    "python-questions version 2: ",
    "the base model is on the chain, proven",
    "lie behind the entry's manifest root",
    "held-out loss before and after is on the chain, proven",
    "the command verified the answer and says how",
    "the tree names model, base, DataNets, licences and filters",
    "complete: the model, its parent adapter, the base, and nothing else",
    "all 9 contributors",
    "proven complete: the first fine-tune directly, the second through it, no other",
    "proven: not among the declared inputs; unknown below the imported base, which is named",
    "the page is there, and every number on it was verified",
    "an answer that quotes a training row: its span is found",
    "integers hold and both models, run again, give the codes within the band",
    "a share moved from one contributor to another: refused, and the field is named",
    "one code of the query changed: refused, and the field is named",
    "another model's index: refused, and the field is named",
    "refused before any training, with both parents named in one line",
    "the chain refuses such a run as well, with both parents named",
    "the changed row is detected, contribution and row named",
    "an answer that credits somebody else is detected",
    "the bundle was verified offline, in a process of its own that cannot open a connection",
    "without an anchor of one's own it is consistent, not anchored",
    "32 bundles with one flipped bit, at places all over them: each is detected",
    "a forged bundle that credits somebody else, with a checksum that fits, is detected",
)


@dataclass(frozen=True)
class Told:
    """A finished run of the demo whose nodes still run."""

    folder: Path
    code: int
    output: str


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """One run for all tests of this file; its nodes end with them."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    words = ["--quick", "--keep", "--validators", str(VALIDATORS), "--folder", str(folder)]
    command = [str(ROOT / "scripts" / "demo"), *words]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            output, _ = process.communicate(timeout=600)
            yield Told(folder, process.returncode, output)
        finally:
            process.kill()
            _stop_kept(folder)


def _stop_kept(folder: Path) -> None:
    """Do as the demo's last line says: kill $(cat kept.pid)."""
    path = folder / "kept.pid"
    if not path.exists():
        return
    pid = int(path.read_text())
    try:
        os.kill(pid, signal.SIGTERM)
        for _ in range(300):
            os.kill(pid, 0)
            time.sleep(0.1)
    except ProcessLookupError:
        return


def test_every_check_held(told: Told) -> None:
    assert told.code == 0, told.output[-6_000:]
    checks = re.findall(r"^  ok      ", told.output, re.MULTILINE)
    assert f"All {len(checks)} checks held." in told.output
    assert "FAILED" not in told.output


def test_each_claim_of_the_main_job_is_among_them(told: Told) -> None:
    held = re.findall(r"^  ok      (.*)", told.output, re.MULTILINE)
    assert [claim for claim in CLAIMS if not any(claim in line for line in held)] == []


def test_the_tour_of_the_readme_works_on_what_it_left_running(told: Told) -> None:
    """Every `openledger` command that the README shows, in its order, with the settings that it sources."""
    lines = tour_commands()
    found = {line: _run_tour_command(told, line) for line in lines}
    # The one command of the tour that is refused: its mix has terms that clash.
    expected = {line: ExitCode.REFUSED if "clash.yaml" in line else ExitCode.OK for line in lines}
    assert {line: done.returncode for line, done in found.items()} == expected, [done.stderr for done in found.values()]
    (refused,) = [done.stderr for line, done in found.items() if "clash.yaml" in line]
    assert "terms clash between DataNet 'python-questions' version 1" in refused


def _run_tour_command(told: Told, line: str) -> subprocess.CompletedProcess[str]:
    words = shlex.split(line.replace("build/demo", str(told.folder)))
    script = f". {shlex.quote(str(told.folder / 'settings.sh'))} && exec .venv/bin/{shlex.join(words)}"
    return subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_the_nodes_that_it_kept_end_when_they_are_told_to(told: Told) -> None:
    _stop_kept(told.folder)
    for index in range(VALIDATORS):
        home = Home(told.folder / "net" / f"node{index}")
        with home.lock():
            assert home.comet_config_file.is_file()
