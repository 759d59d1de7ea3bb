"""`openledger validator show` and `list`: who validates, with what at stake, proven."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from openledger.amounts import show_amount
from openledger.errors import UsageError
from openledger_cli import signing
from openledger_cli.lines import Line, count, print_lines
from openledger_cli.output import people_console
from openledger_cli.proofs.trust import open_client
from openledger_cli.query.answers import denials_as_bundles, write_bundle
from openledger_cli.tasks import add_reading_options, add_task, head_of, members_of, naming, say_how, say_next
from openledger_cli.validator.common import consensus_key_of, key_file, read_rules

if TYPE_CHECKING:
    from abci_app.modules.validators import ValidatorView
    from openledger.validators import BondRules
    from openledger_cli.context import CommandContext

_SHOW_EXAMPLES = """\
  openledger validator show                  the validator of this home's node
  openledger validator show bob              of this key
  openledger validator show open1... --output json
"""
_LIST_EXAMPLES = """\
  openledger validator list
  openledger validator list --output json
"""


def register(commands: Any) -> None:
    """Add both tasks."""
    shown = add_task(commands, "show", show, "what a validator is, owes and risks", _SHOW_EXAMPLES)
    shown.add_argument("operator", nargs="?", default="", metavar="KEY|ADDRESS", help="default: this home's node")
    add_reading_options(shown, one_answer=True)
    listed = add_task(
        commands, "list", list_validators, "all validators, and how much power may still move", _LIST_EXAMPLES
    )
    add_reading_options(listed, one_answer=True)


def show(arguments: argparse.Namespace) -> None:
    """One validator."""
    from abci_app.modules.validators.queries import ValidatorQuery
    from openledger.documents import to_document

    context: CommandContext = arguments.context
    args = ValidatorQuery(*_which(arguments))
    if arguments.bundle and arguments.unverified:
        raise UsageError("--bundle needs a verified answer: leave --unverified out")
    prove = not arguments.unverified
    with open_client(context, arguments) as client:
        with denials_as_bundles(client, arguments):
            answer = client.query("validators", "validator", args, height=arguments.height, prove=prove)
        write_bundle(client, arguments, answer.evidence)
        rules = read_rules(client, prove=prove, height=answer.height)
        names = naming(context, members_of(client, answer.height, prove=prove))
    if context.as_json:
        context.output.show({**head_of(answer), "result": to_document(answer.value), **_words(answer.value, rules)})
        return
    print_lines(people_console(), [_tree(answer.value, rules, names(answer.value.operator))])
    say_how(context, answer)
    say_next(context, "openledger validator list")


def _which(arguments: argparse.Namespace) -> tuple[bytes, bytes]:
    """(operator, consensus address) of the question: one of them is empty."""
    from abci_app.modules.validators import consensus_address

    if arguments.operator:
        return signing.party_named(arguments.context, arguments.operator).address, b""
    return b"", consensus_address(consensus_key_of(key_file(arguments.context)))


def _words(view: ValidatorView, rules: BondRules) -> dict[str, Any]:
    from openledger.validators import owed, risks, standing

    return {"standing": standing(view), "owes": owed(view, rules), "risks": list(risks(view, rules))}


def _tree(view: ValidatorView, rules: BondRules, name: str) -> Line:
    words = _words(view, rules)
    root = Line(f"{name}: {words['standing']}")
    bond = root.add(f"bond {show_amount(view.bond_nopen)}")
    for entry in view.leaving:
        bond.add(f"{show_amount(entry.amount_nopen)} leave: withdrawn from height {entry.height} on")
    if words["owes"]:
        root.add(f"to do: {words['owes']}")
    if words["risks"]:
        risk = root.add("it loses")
        for line in words["risks"]:
            risk.add(line)
    root.add(f"consensus key {view.consensus_key.hex()}, address {view.consensus_address.hex().upper()}")
    if view.worker_key:
        executes = ", executes models again" if view.capabilities & 1 else ""
        root.add(f"works for claims with key {view.worker_key.hex()}{executes}")
    for node in view.own_peers:
        root.add(f"own node {node}")
    return root


def list_validators(arguments: argparse.Namespace) -> None:
    """All of them, and the turnover of the epoch."""
    from abci_app.modules.validators import ValidatorStatus
    from abci_app.modules.validators.queries import TurnoverQuery, ValidatorListQuery
    from openledger.documents import to_document
    from openledger.words import word_of_number
    from openledger_cli.query.answers import ask

    context: CommandContext = arguments.context
    prove = not arguments.unverified
    with open_client(context, arguments) as client:
        answer = ask(client, arguments, "validators", "list", ValidatorListQuery())
        turnover = client.query("validators", "turnover", TurnoverQuery(), height=answer.height, prove=prove).value
        names = naming(context, members_of(client, answer.height, prove=prove))
    if context.as_json:
        found = {"validators": to_document(answer.value.validators), "turnover": to_document(turnover)}
        context.output.show({**head_of(answer), **found})
        return
    total = sum([row.power for row in answer.value.validators])
    rows = [
        (
            names(row.operator),
            word_of_number(ValidatorStatus, row.status),
            str(row.power),
            f"{100 * row.power / total:.1f} %" if total else "",
            str(row.admitted),
            show_amount(row.bond_nopen),
            str(row.missed),
            str(row.silent),
        )
        for row in answer.value.validators
    ]
    columns = ("operator", "status", "power", "of all", "admitted", "bond", "missed", "silent")
    context.output.rows("validators, missed and silent blocks of this epoch", columns, rows, None)
    print(_turnover_words(turnover))
    say_how(context, answer)
    say_next(context, "openledger validator show KEY|ADDRESS")


def _turnover_words(turnover: Any) -> str:
    if turnover.live < 4:
        live = count(turnover.live, "validator")
        return f"power is with {live}: with fewer than four there are no limits to what changes"
    return (
        f"epoch {turnover.epoch} began with power {turnover.power_total}, lost {turnover.lost} and gained "
        f"{turnover.gained}: it may lose and gain {turnover.limit} each"
    )
