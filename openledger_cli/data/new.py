"""`openledger data new`: a DataNet under terms by name, with reviewers by the names of their keys."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from openledger.errors import UsageError
from openledger_cli import signing
from openledger_cli.data.common import add_sending_options, decide_words
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_reading_options, add_task, say_next, send

if TYPE_CHECKING:
    from abci_app.module import Message
    from openledger_cli.context import CommandContext

_EXAMPLES = """\
  openledger data new garden --terms CC-BY-4.0 --from olga                       olga decides alone
  openledger data new garden --terms CC-BY-4.0 --reviewers remy,rosa --from olga
  openledger data new garden --terms CC-BY-4.0 --reviewers remy,rosa --quorum 2 --from olga
"""


def register(commands: Any) -> None:
    """Add the task."""
    parser = add_task(commands, "new", run, "make a DataNet, which others contribute to", _EXAMPLES)
    parser.add_argument("name", metavar="NAME", help="its name, which nobody else may have")
    parser.add_argument("--terms", required=True, metavar="NAME", help="licence of contributions that name none")
    parser.add_argument(
        "--reviewers", default="", metavar="KEY,KEY", help="who decides beside the owner: key names or open1..."
    )
    parser.add_argument("--quorum", type=int, default=1, metavar="N", help="equal verdicts that decide (default 1)")
    parser.add_argument("--about", default="", metavar="TEXT", help="one sentence on what belongs into it")
    add_sending_options(parser)
    add_reading_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Make it; terms of the table of licences are registered with it where nobody has yet."""
    from abci_app.modules.datanets.records import CreateDatanet
    from openledger.terms import terms_of_name

    context: CommandContext = arguments.context
    reviewers = sorted({signing.party_named(context, each).address for each in _listed(arguments.reviewers)})
    if not 1 <= arguments.quorum <= len(reviewers) + 1:
        raise UsageError(
            f"--quorum {arguments.quorum}: the owner and {len(reviewers)} reviewers can give 1 to "
            f"{len(reviewers) + 1} equal verdicts"
        )
    with open_client(context, arguments) as client:
        terms_id, registration = terms_of_name(client, arguments.terms)
        messages: list[Message] = [registration] if registration else []
        messages.append(
            CreateDatanet(
                name=arguments.name,
                description=arguments.about,
                default_terms_id=terms_id,
                reviewers=tuple(reviewers),
                quorum=arguments.quorum,
            )
        )
        committed = send(arguments, client, messages)
    if context.as_json:
        context.output.json(
            {"datanet": arguments.name, "terms": arguments.terms, "height": committed.height, "hash": committed.hash}
        )
        return
    terms = registration.terms.spdx if registration else arguments.terms
    registered = f"; {terms} was registered with it" if registration else ""
    decide = decide_words(arguments.quorum, _listed(arguments.reviewers), arguments.signer)
    print(f"{arguments.name}: contributions come under {terms}; {decide} what is accepted{registered}")
    say_next(context, f"openledger data add {arguments.name} FILE ... --from KEY")


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]
