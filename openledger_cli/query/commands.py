"""`openledger query`: one command a query of the registry, and short forms for what people ask most.

Answers are verified against signed headers unless --unverified; either way the command says which.
"""

import argparse
from typing import Any

from abci_app.bech32 import encode_id
from openledger.amounts import in_open, show_amount
from openledger.connection import known_people
from openledger.errors import KeyFailure, QueryFailed, UsageError
from openledger_cli import examples, signing
from openledger_cli.context import CommandContext
from openledger_cli.output import print_line
from openledger_cli.proofs.trust import add_trust_options, open_client
from openledger_cli.query.answers import ask, show_answer
from openledger_cli.text import note

_EXAMPLES = """\
examples:
  openledger query account alice
  openledger query txs --account alice --page 2
  openledger query lineage my-model                       complete, verified, as a tree
  openledger query lineage my-model --output json
  openledger query impact my-datanet --version 1          every model below it, proven complete
  openledger query members list --limit 20 --unverified
"""
DEFAULT_LIMIT = 50
# Options of our own that an argument must not shadow.
_TAKEN = frozenset({"height", "witness", "trust", "genesis", "bundle", "home", "node", "chain_id", "output", "keys"})
# Page arguments that may be left out.
_CURSORS = ("after", "cursor", "start")


def register(subparsers: Any) -> None:
    """Add `query`, its short forms and one command for each query of the registry."""
    from abci_app.chain.registry import all_queries

    parser = subparsers.add_parser(
        "query",
        help="ask the chain; answers are verified unless --unverified",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="short forms and modules", metavar="WHAT|MODULE", required=True)
    _register_short_forms(commands)
    modules: dict[str, Any] = {}
    for (module, name), query in all_queries().items():
        if module not in modules:
            group = commands.add_parser(module, help=f"queries of the {module} module")
            modules[module] = group.add_subparsers(title="queries", metavar="QUERY", required=True)
        _register_query(modules[module], module, name, query)


def _register_short_forms(commands: Any) -> None:
    text = "balance, sequence and policy"
    account = commands.add_parser("account", help=text, epilog=examples.written("query account"))
    account.add_argument("account", metavar="KEY|ADDRESS", help="name of a key or open1...")
    add_trust_options(account)
    account.set_defaults(run=_account)
    text = "a committed transaction by its hash (the node's word)"
    transaction = commands.add_parser("tx", help=text, epilog=examples.written("query tx"))
    transaction.add_argument("hash", help="CometBFT's hash, 64 hex digits")
    transaction.set_defaults(run=_transaction)
    text = "an account's transactions, newest first, paged (the node's index)"
    history = commands.add_parser("txs", help=text, epilog=examples.written("query txs"))
    history.add_argument("--account", required=True, metavar="KEY|ADDRESS", help="name of a key or open1...")
    history.add_argument("--page", type=int, default=1)
    history.add_argument("--limit", type=int, default=30, help="transactions a page, at most 100")
    history.set_defaults(run=_history)
    from openledger_cli.query import lineage

    lineage.register(commands)


def _register_query(queries: Any, module: str, name: str, query: Any) -> None:
    from openledger.documents import describe_type, type_info

    text = query.help or " ".join((query.function.__doc__ or "").split())
    fields = type_info(query.args_type).fields
    needed = [field for field in fields if field.required and _default(field) is None]
    shown = needed or [field for field in fields if _default(field) == ""][:1]
    parser = queries.add_parser(
        name.replace("_", "-"),
        aliases=[name] if "_" in name else [],
        help=text,
        description=text,
        epilog=examples.of_query(module, query, name, option_of_argument, shown),
    )
    group = parser.add_argument_group("arguments")
    for field in fields:
        group.add_argument(
            option_of_argument(field.name),
            dest=f"argument_{field.name}",
            metavar="VALUE",
            default=_default(field),
            required=field in needed,
            help=describe_type(field.type, field.name),
        )
    add_trust_options(parser)
    parser.set_defaults(run=_query, module=module, query=name)


def option_of_argument(field: str) -> str:
    """`--after-key`; `height` is ours."""
    return f"--argument-{field}" if field in _TAKEN else f"--{field.replace('_', '-')}"


