"""The public Python face of OpenLedger: `Client`, `AsyncClient`, `Wallet`, typed results and errors.

Names are imported when first used, so that a light client does not load what it does not need.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openledger.async_client import AsyncClient as AsyncClient
    from openledger.client import Client as Client
    from openledger.errors import OpenLedgerError as OpenLedgerError
    from openledger.keys.signer import Signer as Signer
    from openledger.wallet import Wallet as Wallet

_HOMES = {
    "AsyncClient": "openledger.async_client",
    "Client": "openledger.client",
    "OpenLedgerError": "openledger.errors",
    "Signer": "openledger.keys.signer",
    "Wallet": "openledger.wallet",
}

__all__ = ["AsyncClient", "Client", "OpenLedgerError", "Signer", "Wallet"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'openledger' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
