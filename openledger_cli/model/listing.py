"""`openledger model list`: all models of the chain, proven."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from openledger_cli.lines import show_time
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_reading_options, add_task, head_of, naming, say_how, say_next

if TYPE_CHECKING:
    from abci_app.modules.models.queries import ModelView
    from openledger.client.client import Client
    from openledger.client.results import Answer
    from openledger_cli.context import CommandContext

_PAGE = 200
_EXAMPLES = """\
  openledger model list
  openledger model list --match llama --output json
"""


def register(commands: Any) -> None:
    """Add the task."""
    parser = add_task(commands, "list", list_models, "all models, with their versions and owners", _EXAMPLES)
    parser.add_argument("--match", default="", metavar="TEXT", help="only names that hold this text")
    add_reading_options(parser)


def list_models(arguments: argparse.Namespace) -> None:
    """Every model by name."""
    context: CommandContext = arguments.context
    with open_client(context, arguments) as client:
        found, answer = all_models(client, prove=not arguments.unverified)
    found = [item for item in found if arguments.match.lower() in item.model.name]
    if context.as_json:
        context.output.show({**head_of(answer), "models": found})
        return
    name_of = naming(context)
    rows = [
        (
            item.model.name,
            item.model.version_count or "none yet",
            name_of(item.model.owner),
            show_time(item.model.time_seconds),
            item.model.description,
        )
        for item in found
    ]
    context.output.rows("", ("model", "versions", "owner", "since", "about"), rows, None)
    say_how(context, answer)
    example = found[0].model.name if found else ""
    say_next(
        context,
        f"openledger model show {example}"
        if example
        else "openledger model add NAME FOLDER --terms LICENCE --from KEY",
    )


def all_models(client: Client, *, prove: bool) -> tuple[list[ModelView], Answer[Any]]:
    """All models by name, each page at the height of the first."""
    from abci_app.modules.models.queries import ModelListQuery

    found: list[ModelView] = []
    after, height = b"", 0
    while True:
        answer = client.query("models", "list", ModelListQuery(after, _PAGE), height=height, prove=prove)
        found += answer.value.items
        after, height = answer.value.next_model_id, answer.height
        if not after:
            return sorted(found, key=lambda item: item.model.name), answer
