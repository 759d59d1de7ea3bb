"""`settings.sh` and `client.yaml`: what a client needs to know of a chain that was made here, written once."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from openledger.settings import CONFIG_FILE, SETTINGS, ClientSettings
from openledger_cli.text import note

SETTINGS_FILE = "settings.sh"
_NOT_EXPORTED = ("output", "key")


def settings_script(settings: ClientSettings) -> str:
    """The text of settings.sh: to be sourced, after which `openledger` needs no options for this chain."""
    lines = ["# Settings of the openledger command for one chain. In any terminal:  . settings.sh"]
    for setting in SETTINGS:
        value = getattr(settings, setting.name)
        if value and setting.name not in _NOT_EXPORTED:
            lines.append(f"export {setting.variable}={shlex.quote(value)}")
    return "\n".join(lines) + "\n"


def config_text(settings: ClientSettings) -> str:
    """The text of client.yaml: the same for everybody who names only this home."""
    import json

    lines = ["# Settings of the openledger command in this home; docs/settings.md has all of them."]
    for setting in SETTINGS:
        value = getattr(settings, setting.name)
        if value and setting.file and setting.name not in _NOT_EXPORTED:
            lines.append(f"{setting.name}: {json.dumps(value)}")
    return "\n".join(lines) + "\n"


def write_client_files(settings: ClientSettings, folder: Path) -> Path:
    """Write settings.sh into `folder` and client.yaml into the home, where they are not there yet; gives settings.sh.

    Files that say something else are somebody's own: they are left as they are, and that is said.
    """
    script = folder / SETTINGS_FILE
    for path, text in (
        (script, settings_script(settings)),
        (settings.home_folder / CONFIG_FILE, config_text(settings)),
    ):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif path.read_text(encoding="utf-8", errors="replace") != text:
            note(f"{path} is there already and says something else: left as it is")
    return script


def source_line(script: Path) -> str:
    """The line that a person types to use it, from where they are."""
    path = script.resolve()
    if path.is_relative_to(Path.cwd()):
        path = Path("./") / path.relative_to(Path.cwd())
    shown = str(path)
    return f". {shlex.quote(shown if shown.startswith('/') else f'./{shown}')}"


@dataclass(frozen=True, slots=True)
class Funded:
    """An account of a new chain: what a person called it, its address, its balance; `made` when its key is new."""

    name: str
    address: str
    amount_nopen: int
    made: bool = False


def read_accounts(texts: list[str]) -> list[tuple[str, int]]:
    """`NAME=AMOUNT` or `ADDRESS=AMOUNT` as pairs; raises `UsageError` before anything is made."""
    import re

    from openledger.amounts import parse_amount
    from openledger.errors import UsageError
    from openledger.keys.wallet import is_key_name

    pairs: list[tuple[str, int]] = []
    for text in texts:
        name, sign, amount = (part.strip() for part in text.partition("="))
        if not name or not sign or not amount:
            raise UsageError(f"--account {text}: give NAME=AMOUNT or ADDRESS=AMOUNT, such as alice=1000OPEN")
        if name in [known for known, _ in pairs]:
            raise UsageError(f"--account {name} stands there twice: give each account once")
        if not re.fullmatch(r"open1\w+|[0-9a-fA-F]{64}", name) and not is_key_name(name):
            raise UsageError(
                f"--account {text}: {name!r} is neither an address nor a name for a key: use 1 to 63 lower-case "
                "letters, digits, '-' and '_'"
            )
        pairs.append((name, parse_amount(amount)))
    return pairs


def is_address(text: str) -> bool:
    """Whether the account is named by its address, so that no key is made for it."""
    return text.startswith("open1") or len(text) == 64


def fund(settings: ClientSettings, pairs: list[tuple[str, int]]) -> list[Funded]:
    """Accounts with addresses; a name whose key is not in the home yet gets one. Raises `KeyFailure`."""
    return [_fund_one(settings, name, amount_nopen) for name, amount_nopen in pairs]


def _fund_one(settings: ClientSettings, name: str, amount_nopen: int) -> Funded:
    if is_address(name):
        return Funded(name, name, amount_nopen)
    wallet = settings.wallet()
    known = {key.name: key for key in wallet.all_keys()}
    if name in known:
        return Funded(name, known[name].address, amount_nopen)
    passphrase = ""
    if wallet.backend != "test":
        from argparse import Namespace

        from openledger_cli.secrets import ask_passphrase

        passphrase = ask_passphrase(Namespace(), name, twice=True)
    info, words = wallet.create(name, passphrase)
    if passphrase:
        note(f"\nThe 24 words of {name}; write them down, they are shown once:\n\n  {words}\n")
    return Funded(name, info.address, amount_nopen, made=True)


def funded_lines(funded: list[Funded]) -> list[str]:
    """Lines for people about accounts that were given money."""
    from openledger.amounts import show_amount

    return [f"{'new key ' if one.made else ''}{one.name} starts with {show_amount(one.amount_nopen)}" for one in funded]
