"""`openledger export`: a model version or a DataNet version in a format of other tools, with its proof beside."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openledger.errors import NotVerified, UsageError
from openledger.exports.forms import DATANET_FORMS, ENDINGS, FORMS
from openledger_cli.progress import counting
from openledger_cli.proofs.trust import add_trust_options, open_client
from openledger_cli.tasks import say_how, say_next
from openledger_cli.text import note

if TYPE_CHECKING:
    from openledger.client.client import Client
    from openledger.client.results import Answer
    from openledger.exports.facts import Facts
    from openledger_cli.context import CommandContext

_EXAMPLES = """\
examples:
  openledger export gardener@2 --form model-card --to ./gardener        README.md in that folder
  openledger export gardener@2 --form cyclonedx                         gardener-2.cdx.json here
  openledger export gardener@2 --form eu-summary --to summary.html
  openledger export gardener@2 --form oms --key release-key.pem --to gardener.sig
  openledger export garden@1 --form croissant                           a DataNet version
  openledger verify gardener-2.cdx.json                                 the proof, and whether the file says the same

The proof is written beside the export, as FILE.bundle.json. Forms and what each cannot say: docs/exports.md
"""
_README = "README.md"


def register(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "export",
        help="a model or DataNet version in a format of other tools, with its proof",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "name",
        metavar="NAME[@VERSION]|ENTRY",
        help="a model version; for croissant a DataNet version (default: latest)",
    )
    parser.add_argument("--form", required=True, choices=FORMS, help="the format")
    parser.add_argument("--to", metavar="FILE|DIR", help="file, or folder (DIR/; default: a file here)")
    parser.add_argument("--key", type=Path, metavar="FILE", help="for oms: private key in PEM (P-256) that signs")
    parser.add_argument("--content", metavar="URL", help="content store with the manifests ($OPENLEDGER_CONTENT)")
    add_trust_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Ask for the proven state, write its bundle, and write the export from the bundle alone."""
    from openledger.exports import LIMITS, make_export
    from openledger.exports.evidence import named_anew

    context: CommandContext = arguments.context
    key = _read_key(arguments)
    if arguments.unverified:
        raise UsageError("an export is written from proven state: leave --unverified out")
    if arguments.to and not _is_folder(arguments.to):
        context.check_new(*_targets(arguments, "", 1))
    with open_client(context, arguments) as client:
        answers, attachments = _ask(client, arguments)
        assert client.light is not None
        files = [client.light.bundle(each.evidence, found) for each, found in zip(answers, attachments, strict=True)]
    facts = facts_of_own(files)
    target, *bundles = _targets(arguments, facts.name, len(files))
    context.check_new(target, *bundles)
    facts = named_anew(facts, [path.name for path in bundles])
    data = make_export(arguments.form, facts, page=target.suffix.lower() in (".html", ".htm"))
    if key:
        from openledger.exports import sign_statement

        data = sign_statement(data, key)
    _write_all(context, [*bundles, target], [*files, data])
    limits = LIMITS[arguments.form]
    remarks = _remarks(facts)
    if context.as_json:
        context.output.json(
            {
                "height": answers[0].height,
                "verified": answers[0].verified,
                "how": answers[0].note,
                "of": facts.name,
                "form": arguments.form,
                "file": str(target),
                "bundles": [str(path) for path in bundles],
                "header": facts.at.header,
                "signed": bool(key),
                "remarks": list(remarks),
                "cannot_say": list(limits),
            }
        )
        return
    signed = ", signed" if key else ""
    print(f"{target}: {facts.name} as {arguments.form}{signed}, from the state after block {facts.at.height}")
    print(f"{' '.join([str(path) for path in bundles])}: its proof; keep both together")
    for line in remarks:
        note(f"  {line}")
    note(f"what {arguments.form} cannot say:")
    for line in limits:
        note(f"  {line}")
    say_how(context, answers[0])
    say_next(context, f"openledger verify {target}")


