"""`openledger train`: fine-tune from a recipe and record the run, or retrain a recorded run and grade it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from openledger_cli.parser import OutputFile
from openledger_cli.proofs.trust import add_trust_options
from openledger_cli.secrets import add_passphrase_option

if TYPE_CHECKING:
    from trainer.publish import ClientLedger

_EXAMPLES = """\
examples:
  openledger train --init sft.yaml --base tiny-llama --data garden@2
                                                       write a recipe with comments, made for this base and these data
  openledger train sft.yaml --check                    check recipe, base, data, terms and needs, train nothing
  openledger train sft.yaml --from alice               train, store, record
  openledger train sft.yaml --local                    train and write the manifest, record nothing on the chain
  openledger train sft.yaml --from alice --events run.jsonl
                                                       write the progress as JSON lines (docs/recipes.md), too
  torchrun --nproc-per-node 4 -m openledger_cli.main train sft.yaml --from alice
                                                       on four GPUs of this machine; recorded once
  openledger train --verify olrun1...                  train it again: bit-exact, trace match or differs
  openledger train --verify my-model --from bob        the same for its latest version, and record the repetition

docs/recipes.md says what every field of a recipe does

a run that was interrupted, or could not be recorded, goes on when the same command is given again, to the same bytes; a
recipe that has run already says which version it made (--again trains it once more)

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
    what.add_argument(
        "--init", type=OutputFile, metavar="FILE", help="write a recipe for --base and --data into a new file"
    )
    parser.add_argument(
        "--base", metavar="MODEL", help="with --init: the model to train from: NAME, NAME@VERSION or id"
    )
    parser.add_argument(
        "--data",
        nargs="+",
        default=[],
        metavar="DATANET@VERSION",
        help="with --init: what to train on; several are mixed",
    )
    parser.add_argument(
        "--model", metavar="NAME", help="with --init: the model that runs make (default: the file's name)"
    )
    parser.add_argument("--full", action="store_true", help="with --init: full fine-tuning, not a LoRA adapter")
    parser.add_argument("--from", dest="signer", metavar="KEY", help="key that records the run or the repetition")
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        help="where the output goes: a new folder (default: <recipe name>-adapter or -model)",
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
    parser.add_argument("--again", action="store_true", help="train a recipe once more that has made a version already")
    parser.add_argument("--events", type=Path, metavar="FILE", help="write the progress into FILE as JSON lines")
    add_trust_options(parser, one_answer=False)
    add_passphrase_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Dispatch."""
    _check_options(args)
    if args.verify:
        from openledger_cli.train.verify import verify

        return verify(args, open_ledger)
    from openledger_cli.train.run import train, write_draft

    return write_draft(args, open_ledger) if args.init else train(args, open_ledger)


def _check_options(args: argparse.Namespace) -> None:
    """Options that go with another way of calling the command are refused, not passed over."""
    from openledger.errors import UsageError

    if args.verify and (args.check or args.local):
        raise UsageError("--check and --local go with a recipe: leave them out with --verify")
    if args.without_attribution and not args.verify:
        raise UsageError("--without-attribution goes with --verify: a recipe without an 'attribution' section has none")
    training = args.recipe is not None and not args.check
    for name, value, fits, where in (
        ("--again", args.again, args.recipe is not None, "a recipe"),
        ("--events", args.events, training, "a recipe that is trained"),
        ("--base", args.base, args.init, "--init"),
        ("--data", args.data, args.init, "--init"),
        ("--model", args.model, args.init, "--init"),
        ("--full", args.full, args.init, "--init"),
    ):
        if value and not fits:
            raise UsageError(f"{name} goes with {where}: leave it out")
    if args.init and not (args.base and args.data):
        raise UsageError("--init needs --base MODEL and --data DATANET@VERSION")


@contextmanager
def open_ledger(args: argparse.Namespace) -> Iterator[ClientLedger]:
    """The chain as trainer and recorder see it; verified unless --unverified, with the key of --from when given."""
    from openledger_cli.proofs.trust import open_client
    from openledger_cli.signing import open_signer
    from trainer.publish import ClientLedger

    with open_client(args.context, args) as client:
        signer = open_signer(args.context, args, args.signer, client.chain_id) if args.signer else None
        yield ClientLedger(client, signer, prove=not args.unverified)
