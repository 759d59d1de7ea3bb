"""Names that people type instead of ids.

A question carries them: `QuestionNames` collects them while arguments are read and asks nobody, so that nothing but the
answer's own proof says what they stand for. A transaction holds ids only; for those, `id_on_the_nodes_word` takes the
node's word, and the signer sees the ids.
"""

from typing import Any

from abci_app.chain.names import Name, Named
from abci_app.chain.registry import NAME_KINDS
from abci_app.modules.datanets.queries import ContributionQuery, DatanetQuery
from abci_app.modules.licences.queries import TermsQuery
from abci_app.modules.models.queries import EntryQuery, ModelQuery
from abci_app.types import MAX_TEXT_LENGTH
from openledger.client.provenance import Asks
from openledger.errors import QueryFailed, UsageError
from openledger.licences import known_licence
from openledger.references import split_number, split_version

# Id prefix -> (module, query, its arguments for an id).
_SHOWN_BY: dict[str, tuple[str, str, Any]] = {
    "olcontrib": ("datanets", "contribution", ContributionQuery),
    "oldata": ("datanets", "datanet", lambda held: DatanetQuery(held, "")),
    "olmodel": ("models", "model", lambda held: ModelQuery(held, "")),
    "olrun": ("models", "entry", EntryQuery),
    "olterms": ("licences", "terms", TermsQuery),
}


class QuestionNames:
    """The names of one question; `stand_in` gives what holds their place in its arguments."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], Name] = {}

    def stand_in(self, kind: str, text: str) -> bytes | None:
        """For the name of something; None for ids of what has no names. Raises `UsageError`."""
        if kind not in NAME_KINDS:
            return None
        if not 0 < len(text) <= MAX_TEXT_LENGTH or not (text.isascii() and text.isprintable()):
            raise UsageError(f"{text[:80]!r} cannot be a name: names are at most {MAX_TEXT_LENGTH} printable ASCII")
        if kind == "olrun":
            split_version(text)
        if kind == "olcontrib":
            split_number(text)
        if kind == "olterms":
            text = known_licence(text) or text
        return self._names.setdefault((kind, text), Name(kind, text)).stand_in()

    def arguments(self, args: Any) -> Any:
        """The arguments with the names that they hold stand-ins of."""
        names = tuple([self._names[place] for place in sorted(self._names)])
        return Named(args, names) if names else args


def query_of_name(kind: str, text: str) -> tuple[str, str, Any]:
    """Module, query and arguments that show the object with a name; its answer's `names` has the id."""
    names = QuestionNames()
    module, query, make_args = _SHOWN_BY[kind]
    return module, query, names.arguments(make_args(names.stand_in(kind, text)))


def id_on_the_nodes_word(client: Asks, kind: str, text: str) -> bytes | None:
    """Id for a transaction that somebody signs; None where the node says that there is none."""
    if kind not in _SHOWN_BY:
        return None
    try:
        return client.query(*query_of_name(kind, text), prove=False).names[0].id
    except QueryFailed:
        return None
