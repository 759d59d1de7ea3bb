"""`openledger explain`: who shaped an answer of a recorded model, and the check of somebody else's explanation."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from abci_app.bech32 import encode_id
from openledger.exit_codes import ExitCode
from openledger_cli.parser import OutputFile
from openledger_cli.proofs.trust import add_trust_options
from openledger_cli.text import note

if TYPE_CHECKING:
    from collections.abc import Mapping

    from attribution.explanation.document import Explanation
    from attribution.explanation.evidence import IndexEvidence
    from attribution.explanation.explainer import Explainer
    from openledger.content.store import ContentStore
    from trainer.publish import ClientLedger

_EXAMPLES = """\
examples:
  openledger explain --model helper --prompt "What does zip do?"       the model answers, the answer is explained
  openledger explain --model helper --prompt "..." --answer "..."      a given answer
  openledger explain --model helper --prompt "..." --write e.json --html e.html
  openledger explain --verify e.json                                   integers, then codes by repetition
  openledger explain --verify e.json --integers-only                   without a model: seconds

tables shorten ids; --html and --output json have them in full, and all contributions

the model reads a prompt as it is: end it as the prompts of its training end, such as "... Answer:"

what the shares are not: influence on this model's answer is measured, not who is right or whose idea it was

exit code of --verify: 0 when everything holds, 7 when something differs; the first such field is named
"""
# Of one file that is read for a prompt or an answer.
_MAX_TEXT_BYTES = 2**20
_OF_MAKING = ("prompt", "prompt_file", "answer", "answer_file", "write", "rows", "max_tokens")
_BY_MODEL = (
    "whether the codes are those of prompt and output",
    "whether the texts are those of their tokens",
)
_SPAN_LISTS = "suffix array, counts and documents of the span index follow from its text"
_ALL_ROWS = "best rows and contributions: recomputed from the codes of all rows"


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "explain",
        help="who shaped an answer: contributors, rows, spans, verified",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", metavar="MODEL", help="model (my-model, my-model@2) or entry (olrun1...)")
    what.add_argument("--verify", type=Path, metavar="FILE", help="check an explanation that somebody wrote")
    prompt = parser.add_mutually_exclusive_group()
    prompt.add_argument("--prompt", metavar="TEXT", help="what the model was asked")
    prompt.add_argument("--prompt-file", type=Path, metavar="FILE", help="the same, from a file")
    answer = parser.add_mutually_exclusive_group()
    answer.add_argument("--answer", metavar="TEXT", help="output to explain (default: the model answers)")
    answer.add_argument("--answer-file", type=Path, metavar="FILE", help="the same, from a file")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="longest answer of the model (48)")
    parser.add_argument("--rows", type=int, metavar="N", help="supporting rows to show, 0 to 64 (5)")
    parser.add_argument("--write", type=OutputFile, metavar="FILE", help="write the explanation for `explain --verify`")
    parser.add_argument("--html", type=OutputFile, metavar="FILE", help="write it as a page with coloured spans")
    parser.add_argument("--integers-only", action="store_true", help="with --verify: do not run the model")
    parser.add_argument("--content", metavar="URL", help="content store, folder or fsspec URL ($OPENLEDGER_CONTENT)")
    add_trust_options(parser, one_answer=False)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Dispatch."""
    from attribution.numerics import prepare
    from openledger.content.store import ContentStore
    from openledger.errors import UsageError

    prepare()
    store = ContentStore.open(args.content)
    if args.verify:
        unfit = [name for name in _OF_MAKING if getattr(args, name) is not None]
        if unfit:
            raise UsageError(f"--{unfit[0].replace('_', '-')} goes with --model: leave it out with --verify")
        return _verify(args, store)
    if args.prompt is None and args.prompt_file is None:
        raise UsageError("what was asked? give --prompt TEXT or --prompt-file FILE")
    if args.integers_only:
        raise UsageError("--integers-only goes with --verify: leave it out with --model")
    args.rows = 5 if args.rows is None else args.rows
    args.max_tokens = 48 if args.max_tokens is None else args.max_tokens
    if not 0 <= args.rows <= 64 or not 1 <= args.max_tokens <= 4_096:
        raise UsageError("--rows is 0 to 64, --max-tokens 1 to 4096")
    return _explain(args, store)


