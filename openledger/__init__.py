"""The public Python face of OpenLedger: `connect`, `Client`, `LightClient`, `Wallet`, typed results and errors.

Names are imported when first used, so that a light client does not load what it does not need.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openledger.client.async_client import AsyncClient as AsyncClient
    from openledger.client.client import Client as Client
    from openledger.client.light_client import LightClient as LightClient
    from openledger.client.offline import read_bundles as read_bundles
    from openledger.connection import connect as connect
    from openledger.connection import connect_async as connect_async
    from openledger.errors import OpenLedgerError as OpenLedgerError
    from openledger.keys.signer import Signer as Signer
    from openledger.keys.wallet import Wallet as Wallet

_HOMES = {
    "AsyncClient": "openledger.client.async_client",
    "Client": "openledger.client.client",
    "LightClient": "openledger.client.light_client",
    "OpenLedgerError": "openledger.errors",
    "Signer": "openledger.keys.signer",
    "Wallet": "openledger.keys.wallet",
    "connect": "openledger.connection",
    "connect_async": "openledger.connection",
    "read_bundles": "openledger.client.offline",
}

__all__ = [
    "AsyncClient",
    "Client",
    "LightClient",
    "OpenLedgerError",
    "Signer",
    "Wallet",
    "connect",
    "connect_async",
    "read_bundles",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'openledger' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
