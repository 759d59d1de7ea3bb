"""Queries of the datanets module: pure functions of a state view, so that light clients run them again on proofs.

A DataNet is named by its id or by its name: give one and leave the other empty.
"""

import re
from typing import Annotated

from msgspec import Meta, Struct

from abci_app.bech32 import encode_id
from abci_app.errors import Code, Rejected
from abci_app.module import Query
from abci_app.modules.datanets.records import (
    ACCEPTED,
    CONTRIBUTIONS,
    COUNTS,
    DATANETS,
    NAMES,
    REVIEWS,
    SUBMITTED,
    VERSIONS,
    Accepted,
    Datanet,
    DatanetCounts,
    DatanetVersion,
    Review,
    StoredContribution,
)
from abci_app.modules.datanets.view import is_usable
from abci_app.state.codec import Record
from abci_app.state.store import StateView
from abci_app.types import U32, Bytes32, Flag, OptionalBytes32, OptionalName

# One page of a listing.
MAX_PAGE = 200
# A number behind a name: at most nine digits, so that it fits into the key, and in one spelling only.
NUMBER_PATTERN = re.compile(r"\A[1-9][0-9]{0,8}\Z")
# Full contributions of a version carry sketches: some 600 bytes each.
MAX_FULL_PAGE = 512


# Accepted numbers that one page of a version looks at, 150 bytes each; what was revoked counts, since it is read too.
MAX_VERSION_PAGE = 4_096


class DatanetQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Which DataNet: id or name."""

    datanet_id: OptionalBytes32
    name: OptionalName


class DatanetListQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One page of DataNets in id order, after `after_datanet_id` (empty = from the start)."""

    after_datanet_id: OptionalBytes32
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)]


class VersionQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Which version (0 = the latest), and what it holds of the `limit` numbers after `after_number` (0 = from 1)."""

    datanet_id: OptionalBytes32
    name: OptionalName
    version: U32
    after_number: U32
    limit: Annotated[int, Meta(ge=1, le=MAX_VERSION_PAGE)]


class VersionsQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One page of a DataNet's versions after `after_version`."""

    datanet_id: OptionalBytes32
    name: OptionalName
    after_version: U32
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)]


class ContributionsQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One page of all submissions to a DataNet, accepted or not, after `after_number`."""

    datanet_id: OptionalBytes32
    name: OptionalName
    after_number: U32
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)]


class ContributionQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Which contribution."""

    contribution_id: Bytes32


class DatanetView(Struct, frozen=True):
    """A DataNet with its counts; `counts.versions` is the latest version (0 = none)."""

    datanet_id: bytes
    datanet: Datanet
    counts: DatanetCounts


class DatanetPage(Struct, frozen=True):
    """One page; `next_datanet_id` is empty on the last one."""

    items: tuple[DatanetView, ...]
    next_datanet_id: bytes


class NumberedContribution(Struct, frozen=True):
    """A contribution of a version, in short."""

    number: int
    accepted: Accepted


class VersionView(Struct, frozen=True):
    """A version and its contributions in short; `next_number` is 0 once all are given.

    `usable` 0: a contribution was revoked since, new training on this version is refused.
    """

    datanet_id: bytes
    name: str
    version: int
    record: DatanetVersion
    usable: Flag
    contributions: tuple[NumberedContribution, ...]
    next_number: int


class ContributionView(Struct, frozen=True):
    """One contribution in full with its verdicts."""

    contribution_id: bytes
    stored: StoredContribution
    reviews: tuple[Review, ...]


class FullContribution(Struct, frozen=True):
    """One contribution in full."""

    contribution_id: bytes
    stored: StoredContribution


class FullVersionView(Struct, frozen=True):
    """A version and its contributions in full (rows root, content digest); `next_number` is 0 once all are given."""

    datanet_id: bytes
    name: str
    version: int
    record: DatanetVersion
    contributions: tuple[FullContribution, ...]
    next_number: int


class ContributionsPage(Struct, frozen=True):
    """One page of submissions; `next_number` is 0 on the last one."""

    datanet_id: bytes
    contributions: tuple[FullContribution, ...]
    next_number: int


class VersionItem(Struct, frozen=True):
    """One version in a listing."""

    version: int
    record: DatanetVersion


