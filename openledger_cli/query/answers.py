"""Asking one question and showing its answer: verified unless --unverified, with what its names stand for."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from openledger.client.results import Answer
from openledger.errors import Denied, UsageError
from openledger_cli.context import CommandContext
from openledger_cli.output import people_console, print_line
from openledger_cli.proofs.questions import describe_names
from openledger_cli.text import note


def ask(client: Any, arguments: argparse.Namespace, module: str, name: str, args: Any) -> Answer[Any]:
    """The answer, verified unless --unverified."""
    if arguments.bundle and arguments.unverified:
        raise UsageError("--bundle needs a verified answer: leave --unverified out")
    with denials_as_bundles(client, arguments):
        answer: Answer[Any] = client.query(module, name, args, height=arguments.height, prove=not arguments.unverified)
    write_bundle(client, arguments, answer.evidence)
    return answer


@contextmanager
def denials_as_bundles(client: Any, arguments: argparse.Namespace) -> Iterator[None]:
    """A proven no is written as a bundle where --bundle asks for one, and stays an error."""
    try:
        yield
    except Denied as denied:
        write_bundle(client, arguments, denied.evidence)
        raise


def write_bundle(client: Any, arguments: argparse.Namespace, evidence: Any) -> None:
    """The bundle of a verified answer, where --bundle asks for one; a proven no has one, too."""
    if not arguments.bundle:
        return
    arguments.context.write(arguments.bundle, client.light.bundle(evidence))
    note(f"wrote {arguments.bundle}: check it anywhere with `openledger verify {arguments.bundle}`")


def show_answer(context: CommandContext, answer: Answer[Any], people: Any = None) -> None:
    """Print a result and how far it can be trusted; in JSON the two stand side by side."""
    from openledger.documents import to_document

    value = to_document(answer.value)
    if context.as_json:
        head = {"height": answer.height, "verified": answer.verified, "how": answer.note}
        context.output.show({**head, "names": describe_names(answer.names), "result": value})
        return
    context.output.show(answer.value, people)
    for name in describe_names(answer.names):
        print_line(people_console(), f"the name {name['name']} stands for {name['id']}")
    pages = (
        {name: start for name, start in value.items() if name.startswith("next_")} if isinstance(value, dict) else {}
    )
    next_key = next(iter(pages.values()), "")
    if next_key:
        note(f"more: pass {next_key} as the page's start")
    note(f"\n{answer.note}" if answer.verified else f"\nNOT VERIFIED: {answer.note}")
