"""The parts in their order, what is left running afterwards, and the exit code."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from openledger.errors import NodeFailure, OpenLedgerError, UsageError
from openledger.exit_codes import ExitCode
from openledger_cli.demo import cast, data, explaining, questions, tampering, training
from openledger_cli.demo.report import Report
from openledger_cli.demo.stage import BUNDLE_FILE, KEPT_PID, Stage, make_folder, open_stage

Step = Callable[[Stage], None]
# Parts after the first, which starts the chain.
PARTS: tuple[tuple[str, tuple[Step, ...]], ...] = (
    ("Terms that data and models come under", (data.register_terms,)),
    ("DataNets of real text: contributed, reviewed, versioned", (data.fill_datanets,)),
    ("A base model from outside", (training.import_base,)),
    ("A LoRA fine-tune on a mix of both DataNets", (training.train_first,)),
    ("More data: version 2", (data.add_later_rows,)),
    ("A second fine-tune on top of the first", (training.train_second,)),
    ("The questions", (questions.ask_lineage, questions.ask_impact, questions.ask_clean)),
    (
        "Who shaped an answer",
        (explaining.explain_answers, explaining.check_explanation, explaining.refuse_forgeries),
    ),
    ("A mix whose terms clash", (questions.refuse_clash,)),
    ("A changed row, a lying node", (tampering.detect_tampered_row, tampering.detect_lying_node)),
    ("The proof bundle", (tampering.verify_offline, tampering.detect_tampered_bundle)),
)
FIRST_PART = "A chain on this machine"
# Each is two processes; more of them need more than a demo's patience.
MAX_VALIDATORS = 16
SETTINGS_FILE = "settings.sh"
_START_SECONDS = 60.0
TRY_NEXT = """
The chain goes on. In this or another terminal:

  . {settings}
  alias openledger={openledger}
  openledger query lineage python-helper --output json
  openledger query impact python-questions --version 1
  openledger query clean python-helper python-exam
  openledger query account lena
  openledger explain --model python-helper --prompt "Question: What is a tuple? Answer:" --html answer.html
  openledger tx bank transfer --from lena --recipient ada --amount 1.5OPEN
  openledger train --verify python-helper       trains it again and compares: bit-exact (some minutes)
  openledger verify {bundle} --genesis {genesis}

Stop it with:  kill $(cat {pid})"""


def tell(folder: Path, validators: int, *, quick: bool, keep: bool) -> ExitCode:
    """Run all parts and print the summary; FAILURE unless every part ended and every check held."""
    from node.errors import NodeError

    if not 1 <= validators <= MAX_VALIDATORS:
        raise UsageError(f"--validators {validators}: one machine takes 1 to {MAX_VALIDATORS}")
    make_folder(folder)
    report = Report(1 + len(PARTS))
    report.say(f"OpenLedger demo: {validators} validator(s), everything in {folder}")
    try:
        _tell_parts(report, folder, validators, cast.QUICK_PACE if quick else cast.FULL_PACE)
    except (OpenLedgerError, NodeError) as error:
        report.say(f"\n  STOPPED  {' '.join(str(error).split())}")
    report.summary()
    if not report.good:
        report.say(f"The nodes' logs are in {folder / 'net'}")
        return ExitCode.FAILURE
    if keep:
        _keep(report, folder)
    else:
        report.say(f"Everything that was made is in {folder}; with --keep the nodes go on running.")
    return ExitCode.OK


def _tell_parts(report: Report, folder: Path, validators: int, pace: cast.Pace) -> None:
    """All parts, while the nodes run."""
    with ExitStack() as stack:
        with report.part(FIRST_PART):
            stage = stack.enter_context(open_stage(report, folder, validators, pace))
            data.show_chain(stage)
        write_settings(folder, stage.environment())
        for title, steps in PARTS:
            with report.part(title):
                for step in steps:
                    step(stage)


def write_settings(folder: Path, settings: dict[str, str]) -> None:
    """A file to source, after which `openledger` needs no options."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
    (folder / SETTINGS_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _keep(report: Report, folder: Path) -> None:
    """Start the nodes again in a process of their own, and say what can be done with them."""
    from node.devnet import Devnet

    net = Devnet.open(folder / "net")
    before = folder / "kept.log"
    with before.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "openledger_cli.main", "devnet", "--folder", str(folder / "net")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (folder / KEPT_PID).write_text(f"{process.pid}\n", encoding="utf-8")
    deadline = time.monotonic() + _START_SECONDS
    while not net.height():
        if process.poll() is not None or time.monotonic() > deadline:
            raise NodeFailure(f"the nodes did not start again: see {before}")
        time.sleep(0.2)
    program = Path(sys.executable).parent / "openledger"
    text = TRY_NEXT.format(
        settings=folder / SETTINGS_FILE,
        openledger=program,
        bundle=folder / BUNDLE_FILE,
        genesis=net.nodes[0].home.genesis_file,
        pid=folder / KEPT_PID,
    )
    report.say(text)
