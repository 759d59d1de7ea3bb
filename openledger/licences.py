"""Licences as people write them, turned into what the chain takes: normal form, and all that a known licence says.

`normal_form` reads the spellings of hubs and of older lists ("apache-2.0", "GPL-3.0", "llama3", "MIT/Apache-2.0"), with
AND, OR, WITH, `+` and parentheses; the grammar is parsed by license-expression, which the chain itself never runs.
`complete_terms` fills in what the table knows of a licence, so that nobody has to copy fifteen points.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from abci_app.modules.licences.expression import ExpressionError, parse
from abci_app.modules.licences.facts import licence_called, plain_terms
from abci_app.modules.licences.records import MAX_SPDX_LENGTH, POINTS, Stated, Terms
from abci_app.modules.licences.table import EXCEPTIONS, ROWS
from openledger.errors import UsageError
from openledger.licences_table import read_source

if TYPE_CHECKING:
    from license_expression import Licensing

# Written by people: a longer text or deeper nesting is no licence, and could take long to put into normal form.
MAX_TEXT_LENGTH = 512
MAX_OPERATORS = 24
_GNU = ("agpl", "gfdl", "gpl", "lgpl")
_OPERATORS = ("and", "or", "with")
_WORDS_OF_GRAMMAR = (*_OPERATORS, "(", ")")
_TOKEN = re.compile(r"[()]|[A-Za-z0-9.+_:-]+")
_SPACED = re.compile(r"\A[A-Za-z0-9.+_:() \t/,&|-]*\Z")
_OWN = re.compile(r"licenseref-[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
# SPDX identifiers that were replaced by an expression.
_REPLACED = {
    "ecos-2.0": "",
    "gpl-2.0-with-autoconf-exception": "GPL-2.0-only WITH Autoconf-exception-2.0",
    "gpl-2.0-with-bison-exception": "GPL-2.0-only WITH Bison-exception-2.2",
    "gpl-2.0-with-classpath-exception": "GPL-2.0-only WITH Classpath-exception-2.0",
    "gpl-2.0-with-font-exception": "GPL-2.0-only WITH Font-exception-2.0",
    "gpl-2.0-with-gcc-exception": "GPL-2.0-only WITH GCC-exception-2.0",
    "gpl-3.0-with-autoconf-exception": "GPL-3.0-only WITH Autoconf-exception-3.0",
    "gpl-3.0-with-gcc-exception": "GPL-3.0-only WITH GCC-exception-3.1",
    "bsd-2-clause-freebsd": "BSD-2-Clause",
    "bsd-2-clause-netbsd": "BSD-2-Clause",
    "mit-license": "MIT",
}


def normal_form(text: str) -> str:
    """The expression that the chain takes for a licence as people write it. Raises `UsageError`."""
    if not text.strip():
        return ""
    if len(text) > MAX_TEXT_LENGTH or _SPACED.match(text) is None:
        raise UsageError(f"licence {text[:60]!r}: write identifiers with AND, OR, WITH, such as 'MIT OR CC0-1.0'")
    if "," in text:
        # Packages list what holds together in this way, others what one may choose from; the latter is the milder.
        raise UsageError(f"licence {text[:60]!r}: a comma may mean AND or OR: write the one that holds")
    whole = _spelled(text.strip().lower().replace(" ", "-"))
    tokens = [whole] if whole else _translated(text)
    _check_order(tokens, text)
    written = " ".join(tokens)
    alternatives = _disjuncts(written)
    normal = " OR ".join([" AND ".join(each) for each in sorted(alternatives)])
    if len(normal) > MAX_SPDX_LENGTH:
        raise UsageError(f"licence {text!r} has {len(normal)} characters in normal form, at most {MAX_SPDX_LENGTH} fit")
    try:
        parse(normal)
    except ExpressionError as error:
        raise UsageError(f"licence {text!r}: {error}") from None
    return normal


def _translated(text: str) -> list[str]:
    """Tokens with every name as the chain knows it; a slash and a bar offer alternatives."""
    spaced = re.sub(r"[/|]", " OR ", text).replace("&", " AND ")
    tokens = _TOKEN.findall(spaced)
    if sum([token.lower() in _OPERATORS for token in tokens]) > MAX_OPERATORS or tokens.count("(") > MAX_OPERATORS:
        raise UsageError(f"licence {text[:60]!r}: at most {MAX_OPERATORS} operators can be put into normal form")
    found: list[str] = []
    for token in tokens:
        lower = token.lower()
        if lower in _WORDS_OF_GRAMMAR:
            found.append(token.upper())
        elif found and found[-1] == "WITH":
            found.append(_exceptions_by_letters().get(lower, token))
        else:
            found.append(_named(token))
    return found


def _check_order(tokens: list[str], text: str) -> None:
    """Names and operators take turns and parentheses close: boolean.py 5.0 fails in other ways where they do not."""
    wants_name, depth, before = True, 0, ""
    for part in [part for each in tokens for part in _TOKEN.findall(each)]:
        is_operator = part in ("AND", "OR", "WITH")
        if wants_name == (is_operator or part == ")") or (part == "(" and before == "WITH"):
            break
        depth += {"(": 1, ")": -1}.get(part, 0)
        if depth < 0:
            break
        wants_name, before = is_operator or part == "(", part
    else:
        if not wants_name and not depth:
            return
    raise UsageError(f"licence {text[:60]!r} is no licence expression: names, operators and parentheses do not fit")


def _named(token: str) -> str:
    """One identifier as the chain writes it."""
    spelled = _spelled(token.lower())
    if spelled:
        return f"({spelled})" if " " in spelled else spelled
    lower = token.lower()
    ambiguous = read_source()["ambiguous"].get(lower)
    if ambiguous:
        raise UsageError(f"licence {token!r} is the name of several: write one of {', '.join(ambiguous)}")
    if _OWN.fullmatch(lower):
        return f"LicenseRef-{lower.removeprefix('licenseref-')}"
    raise UsageError(
        f"licence {token!r} is not one that this chain knows by name: write its SPDX identifier, or LicenseRef-... "
        "for other terms and state what they demand"
    )


@cache
def _spellings() -> dict[str, str]:
    names = {name.lower(): name for name in ROWS}
    return {**names, **_REPLACED, **read_source()["spellings"]}


@cache
def _exceptions_by_letters() -> dict[str, str]:
    return {name.lower(): name for name in EXCEPTIONS}


def _spelled(lower: str) -> str:
    """Find the licence that a name in small letters stands for, or an empty text."""
    known = _spellings()
    if lower in known:
        return known[lower]
    plain = lower.removesuffix("+")
    if plain.startswith(_GNU):
        return known.get(f"{plain}{'-or-later' if plain != lower else '-only'}", "")
    later = plain != lower and plain in known and not known[plain].startswith("LicenseRef-")
    return f"{known[plain]}+" if later else ""


def _disjuncts(written: str) -> list[tuple[str, ...]]:
    """Alternatives of an expression, each its licences in order; what another alternative holds is absorbed."""
    from boolean import ParseError
    from license_expression import ExpressionError as GrammarError

    try:
        tree = _grammar().parse(written, validate=False)
    except (ParseError, GrammarError) as error:
        raise UsageError(f"licence {written!r} is no licence expression: {' '.join(str(error).split())}") from None
    found = [tuple(sorted(each)) for each in dict.fromkeys(_expand(tree))]
    return [each for each in found if not any(other < frozenset(each) for other in map(frozenset, found))]


def _expand(tree: Any) -> list[frozenset[str]]:
    operator = type(tree).__name__
    if operator == "OR":
        return [each for part in tree.args for each in _expand(part)]
    if operator == "AND":
        sums = [frozenset[str]()]
        for part in tree.args:
            sums = list(dict.fromkeys([left | right for left in sums for right in _expand(part)]))
            if len(sums) > MAX_TEXT_LENGTH:
                raise UsageError("a licence expression with this many alternatives cannot be weighed: name fewer")
        return sums
    return [frozenset([tree.render("{symbol.key}")])]


@cache
def _grammar() -> Licensing:
    from license_expression import LicenseSymbol, Licensing

    names = [name for name in ROWS if not name.startswith("LicenseRef-")]
    symbols = [LicenseSymbol(name) for name in (*ROWS, *[f"{name}+" for name in names])]
    return Licensing([*symbols, *[LicenseSymbol(name, is_exception=True) for name in EXCEPTIONS]], quiet=True)


# --- Terms


def complete_terms(*, spdx: str, **stated: Any) -> Terms:
    """Terms with all that is stated, and for the rest what the licence says; unknown where it says nothing."""
    return Terms(**completed({"spdx": spdx, "text_digest": b"", "behavioural_digest": b"", **stated}))


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """A terms document with the fields that it leaves out."""
    spdx = normal_form(str(document.get("spdx", "")))
    plain = plain_terms(spdx) if spdx else None
    known = {name: getattr(plain, name, Stated.UNKNOWN) for name in ("use_class", *POINTS)}
    rest: dict[str, Any] = {
        "name": spdx,
        "fields_of_use": (),
        "excluded_domains": (),
        "text_digest": "",
        "behavioural_digest": "",
        "revenue_share_ppb": 0,
        "expiry_seconds": 0,
        "jurisdiction": "",
    }
    return {**{name: int(value) for name, value in known.items()}, **rest, **document, "spdx": spdx}


def known_licence(text: str) -> str:
    """Put a name of licences that the table knows into normal form; give an empty text for any other name.

    Raises `UsageError` for a name that several licences have ("gpl").
    """
    ambiguous = read_source()["ambiguous"].get(text.strip().lower().replace(" ", "-"))
    if ambiguous:
        raise UsageError(f"licence {text!r} is the name of several: write one of {', '.join(ambiguous)}")
    try:
        normal = normal_form(text)
    except UsageError:
        return ""
    return licence_called(normal)


def licences_like(text: str) -> list[str]:
    """Known licences whose names are near to a text that is none, nearest first."""
    from difflib import get_close_matches

    near = get_close_matches(text.strip().lower().replace(" ", "-"), list(_spellings()), n=6, cutoff=0.7)
    return list(dict.fromkeys([_spellings()[name] for name in near if _spellings()[name]]))[:3]


def terms_title(terms: Terms) -> str:
    """Terms as people call them: with their licence where it has another name, or said to be somebody's own."""
    return terms.name if terms.name == terms.spdx else f"{terms.name} ({terms.spdx or 'own terms'})"
