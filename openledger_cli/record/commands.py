"""`openledger record`: record a run of any tool; its own files fill in what the run was."""

from __future__ import annotations

import argparse
from pathlib import Path

from openledger.exit_codes import ExitCode
from openledger_cli.proofs.trust import add_trust_options
from openledger_cli.secrets import add_passphrase_option
from openledger_cli.tasks import say_next

_EXAMPLES = """\
examples:
  openledger record out/ --model gardener --base tiny-llama --data garden@2 --from dana     a Trainer's output folder
  openledger record sft.yaml --model gardener --base tiny-llama --data garden@2 --from dana
  openledger record --mlflow 6878c17a... --model gardener --base tiny-llama --data garden@2 --from dana
  openledger record --mlflow-experiment garden --model gardener --base tiny-llama --from dana   its whole history
  openledger record out/ --model gardener --from dana            base and data are asked for, or stay undeclared
  openledger record merged/ --model my-merge --kind merge --recipe merge.yaml --framework mergekit \\
      --parent first:first:60% --parent second@3:second:40% --from alice
  openledger record --claim gardener@2 --model gardener --from dana     your own run, which somebody else recorded first
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "record",
        help="record a run of any tool from its files, or from MLflow",
        description="Parents and data that are not given are asked for at a terminal, else recorded as undeclared.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source",
        nargs="?",
        type=Path,
        metavar="FOLDER|FILE",
        help="folder with the result or a Trainer's output, or a configuration of axolotl or LLaMA-Factory",
    )
    _add_mlflow_options(parser)
    parser.add_argument("--model", metavar="NAME", help="model that the run makes a version of")
    parser.add_argument("--base", metavar="NAME", help="the base on the chain, NAME or NAME@VERSION")
    parser.add_argument(
        "--data", action="append", default=[], metavar="DATANET@VERSION", help="data used, weighted by rows (repeat)"
    )
    _add_exact_options(parser)
    _add_fact_options(parser)
    parser.add_argument(
        "--claim", metavar="ENTRY", help="record nothing: take over your run that somebody else recorded first"
    )
    parser.add_argument(
        "--again", action="store_true", help="record a run that is recorded already once more, as a repetition"
    )
    parser.add_argument("--content", metavar="URL", help="content store, folder or fsspec URL ($OPENLEDGER_CONTENT)")
    parser.add_argument("--from", dest="signer", required=True, metavar="KEY", help="key that records the run")
    add_trust_options(parser, one_answer=False)
    add_passphrase_option(parser)
    parser.set_defaults(run=run)


def _add_mlflow_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("from MLflow, which gets the entry's id as a tag")
    group.add_argument("--mlflow", metavar="RUN", help="id of a run")
    group.add_argument("--mlflow-experiment", metavar="NAME", help="every finished run of an experiment, oldest first")
    group.add_argument("--tracking-uri", default="", metavar="URI", help="MLflow's store (default: as MLflow finds it)")


def _add_exact_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("parents and inputs in full, instead of --base and --data")
    group.add_argument(
        "--parent", action="append", default=[], metavar="ENTRY[:ROLE[:SHARE]]", help="entry it started from (repeat)"
    )
    group.add_argument(
        "--input", action="append", default=[], metavar="DATANET@VERSION[:WEIGHT]", help="DataNet version used (repeat)"
    )
    group.add_argument(
        "--undeclared",
        metavar="WHAT",
        help="nothing, parents, inputs or parents-and-inputs: there were more than those named",
    )
    group.add_argument(
        "--step", action="append", default=[], metavar="TEXT", help="what was done to the data, in words (repeat)"
    )
    group.add_argument(
        "--all-rows",
        action="store_true",
        help="every row of every input was used: fetch and check them, record their root",
    )
    group.add_argument("--terms", default="", metavar="TERMS", help="terms of what is undeclared, or of an import")
    group.add_argument(
        "--base-files", type=Path, metavar="DIR", help="files of the base of an adapter, to compare by digest"
    )


def _add_fact_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("facts that the files do not show, or show otherwise")
    group.add_argument("--kind", help="pretrain, lora, full, merge, distil, quantise, prompt, ...")
    group.add_argument("--recipe", type=Path, metavar="FILE", help="recipe or configuration, any text")
    group.add_argument("--framework", metavar="TEXT", help="what did the run, with its version")
    group.add_argument("--started", type=int, metavar="SECONDS", help="Unix time")
    group.add_argument("--finished", type=int, metavar="SECONDS", help="Unix time (default: of the newest file)")
    group.add_argument("--environment", default="", metavar="TEXT", help="machine and libraries of the run")


def run(args: argparse.Namespace) -> int:
    """Read the tool's files or runs, declare, store, record."""
    from openledger.content.store import ContentStore
    from openledger_cli.record.claim import claim_entry
    from openledger_cli.record.experiment import record_experiment
    from openledger_cli.record.gather import gather_facts
    from openledger_cli.record.one_run import (
        is_recorded,
        record_run,
        require_model_name,
        say_recorded_before,
    )
    from openledger_cli.train.commands import open_ledger

    require_model_name(args)
    if args.claim:
        return claim_entry(args)
    if args.mlflow_experiment:
        return record_experiment(args)
    gathered = gather_facts(args)
    store = ContentStore.open(args.content)
    with open_ledger(args) as ledger:
        if not args.again and is_recorded(gathered.recorded_entry, gathered.recorded_chain, ledger):
            say_recorded_before(gathered.recorded_entry)
            args.context.output.show({"entry": gathered.recorded_entry, "recorded": "before"})
            say_next(args.context, f"openledger query lineage {gathered.recorded_entry}")
            return ExitCode.OK
        published = record_run(args, gathered, ledger, store)
        gathered.tag(published.entry, ledger.chain_id)
    args.context.output.show(published.shown)
    say_next(args.context, f"openledger query lineage {args.model}")
    return ExitCode.OK
