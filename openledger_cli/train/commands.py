"""`openledger train`: fine-tune from a recipe and record the run, or retrain a recorded run and grade it."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from openledger.exit_codes import ExitCode
from openledger_cli.lines import count
from openledger_cli.progress import Stages
from openledger_cli.proofs.trust import add_trust_options
from openledger_cli.secrets import add_passphrase_option
from openledger_cli.text import note

if TYPE_CHECKING:
    from trainer.evaluate import Measurement
    from trainer.publish import ClientLedger, Published
    from trainer.train import TrainedRun

_EXAMPLES = """\
examples:
  openledger train recipe.yaml --from alice            train, store, record
  openledger train recipe.yaml --check                 check recipe, base, data, terms and needs, train nothing
  openledger train recipe.yaml --local                 train and write the manifest, record nothing on the chain
  openledger train --verify olrun1...                  train it again: bit-exact, trace match or differs
  openledger train --verify my-model --from bob        the same for its latest version, and record the repetition

a run that was interrupted, or could not be recorded, goes on when the same command is given again, to the same bytes

--verify builds the attribution indexes again, too (some 1.2 passes over the rows for every indexed checkpoint): after a
bit-exact run the commitment root must be equal; after a trace match what does not come from floats must be, and the
recorded index is audited: its sums, codes of some rows, distance of its adapters

a trace match is one of losses and of final tensors by distance; every measurement of the entry on its recipe's held-out
rows is taken again on the recorded tensors; what was not compared is listed as not_checked

