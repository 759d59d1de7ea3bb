"""`openledger model compare`: two versions side by side, and which change helped as far as measurements say."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from openledger.errors import UsageError
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_reading_options, add_task, head_of, say_how, say_next

if TYPE_CHECKING:
    from rich.console import Console

    from abci_app.modules.models.records import Evaluation
    from openledger.client.client import Client
    from openledger.client.provenance import Whole
    from openledger_cli.context import CommandContext
    from openledger_cli.lines import Line
    from openledger_cli.model.comparison import ModelSide, VersionComparison

_PAGE = 200
_EXAMPLES = """\
  openledger model compare gardener@1 gardener@2
  openledger model compare gardener other-gardener --output json

two are told apart only where both were measured on the same rows and their 95 % intervals do not overlap
"""


def register(commands: Any) -> None:
    """Add the task."""
    parser = add_task(
        commands, "compare", compare_models, "what changed between two, and which change helped", _EXAMPLES
    )
    parser.add_argument("first", metavar="NAME@VERSION", help="a model's version")
    parser.add_argument("second", metavar="NAME@VERSION", help="another version, or another model")
    add_reading_options(parser, content=True)


def compare_models(arguments: argparse.Namespace) -> None:
    """Ask for both at one height, and compare."""
    from openledger_cli.model.comparison import compare

    context: CommandContext = arguments.context
    prove = not arguments.unverified
    with open_client(context, arguments) as client:
        first, whole = _side(client, arguments.first, arguments.content, prove=prove)
        second, _ = _side(client, arguments.second, arguments.content, prove=prove, height=whole.height)
    if first.page.entry_id == second.page.entry_id:
        raise UsageError(f"{arguments.first} and {arguments.second} are the same entry: name two that differ")
    found = compare(first, second)
    answer = whole.answers[0]
    if context.as_json:
        context.output.show({**head_of(answer), "first": first.name, "second": second.name, "comparison": found})
        return
    lines = comparison_lines(found, first.name, second.name)

    def people(console: Console, _document: Any) -> None:
        from openledger_cli.lines import print_lines

        print_lines(console, lines)

    context.output.show({}, people)
    say_how(context, answer)
    say_next(context, f"openledger model may {arguments.second} --sell")


def _side(
    client: Client, reference: str, content: str | None, *, prove: bool, height: int = 0
) -> tuple[ModelSide, Whole[Any]]:
    from openledger.client.provenance import lineage, lineage_question
    from openledger_cli.model.comparison import ModelSide
    from openledger_cli.query.lineage import read_manifests

    whole = lineage(client, lineage_question(reference), height=height, prove=prove)
    page = whole.value
    root = page.entries[0].stored.entry.manifest_root
    side = ModelSide(
        name=reference,
        page=page,
        manifest=read_manifests(page, content)[root],
        evaluations=evaluations_of(client, page.entry_id, height=whole.height, prove=prove),
    )
    return side, whole


def evaluations_of(client: Client, entry_id: bytes, *, height: int, prove: bool) -> tuple[Evaluation, ...]:
    """All measurements of an entry, oldest first."""
    from abci_app.modules.models.queries import EntryEventsQuery

    found: list[Evaluation] = []
    after = 0
    while True:
        question = EntryEventsQuery(entry_id, after, _PAGE)
        page = client.query("models", "evaluations", question, height=height, prove=prove).value
        found += [item.evaluation for item in page.evaluations]
        after = page.next_event
        if not after:
            return tuple(found)


def comparison_lines(found: VersionComparison, first: str, second: str) -> list[Line]:
    """The conclusion, then what changed by group, then every measurement."""
    from openledger_cli.lines import Line

    top = Line(f"{first} and {second}: {found.conclusion}")
    for group in dict.fromkeys([each.group for each in found.changes]):
        texts = [each.text for each in found.changes if each.group == group]
        top.below.append(Line(f"changed, {group}", [Line(text) for text in texts]))
    if not found.changes:
        top.add("nothing that is recorded changed")
    if found.measured:
        top.below.append(Line("measured", [Line(each.text) for each in found.measured]))
        top.add("intervals speak of the rows that were measured on, not of another seed")
    if found.not_compared:
        top.below.append(Line("to be known", [Line(text) for text in found.not_compared]))
    return [top]
