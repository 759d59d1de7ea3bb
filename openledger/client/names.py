"""Names that people type instead of ids, looked up on the chain.

The answer is the node's word: a transaction names ids, and whoever signs one sees them in it. Queries that take a name
themselves (lineage, impact) prove the name together with the answer.
"""

from typing import Any, Protocol

from abci_app.chain.registry import find_query
from openledger.client.results import Answer
from openledger.errors import QueryFailed, UsageError

# Id prefix -> (module, query, field of its arguments and of its result).
_BY_NAME = {"oldata": ("datanets", "datanet", "datanet_id"), "olmodel": ("models", "model", "model_id")}
# Terms have no unique names: all are read, a page at a time.
_TERMS_PAGE = 200
_MAX_TERMS_PAGES = 50


class Asks(Protocol):
    """What is needed of a client."""

    def query(self, module: str, name: str, args: Any, *, height: int = 0, prove: bool = True) -> Answer[Any]:
        """A module's query."""


def find_id(client: Asks, prefix: str, name: str) -> bytes | None:
    """Id of the DataNet, model, terms or entry with this name; None when there is none. Raises `UsageError`."""
    if prefix == "olterms":
        return _find_terms(client, name)
    if prefix == "olrun":
        return _find_entry(client, name)
    if prefix not in _BY_NAME:
        return None
    module, query, field = _BY_NAME[prefix]
    found = _ask_by_name(client, module, query, field, name)
    return None if found is None else bytes(getattr(found, field))


def _ask_by_name(client: Asks, module: str, query: str, field: str, name: str) -> Any:
    args = find_query(module, query).args_type(**{field: b"", "name": name})
    try:
        return client.query(module, query, args, prove=False).value
    except QueryFailed:
        return None


def _find_terms(client: Asks, name: str) -> bytes | None:
    from abci_app.modules.licences import TermsListQuery

    after, found = b"", set[bytes]()
    for _ in range(_MAX_TERMS_PAGES):
        page = client.query("licences", "list", TermsListQuery(after, _TERMS_PAGE), prove=False).value
        found.update([item.terms_id for item in page.items if name in (item.terms.name, item.terms.spdx)])
        after = page.next_terms_id
        if not after:
            break
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} terms are called {name!r}: give the olterms1... id, see `openledger query licences list`"
        )
    return next(iter(found), None)


def _find_entry(client: Asks, name: str) -> bytes | None:
    """Entry of a model's version: `my-model` is the latest, `my-model@2` the second."""
    from abci_app.modules.models.queries import ModelVersionsQuery
    from openledger.client.provenance import split_version

    name, version = split_version(name)
    if not version:
        model = _ask_by_name(client, "models", "model", "model_id", name)
        return (model.latest_entry_id or None) if model is not None else None
    try:
        page = client.query("models", "versions", ModelVersionsQuery(b"", name, version - 1, 1), prove=False).value
    except QueryFailed:
        return None
    return page.versions[0].entry_id if page.versions and page.versions[0].version == version else None
