"""A whole MLflow experiment in one command: every finished run that is not recorded on this chain yet."""

from __future__ import annotations

import argparse

from openledger.errors import OpenLedgerError, UsageError
from openledger.exit_codes import ExitCode
from openledger_cli.record.gather import Gathered
from openledger_cli.tasks import say_next
from openledger_cli.text import note


def record_experiment(args: argparse.Namespace) -> int:
    """Record the runs, oldest first; a run that cannot be is named with the reason, and the others go on."""
    from dataclasses import replace

    from openledger.content.store import ContentStore
    from openledger_cli.record.one_run import is_recorded, record_run
    from openledger_cli.train.commands import open_ledger
    from trainer.recording.mlflow_runs import finished_runs, open_store, tag_run

    if args.source is not None or args.mlflow:
        raise UsageError("--mlflow-experiment takes all runs of an experiment: name no folder and no single run")
    tracking = open_store(args.tracking_uri)
    store = ContentStore.open(args.content)
    rows: list[dict[str, str]] = []
    with open_ledger(args) as ledger:
        for run in finished_runs(tracking, args.mlflow_experiment):
            if not args.again and is_recorded(run.recorded_entry, run.recorded_chain, ledger):
                rows.append({"run": run.name, "entry": run.recorded_entry, "state": "recorded before"})
                continue
            facts = replace(run.facts, kind=args.kind or run.facts.kind)
            one = argparse.Namespace(**{**vars(args), "data": args.data or list(run.declared_data)})
            try:
                recorded = record_run(one, Gathered(facts, True), ledger, store)
                tag_run(tracking, run.run_id, recorded.entry, ledger.chain_id)
            except OpenLedgerError as error:
                rows.append({"run": run.name, "entry": "", "state": f"left out: {error}"})
                note(f"{run.name}: left out: {error}")
                continue
            state = "recorded before" if recorded.is_old else "recorded"
            rows.append({"run": run.name, "entry": recorded.entry, "state": state})
            note(f"{run.name}: {state} as {recorded.entry}")
    table = [[row["run"], row["state"], row["entry"]] for row in rows]
    args.context.output.rows(f"Runs of {args.mlflow_experiment}", ["run", "state", "entry"], table, rows)
    say_next(args.context, f"openledger model show {args.model}")
    return ExitCode.FAILURE if any(row["state"].startswith("left out") for row in rows) else ExitCode.OK
