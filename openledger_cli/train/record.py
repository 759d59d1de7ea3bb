"""`openledger record`: record a run of any framework from its files, its recipe and the DataNet versions it used."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from openledger.exit_codes import ExitCode
from openledger_cli.proofs.trust import add_trust_options
from openledger_cli.secrets import add_passphrase_option

if TYPE_CHECKING:
    from openledger.content.store import ContentStore
    from trainer.publish import ClientLedger
    from trainer.run_records import DeclaredInput, ParentRecord

_EXAMPLES = """\
examples:
  openledger record --model my-model --kind lora --files out/ --recipe train.toml --framework axolotl \\
      --parent olrun1... --input oldata1...@3 --step "removed rows with addresses" --from alice
  openledger record --model my-merge --kind merge --files out/ --recipe merge.yaml --framework mergekit \\
      --parent olrun1...:first:60% --parent olrun1...:second:40% --from alice
  openledger record --model my-model --kind full --files out/ --recipe train.toml --framework axolotl \\
      --parent my-base --undeclared inputs --terms my-terms --from alice    its data stay unknown, and that is said
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "record",
        help="record a run of any framework from its files",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, metavar="NAME", help="model that the run makes a version of")
    parser.add_argument("--kind", required=True, help="pretrain, lora, full, merge, distil, quantise, prompt, ...")
    parser.add_argument("--files", required=True, type=Path, metavar="DIR", help="folder with the files of the result")
    parser.add_argument("--recipe", required=True, type=Path, metavar="FILE", help="recipe or configuration, any text")
    parser.add_argument("--framework", required=True, metavar="TEXT", help="what did the run, with its version")
    parser.add_argument(
        "--parent", action="append", default=[], metavar="ENTRY[:ROLE[:SHARE]]", help="entry it started from (repeat)"
    )
    parser.add_argument(
        "--input", action="append", default=[], metavar="DATANET@VERSION[:WEIGHT]", help="DataNet version used (repeat)"
    )
    parser.add_argument(
        "--base",
        type=Path,
        metavar="DIR",
        help="files of the base that an adapter was trained on, to compare by digest",
    )
    parser.add_argument(
        "--undeclared",
        default="nothing",
        metavar="WHAT",
        help="parents, inputs or parents-and-inputs: there were more than those named; needs --terms",
    )
    parser.add_argument(
        "--step", action="append", default=[], metavar="TEXT", help="what was done to the data, in words (repeat)"
    )
    parser.add_argument(
        "--all-rows",
        action="store_true",
        help="every row of every input was used: fetch and check them, record their root",
    )
    parser.add_argument("--started", type=int, metavar="SECONDS", help="Unix time (default: of the recipe file)")
    parser.add_argument("--finished", type=int, metavar="SECONDS", help="Unix time (default: of the newest file)")
    parser.add_argument("--terms", default="", metavar="TERMS", help="terms that it brings in; an import needs them")
    parser.add_argument("--environment", default="", metavar="TEXT", help="machine and libraries of the run")
    parser.add_argument("--content", metavar="URL", help="content store, folder or fsspec URL ($OPENLEDGER_CONTENT)")
    parser.add_argument("--from", dest="signer", required=True, metavar="KEY", help="key that records the run")
    add_trust_options(parser, one_answer=False)
    add_passphrase_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read the files, store, record."""
    from abci_app.modules.models.kinds import Undeclared
    from openledger.content.store import ContentStore
    from openledger.errors import UsageError
    from openledger.words import number_of
    from openledger_cli.train.commands import claimed_lines, open_ledger
    from trainer.outside import check_base_of_adapter, describe_folder
    from trainer.record import record_external
    from trainer.run_records import RunEventRecord

    if not args.files.is_dir():
        raise UsageError(f"{args.files} is not a folder; put the files of the result into one and name it")
    recipe = _recipe_text(args.recipe)
    newest = max((int(path.stat().st_mtime) for path in args.files.rglob("*") if path.is_file()), default=0)
    finished = newest if args.finished is None else args.finished
    started = min(int(args.recipe.stat().st_mtime), finished) if args.started is None else args.started
    if not 0 <= started <= finished <= int(time.time()) + 60:
        raise UsageError(f"the run started at {started} and finished at {finished}: pass --started and --finished")
    store = ContentStore.open(args.content)
    with open_ledger(args) as ledger:
        undeclared = Undeclared(number_of("undeclared", args.undeclared) or 0)
        inputs = parse_inputs(ledger, args.input, tuple(args.step), left_out=undeclared.has_inputs)
        parents = parse_parents(ledger, args.parent, args.kind, left_out=undeclared.has_parents)
        artefact = describe_folder(args.files, args.kind)
        if parents and not undeclared.has_parents:
            check_base_of_adapter(args.files, parents, ledger, store, args.base)
        record = record_external(
            model_name=args.model,
            kind=args.kind,
            framework=args.framework,
            recipe=recipe,
            parents=parents,
            inputs=[with_all_rows(ledger, item, store) for item in inputs] if args.all_rows else inputs,
            folder=args.files,
            artefact=artefact,
            store=store,
            event=RunEventRecord(
                started_seconds=started,
                finished_seconds=finished,
                environment=args.environment,
                quality_metric="",
                quality_value=0,
            ),
            terms_id=ledger.terms(args.terms) if args.terms else b"",
            undeclared=args.undeclared,
            owner=ledger.signer_address,
        )
        published = ledger.publish(record)
    args.context.output.show(
        {
            "entry": published.entry,
            "model": args.model,
            "height": published.height,
            "manifest_root": record.entry.manifest_root.hex(),
            **claimed_lines(published),
        }
    )
    return ExitCode.OK


def _recipe_text(path: Path) -> bytes:
    from openledger.errors import UsageError

    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def parse_parents(
    ledger: ClientLedger, texts: list[str], kind: str = "lora", *, left_out: bool = False
) -> list[ParentRecord]:
    """`ENTRY[:ROLE[:SHARE]]`; shares that are left out divide what remains equally.

    With `left_out` there are undeclared parents besides: their share is what the given ones leave.
    """
    from abci_app.modules.models.kinds import BASE, RULES, EntryKind
    from trainer.run_records import ParentRecord

    split = [(*text.split(":", 2), "", "")[:3] for text in texts]
    shares = divide([share for _, _, share in split], "--parent", left_out=left_out)
    # A word that is no kind is refused by name later.
    usual_role = RULES[EntryKind[kind.upper()]].needed_role if kind.upper() in EntryKind.__members__ else ""
    return [
        ParentRecord(ledger.entry(entry).entry_id, role or usual_role or BASE, share)
        for (entry, role, _), share in zip(split, shares, strict=True)
    ]


def parse_inputs(
    ledger: ClientLedger, texts: list[str], steps: tuple[str, ...], *, left_out: bool = False
) -> list[DeclaredInput]:
    """`DATANET@VERSION[:WEIGHT]`; weights that are left out divide what remains equally.

    With `left_out` there are undeclared inputs besides: their weight is what the given ones leave.
    """
    from openledger.errors import UsageError
    from trainer.run_records import DeclaredInput

    names = [(*text.split(":", 1), "")[:2] for text in texts]
    weights = divide([weight for _, weight in names], "--input", left_out=left_out)
    inputs = []
    for (name, _), weight in zip(names, weights, strict=True):
        datanet, separator, version = name.rpartition("@")
        if not separator or not version.isdecimal():
            raise UsageError(f"--input {name}: write DATANET@VERSION, for example oldata1...@3")
        found = ledger.datanet_version(datanet, int(version))
        inputs.append(DeclaredInput(datanet_id=found.datanet_id, version=found.version, weight_ppb=weight, steps=steps))
    return inputs


def with_all_rows(ledger: ClientLedger, item: DeclaredInput, store: ContentStore) -> DeclaredInput:
    """The input with number and root of all rows of its version, each checked against the chain."""
    from dataclasses import replace

    from abci_app.hashing import list_root
    from trainer.dataset import load_rows

    version = ledger.datanet_version(item.datanet_id.hex(), item.version)
    leaves = [row.leaf for row in load_rows(store, version)]
    return replace(item, rows_used=len(leaves), rows_used_root=list_root("rows-used", leaves))


def divide(texts: list[str], option: str, *, left_out: bool = False) -> list[int]:
    """Shares in parts per billion from texts such as `60%`; empty ones divide the rest, most to the first.

    With `left_out` every share must be given, and together they must leave a part.
    """
    from abci_app.types import PPB
    from openledger.amounts import parse_share
    from openledger.errors import UsageError

    given = [parse_share(text) if text else None for text in texts]
    rest = PPB - sum(share for share in given if share is not None)
    open_places = given.count(None)
    if not texts:
        return []
    if left_out and (open_places or rest <= 0):
        raise UsageError(f"{option}: give every one its share, and leave a part for those that are undeclared")
    if left_out:
        return [share for share in given if share is not None]
    if rest < 0 or (open_places == 0 and rest != 0):
        raise UsageError(f"the shares of {option} sum to {PPB - rest} parts per billion; they must sum to {PPB} (100%)")
    each, remainder = divmod(rest, open_places) if open_places else (0, 0)
    shares = []
    for share in given:
        shares.append(each + remainder if share is None else share)
        remainder = 0 if share is None else remainder
    return shares
