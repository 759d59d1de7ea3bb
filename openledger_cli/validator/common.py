"""Steps of the tasks of `openledger validator`: keys of the node's home, the chain's rules, reading one validator."""

from __future__ import annotations

import argparse
import base64
import json
from typing import TYPE_CHECKING, Any

from openledger.errors import UsageError
from openledger_cli import signing
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import send

if TYPE_CHECKING:
    from pathlib import Path

    from abci_app.module import Message
    from abci_app.modules.validators import ValidatorView
    from openledger.client.client import Client
    from openledger.client.results import Answer, Committed
    from openledger.validators import BondRules
    from openledger_cli.context import CommandContext

KEY_BYTES = 32
_KEY_FILE = "priv_validator_key.json"


def consensus_key_of(path: Path) -> bytes:
    """The public key in a file of CometBFT; raises `UsageError`. The secret in it is not looked at."""
    try:
        document = json.loads(path.read_text())
        key = base64.b64decode(document["pub_key"]["value"], validate=True)
    except FileNotFoundError:
        raise UsageError(f"no key at {path}: run this in the node's home (--home), or give --consensus-key") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is not a validator's key file: {error}") from error
    if len(key) != KEY_BYTES:
        raise UsageError(f"{path} holds a key of {len(key)} bytes: this chain's validators have Ed25519 keys")
    return key


def key_file(context: CommandContext) -> Path:
    """The consensus key of this home's node."""
    return context.home / "config" / _KEY_FILE


def given_key(text: str) -> bytes:
    """A consensus key in hex or base64, as CometBFT writes it; raises `UsageError`."""
    try:
        key = bytes.fromhex(text) if len(text) == 2 * KEY_BYTES else base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise UsageError(f"{text!r} is no consensus key: give 64 hex digits, or the base64 of priv_validator_key.json")
    return key


def read_rules(client: Client, *, prove: bool, height: int = 0) -> BondRules:
    """The parameters of bonds, as the chain has them."""
    from abci_app.chain.chain_module import ParametersQuery
    from openledger.validators import BondRules

    view = client.query("chain", "parameters", ParametersQuery(""), height=height, prove=prove).value
    return BondRules.of({parameter.name: parameter.value for parameter in view.parameters})


def read_validator(
    client: Client, arguments: argparse.Namespace, *, operator: bytes = b"", address: bytes = b""
) -> Answer[ValidatorView]:
    """One validator, proven unless --unverified."""
    from abci_app.modules.validators.queries import ValidatorQuery

    args = ValidatorQuery(operator, address)
    height = getattr(arguments, "height", 0)
    return client.query("validators", "validator", args, height=height, prove=not arguments.unverified)


def operator_of(arguments: argparse.Namespace) -> bytes:
    """The account that the task acts for."""
    return signing.party_named(arguments.context, arguments.account or arguments.signer).address


def send_and_read(
    arguments: argparse.Namespace, messages: list[Message]
) -> tuple[Committed, Answer[ValidatorView], BondRules]:
    """Send messages of a validator in one transaction, and read what they made of it."""
    with open_client(arguments.context, arguments) as client:
        committed = send(arguments, client, messages)
        answer = read_validator(client, arguments, operator=operator_of(arguments))
        return committed, answer, read_rules(client, prove=not arguments.unverified, height=answer.height)


def document_of(committed: Committed, answer: Answer[Any]) -> dict[str, Any]:
    """The JSON of a task that sent something."""
    from openledger.documents import to_document
    from openledger_cli.tasks import head_of

    return {
        **head_of(answer),
        "hash": committed.hash,
        "height": committed.height,
        "validator": to_document(answer.value),
    }
