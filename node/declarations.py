"""Declarations: a validator that wants to be in a genesis document, signed with its consensus key."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path

import msgspec
import nacl.exceptions
import nacl.signing

from node.errors import NodeError
from node.genesis_checks import check_name_and_power
from openledger.content.files import write_whole

_DECLARATION_TAG = b"openledger/validator-declaration/v1\n"


@dataclass(frozen=True, slots=True)
class Declaration:
    """A validator that wants to take part: its consensus key, its node, and a signature by that key."""

    chain_id: str
    name: str
    power: int
    public_key: str  # base64
    node_id: str
    peer_address: str  # host:port
    # The account that is answerable for it, what that account bonds, and the end of its chain of hashes (hex).
    operator: str = ""
    bond_nopen: int = 0
    onion: str = ""
    signature: str = ""  # base64 over every other field

    def signed_bytes(self) -> bytes:
        """The bytes that the consensus key signs: a tag that no vote begins with, then the fields as sorted JSON."""
        values = dataclasses.asdict(self)
        del values["signature"]
        return _DECLARATION_TAG + json.dumps(values, sort_keys=True).encode()


def read_declaration(path: Path) -> Declaration:
    """A declaration whose signature has been checked. Raises NodeError, naming the file and the field."""
    try:
        declaration = msgspec.json.decode(path.read_bytes(), type=Declaration)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NodeError(f"{path} is not a validator declaration: {error}") from error
    try:
        check_name_and_power(declaration.name, declaration.power)
        public_key = base64.b64decode(declaration.public_key, validate=True)
        signature = base64.b64decode(declaration.signature, validate=True)
        nacl.signing.VerifyKey(public_key).verify(declaration.signed_bytes(), signature)
    except NodeError as error:
        raise NodeError(f"{path}: {error}") from error
    except (ValueError, TypeError, nacl.exceptions.CryptoError):
        raise NodeError(
            f"{path}: the signature is not the validator key's; have its operator declare it again"
        ) from None
    if not re.fullmatch(r"[0-9a-f]{40}", declaration.node_id):
        raise NodeError(f"{path}: node_id is {declaration.node_id!r}; give 40 hex digits")
    return declaration


def declaration_text(declaration: Declaration) -> bytes:
    """The file of a declaration, as it is sent to the coordinator."""
    return msgspec.json.format(msgspec.json.encode(declaration), indent=2) + b"\n"


def write_declaration(path: Path, declaration: Declaration) -> None:
    write_whole(path, declaration_text(declaration))
