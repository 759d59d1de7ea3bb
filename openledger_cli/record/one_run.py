"""One run, from its facts to its entry on the chain."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openledger.errors import UsageError
from openledger_cli.claimed import claimed_lines
from openledger_cli.record.declared import parse_inputs, parse_parents, with_all_rows
from openledger_cli.record.gather import Gathered
from openledger_cli.text import note

if TYPE_CHECKING:
    from openledger.content.store import ContentStore
    from trainer.ancestry import KnownEntry
    from trainer.publish import ClientLedger
    from trainer.recording.declared import Declared
    from trainer.recording.facts import RunFacts
    from trainer.run_records import RunEventRecord, RunRecord

# Clocks of machines differ a little.
_CLOCK_SECONDS = 60


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A recorded run: the id of its entry, the lines to show, and whether it had been recorded before."""

    entry: str
    shown: dict[str, Any]
    is_old: bool = False


def require_model_name(args: argparse.Namespace) -> None:
    """Ask for the model's name at a terminal; raises `UsageError` elsewhere."""
    if not args.model:
        args.model = ask("Name of the model that this run makes a version of")
    if not args.model:
        raise UsageError("which model does the run make a version of? pass --model NAME")


def record_run(args: argparse.Namespace, gathered: Gathered, ledger: ClientLedger, store: ContentStore) -> RecordedRun:
    """Describe, declare, store, publish; a run that is recorded already is named instead, unless it is to be again."""
    from trainer.outside import check_base_of_adapter, describe_folder
    from trainer.recording.already import find_recorded
    from trainer.recording.external import record_external

    facts = gathered.facts
    event = _event(args, facts, gathered.result_folder())
    declared = _declared(args, facts, ledger)
    with gathered.files() as folder:
        artefact = describe_folder(folder, facts.kind)
        if declared.parents and declared.undeclared not in ("parents", "parents-and-inputs"):
            check_base_of_adapter(folder, declared.parents, ledger, store, args.base_files)
        inputs = declared.inputs
        record = record_external(
            model_name=args.model,
            kind=facts.kind,
            framework=facts.framework,
            recipe=facts.recipe,
            parents=declared.parents,
            inputs=[with_all_rows(ledger, item, store) for item in inputs] if args.all_rows else inputs,
            folder=folder,
            artefact=artefact,
            store=store,
            event=event,
            training=facts.training,
            losses=facts.losses,
            terms_id=declared.terms_id,
            undeclared=declared.undeclared,
            owner=ledger.signer_address,
        )
        earlier = None if args.again else find_recorded(record, ledger)
        if earlier:
            return _recorded_before(f"{args.model}@{earlier[0]}", earlier[1], record, ledger)
        published = ledger.publish(record)
    if declared.undeclared != "nothing" and not args.undeclared:
        note(
            f"recorded with undeclared {declared.undeclared.replace('-', ' ')}: nobody can be told what it stands "
            "on; --base NAME and --data DATANET@VERSION say it"
        )
    shown = {
        "entry": published.entry,
        "model": args.model,
        "height": published.height,
        "manifest_root": record.entry.manifest_root.hex(),
        "undeclared": declared.undeclared,
        **claimed_lines(published.claim),
    }
    return RecordedRun(published.entry, shown)


def _recorded_before(version: str, known: KnownEntry, record: RunRecord, ledger: ClientLedger) -> RecordedRun:
    """Name the entry of the run, and claim it where the command that recorded it did not come to that."""
    from trainer.publish import entry_text

    entry = entry_text(known.entry_id)
    say_recorded_before(f"{version}, {entry}")
    is_same = known.record.manifest_root == record.entry.manifest_root
    claim = ledger.claim(known.entry_id, record.manifest, record.model_name) if is_same else None
    return RecordedRun(entry, {"entry": entry, "model": version, "recorded": "before", **claimed_lines(claim)}, True)


