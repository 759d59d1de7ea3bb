"""References that people write: NAME@VERSION of a DataNet or model, NAME#NUMBER for a submission to a DataNet.

A part may also be an id (oldata1…); this module only takes a reference apart and asks nobody. It has the one place,
too, for what a name that nobody has may have been meant to be.
"""

from collections.abc import Iterable

from openledger.errors import UsageError

# Versions, and numbers in a DataNet's listings, are unsigned 32-bit integers on the chain.
_MAX_NUMBER = 2**32 - 1
_MAX_DIGITS = 10
# Names nearer than this are told; comparing takes the product of both lengths.
_NEAR, _SHOWN_NEAR, _COMPARED_LENGTH = 0.7, 3, 100


def split_version(reference: str, version: int = 0) -> tuple[str, int]:
    """Take `name@3` apart into name and version, 0 where none is named; a version given apart must not contradict.

    Raises `UsageError`.
    """
    name, sign, text = reference.rpartition("@")
    if not sign:
        return reference, version
    number = _number(text)
    if not name or not number:
        raise UsageError(f"{reference!r}: write NAME or NAME@VERSION, for example {name or 'my-model'}@3")
    if version not in (0, number):
        raise UsageError(f"{reference!r} and version {version} contradict each other: give one of them")
    return name, number


def split_number(reference: str) -> tuple[str, int]:
    """Take `garden#2` apart into the DataNet's name and the number of a submission; raises `UsageError`."""
    name, _, text = reference.rpartition("#")
    number = _number(text)
    if not name or not number:
        raise UsageError(f"{reference!r}: write DATANET#NUMBER, for example {name or text or 'my-datanet'}#2")
    return name, number


def names_like(text: str, names: Iterable[str]) -> list[str]:
    """Names that somebody may have meant who wrote a text that is none of them, the nearest first."""
    from difflib import get_close_matches

    by_spelling = {name.lower(): name for name in names}
    if text in by_spelling.values():
        return []
    near = get_close_matches(text.lower()[:_COMPARED_LENGTH], list(by_spelling), n=_SHOWN_NEAR, cutoff=_NEAR)
    return [by_spelling[spelling] for spelling in near]


def _number(text: str) -> int:
    """A whole number from 1 in ASCII digits; 0 for anything else."""
    if not (text.isascii() and text.isdecimal()) or len(text) > _MAX_DIGITS:
        return 0
    return number if (number := int(text)) <= _MAX_NUMBER else 0
