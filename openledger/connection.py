"""Clients and keys by the settings, for programs and for the command.

import openledger
with openledger.connect() as client:      # verified, by what `openledger trust add` noted or settings.sh exports
    print(client.query("bank", "account", AccountQuery(address)).value)
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openledger.errors import KeyFailure, UsageError
from openledger.keys.turns import KeyTurns
from openledger.settings import CONFIG_FILE, PASSPHRASE_VARIABLE, ClientSettings, load_settings

if TYPE_CHECKING:
    from openledger.client.async_client import AsyncClient
    from openledger.client.client import Client
    from openledger.client.light_client import AsyncLightClient, LightClient
    from openledger.keys.signer import Signer
    from openledger.keys.wallet import Wallet
    from openledger.light.anchors import Anchor
    from openledger.light.results import LightSettings


def connect(settings: ClientSettings | None = None, *, verified: bool = True) -> "Client":
    """A client by the settings, whose queries are verified; raises `OpenLedgerError` with the one thing to do.

    Without `verified` it takes the node's word, and nothing needs to be trusted yet.
    """
    from openledger.client.client import Client

    settings = settings or load_settings()
    light = open_light_client(settings) if verified else None
    client = Client(settings.node, chain_id=settings.chain_id, light=light)
    client.people = known_people(settings)
    client.try_first = True
    client.turns = KeyTurns(settings.home_folder)
    return client


def connect_async(settings: ClientSettings | None = None, *, verified: bool = True) -> "AsyncClient":
    """Do the work of `connect` for asyncio."""
    from openledger.client.async_client import AsyncClient

    settings = settings or load_settings()
    light = open_async_light_client(settings) if verified else None
    client = AsyncClient(settings.node, chain_id=settings.chain_id, light=light)
    client.people = known_people(settings)
    client.try_first = True
    client.turns = KeyTurns(settings.home_folder)
    return client


def known_people(settings: ClientSettings) -> dict[bytes, str]:
    """Address -> name of every key in the home; none where they cannot be read, since no answer hangs on them."""
    try:
        return {key.address_bytes: key.name for key in settings.wallet().all_keys()}
    except KeyFailure:
        return {}


def open_light_client(
    settings: ClientSettings,
    *,
    anchor: "Anchor | None" = None,
    demands: "LightSettings | None" = None,
    store: Path | None = None,
) -> "LightClient":
    """The light client of these settings; `anchor` and `demands` of the caller come before what they say.

    Raises `NotTrustedYet` where no question could be verified.
    """
    from openledger.client.light_client import LightClient

    prepared = _prepare(settings, anchor, demands, store)
    return LightClient(settings.node, prepared.witnesses, **prepared.keywords)


def open_async_light_client(settings: ClientSettings) -> "AsyncLightClient":
    """Do the work of `open_light_client` for asyncio."""
    from openledger.client.light_client import AsyncLightClient

    prepared = _prepare(settings, None, None, None)
    return AsyncLightClient(settings.node, prepared.witnesses, **prepared.keywords)


@dataclass(frozen=True, slots=True)
class _Prepared:
    witnesses: Sequence[str]
    keywords: dict[str, Any]


def _prepare(
    settings: ClientSettings, anchor: "Anchor | None", demands: "LightSettings | None", store: Path | None
) -> _Prepared:
    from openledger.client.trust_store import FileTrustStore
    from openledger.light.errors import NotTrustedYet
    from openledger.light.results import LightSettings

    demands = demands or LightSettings()
    demands = replace(
        demands,
        chain_id=demands.chain_id or settings.chain_id,
        without_witness=demands.without_witness or settings.without_witness,
    )
    witnesses = () if demands.without_witness else settings.witness_urls
    trust = FileTrustStore(store or settings.home_folder / "light")
    anchor = anchor or genesis_anchor(settings)
    known = trust.load(demands.chain_id) is not None if demands.chain_id else bool(trust.chains())
    if anchor is None and not known:
        raise NotTrustedYet(
            "nothing vouches for this chain here yet: get its genesis document from somebody whom you trust, then "
            f"`openledger trust add --node {settings.node} --genesis FILE`, with --witness URL of a second node or "
            "with --no-witness; --unverified asks without any proof"
        )
    if not witnesses and not demands.without_witness:
        genesis = f" --genesis {settings.genesis}" if settings.genesis else " --genesis FILE"
        raise NotTrustedYet(
            "no second node is named that would show a forged or an old answer: "
            f"`openledger trust add --node {settings.node}{genesis} --witness URL` names one for good (--no-witness: "
            "do without); for one question, --witness URL or --no-witness"
        )
    return _Prepared(witnesses, {"anchor": anchor, "settings": demands, "store": trust, "clock": time.time_ns})


def genesis_anchor(settings: ClientSettings) -> "Anchor | None":
    """The genesis document that the settings name, else that of a node in this home; None where there is none."""
    from openledger.light.anchors import parse_genesis

    named = settings.genesis
    path = Path(named).expanduser() if named else settings.home_folder / "config" / "genesis.json"
    if not named and not path.exists():
        return None
    try:
        return parse_genesis(path.read_bytes())
    except OSError as error:
        raise UsageError(f"genesis document {path} cannot be read: {error.strerror}") from None


def open_signer(name: str = "", settings: ClientSettings | None = None, *, chain_id: str = "") -> "Signer":
    """Open the key of this name, else of the setting `key`, else the only one of the home. Raises `KeyFailure`.

    Its passphrase comes from the environment.
    """
    settings = settings or load_settings()
    wallet = settings.wallet(chain_id)
    name = name or settings.key or _only_key(wallet)
    passphrase = ""
    if wallet.needs_passphrase(name):
        if PASSPHRASE_VARIABLE not in os.environ:
            raise KeyFailure(f"key {name!r} needs a passphrase: set {PASSPHRASE_VARIABLE}")
        passphrase = os.environ[PASSPHRASE_VARIABLE]
    return wallet.signer(name, passphrase)


def _only_key(wallet: "Wallet") -> str:
    names = [key.name for key in wallet.all_keys() if key.kind == "local"]
    if len(names) == 1:
        return names[0]
    if not names:
        raise KeyFailure("there is no key here to sign with: make one with `openledger keys add NAME`")
    raise KeyFailure(
        f"which key signs? there are {', '.join(names)}: name one, or set OPENLEDGER_KEY (`key:` in {CONFIG_FILE})"
    )
