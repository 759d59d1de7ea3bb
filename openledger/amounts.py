"""Amounts as people write them: `1.5OPEN`, `250000nopen`, `250000` (nopen). 1 OPEN = 10^9 nopen; no floats."""

import re

from abci_app.types import MAX_INTEGER, NOPEN_PER_OPEN, PPB
from openledger.errors import UsageError
from openledger.shown_amounts import in_open, show_amount

__all__ = ["in_open", "parse_amount", "parse_share", "show_amount", "show_share"]

_AMOUNT = re.compile(r"\A([0-9][0-9_]*)(?:\.([0-9]+))?\s*(OPEN|nopen)?\Z", re.IGNORECASE)
_SHARE = re.compile(r"\A([0-9]{1,3})(?:\.([0-9]{1,7}))?%\Z")
_DECIMALS = 9


def parse_amount(text: str) -> int:
    """Amount in nopen; raises `UsageError`."""
    found = _AMOUNT.match(text.strip())
    if not found:
        raise UsageError(f"amount {text!r}: write 1.5OPEN, or a whole number of nopen")
    whole, decimals, unit = found.group(1).replace("_", ""), found.group(2) or "", (found.group(3) or "nopen").lower()
    if unit == "nopen":
        if decimals:
            raise UsageError(f"amount {text!r}: nopen has no decimals, 1 OPEN = {NOPEN_PER_OPEN} nopen")
        amount_nopen = int(whole[:20])
    else:
        if len(decimals) > _DECIMALS:
            raise UsageError(f"amount {text!r}: OPEN has at most {_DECIMALS} decimals")
        amount_nopen = int(whole[:20]) * NOPEN_PER_OPEN + int(decimals.ljust(_DECIMALS, "0"))
    if amount_nopen > MAX_INTEGER or len(whole) > 20:
        raise UsageError(f"amount {text!r} is more than there can be ({MAX_INTEGER} nopen)")
    return amount_nopen


def parse_share(text: str) -> int:
    """Share in parts per billion from `12.5%` or a whole number of ppb; raises `UsageError`."""
    found = _SHARE.match(text.strip())
    if found:
        share_ppb = int(found.group(1)) * (PPB // 100) + int((found.group(2) or "").ljust(7, "0"))
    elif text.strip().isdecimal():
        share_ppb = int(text.strip()[:20])
    else:
        raise UsageError(f"share {text!r}: write 12.5%, or a whole number of parts per billion")
    if share_ppb > PPB:
        raise UsageError(f"share {text!r} is more than 100%")
    return share_ppb


def show_share(share_ppb: int) -> str:
    """`12.5%`, without needless zeros."""
    whole, rest = divmod(share_ppb, PPB // 100)
    decimals = str(rest).rjust(7, "0").rstrip("0")
    return f"{whole}{'.' if decimals else ''}{decimals}%"