class VersionsPage(Struct, frozen=True):
    """One page of versions; `next_version` is 0 on the last one."""

    datanet_id: bytes
    versions: tuple[VersionItem, ...]
    next_version: int


def resolve_datanet(view: StateView, datanet_id: bytes, name: str) -> bytes:
    """Id of an existing DataNet, from its id or its name; raises `Rejected`."""
    if bool(datanet_id) == bool(name) or len(datanet_id) not in (0, 32):
        raise Rejected(Code.BAD_QUERY, "give the DataNet's id (32 bytes) or its name, and leave the other empty")
    if not datanet_id:
        return datanet_of_name(view, name)
    if not DATANETS.has(view, datanet_id):
        raise Rejected(Code.NOT_FOUND, f"there is no DataNet {encode_id('oldata', datanet_id)}")
    return datanet_id


def datanet_of_name(view: StateView, name: str) -> bytes:
    """Id of the DataNet with this name; raises `Rejected`."""
    owner = NAMES.get(view, name)
    if owner is None:
        raise Rejected(Code.NOT_FOUND, f"there is no DataNet named {name!r}: see `openledger data list`")
    return owner.object_id


def contribution_of_name(view: StateView, text: str) -> bytes:
    """Id of a submission to a DataNet: `garden#2` is the second; raises `Rejected`."""
    name, sign, number = text.rpartition("#")
    if not sign or not name or not NUMBER_PATTERN.match(number):
        raise Rejected(Code.BAD_QUERY, f"{text!r}: write DATANET#NUMBER, for example my-datanet#2")
    submitted = SUBMITTED.get(view, datanet_of_name(view, name), int(number))
    if submitted is None:
        raise Rejected(Code.NOT_FOUND, f"DataNet {name!r} has no submission {number}")
    return submitted.contribution_id


def contributions_of_version(
    view: StateView, datanet_id: bytes, version: int, record: DatanetVersion, after_number: int, limit: int
) -> tuple[tuple[NumberedContribution, ...], int]:
    """A version's contributions among the next `limit` numbers of the accepted list, and where to go on (0 = its end).

    A page is bounded by the numbers that it looks at: however many were revoked, it costs no more, and may be empty.
    """
    if after_number >= record.accepted_through:
        return (), 0
    last = min(after_number + limit, record.accepted_through)
    items: list[NumberedContribution] = []
    after = (datanet_id, after_number) if after_number else None
    for (_, number), accepted in ACCEPTED.iterate(view, datanet_id, after=after):
        if accepted.is_in(version):
            items.append(NumberedContribution(number, accepted))
        if number >= last:
            break
    return tuple(items), last if last < record.accepted_through else 0


def query_datanet(view: StateView, args: DatanetQuery) -> DatanetView:
    """One DataNet."""
    return _datanet_view(view, resolve_datanet(view, args.datanet_id, args.name))


def _datanet_view(view: StateView, datanet_id: bytes) -> DatanetView:
    datanet, counts = DATANETS.get(view, datanet_id), COUNTS.get(view, datanet_id)
    if datanet is None or counts is None:
        raise Rejected(Code.NOT_FOUND, f"there is no DataNet {encode_id('oldata', datanet_id)}")
    return DatanetView(datanet_id, datanet, counts)


def query_list(view: StateView, args: DatanetListQuery) -> DatanetPage:
    """A page of all DataNets."""
    if len(args.after_datanet_id) not in (0, 32):
        raise Rejected(Code.BAD_QUERY, "after_datanet_id must be empty or 32 bytes")
    items: list[DatanetView] = []
    after = (args.after_datanet_id,) if args.after_datanet_id else None
    for (datanet_id,), _ in DATANETS.iterate(view, after=after):
        if len(items) == args.limit:
            return DatanetPage(tuple(items), items[-1].datanet_id)
        items.append(_datanet_view(view, datanet_id))
    return DatanetPage(tuple(items), b"")


def require_version(view: StateView, datanet: DatanetView, version: int) -> tuple[int, DatanetVersion]:
    """A version (0 = the latest) with its record; raises `Rejected` where the DataNet has no such version."""
    number = version or datanet.counts.versions
    record = VERSIONS.get(view, datanet.datanet_id, number) if number else None
    if record is None:
        name, versions = datanet.datanet.name, datanet.counts.versions
        raise Rejected(Code.NOT_FOUND, f"DataNet {name!r} has no version {version or 'yet'}; its latest is {versions}")
    return number, record