exit status of --verify: 0 for bit-exact and trace match, 7 when the result, its attribution or a measurement differs
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "train",
        help="fine-tune from a recipe and record the run, or retrain to verify one",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("recipe", nargs="?", type=Path, metavar="RECIPE", help="recipe file (YAML)")
    what.add_argument("--verify", metavar="ENTRY", help="retrain this entry and compare")
    parser.add_argument("--from", dest="signer", metavar="KEY", help="key that records the run or the repetition")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="where the adapter goes (default: <recipe name>-adapter, or nowhere)"
    )
    parser.add_argument(
        "--without-attribution",
        action="store_true",
        help="with --verify: compare the adapter only, do not build the attribution indexes again",
    )
    parser.add_argument("--content", metavar="URL", help="content store, folder or fsspec URL ($OPENLEDGER_CONTENT)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true", help="check recipe, base, data, terms and needs; train nothing")
    how.add_argument("--local", action="store_true", help="train but record nothing on the chain")
    add_trust_options(parser, one_answer=False)
    add_passphrase_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Dispatch."""
    from openledger.errors import UsageError

    if args.verify and (args.check or args.local):
        raise UsageError("--check and --local go with a recipe: leave them out with --verify")
    if args.without_attribution and not args.verify:
        raise UsageError("--without-attribution goes with --verify: a recipe without an 'attribution' section has none")
    return _verify(args) if args.verify else _train(args)


def _train(args: argparse.Namespace) -> int:
    from openledger.content.store import ContentStore
    from openledger.errors import UsageError
    from trainer.check import examine_recipe
    from trainer.recipe import load_recipe
    from trainer.workflow import discard_checkpoint, train_recipe

    recipe = load_recipe(args.recipe)
    if not (args.check or args.local or args.signer):
        raise UsageError("which key records the run? pass --from KEY, or --local to record nothing")
    store = ContentStore.open(args.content)
    with open_ledger(args) as ledger:
        if args.signer:
            ledger.check_model(recipe.output.model)
        folder = args.folder or Path(f"{recipe.name.replace('/', '-')}-adapter")
        summary, verdict = examine_recipe(recipe, ledger, store, output_folder=folder, show_examples=args.check)
        for line in (*summary, *verdict.lines):
            note(line)
        if verdict.conflict:
            return ExitCode.REFUSED
        if args.check:
            return ExitCode.OK
        try:
            trained, record = train_recipe(
                recipe,
                ledger,
                store,
                folder,
                keep_checkpoint=True,
                progress=Bar(),
                index_progress=Stages(),
                say=note,
                owner=ledger.signer_address,
            )
        except KeyboardInterrupt:
            note("\nnothing was recorded; the same command goes on from the last checkpoint")
            raise
        result: dict[str, str | int] = {
            "adapter": str(folder),
            "tensors": trained.artefact.tensor_digest.hex(),
            **_losses(trained),
            "manifest_root": record.entry.manifest_root.hex(),
        }
        if not args.local:
            published = ledger.publish(record)
            result |= {"entry": published.entry, "model": record.model_name, "height": published.height}
            result |= claimed_lines(published)
        discard_checkpoint(trained)
        args.context.output.show(result)
    return ExitCode.OK


def claimed_lines(published: Published) -> dict[str, int]:
    """Say that somebody else had recorded the run first, where that is so, and that it was taken back."""
    return {"claimed_height": published.claimed_height} if published.claimed_height else {}


def _verify(args: argparse.Namespace) -> int:
    from openledger.content.store import ContentStore
    from trainer.verify import AttributionGrade
    from trainer.workflow import verify_entry

    with open_ledger(args) as ledger:
        known = ledger.entry(args.verify)
        store = ContentStore.open(args.content)
        verdict, repeated = verify_entry(
            known,
            ledger,
            store,
            output_folder=args.folder,
            with_attribution=not args.without_attribution,
            progress=Bar(),
            index_progress=Stages(),
            say=note,
        )
        result: dict[str, str | int | list[str]] = {
            "grade": str(verdict.grade),
            "attribution": str(verdict.attribution),
            "findings": list(verdict.findings),
            "contradictions": list(verdict.contradictions),
            "not_checked": list(verdict.unchecked),
        }
        if args.signer and verdict.contradictions:
            note("nothing is recorded, because the record contradicts itself: a grade would speak for all of it")
        elif args.signer and verdict.attribution == AttributionGrade.DIFFERS:
            # The chain's grades speak of the adapter alone: "bit-exact" would sound as if all had been found right.
            note("nothing is recorded, because the attribution differs; --without-attribution grades the adapter alone")
        elif args.signer:
            result["height"] = ledger.publish_verification(known, verdict, repeated)
    args.context.output.show(result)
    return ExitCode.NOT_VERIFIED if verdict.failed else ExitCode.OK


@contextmanager
def open_ledger(args: argparse.Namespace) -> Iterator[ClientLedger]:
    """The chain as trainer and recorder see it; verified unless --unverified, with the key of --from when given."""
    from openledger_cli.proofs.trust import open_client
    from openledger_cli.signing import open_signer
    from trainer.publish import ClientLedger

    with open_client(args.context, args) as client:
        signer = open_signer(args.context, args, args.signer, client.chain_id) if args.signer else None
        yield ClientLedger(client, signer, prove=not args.unverified)


def _losses(trained: TrainedRun) -> dict[str, str]:
    """Losses of the summary, in nats."""
    from trainer.describe import loss

    losses = {"training_loss": f"{loss(trained.loss_trace_micronats[0])} to {loss(trained.loss_trace_micronats[-1])}"}
    if trained.before and trained.after:
        before, after = trained.before.overall, trained.after.overall
        losses["held_out_loss"] = (
            f"{loss(before.loss_micronats)} to {loss(after.loss_micronats)} "
            f"({_interval(after)}, {count(after.sample_size, 'row')})"
        )
    return losses


def _interval(measured: Measurement) -> str:
    """Half the width of the 95 % interval; of one row there is none, and 0 would claim that nothing is in doubt."""
    from trainer.describe import loss

    return f"± {loss(measured.interval_micronats)}" if measured.sample_size > 1 else "interval unknown"


class Bar:
    """Progress on standard error: one line that is rewritten on a terminal, every fifth step elsewhere."""

    def __init__(self) -> None:
        self._started = 0.0

    def __call__(self, step: int, steps: int, loss_nats: float) -> None:
        """Show a finished step."""
        now = time.monotonic()
        self._started = self._started or now
        seconds = (now - self._started) / max(1, step - 1) * (steps - step)
        left = f", {seconds:.0f} s left" if 1 < step < steps else ""
        filled = 24 * step // steps
        text = (
            f"step {step:>{len(str(steps))}}/{steps} [{'#' * filled}{'.' * (24 - filled)}] loss {loss_nats:.4f}{left}"
        )
        if sys.stderr.isatty():
            end = "\n" if step == steps else ""
            print(f"\r{text:<78}", end=end, file=sys.stderr, flush=True)
        elif step in (1, steps) or step % 5 == 0:
            print(text, file=sys.stderr, flush=True)
