"""Licences in the words of other formats: SPDX expressions that all of them take, and the identifiers of the hub.

Terms that are no plain licence (own words, or a licence with clauses beside it) are never passed off as one: they get
a `LicenseRef-` of their own, made from the id of their record, so that two of them are never the same.
"""

from collections.abc import Iterable, Mapping

from abci_app.modules.licences.expression import ExpressionError, parse
from abci_app.modules.licences.facts import is_own, is_silent, plain_terms
from abci_app.modules.licences.records import POINTS, Terms, UseClass
from openledger.exports.identifiers import encode_id

NO_ASSERTION = "NOASSERTION"
_HUB_LIST = """
    afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc0-1.0
    cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0
    cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cdla-permissive-1.0
    cdla-permissive-2.0 cdla-sharing-1.0 ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 gfdl gpl-2.0 gpl-3.0 isc
    lgpl-2.1 lgpl-3.0 lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 osl-3.0 pddl postgresql unlicense wtfpl
    zlib bigcode-openrail-m bigscience-bloom-rail-1.0 bigscience-openrail-m creativeml-openrail-m openrail gemma llama2
    llama3 llama3.1 llama3.2 llama3.3 llama4"""
# Licences that the model hub lists, by their names there; any other is "other" with a name and a link.
_HUB = frozenset(_HUB_LIST.split())
_HUB_NAMES = {
    "c-uda-1.0": "c-uda",
    "odbl-1.0": "odbl",
    "odc-by-1.0": "odc-by",
    "pddl-1.0": "pddl",
    **{f"licenseref-llama-{each}": f"llama{each}" for each in ("2", "3", "3.1", "3.2", "3.3", "4")},
}


def own_reference(terms_id: bytes) -> str:
    """The `LicenseRef-` of a terms record."""
    return f"LicenseRef-{encode_id('olterms', terms_id)}"


def expression_of(terms_id: bytes, terms: Terms) -> str:
    """One terms record as an SPDX expression."""
    return terms.spdx if is_plain(terms) else own_reference(terms_id)


def is_plain(terms: Terms) -> bool:
    """Whether terms say what a licence of the table says, and demand nothing beside it."""
    if not terms.spdx:
        return False
    try:
        licences = [licence for alternative in parse(terms.spdx) for licence in alternative]
    except ExpressionError:
        return False
    if any(is_own(licence) or is_silent(licence) for licence in licences):
        return False
    plain = plain_terms(terms.spdx)
    if any((terms.fields_of_use, terms.excluded_domains, terms.revenue_share_ppb, terms.expiry_seconds)):
        return False
    if terms.use_class > plain.use_class != UseClass.UNKNOWN:
        return False
    return all(getattr(terms, name) != strict or getattr(plain, name) == strict for name, (_, strict) in POINTS.items())


def joined_expression(terms_ids: Iterable[bytes], known: Mapping[bytes, Terms]) -> str:
    """All of several terms at once; NOASSERTION where there are none, or one is not at hand."""
    named = sorted(set(terms_ids))
    if not named or any(each not in known for each in named):
        return NO_ASSERTION
    parts = list(dict.fromkeys([expression_of(each, known[each]) for each in named]))
    if len(parts) == 1:
        return parts[0]
    return " AND ".join([f"({each})" if " OR " in each else each for each in sorted(parts)])


def references_in(terms_ids: Iterable[bytes], known: Mapping[bytes, Terms]) -> dict[str, bytes]:
    """`LicenseRef-` of terms that are no plain licence -> their record."""
    return {own_reference(each): each for each in sorted(set(terms_ids)) if each in known and not is_plain(known[each])}


def hub_licence(expression: str) -> str:
    """The hub's name of a licence, or an empty text for what it does not list."""
    lower = expression.lower()
    for ending in ("-only", "-or-later"):
        lower = lower.removesuffix(ending)
    lower = "gfdl" if lower.startswith("gfdl-") else lower
    named = _HUB_NAMES.get(lower, lower.removeprefix("licenseref-"))
    return named if named in _HUB else ""
