"""Texts of rows that look like personal data or like secrets: advice for people, never a rule.

Secrets are told by the patterns of bc-detect-secrets and by how newer keys begin, telephone numbers by phonenumbers,
account, card and social security numbers by python-stdnum with their check digits, e-mail addresses by their form. What
is not found may be there all the same (names of people, places of living), and what is found may be an example. The
first `MAX_CHARACTERS_LOOKED_AT` characters of a row are looked at, and each thing is shown by how it begins only.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, partial
from importlib.util import find_spec
from typing import Any

from openledger.data.row_json import texts_of

MAX_CHARACTERS_LOOKED_AT = 64 * 2**10
# A text of telephone numbers alone costs a millisecond for each.
_MAX_OF_A_KIND = 32
_SHOWN_CHARACTERS = 4
# Names under which examples are written (RFC 2606, RFC 6761).
_EXAMPLE_DOMAINS = ("example", "example.com", "example.org", "example.net", "invalid", "test", "localhost")
_LIBRARIES = {"detect_secrets": "bc-detect-secrets", "phonenumbers": "phonenumbers", "stdnum": "python-stdnum"}
_SECRET_PLUGINS = (
    "aws", "azure_storage_key", "basic_auth", "discord", "github_token", "jwt", "mailchimp", "npm", "private_key",
    "sendgrid", "slack", "square_oauth", "stripe", "twilio",
)  # fmt: skip

_EMAIL = re.compile(r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@((?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24})\b")
_IBAN = re.compile(r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_CARD = re.compile(
    r"(?<![0-9.,-])[3-6][0-9]{3}[ -]?(?:[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}|[0-9]{6}[ -]?[0-9]{5})(?![0-9])"
)
_SOCIAL_SECURITY = re.compile(r"(?<![0-9-])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![0-9-])")
# What phonenumbers is asked about: it costs a hundred times this look. A number without a country is not looked for.
_PHONE = re.compile(r"(?<![0-9A-Za-z])\+[1-9][0-9 ()./-]{6,22}[0-9]")
# Keys that begin with a word of their maker's, which bc-detect-secrets does not know.
_KEYS = (
    ("API key", re.compile(r"(?<![A-Za-z0-9_-])sk-[A-Za-z0-9_-]{32,255}")),
    ("Hugging Face token", re.compile(r"(?<![A-Za-z0-9_])hf_[A-Za-z0-9]{30,64}(?![A-Za-z0-9_])")),
    ("Google API key", re.compile(r"(?<![A-Za-z0-9_-])AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])")),
    ("GitLab token", re.compile(r"(?<![A-Za-z0-9_-])glpat-[A-Za-z0-9_-]{20,255}")),
    ("GitHub token", re.compile(r"(?<![A-Za-z0-9_])github_pat_[A-Za-z0-9_]{40,255}")),
)


class FindingKind(StrEnum):
    """The two sorts of things that are looked for."""

    PERSONAL = "personal data"
    SECRET = "secret"  # noqa: S105 - the name of a sort


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing in a text: its sort, its name in words, and how it begins."""

    kind: FindingKind
    name: str
    begins: str


@dataclass(slots=True)
class Findings:
    """How many rows were looked at, in how many something was found, and how often each thing."""

    rows_looked_at: int = 0
    rows_with_personal_data: int = 0
    rows_with_secrets: int = 0
    # By the name of the thing: how many rows hold it.
    rows_by_name: dict[str, int] = field(default_factory=dict)
    # By the name of the thing: the first row that holds it, as its caller counts rows.
    first_row_by_name: dict[str, int] = field(default_factory=dict)

    def look_at(self, number: int, row: Mapping[str, Any]) -> tuple[Finding, ...]:
        """Look at one row and count what it holds; `number` says which row it is."""
        found = find_in_row(row)
        kinds = {finding.kind for finding in found}
        self.rows_looked_at += 1
        self.rows_with_personal_data += FindingKind.PERSONAL in kinds
        self.rows_with_secrets += FindingKind.SECRET in kinds
        for name in sorted({finding.name for finding in found}):
            self.rows_by_name[name] = self.rows_by_name.get(name, 0) + 1
            self.first_row_by_name.setdefault(name, number)
        return found

    def add(self, other: "Findings") -> None:
        """Count what was found in rows that come after these."""
        self.rows_looked_at += other.rows_looked_at
        self.rows_with_personal_data += other.rows_with_personal_data
        self.rows_with_secrets += other.rows_with_secrets
        for name, rows in other.rows_by_name.items():
            self.rows_by_name[name] = self.rows_by_name.get(name, 0) + rows
        for name, number in other.first_row_by_name.items():
            self.first_row_by_name.setdefault(name, number)

    def ranked(self) -> list[tuple[str, int]]:
        """Each thing that was found and how many rows hold it, most frequent first."""
        return sorted(self.rows_by_name.items(), key=lambda item: (-item[1], item[0]))

    def in_words(self) -> str:
        """`e-mail address in 3 rows, AWS access key in 1`, most frequent first; empty where nothing was found."""
        ranked = self.ranked()
        return ", ".join([f"{name} in {rows} row{'' if rows == 1 else 's'}" for name, rows in ranked])