def is_recorded(entry: str, chain_id: str, ledger: ClientLedger) -> bool:
    """Whether an entry that a tool's tag names is on this chain: another chain may have had the same id."""
    from openledger.errors import QueryFailed
    from openledger.exit_codes import ExitCode

    if not entry or chain_id != ledger.chain_id:
        return False
    try:
        ledger.entry(entry)
    except QueryFailed as failure:
        if failure.exit_code not in (ExitCode.NOT_FOUND, ExitCode.UNPROVEN):
            raise
        return False
    return True


def say_recorded_before(what: str) -> None:
    """Say as which version a run is recorded, and how it is recorded once more."""
    note(
        f"this run is recorded already, as {what}: nothing was recorded now (--again records it once more, as another "
        "run with the same result)"
    )


def ask(question: str) -> str:
    """An answer from the terminal; empty where nobody sits at one."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return ""
    print(f"{question}: ", end="", file=sys.stderr, flush=True)
    from openledger_cli.pulse import waiting_for_people

    with waiting_for_people():
        return sys.stdin.readline().strip()


def _declared(args: argparse.Namespace, facts: RunFacts, ledger: ClientLedger) -> Declared:
    """Parents and inputs: in full as options say, else by --base and --data, else as somebody at a terminal says."""
    from trainer.recording.declared import Declared, declare

    if args.parent or args.input or args.undeclared:
        if args.base or args.data:
            raise UsageError("--base and --data are short for --parent and --input: use one form or the other")
        missing = args.undeclared or "nothing"
        return Declared(
            parents=tuple(parse_parents(ledger, args.parent, facts.kind, left_out="parents" in missing)),
            inputs=tuple(parse_inputs(ledger, args.input, tuple(args.step), left_out="inputs" in missing)),
            undeclared=missing,
            terms_id=ledger.terms(args.terms) if args.terms else b"",
        )
    base, data = _asked(args, facts)
    return declare(ledger, facts.kind, base=base, data=data, terms=args.terms, steps=tuple(args.step))


def _asked(args: argparse.Namespace, facts: RunFacts) -> tuple[str, list[str]]:
    """Base and data: as given, else asked for with the words that the tool has for them."""
    from abci_app.modules.models.kinds import RULES, EntryKind

    # A word that is no kind is refused by name later.
    rule = RULES.get(EntryKind[facts.kind.upper()]) if facts.kind.upper() in EntryKind.__members__ else None
    base, data = args.base or "", list(args.data)
    if not base and rule and rule.takes_parents:
        named = f" (the tool says {facts.base!r})" if facts.base else ""
        base = ask(f"Base model on this chain, NAME or NAME@VERSION{named}; empty: undeclared")
    if not data and rule and rule.takes_inputs:
        named = f" (the tool says {', '.join(facts.datasets)})" if facts.datasets else ""
        answer = ask(f"Data, DATANET@VERSION, separated by commas{named}; empty: undeclared")
        data = [text.strip() for text in answer.split(",") if text.strip()]
    return base, data


def _event(args: argparse.Namespace, facts: RunFacts, folder: Path) -> RunEventRecord:
    """When and where; times that neither options nor files give are those of the files of the result."""
    from trainer.run_records import RunEventRecord

    finished = facts.finished_seconds or _newest_seconds(folder)
    started = facts.started_seconds
    if not started:
        started = min(int(args.recipe.stat().st_mtime), finished) if args.recipe else finished
    if not 0 <= started <= finished <= int(time.time()) + _CLOCK_SECONDS:
        raise UsageError(f"the run started at {started} and finished at {finished}: pass --started and --finished")
    measured = facts.evaluation_loss_micronats
    return RunEventRecord(
        started_seconds=started,
        finished_seconds=finished,
        environment=args.environment,
        quality_metric="" if measured is None else "evaluation-loss-micronats",
        quality_value=measured or 0,
    )


def _newest_seconds(folder: Path) -> int:
    return max((int(path.stat().st_mtime) for path in folder.rglob("*") if path.is_file()), default=0)
