"""`openledger terms list` and `show`: registered terms, the table of licences, and either of them in words."""

from __future__ import annotations

import argparse
import textwrap
from typing import TYPE_CHECKING, Any

from abci_app.bech32 import encode_id
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_reading_options, add_task, head_of, say_how, say_next

if TYPE_CHECKING:
    from rich.console import Console

    from abci_app.modules.licences import Terms, TermsView
    from openledger.client.client import Client
    from openledger.client.results import Answer
    from openledger_cli.context import CommandContext

_PAGE = 200
_LIST_EXAMPLES = """\
  openledger terms list
  openledger terms list --table               the licences that have a name here, no node is asked
  openledger terms list --registered --output json
"""
_SHOW_EXAMPLES = """\
  openledger terms show CC-BY-SA-4.0
  openledger terms show "mit or apache-2.0"
  openledger terms show "garden terms"        own terms, as they are registered
"""


def register(commands: Any) -> None:
    """Add both tasks."""
    listed = add_task(commands, "list", list_terms, "registered terms, and licences of the table", _LIST_EXAMPLES)
    which = listed.add_mutually_exclusive_group()
    which.add_argument("--registered", action="store_true", help="only what is registered on the chain")
    which.add_argument("--table", action="store_true", help="only the licences that the table knows; asks no node")
    add_reading_options(listed)
    shown = add_task(commands, "show", show, "what terms or a licence say, in words", _SHOW_EXAMPLES)
    shown.add_argument(
        "name", metavar="LICENCE|NAME|ID", help="a licence, the name of registered terms, or olterms1..."
    )
    shown.add_argument("--table", action="store_true", help="what the table says of a licence; asks no node")
    add_reading_options(shown, one_answer=True)


