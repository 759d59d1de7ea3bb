"""The settings of one call (openledger/settings.py), and what every command makes from them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from openledger.settings import ClientSettings
from openledger_cli.output import Printer

if TYPE_CHECKING:
    from openledger.keys.signer import Signer
    from openledger.keys.wallet import Wallet


@dataclass(frozen=True, slots=True)
class CommandContext:
    """The settings of one call, and what is made from them."""

    settings: ClientSettings
    # Whether files that are there already may be written over.
    overwrite: bool = False
    # Settings that stand on the command line itself.
    named: frozenset[str] = frozenset()
    # Keys that this call has opened: a passphrase is asked for once, and read once from what can be read once.
    opened: "dict[tuple[str, str], Signer]" = field(default_factory=dict, repr=False, compare=False)

    @property
    def home(self) -> Path:
        """Folder of keys, trust store and, for a node, its data."""
        return self.settings.home_folder

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
        return self.settings.wallet(chain_id)

    def check_new(self, *paths: Path | None) -> None:
        """Raise `UsageError` for a file that is there already; called before any work is done."""
        from openledger.content.new_files import check_new

        for path in paths:
            if path is not None:
                check_new(path, overwrite=self.overwrite)

    def write(self, path: Path, data: bytes | str) -> None:
        """Write a file that the person named: whole, and never over another one unasked. Raises `UsageError`."""
        from openledger.content.new_files import write_new

        write_new(path, data, overwrite=self.overwrite)