def _write_all(context: CommandContext, paths: list[Path], contents: list[bytes]) -> None:
    """Write the proof, then the export; where one cannot be written, none of the new ones stays."""
    written: list[Path] = []
    try:
        for path, content in zip(paths, contents, strict=True):
            was_there = path.exists()
            context.write(path, content)
            written += [] if was_there else [path]
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def facts_of_own(files: list[bytes]) -> Facts:
    """Facts of bundles that were just made of verified answers; what vouches for them was checked by the client."""
    import time

    from openledger.exports import facts_of
    from openledger.light.bundle import verify_bundle

    verdicts = [verify_bundle(each, None, time.time_ns()) for each in files]
    return facts_of(files, verdicts, [])


def _ask(client: Client, arguments: argparse.Namespace) -> tuple[list[Answer[Any]], list[tuple[Any, ...]]]:
    """The verified answers of all pages, and what travels with each."""
    if arguments.form in DATANET_FORMS:
        answers = _ask_sheet(client, arguments)
        return answers, [() for _ in answers]
    from openledger.client.provenance import lineage, lineage_question
    from openledger_cli.query.answers import denials_as_bundles
    from openledger_cli.query.lineage import attachments_of, read_manifests

    with denials_as_bundles(client, arguments):
        whole = lineage(client, lineage_question(arguments.name), height=arguments.height)
    if not whole.complete:
        raise NotVerified(f"the node's lineage of {arguments.name} is not complete: ask another node")
    manifests = read_manifests(whole.value, arguments.content)
    return list(whole.answers), [tuple(attachments_of(each.value, manifests)) for each in whole.answers]


def _ask_sheet(client: Client, arguments: argparse.Namespace) -> list[Answer[Any]]:
    """All pages of a DataNet version."""
    from openledger.data.reading import split_datanet
    from openledger.exports import next_sheet_question, sheet_question
    from openledger.references import split_version
    from openledger_cli.query.answers import denials_as_bundles

    text, version = split_version(arguments.name)
    progress = counting("contributions", silent_seconds=2.0)
    question: Any = sheet_question(*split_datanet(text), version)
    answers: list[Answer[Any]] = []
    done = 0
    with denials_as_bundles(client, arguments):
        while question is not None:
            height = answers[0].height if answers else arguments.height
            answers.append(client.query("datanets", "datasheet", question, height=height))
            done += len(answers[-1].value.contributions)
            progress(done, answers[-1].value.record.contribution_count)
            question = next_sheet_question(answers[-1].value)
    return answers


def _is_folder(text: str) -> bool:
    return text.endswith("/") or Path(text).is_dir()


def _targets(arguments: argparse.Namespace, name: str, count: int) -> list[Path]:
    """The export's file, then the files of its bundles."""
    from openledger_cli.query.lineage import bundle_paths

    plain = name.replace("/", "-").replace("@", "-")
    target = Path(arguments.to or f"{plain}{ENDINGS[arguments.form]}").expanduser()
    if arguments.to and _is_folder(arguments.to):
        target /= _README if arguments.form == "model-card" else f"{plain}{ENDINGS[arguments.form]}"
    first = arguments.bundle or target.with_name(f"{target.name}.bundle.json")
    if first.parent.resolve() != target.parent.resolve():
        raise UsageError(f"--bundle {first}: the proof lies beside the export, in {target.parent}")
    return [target, *bundle_paths(Path(first), count)]


def _read_key(arguments: argparse.Namespace) -> bytes:
    if arguments.key is None:
        return b""
    if arguments.form != "oms":
        raise UsageError("--key signs the form oms; other forms are proven by their bundle")
    try:
        with arguments.key.expanduser().open("rb") as file:
            return bytes(file.read(2**16))
    except OSError as error:
        raise UsageError(f"the key {arguments.key} cannot be read: {error.strerror}") from None


def _remarks(facts: Facts) -> tuple[str, ...]:
    from openledger.exports.facts import ModelFacts
    from openledger.exports.statements import remarks, sheet_remarks

    return remarks(facts) if isinstance(facts, ModelFacts) else sheet_remarks(facts)
