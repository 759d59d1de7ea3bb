"""Settings of everybody who asks or signs: command line over environment over `<home>/client.yaml` over defaults.

`SETTINGS` is the one table of them: options, variables, client.yaml and docs/settings.md follow it. Naming a chain
brings what `openledger trust add` noted of it; a value beside it, or nearer to the command line, counts more.
Clients are made from settings in openledger/connection.py.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openledger.errors import UsageError

if TYPE_CHECKING:
    from openledger.keys.wallet import Wallet

DEFAULT_HOME = "~/.openledger"
DEFAULT_NODE = "http://127.0.0.1:26657"
CONFIG_FILE = "client.yaml"
OUTPUTS = ("table", "json")
KEY_BACKENDS = ("file", "test")
PASSPHRASE_VARIABLE = "OPENLEDGER_PASSPHRASE"  # noqa: S105 - the name of a variable
NO_WITNESS = "none"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: `option` says whether it can stand on every command line, `file` whether in client.yaml."""

    name: str
    value: str
    text: str
    option: bool = False
    file: bool = True

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return f"OPENLEDGER_{self.name.upper()}"

    @property
    def flag(self) -> str:
        """Its option."""
        return f"--{self.name.replace('_', '-')}"


SETTINGS: tuple[Setting, ...] = (
    Setting("home", "DIR", f"folder of keys, trust and node data (default {DEFAULT_HOME})", option=True, file=False),
    Setting("node", "URL", f"RPC address of the node to ask (default {DEFAULT_NODE})", option=True),
    Setting(
        "chain_id", "ID", "chain to sign for (default: the node's; a client that signs should name it)", option=True
    ),
    Setting("output", "FORM", "table or json (default table)", option=True),
    Setting("keys", "BACKEND", "file (encrypted) or test (plain, chains named dev... only)", option=True),
    Setting("key", "NAME", "key that signs where a program names none (default: the only key of the home)"),
    Setting("witnesses", "URLS", "nodes to compare headers with, separated by commas; none to compare with no other"),
    Setting("genesis", "FILE", "the chain's genesis document (default: config/genesis.json in the home)"),
    Setting("content", "URL", "content store with rows, manifests and weights (default: in the XDG data folder)"),
)


# Variables that are no settings of a client: name -> (whom they are for, text). docs/settings.md has them, too.
VARIABLES: dict[str, tuple[str, str]] = {
    PASSPHRASE_VARIABLE: (
        "keys",
        "passphrase of the key that signs, where nobody sits at a terminal; --passphrase-file is read first",
    ),
    "OPENLEDGER_COMETBFT": ("nodes", "path of the CometBFT binary (default: the one that scripts/build-cometbft made)"),
    "OPENLEDGER_FAULT": (
        "tests of nodes",
        "POINT:HEIGHT[:WHO] or file:PATH kills a node there, on chains named dev...",
    ),
    "OPENLEDGER_PYTHON": ("set-up", "the Python that scripts/setup makes .venv with"),
    "OPENLEDGER_TORCH_INDEX": ("set-up", "a package index or folder to take the locked version of torch from"),
    "OPENLEDGER_GO_FROM_WHEEL": ("set-up", "1: build CometBFT with the Go of the lock, even where one is installed"),
    "XDG_CACHE_HOME": ("everybody", "what can be made again goes to openledger below it (default: ~/.cache)"),
    "XDG_DATA_HOME": ("everybody", "the content store is openledger/content below it (default: ~/.local/share)"),
}


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """The values of `SETTINGS`; an empty chain id means: ask the node."""

    home: str = DEFAULT_HOME
    node: str = DEFAULT_NODE
    chain_id: str = ""
    output: str = "table"
    keys: str = "file"
    key: str = ""
    witnesses: str = ""
    genesis: str = ""
    content: str = ""

    @property
    def home_folder(self) -> Path:
        """Folder of keys, trust store and, for a node, its data."""
        return Path(self.home).expanduser()

    @property
    def witness_urls(self) -> tuple[str, ...]:
        """Addresses of the nodes to compare with."""
        urls = [url.strip() for url in self.witnesses.split(",")]
        return () if self.without_witness else tuple([url for url in urls if url])

    @property
    def without_witness(self) -> bool:
        """Whether it was decided that headers are compared with no other node."""
        return self.witnesses.strip() == NO_WITNESS

    def wallet(self, chain_id: str = "") -> "Wallet":
        """The keys of this home; the test backend needs the chain's id."""
        from openledger.keys.wallet import Wallet

        return Wallet.open(self.home_folder, self.keys, chain_id or self.chain_id)


def load_settings(
    flags: Mapping[str, str | None] | None = None, environment: Mapping[str, str] | None = None
) -> ClientSettings:
    """Merge all sources; raises `UsageError` naming the bad one."""
    environment = os.environ if environment is None else environment
    flags = flags or {}
    from_environment = {setting.name: environment.get(setting.variable) for setting in SETTINGS}
    home = flags.get("home") or from_environment["home"] or DEFAULT_HOME
    folder = Path(home).expanduser()
    merged: dict[str, str] = {}
    for source in (read_config(folder / CONFIG_FILE), from_environment, flags):
        given = {name: value for name, value in source.items() if value}
        chain_id = given.get("chain_id")
        if chain_id and chain_id != merged.get("chain_id"):
            merged.update(read_config(trust_folder(folder, chain_id) / CONFIG_FILE))
        merged.update(given)
    settings = ClientSettings(**merged)
    if settings.output not in OUTPUTS:
        raise UsageError(f"output {settings.output!r}: use table or json")
    if settings.keys not in KEY_BACKENDS:
        raise UsageError(f"keys {settings.keys!r}: use file or test")
    return settings


def read_config(path: Path) -> dict[str, str]:
    """The settings in one client.yaml; none where there is no such file. Raises `UsageError`."""
    if not path.exists():
        return {}
    import yaml

    try:
        document: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    if not isinstance(document, dict):
        raise UsageError(f"{path} must hold lines such as `node: {DEFAULT_NODE}`")
    names = [setting.name for setting in SETTINGS if setting.file]
    unknown = sorted([str(name) for name in document if name not in names])
    if unknown:
        raise UsageError(f"{path}: unknown setting {unknown[0]!r}; known: {', '.join(names)}")
    nested = [name for name, value in document.items() if isinstance(value, list | dict)]
    if nested:
        raise UsageError(f"{path}: {nested[0]} must be one text, such as `{nested[0]}: ...`; write lists with commas")
    return {name: str(value) for name, value in document.items() if value is not None}


def trust_folder(home: Path, chain_id: str) -> Path:
    """Where `openledger trust add` keeps what it noted of a chain: client.yaml and genesis.json."""
    return home / "trust" / file_name_of(chain_id)


def file_name_of(chain_id: str) -> str:
    """The chain id where it is a plain file name, else its digest."""
    return chain_id if _PLAIN_NAME.fullmatch(chain_id) else f"chain-{sha256(chain_id.encode()).hexdigest()[:32]}"


assert [setting.name for setting in SETTINGS] == [field.name for field in fields(ClientSettings)]
