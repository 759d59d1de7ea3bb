"""`openledger terms add`: a licence of the table by its name, or own terms in words."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import structs

from openledger.errors import UsageError
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_sending_options, add_task, say_next, send

if TYPE_CHECKING:
    from abci_app.modules.licences import Terms
    from openledger.client.client import Client
    from openledger_cli.context import CommandContext

_EXAMPLES = """\
  openledger terms add CC-BY-4.0 --from olga
  openledger terms add "garden terms" --like CC-BY-4.0 --use non-commercial --from olga
  openledger terms add "clinic terms" --like CC-BY-4.0 --only-for medicine --approval yes --until 2030-01-01 --from olga
  openledger terms add "garden terms" --document terms.yaml --from olga

terms.yaml holds the same words, for example:
  like: CC-BY-4.0
  use: non-commercial
  revenue: 5%

what is not said stays open, and under the conservative policy of a chain an open point blocks: --like starts from what
a licence says
"""
# Option -> field of the terms, whether its yes is the field's no, and its help.
_WORDS: dict[str, tuple[str, bool, str]] = {
    "training": ("training", False, "may models be trained on it?"),
    "passing_on": ("redistribution", False, "may it, and what is made from it, be passed on?"),
    "derivatives": ("no_derivatives", True, "may something be made from it?"),
    "credit": ("attribution", False, "must its authors be named?"),
    "notices": ("notice", False, "must its licence text and notices go with it?"),
    "share_alike": ("share_alike", False, "must what is made from it carry the same licence? (needs --text)"),
    "approval": ("approval_required", False, "does each use need its owner's approval?"),
    "private": ("private", False, "is it private?"),
    "mining_reserved": ("opt_out_reserved", False, "is text and data mining reserved to its owner?"),
    "learning_from_outputs": ("outputs_restricted", True, "may outputs of a model under it train other models?"),
    "revocable": ("irrevocable", True, "can what was granted be taken back?"),
}
_USES = ("any", "non-commercial", "research")
_TEXTS = ("like", "use", "only_for", "not_for", "revenue", "until", "country", "licence", "text", "uses_list")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def register(commands: Any) -> None:
    """Add the task."""
    parser = add_task(commands, "add", add, "register a licence of the table, or own terms in words", _EXAMPLES)
    parser.add_argument("name", metavar="LICENCE|NAME", help="a licence, or what people will call your own terms")
    own = parser.add_argument_group("own terms")
    own.add_argument("--like", metavar="LICENCE", help="start from what this licence says")
    own.add_argument("--use", choices=_USES, help="the uses that it is for")
    for option, (_, _, text) in _WORDS.items():
        own.add_argument(f"--{option.replace('_', '-')}", choices=("yes", "no"), help=text)
    own.add_argument(
        "--only-for", metavar="FIELD,FIELD", help="fields of use that are permitted (default: every field)"
    )
    own.add_argument("--not-for", metavar="FIELD,FIELD", help="fields in which use is excluded")
    own.add_argument("--revenue", metavar="SHARE", help="share of what a model earns that is claimed, such as 5%%")
    own.add_argument("--until", metavar="DATE", help="nothing new may be made after this day, such as 2030-12-31")
    own.add_argument("--country", metavar="TEXT", help="where the terms come from; shown, decides nothing")
    own.add_argument("--licence", metavar="EXPRESSION", help="SPDX expression, LicenseRef-... for your own")
    own.add_argument("--text", metavar="FILE", help="text of your licence: its digest becomes part of the terms")
    own.add_argument("--uses-list", metavar="FILE", help="list of uses that must not happen; its digest goes with it")
    own.add_argument("--document", metavar="FILE", type=Path, help="YAML or JSON with these words, or with all fields")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be registered")
    add_sending_options(parser)


def add(arguments: argparse.Namespace) -> None:
    """Register, and show what was registered in words."""
    from abci_app.bech32 import encode_id
    from abci_app.modules.licences import RegisterTerms, terms_id_of
    from openledger.terms import is_registered, terms_of_name

    context: CommandContext = arguments.context
    terms = terms_of_words(arguments.name, _given(arguments))
    message = RegisterTerms(terms)
    message.validate()
    if arguments.dry_run:
        _show(context, terms, "not registered: --dry-run")
        return
    terms_id = terms_id_of(terms)
    with open_client(context) as client:
        outcome = "was registered already"
        if not is_registered(client, terms_id):
            _check_name_is_free(client, terms.name)
            outcome = f"registered at height {send(arguments, client, [message]).height}"
        found, _ = terms_of_name(client, terms.name)
    if found != terms_id:
        raise UsageError(
            f"{terms.name}: {outcome}, but that name stands for other terms, which had it first: yours go by their id, "
            f"{encode_id('olterms', terms_id)}, or add them again under another name"
        )
    _show(context, terms, outcome)


def _check_name_is_free(client: Client, name: str) -> None:
    """Refuse a name that stands for other terms: it would go on standing for them, and for nothing of ours."""
    from openledger.licences import known_licence
    from openledger.terms import is_name_taken

    if not known_licence(name) and is_name_taken(client, name):
        raise UsageError(
            f"{name!r} is what other terms are called, which were registered first: choose another name, or look at "
            f"them with `openledger terms show {shlex.quote(name)}`"
        )


def _show(context: CommandContext, terms: Terms, outcome: str) -> None:
    from abci_app.bech32 import encode_id
    from abci_app.modules.licences import terms_id_of
    from openledger.licences import terms_title
    from openledger_cli.lines import Line, print_lines
    from openledger_cli.terms.words import plain_lines

    terms_id = encode_id("olterms", terms_id_of(terms))
    if context.as_json:
        context.output.show({"name": terms.name, "terms_id": terms_id, "outcome": outcome, "terms": terms})
        return
    top = Line(f"{terms_title(terms)}: {outcome}", plain_lines(terms))
    top.add(f"id {terms_id}")
    context.output.show({}, lambda console, _document: print_lines(console, [top]))
    say_next(context, f'openledger data new NAME --terms "{terms.name}" --from KEY')


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Words of the document, with those of the line over them."""
    on_line = {name: getattr(arguments, name) for name in (*_TEXTS, *_WORDS) if getattr(arguments, name) is not None}
    return {**(_read(arguments.document) if arguments.document else {}), **on_line}


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(path.expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{path} is neither YAML nor JSON: {str(error).splitlines()[0]}") from None
    if not isinstance(document, dict) or not all(isinstance(name, str) for name in document):
        raise UsageError(f"{path} must hold lines such as `use: non-commercial`")
    return {name.replace("-", "_"): value for name, value in document.items()}


def terms_of_words(name: str, given: Mapping[str, Any]) -> Terms:
    """The terms that a name and some words describe; raises `UsageError`."""
    from abci_app.modules.licences import Terms
    from abci_app.modules.licences.facts import plain_terms
    from openledger.documents import from_document
    from openledger.licences import known_licence

    fields = frozenset(Terms.__struct_fields__)
    if given.keys() & (fields - _WORDS.keys()):
        document = {"name": name, "spdx": "", **given}
        return from_document(Terms, document, None, "terms")  # type: ignore[no-any-return]
    licence = known_licence(name)
    if licence:
        if given:
            raise UsageError(
                f"{licence} says what it says: give your own terms another name, and start them with --like {licence}"
            )
        return plain_terms(licence)
    unknown = sorted(given.keys() - {*_TEXTS, *_WORDS})
    if unknown:
        raise UsageError(f"no word {unknown[0]!r} for terms; known: {', '.join([*_TEXTS, *_WORDS]).replace('_', '-')}")
    if not given:
        raise UsageError(
            f"{name!r} is no licence that the table knows: say what your own terms are, for example with "
            "--like CC-BY-4.0 --use non-commercial"
        )
    return _own_terms(name, given)


def _own_terms(name: str, given: Mapping[str, Any]) -> Terms:
    from abci_app.modules.licences.records import Stated, UseClass
    from openledger.amounts import parse_share
    from openledger.licences import complete_terms, normal_form

    changes: dict[str, Any] = {"name": name, "spdx": normal_form(str(given.get("licence", "")))}
    for word, (field, is_reversed, _) in _WORDS.items():
        if word in given:
            changes[field] = int(Stated.YES if _is_yes(word, given[word]) != is_reversed else Stated.NO)
    if "use" in given:
        if given["use"] not in _USES:
            raise UsageError(f"use {given['use']!r}: write one of {', '.join(_USES)}")
        changes["use_class"] = int(UseClass(_USES.index(given["use"]) + 1))
    for word, field in (("only_for", "fields_of_use"), ("not_for", "excluded_domains")):
        if word in given:
            changes[field] = _labels(given[word])
    if "revenue" in given:
        changes["revenue_share_ppb"] = parse_share(str(given["revenue"]))
    if "until" in given:
        changes["expiry_seconds"] = _seconds(str(given["until"]))
    if "country" in given:
        changes["jurisdiction"] = str(given["country"])
    if "text" in given:
        changes["text_digest"] = _digest(given["text"])
        changes["spdx"] = changes["spdx"] or f"LicenseRef-{_slug(name)}"
    if "uses_list" in given:
        changes |= {"behavioural": int(Stated.YES), "behavioural_digest": _digest(given["uses_list"])}
    terms = structs.replace(_start(given), **changes) if "like" in given else complete_terms(**changes)
    _check_share_alike(terms)
    return terms


def _start(given: Mapping[str, Any]) -> Terms:
    from abci_app.modules.licences.facts import plain_terms
    from openledger.licences import known_licence
    from openledger.terms import unknown_terms

    licence = known_licence(str(given["like"]))
    if not licence:
        raise UsageError(f"--like: {unknown_terms(str(given['like']))}")
    return plain_terms(licence)


def _check_share_alike(terms: Terms) -> None:
    from abci_app.modules.licences.records import Stated

    if terms.share_alike == Stated.YES and not terms.spdx:
        raise UsageError(
            "own terms that are share-alike need their text, since two such licences are told apart by their words: "
            "pass --text FILE, or say --share-alike no"
        )


def _is_yes(word: str, value: object) -> bool:
    text = str(value).strip().lower()
    if text not in ("yes", "no", "true", "false"):
        raise UsageError(f"{word.replace('_', '-')} {value!r}: write yes or no")
    return text in ("yes", "true")


def _labels(value: Any) -> tuple[str, ...]:
    parts = value if isinstance(value, list | tuple) else str(value).split(",")
    return tuple(sorted({str(part).strip().lower() for part in parts if str(part).strip()}))


def _seconds(text: str) -> int:
    """The last second of a day, in UTC."""
    from datetime import UTC, datetime

    try:
        if not _DATE.fullmatch(text):
            raise ValueError(text)
        return int(datetime.fromisoformat(f"{text}T23:59:59").replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise UsageError(f"until {text!r}: write a day such as 2030-12-31") from None


def _digest(path: object) -> bytes:
    from openledger.content.store import file_digest

    file = Path(str(path)).expanduser()
    try:
        return file_digest(file)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "own"
