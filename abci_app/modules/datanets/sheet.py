"""A version with everything that a data sheet of it says: the DataNet's own record, contributions, their terms.

One question, so that one proof shows that all of it is of the same height.
"""

from msgspec import Struct

from abci_app.module import Query
from abci_app.modules import licences
from abci_app.modules.datanets.queries import (
    DatanetQuery,
    FullContribution,
    VersionQuery,
    query_datanet,
    query_version_contributions,
)
from abci_app.modules.datanets.records import Datanet, DatanetCounts, DatanetVersion
from abci_app.modules.datanets.view import is_usable
from abci_app.modules.licences import JoinedTermsView, TermsView
from abci_app.state.store import StateView
from abci_app.types import Flag


class DatasheetView(Struct, frozen=True):
    """A version, its DataNet and a page of its contributions in full; `next_number` is 0 once all are given.

    `usable` 0: a contribution was revoked since. `terms`: those of this page's contributions and of the joined terms.
    """

    datanet_id: bytes
    datanet: Datanet
    counts: DatanetCounts
    version: int
    record: DatanetVersion
    usable: Flag
    contributions: tuple[FullContribution, ...]
    next_number: int
    joined: JoinedTermsView
    terms: tuple[TermsView, ...]


def query_datasheet(view: StateView, args: VersionQuery) -> DatasheetView:
    """A page of a version with the records that it refers to."""
    whole = query_version_contributions(view, args)
    datanet = query_datanet(view, DatanetQuery(whole.datanet_id, ""))
    joined_id = whole.record.joined_terms_id
    joined = licences.joined_terms(view, joined_id)
    named = {source.terms_id: None for source in joined.sources}
    named |= {each.stored.contribution.terms_id: None for each in whole.contributions}
    return DatasheetView(
        datanet_id=whole.datanet_id,
        datanet=datanet.datanet,
        counts=datanet.counts,
        version=whole.version,
        record=whole.record,
        usable=int(is_usable(view, whole.datanet_id, whole.version)),
        contributions=whole.contributions,
        next_number=whole.next_number,
        joined=JoinedTermsView(joined_id, joined),
        terms=licences.stored_terms(view, sorted(named)),
    )


QUERIES = (
    Query("datasheet", VersionQuery, DatasheetView, query_datasheet, "a version, its DataNet and their terms in full"),
)