def require_datanet_version(view: StateView, datanet_id: bytes, version: int) -> Datanet:
    """The DataNet, which must have this version (0 asks for none); raises `Rejected`."""
    datanet = _datanet_view(view, datanet_id)
    if version:
        require_version(view, datanet, version)
    return datanet.datanet


def query_version(view: StateView, args: VersionQuery) -> VersionView:
    """A version with its contributions in short."""
    datanet = query_datanet(view, DatanetQuery(args.datanet_id, args.name))
    version, record = require_version(view, datanet, args.version)
    items, next_number = contributions_of_version(
        view, datanet.datanet_id, version, record, args.after_number, args.limit
    )
    usable = int(is_usable(view, datanet.datanet_id, version))
    return VersionView(
        datanet_id=datanet.datanet_id,
        name=datanet.datanet.name,
        version=version,
        record=record,
        usable=usable,
        contributions=items,
        next_number=next_number,
    )


def query_version_contributions(view: StateView, args: VersionQuery) -> FullVersionView:
    """A version with its contributions in full: what fetching and checking its rows needs."""
    limit = min(args.limit, MAX_FULL_PAGE)
    short = query_version(
        view,
        VersionQuery(
            datanet_id=args.datanet_id,
            name=args.name,
            version=args.version,
            after_number=args.after_number,
            limit=limit,
        ),
    )
    items = [_full(view, item.accepted.contribution_id) for item in short.contributions]
    return FullVersionView(
        datanet_id=short.datanet_id,
        name=short.name,
        version=short.version,
        record=short.record,
        contributions=tuple(items),
        next_number=short.next_number,
    )


def _full(view: StateView, contribution_id: bytes) -> FullContribution:
    stored = CONTRIBUTIONS.get(view, contribution_id)
    if stored is None:
        raise Rejected(Code.NOT_FOUND, f"there is no contribution {encode_id('olcontrib', contribution_id)}")
    return FullContribution(contribution_id, stored)


def query_versions(view: StateView, args: VersionsQuery) -> VersionsPage:
    """A page of versions, oldest first."""
    datanet_id = resolve_datanet(view, args.datanet_id, args.name)
    items: list[VersionItem] = []
    after = (datanet_id, args.after_version) if args.after_version else None
    for (_, version), record in VERSIONS.iterate(view, datanet_id, after=after):
        if len(items) == args.limit:
            return VersionsPage(datanet_id, tuple(items), items[-1].version)
        items.append(VersionItem(version, record))
    return VersionsPage(datanet_id, tuple(items), 0)


def query_contributions(view: StateView, args: ContributionsQuery) -> ContributionsPage:
    """A page of submissions, oldest first."""
    datanet_id = resolve_datanet(view, args.datanet_id, args.name)
    items: list[FullContribution] = []
    after = (datanet_id, args.after_number) if args.after_number else None
    for (_, number), submitted in SUBMITTED.iterate(view, datanet_id, after=after):
        if len(items) == args.limit:
            return ContributionsPage(datanet_id, tuple(items), number - 1)
        items.append(_full(view, submitted.contribution_id))
    return ContributionsPage(datanet_id, tuple(items), 0)


def query_contribution(view: StateView, args: ContributionQuery) -> ContributionView:
    """One contribution with its verdicts."""
    full = _full(view, args.contribution_id)
    reviews = [review for _, review in REVIEWS.iterate(view, args.contribution_id)]
    return ContributionView(full.contribution_id, full.stored, tuple(reviews))


QUERIES = (
    Query("datanet", DatanetQuery, DatanetView, query_datanet, "one DataNet by id or name"),
    Query("list", DatanetListQuery, DatanetPage, query_list, "all DataNets, paged"),
    Query("version", VersionQuery, VersionView, query_version, "a version and its contributions in short"),
    Query(
        "version_contributions",
        VersionQuery,
        FullVersionView,
        query_version_contributions,
        "a version and its contributions in full",
    ),
    Query("versions", VersionsQuery, VersionsPage, query_versions, "versions of a DataNet, paged"),
    Query(
        "contributions", ContributionsQuery, ContributionsPage, query_contributions, "submissions to a DataNet, paged"
    ),
    Query(
        "contribution", ContributionQuery, ContributionView, query_contribution, "one contribution with its verdicts"
    ),
)
