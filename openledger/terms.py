"""Terms by the name of a licence: the id that they have, and the message that registers them where nobody has yet.

    terms_id, registration = terms_of_name(client, "cc-by-4.0")
    messages = [registration, CreateDatanet(...)] if registration else [CreateDatanet(...)]

A licence of the table (licences.toml) has one record that says what the table says and nothing more; its id follows
from its content, so a node's word decides nothing and terms of the same name with other clauses are never taken for it.
Own terms go by the name that they were registered under first, or by their id.
"""

from typing import Any

from abci_app.errors import Code
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.facts import plain_terms
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.licences.queries import TermsQuery
from openledger.client.names import query_of_name
from openledger.client.provenance import Asks, id_of_text
from openledger.errors import Denied, QueryFailed
from openledger.licences import known_licence, licences_like

# More of a name in a text about it would hide what to do.
_SHOWN_LENGTH = 80


def terms_of_name(client: Asks, text: str, *, prove: bool | None = None) -> tuple[bytes, RegisterTerms | None]:
    """Id of terms by licence name, own name or id, and the message that registers them when they are not registered.

    With a light client the name of own terms is resolved by proof, else on the node's word (`prove` chooses). Raises
    `QueryFailed` for a name that is neither a licence nor registered, `UsageError` for one that several licences have.
    """
    proven = getattr(client, "light", None) is not None if prove is None else prove
    terms_id = id_of_text("olterms", text)
    if terms_id:
        return terms_id, None
    registration = registration_of(text)
    if registration is not None:
        # Terms that are registered twice stay as they are: nothing hangs on whether this refusal is proven.
        terms_id = terms_id_of(registration.terms)
        refusal = _refusal(client, ("licences", "terms", TermsQuery(terms_id)), proven)[1]
        return terms_id, None if refusal is None else registration
    found, refusal = _refusal(client, query_of_name("olterms", text), proven)
    if refusal is None:
        return found.names[0].id, None
    if isinstance(refusal, Denied):
        raise Denied(refusal.code, refusal.codespace, unknown_terms(text), refusal.note, refusal.evidence)
    raise QueryFailed(refusal.code, refusal.codespace, unknown_terms(text))


def registration_of(text: str) -> RegisterTerms | None:
    """The message that registers a licence of the table, known without asking anybody; None for any other name."""
    licence = known_licence(text)
    return RegisterTerms(plain_terms(licence)) if licence else None


def unknown_terms(text: str) -> str:
    """One line for a name that is neither a licence of the table nor one of registered terms."""
    near = licences_like(text)
    advice = f"did you mean {' or '.join(near)}? " if near else ""
    return (
        f"terms {text[:_SHOWN_LENGTH]!r} are neither a licence that the table knows nor registered under that name: "
        f"{advice}see `openledger terms list`, or add your own with `openledger terms add`"
    )


def is_registered(client: Asks, terms_id: bytes, *, prove: bool | None = None) -> bool:
    """Whether terms are registered: proven where the client can (`prove` chooses), and never relied on."""
    proven = getattr(client, "light", None) is not None if prove is None else prove
    return _refusal(client, ("licences", "terms", TermsQuery(terms_id)), proven)[1] is None


def is_name_taken(client: Asks, name: str) -> bool:
    """Whether registered terms are called so: proven where the client can, and never relied on."""
    return _refusal(client, query_of_name("olterms", name), getattr(client, "light", None) is not None)[1] is None


def _refusal(client: Asks, question: tuple[str, str, Any], proven: bool) -> tuple[Any, QueryFailed | None]:
    """The answer, or the refusal that says there is nothing; every other refusal is raised."""
    try:
        return client.query(*question, prove=proven), None
    except QueryFailed as failure:
        if failure.code != Code.NOT_FOUND:
            raise
        return None, failure
