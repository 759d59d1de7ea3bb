"""Messages of the licences module: registering terms."""

from enum import IntEnum
from typing import ClassVar

from abci_app.errors import Rejected
from abci_app.hashing import TAGS, tagged_hash
from abci_app.module import Context, Event, Message
from abci_app.modules.licences.expression import ExpressionError, parse
from abci_app.modules.licences.facts import contradiction_in, is_own, licence_called
from abci_app.modules.licences.records import NAMES, TERMS, Stated, Terms
from abci_app.names import NameOwner
from abci_app.state.codec import encode
from abci_app.types import TermsId


class LicencesCode(IntEnum):
    """Codes of the licences module."""

    BAD_TERMS = 400
    UNKNOWN_TERMS = 401
    TOO_MANY_SOURCES = 402


class RegisterTerms(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0401):
    """Make terms known to the chain; free for all to refer to by their id."""

    weight_each: ClassVar[int] = 7

    terms: Terms

    def validate(self) -> None:
        """Named, lists sorted, digests whole, licence in normal form, and nothing that contradicts it."""
        terms = self.terms
        if not terms.name:
            raise Rejected(LicencesCode.BAD_TERMS, "terms need a name that people know them by")
        for field, labels in (("fields_of_use", terms.fields_of_use), ("excluded_domains", terms.excluded_domains)):
            if list(labels) != sorted(frozenset(labels)):
                raise Rejected(LicencesCode.BAD_TERMS, f"{field} must be sorted and unique")
        for field, digest in (("text_digest", terms.text_digest), ("behavioural_digest", terms.behavioural_digest)):
            if len(digest) not in (0, 32):
                raise Rejected(LicencesCode.BAD_TERMS, f"{field} must be empty or 32 bytes")
        if terms.behavioural_digest and terms.behavioural != Stated.YES:
            raise Rejected(LicencesCode.BAD_TERMS, "a behavioural list is given, but behavioural is not 2 (yes)")
        if terms.share_alike == Stated.YES and not terms.spdx:
            raise Rejected(
                LicencesCode.BAD_TERMS, "share-alike terms need an SPDX name: write LicenseRef-... for your own"
            )
        _require_true_licence(terms)


def _require_true_licence(terms: Terms) -> None:
    try:
        contradiction = contradiction_in(terms)
    except ExpressionError as error:
        raise Rejected(LicencesCode.BAD_TERMS, f"spdx: {error}") from error
    if contradiction:
        raise Rejected(LicencesCode.BAD_TERMS, contradiction)
    called = licence_called(terms.name)
    if called not in ("", terms.spdx):
        raise Rejected(
            LicencesCode.BAD_TERMS, f"{terms.name!r} is the name of {called}: terms that are not under it have another"
        )
    own = terms.spdx and any(is_own(each) for licences in parse(terms.spdx) for each in licences)
    if own and terms.share_alike == Stated.YES and not terms.text_digest:
        raise Rejected(
            LicencesCode.BAD_TERMS,
            "share-alike terms of your own need text_digest: two licences of one name are told apart by their words",
        )


class TermsRegistered(Event, frozen=True, gc=False):
    """Terms became known."""

    terms_id: bytes
    name: str


def execute_register_terms(context: Context, message: RegisterTerms) -> None:
    """Store once; the same terms again are accepted and change nothing."""
    terms_id = terms_id_of(message.terms)
    if not TERMS.has(context.state, terms_id):
        TERMS.set(context.state, terms_id, message.terms)
        for name in names_of(message.terms):
            if not NAMES.has(context.state, name):
                NAMES.set(context.state, name, NameOwner(terms_id))
        context.emit(TermsRegistered(terms_id, message.terms.name))


def terms_id_of(terms: Terms) -> TermsId:
    """Content-addressed id of terms."""
    return TermsId(tagged_hash(TAGS["terms_id"], encode(terms)))


def names_of(terms: Terms) -> tuple[str, ...]:
    """List the names that people may use for these terms: their name and their SPDX name."""
    return (terms.name,) if terms.spdx in ("", terms.name) else (terms.name, terms.spdx)
