"""Steps of the tasks of `openledger data` alone: options of senders, people's names, words; tasks.py has the others."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from abci_app.bech32 import encode_id
from openledger.errors import UsageError
from openledger_cli import tasks
from openledger_cli.pulse import waiting_for_people

if TYPE_CHECKING:
    from openledger.content.store import ContentStore
    from openledger_cli.context import CommandContext

_SHORT_ADDRESS = 12


def add_sending_options(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Options of tasks that send a transaction, for an own account or another one."""
    tasks.add_sending_options(parser, required=required, for_others=True)


def decide_words(quorum: int, names: Sequence[str], owner: str = "the owner") -> str:
    """Say who decides: `remy or the owner decides`, `2 equal verdicts of remy, rosa and the owner decide`."""
    if not names:
        return f"{owner} decides"
    if quorum == 1:
        return f"{', '.join(names)} or {owner} decides"
    return f"{quorum} equal verdicts of {', '.join(names)} and {owner} decide"


def sender_address(arguments: argparse.Namespace) -> bytes:
    """The account that the task acts for."""
    return tasks.sender_address(arguments)


def open_store(arguments: argparse.Namespace) -> ContentStore:
    """The content store of the option or the environment."""
    from openledger.content.store import ContentStore

    return ContentStore.open(arguments.content)


# --- Words


def people(context: CommandContext) -> dict[bytes, str]:
    """Names of this home's own keys by address."""
    from openledger_cli.query.lineage import known_people

    return known_people(context)


def who(address: bytes, names: Mapping[bytes, str]) -> str:
    """A person by the name of their key here, else the start of the address."""
    return names.get(address) or f"{encode_id('open', address)[:_SHORT_ADDRESS]}…"


def reason_word(reason: int) -> str:
    """Describe a reason as people write it."""
    from abci_app.modules.datanets.records import Reason
    from openledger.words import word_of_number

    return word_of_number(Reason, reason)


def numbers_of(text: str) -> list[int]:
    """`1-3,7` as numbers in order, each once; raises `UsageError`."""
    found: dict[int, None] = {}
    for part in text.replace(" ", "").split(","):
        first, sign, last = part.partition("-")
        if not first.isdecimal() or (sign and not last.isdecimal()) or not 1 <= int(first) <= int(last or first):
            raise UsageError(f"{text!r}: give numbers of submissions such as 2 or 1-3,7")
        if int(last or first) - int(first) >= 100_000:
            raise UsageError(f"{text!r}: those are more submissions than one call takes")
        found |= dict.fromkeys(range(int(first), int(last or first) + 1))
    return sorted(found)


def numbers_in_words(numbers: Sequence[int]) -> str:
    """Write rising numbers as `numbers_of` reads them: `1-3,7`."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ",".join(["-".join(map(str, part)) for part in parts])


def agreed(question: str, *, yes: bool) -> bool:
    """Whether the user wants it: --yes, or an answer at the terminal; raises `UsageError` where nobody can be asked."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError(f"{question} Nobody is here to answer: add --yes to do it")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    with waiting_for_people():
        return sys.stdin.readline().strip().lower() in ("y", "yes")
