"""Fields that several sections of the genesis document have; each error names the field."""

import re

from abci_app.bech32 import decode_id
from abci_app.errors import GenesisError
from abci_app.types import MAX_TEXT_LENGTH

HEX_ADDRESS = re.compile(r"\A[0-9a-fA-F]{64}\Z")


def read_address(field: str, text: str) -> bytes:
    """An address given in bech32m or as 64 hex digits."""
    try:
        if HEX_ADDRESS.match(text):
            return bytes.fromhex(text)
        return decode_id(text, "open")[1]
    except ValueError as error:
        raise GenesisError(f"app_state.{field}: {text!r} is not an address: {error}") from error


def check_name(field: str, name: str) -> None:
    """Raises `GenesisError` unless the name is short and printable."""
    if len(name) > MAX_TEXT_LENGTH or not name.isascii() or not name.isprintable():
        raise GenesisError(f"app_state.{field}.name must be at most {MAX_TEXT_LENGTH} printable ASCII characters")
