"""SPDX licence expressions in the one form that the chain takes: alternatives of licences, sorted.

    expression  = alternative *(" OR " alternative)        at most 4, ascending, none holding all licences of another
    alternative = licence *(" AND " licence)               ascending, each once
    licence     = identifier ["+"] [" WITH " exception]

AND binds closer than OR, so no parentheses are needed. Identifiers are those of the table, in the letters of the SPDX
list and not deprecated, or `LicenseRef-` and lower-case letters, digits, dots and dashes. A sender who writes another
form is told so; `openledger.licences` turns other spellings into this one.
"""

import re
from functools import lru_cache

from abci_app.modules.licences.records import MAX_ALTERNATIVES
from abci_app.modules.licences.table import EXCEPTIONS, ROWS, SPELLINGS

# A licence after another carries its own notices and duties; more belong into a text of one's own.
MAX_LICENCES = 6
EXPRESSIONS_REMEMBERED = 4_096
_OWN = re.compile(r"LicenseRef-[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_PREFIX = "LicenseRef-"
_BY_LETTERS = {name.lower(): name for name in ROWS}
_GNU = ("AGPL-", "GFDL-", "GPL-", "LGPL-")
# Names that only the table may give a meaning to: every known identifier, other spellings of them, GNU's old forms.
_KNOWN_NAMES = frozenset(
    [
        *_BY_LETTERS,
        *[name.lower().removesuffix("-only").removesuffix("-or-later") for name in ROWS],
        *[name.lower().removeprefix("licenseref-") for name in ROWS],
        *SPELLINGS,
    ]
)
Alternatives = tuple[tuple[str, ...], ...]


class ExpressionError(ValueError):
    """The text is not a licence expression in normal form; the message says what to write."""


@lru_cache(maxsize=EXPRESSIONS_REMEMBERED)
def parse(text: str) -> Alternatives:
    """Alternatives, each a tuple of licences, of an expression in normal form. Raises `ExpressionError`."""
    alternatives = tuple([tuple(part.split(" AND ")) for part in text.split(" OR ")])
    if len(alternatives) > MAX_ALTERNATIVES:
        raise ExpressionError(f"{len(alternatives)} alternatives, at most {MAX_ALTERNATIVES} can be weighed")
    for licences in alternatives:
        if len(licences) > MAX_LICENCES:
            raise ExpressionError(f"{len(licences)} licences joined by AND, at most {MAX_LICENCES} can be")
        for licence in licences:
            _check_licence(licence)
        if list(licences) != sorted(frozenset(licences)):
            raise ExpressionError(f"licences joined by AND stand in order and once: {' AND '.join(sorted(licences))}")
    if list(alternatives) != sorted(frozenset(alternatives)):
        raise ExpressionError("alternatives joined by OR stand in order and once")
    for licences in alternatives:
        for other in alternatives:
            if other != licences and frozenset(other) <= frozenset(licences):
                raise ExpressionError(f"{' AND '.join(licences)} adds nothing to {' AND '.join(other)}: leave it out")
    return alternatives


def read(text: str) -> Alternatives:
    """Alternatives of the expression in a terms record; words that this version cannot read are one licence of its own.

    Registering refuses them; a record from a chain with a later table is still judged, on the safe side.
    """
    try:
        return parse(text) if text else ((),)
    except ExpressionError:
        return ((text,),)


def identifier_of(licence: str) -> str:
    """The identifier in `identifier[+][ WITH exception]`."""
    return licence.partition(" WITH ")[0].removesuffix("+")


def spelled_as(name: str) -> str:
    """The name, or the one known identifier that differs from it in letters only ("Mit", "CC BY 4.0")."""
    return _BY_LETTERS.get("-".join(name.lower().split()), name)


def _check_licence(licence: str) -> None:
    text, has_exception, exception = licence.partition(" WITH ")
    identifier = text.removesuffix("+")
    if identifier not in ROWS:
        _check_own(identifier)
    if text.endswith("+") and (identifier.startswith((_PREFIX, *_GNU)) or text.endswith("++")):
        raise ExpressionError(f"{text!r}: write GNU licences as -or-later; a LicenseRef has no later versions")
    if not has_exception:
        return
    if exception not in EXCEPTIONS:
        raise ExpressionError(f"exception {exception!r} is not known to this chain: give a LicenseRef-... of your own")
    if not identifier.startswith(EXCEPTIONS[exception]):
        raise ExpressionError(f"{exception} does not go with {identifier}")


def _check_own(identifier: str) -> None:
    known = _BY_LETTERS.get(identifier.lower())
    if known is not None:
        raise ExpressionError(f"{identifier!r}: write {known}")
    if not identifier.startswith(_PREFIX):
        raise ExpressionError(
            f"{identifier!r} is not a licence that this chain knows by name: write its SPDX identifier, "
            "or LicenseRef-... with small letters and state its points"
        )
    if _OWN.fullmatch(identifier) is None:
        raise ExpressionError(f"{identifier!r}: after LicenseRef- come small letters, digits, dots and dashes")
    if identifier.removeprefix(_PREFIX) in _KNOWN_NAMES:
        raise ExpressionError(f"{identifier!r} is the name of a known licence: write its identifier")