def _explain(args: argparse.Namespace, store: ContentStore) -> int:
    from attribution.explanation.explainer import Explainer
    from attribution.explanation.facts import read_facts
    from openledger_cli.train.commands import open_ledger
    from trainer.outputs import output_source

    prompt = _text("--prompt", args.prompt, args.prompt_file)
    answer = None if args.answer is args.answer_file is None else _text("--answer", args.answer, args.answer_file)
    args.signer = None
    with open_ledger(args) as ledger:
        explainer = Explainer(read_facts(ledger, args.model), store, note, output_source(store))
        exchange = explainer.exchange(prompt, answer, args.max_tokens)
        document = explainer.explain(exchange, rows=args.rows)
        checked = _check(args, document, explainer, ledger, repeat=False)
        if args.write:
            _write_noted(args, args.write, document.encode(), explainer)
        _show(args, document, explainer, ledger, store, checked)
    return ExitCode.OK


def _verify(args: argparse.Namespace, store: ContentStore) -> int:
    from attribution.explanation.document import MAX_DOCUMENT_BYTES, decode
    from attribution.explanation.explainer import Explainer
    from attribution.explanation.facts import read_facts
    from openledger_cli.train.commands import open_ledger
    from trainer.outputs import output_source
    from trainer.publish import entry_text

    document = decode(_read(args.verify, MAX_DOCUMENT_BYTES))
    args.signer = None
    with open_ledger(args) as ledger:
        facts = read_facts(ledger, entry_text(bytes.fromhex(document.entry_id)))
        explainer = Explainer(facts, store, note, output_source(store))
        checked = _check(args, document, explainer, ledger, repeat=not args.integers_only)
        _show(args, document, explainer, ledger, store, checked)
    return ExitCode.OK


def _check(
    args: argparse.Namespace, document: Explanation, explainer: Explainer, ledger: ClientLedger, *, repeat: bool
) -> list[str]:
    """Sentences on what was verified; raises `NotVerified` with the first field that differs."""
    from attribution.explanation.explanation import leaves_of, needs_index, unchecked, verify_integers
    from attribution.explanation.registration import compare_registration
    from openledger.errors import NotVerified

    facts = explainer.entries.facts
    evidence: Mapping[bytes, IndexEvidence] = {}
    if needs_index(document):
        note("reading the indexes that the explanation was too small for")
        evidence = explainer.evidence(search_copies=args.verify is not None)
    difference = verify_integers(document, facts, evidence)
    if difference is not None:
        raise NotVerified(f"the explanation is not what follows from the chain: {difference}")
    count = len(document.layers) - 1
    entries = (
        f"{encode_id('olrun', facts.entry_id)} and {count} ancestor{'' if count == 1 else 's'} on {facts.chain_id}"
    )
    lines = [
        f"not checked: {entries}: what the node says" if args.unverified else f"{entries}: by the light client",
        "commitments, sums, scores, spans and shares: recomputed, every integer equal",
    ]
    if repeat:
        evidence = evidence or explainer.evidence()
        difference = verify_integers(document, facts, evidence)
        if difference is not None:
            raise NotVerified(f"the explanation is not what follows from the index: {difference}")
    lines += _erased_lines(document, explainer if repeat else None)
    missing = unchecked(document, evidence)
    leaves = leaves_of(document, evidence)
    registered = compare_registration(ledger, document, explainer.entries.stored, leaves)
    lines.append("rows and spans: of the inputs that the entries record, and of the contributors that the chain names")
    if args.verify and leaves:
        lines += [] if missing else [_ALL_ROWS]
        found = "" if missing else "found again, "
        copies = f"rows that are copies by their codes, {registered.copies}"
        lines.append(f"{copies}: {found}each registered after the row it is like")
        lines += [f"not checked: copies by their codes were not looked for: {why}" for why in registered.not_compared]
    if repeat:
        lines += _span_index_lines(document, explainer)
        lines += explainer.reexecute(document)
    elif args.verify:
        if any(layer.spans for layer in document.layers):
            lines.append(f"not checked without the span index: {_SPAN_LISTS}")
        lines += [f"not checked without the codes of all rows: {name}" for name in missing]
        lines += [f"not checked without the model: {what}" for what in _BY_MODEL]
    return lines


