"""Amounts of nopen as people read them; errors tell amounts, too, so that this file knows nothing of errors."""

import re

_OF_NOPEN = re.compile(r"(?<![\w.,])(\d[\d,]{0,30}) nopen\b")
_DECIMALS = 9
# `abci_app.types` has it, too, and loads more than an error may; a test holds them together.
_NOPEN_PER_OPEN = 10**_DECIMALS


def show_amount(amount_nopen: int) -> str:
    """`1.5 OPEN`, without needless zeros."""
    whole, rest = divmod(abs(amount_nopen), _NOPEN_PER_OPEN)
    decimals = str(rest).rjust(_DECIMALS, "0").rstrip("0")
    sign = "-" if amount_nopen < 0 else ""
    return f"{sign}{whole}{'.' if decimals else ''}{decimals} OPEN"


def in_open(text: str) -> str:
    """The chain's words with every amount of nopen in OPEN; the chain itself counts in whole nopen."""
    return _OF_NOPEN.sub(lambda found: show_amount(int(found[1].replace(",", ""))), text)