def list_terms(arguments: argparse.Namespace) -> None:
    """Both lists, or one of them."""
    context: CommandContext = arguments.context
    licences = [] if arguments.registered else known_licences()
    found: list[TermsView] = []
    answer: Answer[Any] | None = None
    if not arguments.table:
        with open_client(context, arguments) as client:
            found, answer = registered(client, prove=not arguments.unverified)
    if context.as_json:
        head = head_of(answer) if answer is not None else {}
        context.output.show({**head, "registered": found, "licences": licences})
        return
    if answer is not None:
        rows = [(item.terms.name, _licence(item.terms), _short(item.terms), _id(item.terms_id)) for item in found]
        context.output.rows("registered", ("name", "licence", "in short", "id"), rows, None)
    if licences:
        print(f"licences that go by their names ({len(licences)}), registered when first needed:")
        print(
            textwrap.fill(", ".join(licences), 116, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
        )
    if answer is not None:
        say_how(context, answer)
    say_next(context, "openledger terms show CC-BY-4.0")


def registered(client: Client, *, prove: bool) -> tuple[list[TermsView], Answer[Any]]:
    """All registered terms by name, each page at the height of the first."""
    from abci_app.modules.licences.queries import TermsListQuery

    found: list[TermsView] = []
    after, height = b"", 0
    while True:
        answer = client.query("licences", "list", TermsListQuery(after, _PAGE), height=height, prove=prove)
        found += answer.value.items
        after, height = answer.value.next_terms_id, answer.height
        if not after:
            return sorted(found, key=lambda item: (item.terms.name, item.terms_id)), answer


def known_licences() -> list[str]:
    """Licences of the table that have a name of their own."""
    from abci_app.modules.licences.facts import is_own
    from abci_app.modules.licences.table import ROWS

    return sorted([name for name in ROWS if not is_own(name)], key=str.lower)


def show(arguments: argparse.Namespace) -> None:
    """A licence out of the table, with whether it is registered; else registered terms."""
    from openledger.licences import known_licence

    licence = known_licence(arguments.name)
    if licence and arguments.table:
        _show(arguments, _plain(licence), None, "what the table of licences says")
        return
    from openledger.errors import UsageError

    if arguments.table:
        from openledger.terms import unknown_terms

        raise UsageError(unknown_terms(arguments.name))
    with open_client(arguments.context, arguments) as client:
        answer = find_terms(client, arguments.name, arguments)
    if answer is None or answer.value.terms != (plain := _plain(licence) if licence else answer.value.terms):
        _show(arguments, _plain(licence), answer, "not registered yet: the first who names it registers it")
        return
    where = "registered, as the table of licences has it" if licence else "registered; these are its own words"
    _show(arguments, plain, answer, where)


def find_terms(client: Client, name: str, arguments: argparse.Namespace) -> Answer[Any] | None:
    """The registered terms that a name or id stands for; None for a licence that is proven not to be registered."""
    from abci_app.modules.licences import terms_id_of
    from abci_app.modules.licences.queries import TermsQuery
    from openledger.client.names import query_of_name
    from openledger.client.provenance import id_of_text
    from openledger.errors import Denied, QueryFailed
    from openledger.exit_codes import ExitCode
    from openledger.licences import known_licence
    from openledger.terms import unknown_terms
    from openledger_cli.query.answers import ask

    licence = known_licence(name)
    terms_id = id_of_text("olterms", name) or (terms_id_of(_plain(licence)) if licence else b"")
    question = ("licences", "terms", TermsQuery(terms_id)) if terms_id else query_of_name("olterms", name)
    try:
        return ask(client, arguments, *question)
    except QueryFailed as failure:
        is_missing = failure.exit_code == ExitCode.NOT_FOUND or arguments.unverified
        if licence and is_missing:
            return None
        if isinstance(failure, Denied) and not terms_id:
            raise Denied(failure.code, failure.codespace, unknown_terms(name), failure.note, failure.evidence) from None
        raise


def _plain(licence: str) -> Terms:
    from abci_app.modules.licences.facts import plain_terms

    return plain_terms(licence)


def _show(arguments: argparse.Namespace, terms: Terms, answer: Answer[Any] | None, standing: str) -> None:
    from abci_app.modules.licences import terms_id_of
    from openledger.licences import terms_title
    from openledger_cli.lines import Line, print_lines
    from openledger_cli.terms.words import plain_lines

    context: CommandContext = arguments.context
    terms_id = terms_id_of(terms)
    if context.as_json:
        head = head_of(answer) if answer is not None else {}
        context.output.show({**head, "registered": answer is not None, "terms_id": _id(terms_id), "terms": terms})
        return
    top = Line(terms_title(terms), plain_lines(terms))
    top.add(standing)
    top.add(f"id {_id(terms_id)}")
    top.add("advisory, not legal advice")

    def people(console: Console, _document: Any) -> None:
        print_lines(console, [top])

    context.output.show({}, people)
    if answer is not None:
        say_how(context, answer)
    other = "CC-BY-4.0" if terms.name == "CC-BY-SA-4.0" else "CC-BY-SA-4.0"
    say_next(context, f"openledger terms check {_quoted(terms.name)} {other}")


def _quoted(name: str) -> str:
    import shlex

    return shlex.quote(name)


def _id(terms_id: bytes) -> str:
    return encode_id("olterms", terms_id)


def _licence(terms: Terms) -> str:
    return terms.spdx or "(own terms)"


def _short(terms: Terms) -> str:
    """The points that matter most, in a few words."""
    from abci_app.modules.licences.records import Stated, UseClass

    uses = {UseClass.UNKNOWN: "use not stated", UseClass.ANY: "any use"}
    words = [uses.get(UseClass(terms.use_class), UseClass(terms.use_class).name.lower().replace("_", "-"))]
    for name, text in (
        ("attribution", "credit"),
        ("share_alike", "share-alike"),
        ("no_derivatives", "no derivatives"),
        ("approval_required", "approval"),
        ("private", "private"),
    ):
        words += [text] if getattr(terms, name) == Stated.YES else []
    words += ["no training"] if terms.training == Stated.NO else []
    words += ["not passed on"] if terms.redistribution == Stated.NO else []
    words += ["revenue"] if terms.revenue_share_ppb else []
    return ", ".join(words)