def _erased_lines(document: Explanation, explainer: Explainer | None) -> list[str]:
    """Say which layers show no spans since their text was erased; raises `NotVerified` where it is still there."""
    from openledger.errors import NotVerified

    lines = []
    for number, layer in enumerate(document.layers, 1):
        if not layer.spans_erased:
            continue
        if explainer is not None and explainer.indexes(bytes.fromhex(layer.entry_id)).spans is not None:
            field = f"layers[{number - 1}].spans_erased"
            raise NotVerified(
                f"{field}: that span index has its text, so spans are held back: explain the answer again"
            )
        lines.append(f"not checked: spans of layer {number}, whose text was erased; no share of it depends on them")
    return lines


def _span_index_lines(document: Explanation, explainer: Explainer) -> list[str]:
    """Proofs of spans rest on lists that everybody who has the index can make again; raises `NotVerified`."""
    from abci_app.integers import NumbersRefused
    from attribution.spans.build import check_span_index
    from openledger.errors import NotVerified

    lines = []
    for number, layer in enumerate(document.layers):
        indexes = explainer.indexes(bytes.fromhex(layer.entry_id)) if layer.spans else None
        spans = indexes.spans if indexes is not None else None
        if indexes is not None and indexes.spans_erased:
            lines.append(f"not checked without the span index, which was erased: {_SPAN_LISTS}")
        if spans is not None:
            try:
                check_span_index(spans)
            except NumbersRefused as error:
                raise NotVerified(f"layers[{number}].spans: the committed index does not hold: {error}") from error
            lines.append(f"{_SPAN_LISTS}: made again")
    return list(dict.fromkeys(lines))


def _show(
    args: argparse.Namespace,
    document: Explanation,
    explainer: Explainer,
    ledger: ClientLedger,
    store: ContentStore,
    checked: list[str],
) -> None:
    from openledger_cli.explain.view import NOT_CHECKED, View

    view = View.of(document, explainer, ledger, store, _known_names(args))
    checked = [*checked, *view.not_read()]
    if args.html:
        from attribution.explanation.page import render

        _write_noted(args, args.html, render(view.page(checked)).encode(), explainer)
    if args.context.as_json:
        import json

        args.context.output.json({"explanation": json.loads(document.encode()), "verified": checked} | view.tables())
    else:
        view.print(args.context.output)
        for line in checked:
            print(line if line.startswith(NOT_CHECKED) else f"verified: {line}")


def _write_noted(args: argparse.Namespace, path: Path, data: bytes, explainer: Explainer) -> None:
    """Write an explanation, which quotes rows and the text beside them, so that an erasure knows of it."""
    from hashlib import sha256

    from openledger.data.written import WrittenFile, note_written

    held = sorted(explainer.indexed_contributions())
    noted = WrittenFile(str(path.absolute()), f"explanation of {explainer.entries.facts.model}", tuple(held))
    note_written(args.context.home, noted)
    write_file(args, path, data)
    note_written(args.context.home, noted.with_files(((str(path), sha256(data).digest()),)))


def _known_names(args: argparse.Namespace) -> dict[bytes, str]:
    """Names that this machine's key files give to addresses."""
    try:
        return {info.address_bytes: info.name for info in args.context.wallet().all_keys()}
    except OSError:
        return {}


def _text(option: str, given: str | None, path: Path | None) -> str:
    """Read the text that was given on the command line or in a file; raise `UsageError` where the text is no UTF-8."""
    from openledger.errors import UsageError

    data = (given or "").encode(errors="surrogateescape") if path is None else _read(path)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        place = option if path is None else str(path)
        raise UsageError(f"{place}: byte {error.start + 1} is not UTF-8; convert the text to UTF-8 first") from None


def _read(path: Path, limit: int = _MAX_TEXT_BYTES) -> bytes:
    from openledger.errors import UsageError

    try:
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > limit:
        raise UsageError(f"{path} has more than {limit} bytes")
    return data


def write_file(args: argparse.Namespace, path: Path, data: bytes) -> None:
    """Write what the user asked for and say so; folders on the way are made. Raises `UsageError`."""
    from openledger.errors import UsageError

    try:
        args.context.write(path, data)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; name another file") from None
    note(f"wrote {path}")
