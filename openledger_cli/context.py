"""Settings that every command shares: flags over environment over `<home>/client.yaml` over defaults."""

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openledger.errors import UsageError
from openledger_cli.output import Printer

if TYPE_CHECKING:
    from openledger.keys.wallet import Wallet

DEFAULT_HOME = "~/.openledger"
DEFAULT_NODE = "http://127.0.0.1:26657"
CONFIG_FILE = "client.yaml"
OUTPUTS = ("table", "json")


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Settings that flags, environment and file can change; an empty chain id means: ask the node."""

    home: str = DEFAULT_HOME
    node: str = DEFAULT_NODE
    chain_id: str = ""
    output: str = "table"
    keys: str = "file"
    # Only in the environment or the file: RPC addresses to compare headers with, comma-separated, or "none".
    witnesses: str = ""
    # Only in the environment or the file: the chain's genesis document.
    genesis: str = ""


@dataclass(frozen=True, slots=True)
class CommandContext:
    """The settings of one call, and what is made from them."""

    settings: ClientSettings

    @property
    def home(self) -> Path:
        """Folder of keys, trust store and, for a node, its data."""
        return Path(self.settings.home).expanduser()

    @property
    def node_url(self) -> str:
        """RPC address of the node to ask."""
        return self.settings.node

    @property
    def as_json(self) -> bool:
        """Whether results are wanted as JSON."""
        return self.settings.output == "json"

    @property
    def output(self) -> Printer:
        """Prints results in the form that is asked for."""
        return Printer(as_json=self.as_json)

    def wallet(self, chain_id: str = "") -> "Wallet":
        """The keys of this home; the test backend needs the chain's id."""
        from openledger.keys.wallet import Wallet

        return Wallet.open(self.home, self.settings.keys, chain_id or self.settings.chain_id)


def load_settings(flags: dict[str, str | None], environment: dict[str, str] | None = None) -> ClientSettings:
    """Merge the four sources; raises `UsageError` naming the bad one."""
    environment = dict(os.environ) if environment is None else environment
    names = [field.name for field in fields(ClientSettings)]
    from_environment = {name: environment.get(f"OPENLEDGER_{name.upper()}") for name in names}
    home = flags.get("home") or from_environment["home"] or DEFAULT_HOME
    from_file = _read_config(Path(home).expanduser() / CONFIG_FILE, names)
    merged: dict[str, str] = {}
    for source in (from_file, from_environment, flags):
        merged.update({name: value for name, value in source.items() if value})
    settings = ClientSettings(**merged)
    if settings.output not in OUTPUTS:
        raise UsageError(f"output {settings.output!r}: use table or json")
    return settings


def _read_config(path: Path, names: list[str]) -> dict[str, str]:
    if not path.exists():
        return {}
    import yaml

    try:
        document: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    if not isinstance(document, dict):
        raise UsageError(f"{path} must hold lines such as `node: {DEFAULT_NODE}`")
    unknown = sorted([str(name) for name in document if name not in names])
    if unknown:
        raise UsageError(f"{path}: unknown setting {unknown[0]!r}; known: {', '.join(names)}")
    return {name: str(value) for name, value in document.items()}