def _default(field: Any) -> str | None:
    """Describe the value of an omitted argument: first page, latest version, or the other one of id and name."""
    from msgspec import inspect

    if field.name == "limit":
        return str(DEFAULT_LIMIT)
    bare = field.type.type if isinstance(field.type, inspect.Metadata) else field.type
    if isinstance(bare, inspect.IntType):
        return "0" if field.name.startswith(_CURSORS) or field.name.endswith("version") else None
    return None if getattr(field.type, "min_length", None) else ""


def _query(arguments: argparse.Namespace) -> None:
    from abci_app.chain.registry import query_named
    from openledger.client.names import QuestionNames
    from openledger.documents import from_document

    context: CommandContext = arguments.context
    definition = query_named(arguments.module, arguments.query)
    given = {
        name.removeprefix("argument_"): value for name, value in vars(arguments).items() if name.startswith("argument_")
    }
    document = {name: value for name, value in given.items() if value is not None}
    names = QuestionNames()
    resolve = signing.question_resolver(context, names)
    args = from_document(definition.args_type, document, resolve, f"{arguments.module}.{arguments.query}")
    with open_client(context, arguments) as client:
        answer = ask(client, arguments, arguments.module, arguments.query, names.arguments(args))
    show_answer(context, answer)


def account_address(context: CommandContext, text: str) -> bytes:
    """An address by the name of a key or as open1..."""
    return signing.party_named(context, text).address


def _account(arguments: argparse.Namespace) -> None:
    from abci_app.modules.bank import AccountQuery

    context: CommandContext = arguments.context
    address = account_address(context, arguments.account)
    with open_client(context, arguments) as client:
        answer = ask(client, arguments, "bank", "account", AccountQuery(address))
    names = _key_names(context)
    show_answer(context, answer, lambda console, document: _print_account(console, document, names))


def _key_names(context: CommandContext) -> dict[bytes, str]:
    """Names of the single keys of this home, by public key."""
    try:
        keys = context.wallet(context.settings.chain_id).all_keys()
    except KeyFailure:
        return {}
    return {key.public_keys[0]: f"{key.name} ({key.public_keys[0].hex()})" for key in keys if key.kind == "local"}


def _print_account(console: Any, document: dict[str, Any], names: dict[bytes, str]) -> None:
    from abci_app.errors import Rejected
    from abci_app.policy import Policy, decode_policy

    lines = [
        ("address", document["address"]),
        ("balance", f"{show_amount(document['balance_nopen'])} ({document['balance_nopen']} nopen)"),
        ("sequence", str(document["sequence"])),
    ]
    if not document["exists"]:
        lines.append(("note", "this account was never used"))
    elif not document["policy"]:
        lines.append(("policy", "not stored yet: the account has sent nothing"))
    else:
        try:
            policy = decode_policy(bytes.fromhex(document["policy"]))
        except Rejected:
            policy = None
        if isinstance(policy, Policy):
            lines.append(("policy", f"weight {policy.threshold} of {len(policy.keys)} key(s)"))
            lines += [
                ("key", f"{names.get(key.public_key, key.public_key.hex())} weight {key.weight}") for key in policy.keys
            ]
    for name, value in lines:
        print_line(console, f"{name.ljust(9)} {value}")


def _transaction(arguments: argparse.Namespace) -> None:
    text = arguments.hash.removeprefix("0x")
    if len(text) != 64 or not set(text.lower()) <= set("0123456789abcdef"):
        raise UsageError(f"transaction hash {arguments.hash!r} must be 64 hex digits")
    with open_client(arguments.context) as client:
        signing.show_committed(arguments.context, client.transaction(text))


def _history(arguments: argparse.Namespace) -> None:
    context: CommandContext = arguments.context
    if arguments.page < 1 or not 1 <= arguments.limit <= 100:
        raise UsageError("--page starts at 1, --limit is 1 to 100")
    address = account_address(context, arguments.account)
    with open_client(context) as client:
        page = client.history(address, arguments.page, arguments.limit)
    if arguments.page > page.pages:
        raise QueryFailed(22, "openledger", f"there are {page.pages} pages, no page {arguments.page}")
    people = known_people(context.settings)
    rows = [
        (
            one.height,
            one.hash[:16],
            people.get(one.sender) or encode_id("open", one.sender),
            one.sequence,
            ", ".join(one.messages),
            "ok" if not one.code else in_open(one.log),
        )
        for one in page.transactions
    ]
    context.output.rows("", ("height", "hash", "sender", "sequence", "messages", "outcome"), rows, page)
    if not context.as_json:
        note(f"page {page.page} of {page.pages}, {page.total} transactions; the node's index, not verified")
