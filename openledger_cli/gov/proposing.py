"""`openledger gov propose|dry-run`: a proposal from its document, shown in words before it is signed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openledger.amounts import parse_amount, show_amount
from openledger.errors import UsageError, WouldFail
from openledger_cli import signing
from openledger_cli.lines import Line, print_lines
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_reading_options, add_sending_options, add_task, say_how, say_next, send

if TYPE_CHECKING:
    from abci_app.modules.governance import DryRunView
    from openledger.client.client import Client
    from openledger.client.names import QuestionNames
    from openledger.client.results import Answer
    from openledger.documents import Resolver
    from openledger.proposals import ProposalDraft
    from openledger_cli.context import CommandContext

_FORM = """
proposal.yaml, for example:
  title: Half the fee for each byte
  actions:
    - set-parameters: {fees.fee_per_byte_nopen: 500nopen}
    - note: Blocks are far from full

actions: set-parameters, appoint-member, remove-member, set-validator, remove-validator, freeze, lift-freeze, spend,
upgrade, cancel-upgrade, retry-stuck, note (docs/governance.md has a line of each). `scope: committee` asks the
validators.
"""
_PROPOSE = f"""\
  openledger gov propose proposal.yaml --from alice
  openledger gov propose proposal.yaml --maximum-deposit 20000OPEN --from alice
{_FORM}"""
_DRY_RUN = f"""\
  openledger gov dry-run proposal.yaml
{_FORM}"""


def register(commands: Any) -> None:
    """Add the tasks."""
    propose = add_task(commands, "propose", run_propose, "put a proposal to the vote", _PROPOSE)
    propose.add_argument("document", type=Path, metavar="FILE", help="YAML or JSON")
    propose.add_argument(
        "--maximum-deposit", metavar="AMOUNT", help="most that the deposit may be (default: what it is now)"
    )
    add_sending_options(propose, for_others=True)
    dry_run = add_task(commands, "dry-run", run_dry_run, "what a proposal would change, on the latest state", _DRY_RUN)
    dry_run.add_argument("document", type=Path, metavar="FILE", help="YAML or JSON")
    add_reading_options(dry_run)


def run_propose(arguments: argparse.Namespace) -> None:
    """Show in words, submit, say the number and what comes next."""
    from openledger.client.names import QuestionNames

    context: CommandContext = arguments.context
    with open_client(context, arguments) as client:
        # The signer sees the ids; the chain tries the actions out again when they are submitted.
        draft = _read(arguments.document, signing.transaction_resolver(context, client, []))
        deposit_nopen = _deposit_nopen(client, draft, arguments.maximum_deposit)
        message = draft.message(_digest(draft, arguments.document), deposit_nopen)
        tried = _try_out(client, draft, QuestionNames(), prove=False)
        if not context.as_json:
            _show(context, draft, tried.value)
            print(f"deposit: at most {show_amount(deposit_nopen)}, which comes back unless vetoed or ignored")
        committed = send(arguments, client, [message])
    number = next(int(event.get("proposal")) for event in committed.events if event.name == "proposal_changed")
    if context.as_json:
        context.output.json({"number": number, "height": committed.height, "effects": list(tried.value.effects)})
        return
    print(f"proposal {number} was submitted in block {committed.height}")
    say_next(context, f"openledger gov vote {number} yes --from KEY", f"openledger gov show {number}")


def run_dry_run(arguments: argparse.Namespace) -> None:
    """Try a document out, verified; what would be refused ends with the code of refusals."""
    from openledger.client.names import QuestionNames

    context: CommandContext = arguments.context
    with open_client(context, arguments) as client:
        # Names are part of the question, so that what they stand for is proven with the answer.
        names = QuestionNames()
        draft = _read(arguments.document, signing.question_resolver(context, names))
        draft.message(_digest(draft, arguments.document), 0)
        answer = _try_out(client, draft, names, prove=not arguments.unverified)
    view = answer.value
    if context.as_json:
        context.output.json({"code": view.code, "refusal": view.text, "effects": list(view.effects)})
    else:
        _show(context, draft, view)
        say_how(context, answer)
    if view.code:
        raise WouldFail(view.code, "governance", view.text)
    say_next(context, f"openledger gov propose {arguments.document} --from KEY")


def _read(path: Path, resolve: Resolver) -> ProposalDraft:
    from openledger.proposals import read_proposal

    return read_proposal(_document(path), resolve)


def _document(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{path} is neither YAML nor JSON: {str(error).splitlines()[0]}") from None


def _digest(draft: ProposalDraft, document: Path) -> bytes:
    """Digest of the text that goes with it: a file beside the document."""
    if not draft.text:
        return b""
    from openledger.content.store import file_digest

    path = document.expanduser().parent / Path(draft.text).expanduser()
    try:
        return file_digest(path)
    except OSError as error:
        raise UsageError(f"text: {path} cannot be read: {error.strerror}") from None


def _deposit_nopen(client: Client, draft: ProposalDraft, given: str | None) -> int:
    """The deposit that is agreed to: what was said, else what it is now or after one more proposal."""
    from abci_app.chain.chain_module import ParametersQuery
    from abci_app.modules.governance import OpenQuery, Scope

    if given is not None:
        return parse_amount(given)
    if draft.scope != Scope.CHAIN:
        return 0
    page = client.query("chain", "parameters", ParametersQuery("governance"), prove=False).value
    deposit_nopen = next(each.value for each in page.parameters if each.name == "governance.deposit_nopen")
    opened = client.query("governance", "open", OpenQuery(int(Scope.CHAIN), b""), prove=False).value
    return int(deposit_nopen) << (len(opened.proposals) + 1) // 8


def _try_out(client: Client, draft: ProposalDraft, names: QuestionNames, *, prove: bool) -> Answer[DryRunView]:
    from abci_app.modules.governance import DryRunQuery

    height = int(client.status().sync_info.latest_block_height)
    question = DryRunQuery(scope=int(draft.scope), object_id=b"", actions=draft.actions, height=height)
    return client.query("governance", "dry_run", names.arguments(question), prove=prove)


def _show(context: CommandContext, draft: ProposalDraft, view: DryRunView) -> None:
    from abci_app.modules.governance import Scope, is_critical

    who = "the committee of validators" if draft.scope == Scope.COMMITTEE else "all who hold gOPEN"
    critical = (
        " (critical: two thirds must say yes)" if draft.scope == Scope.CHAIN and is_critical(draft.actions) else ""
    )
    top = Line(f"{draft.title}: asks {who}{critical}", [Line(effect) for effect in view.effects])
    if view.code:
        top.add(f"would be refused now: {view.text}")
    context.output.show({}, lambda console, _document: print_lines(console, [top]))