def missing_libraries() -> tuple[str, ...]:
    """Packages of the detector that are not installed here; without all of them nothing is looked for."""
    return tuple([package for module, package in _LIBRARIES.items() if find_spec(module) is None])


def find_in_row(row: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Everything found in the texts of a row, each thing of one beginning once, in the order of the detectors."""
    texts: list[str] = []
    room = MAX_CHARACTERS_LOOKED_AT
    for text in texts_of(row):
        texts.append(text[:room])
        room -= len(text)
        if room <= 0:
            break
    return find_in_text("\n".join(texts))


def find_in_text(text: str) -> tuple[Finding, ...]:
    """Everything found in the beginning of a text."""
    text = text[:MAX_CHARACTERS_LOOKED_AT]
    found: dict[Finding, None] = {}
    for kind, name, values in _detectors():
        for place, value in enumerate(values(text)):
            if place == _MAX_OF_A_KIND:
                break
            found.setdefault(Finding(kind, name, _beginning(value)))
    return tuple(found)


def _beginning(value: str) -> str:
    shown = " ".join(value.split())
    return shown[: min(_SHOWN_CHARACTERS, len(shown) // 2)] + "…"


_Detector = tuple[FindingKind, str, Callable[[str], Iterable[str]]]


@cache
def _detectors() -> tuple[_Detector, ...]:
    """Every detector, made once: the libraries are loaded when the first text is looked at."""
    return (
        (FindingKind.PERSONAL, "e-mail address", _emails),
        (FindingKind.PERSONAL, "telephone number", _phones),
        (FindingKind.PERSONAL, "bank account number", _accounts),
        (FindingKind.PERSONAL, "card number", _cards),
        (FindingKind.PERSONAL, "US social security number", _social_security),
        *_secret_detectors(),
        *[(FindingKind.SECRET, name, partial(_keys, pattern)) for name, pattern in _KEYS],
    )


def _emails(text: str) -> Iterator[str]:
    if "@" not in text:
        return
    for match in _EMAIL.finditer(text):
        domain = match[1].lower()
        if not any(domain == name or domain.endswith(f".{name}") for name in _EXAMPLE_DOMAINS):
            yield match[0]


def _phones(text: str) -> Iterator[str]:
    from phonenumbers import PhoneNumberMatcher

    for candidate in _PHONE.finditer(text):
        for match in PhoneNumberMatcher(candidate[0], None, max_tries=2):
            yield match.raw_string


def _accounts(text: str) -> Iterator[str]:
    from stdnum import iban

    for match in _IBAN.finditer(text):
        if iban.is_valid(match[0]):
            yield match[0]


def _cards(text: str) -> Iterator[str]:
    from stdnum import luhn

    for match in _CARD.finditer(text):
        digits = match[0].replace(" ", "").replace("-", "")
        if luhn.is_valid(digits) and len(set(digits)) > 1:
            yield match[0]


def _social_security(text: str) -> Iterator[str]:
    from stdnum.us import ssn

    for match in _SOCIAL_SECURITY.finditer(text):
        if ssn.is_valid(match[0]):
            yield match[0]


def _keys(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    for match in pattern.finditer(text):
        # Words with hyphens between them are as long, and have no figures.
        if any(character.isdigit() for character in match[0]):
            yield match[0]


def _secret_detectors() -> Iterator[_Detector]:
    from importlib import import_module

    from detect_secrets.plugins.base import BasePlugin

    for file in _SECRET_PLUGINS:
        module = import_module(f"detect_secrets.plugins.{file}")
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, BasePlugin) and kind.__module__ == module.__name__:
                plugin = kind()
                yield FindingKind.SECRET, plugin.secret_type, plugin.analyze_string
