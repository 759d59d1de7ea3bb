"""DataNets as the chain has them, by name: versions and submissions whole, all pages of one height.

    version = read_version(client, "garden@2")
    version.contributions, version.record.row_count, version.note

The client verifies each page unless told otherwise. That the contributions are those of the version's root is checked
here again, so also an unverified answer must agree with itself.
"""

from dataclasses import dataclass

from abci_app.modules.datanets import Form
from abci_app.modules.datanets.queries import (
    MAX_FULL_PAGE,
    MAX_PAGE,
    ContributionsQuery,
    DatanetListQuery,
    DatanetPage,
    DatanetQuery,
    DatanetView,
    FullContribution,
    FullVersionView,
    VersionQuery,
    VersionsQuery,
)
from abci_app.modules.datanets.records import Datanet, DatanetCounts, DatanetVersion, StoredContribution
from openledger.client.provenance import Asks, id_of_text
from openledger.data.rows import RowCommitment
from openledger.data.versions import ContributionRecord, VersionRecord
from openledger.errors import NotVerified, OpenLedgerError
from openledger.exit_codes import ExitCode
from openledger.references import split_number, split_version


class Nothing(OpenLedgerError):
    """There is no such submission or row, by what the chain says."""

    exit_code = ExitCode.NOT_FOUND


# As many pages as a lineage may have: an end to what a lying node can make us ask.
_MAX_PAGES = 4_096


@dataclass(frozen=True, slots=True)
class Submission:
    """One submission to a DataNet: its number, its id, and all that the chain has of it."""

    datanet: str
    contribution_id: bytes
    stored: StoredContribution

    @property
    def number(self) -> int:
        """Number among the DataNet's submissions."""
        return self.stored.submitted_number

    @property
    def reference(self) -> str:
        """The reference that people write: `garden#2`."""
        return f"{self.datanet}#{self.number}"

    @property
    def commitment(self) -> RowCommitment:
        """The commitment that its rows must hash to."""
        record = self.stored.contribution
        return RowCommitment(
            rows_root=record.rows_root,
            row_count=record.row_count,
            byte_count=record.byte_count,
            content_digest=record.content_digest,
            sketch=record.sketch,
        )


@dataclass(frozen=True, slots=True)
class Known:
    """The height whose state an answer speaks of, and how far it can be trusted, in words."""

    height: int
    verified: bool
    note: str


@dataclass(frozen=True, slots=True)
class WholeDatanet:
    """A DataNet with every submission and every version, oldest first."""

    datanet_id: bytes
    datanet: Datanet
    counts: DatanetCounts
    submissions: tuple[Submission, ...]
    versions: tuple[DatanetVersion, ...]
    known: Known

    @property
    def name(self) -> str:
        """The name that it was made with."""
        return self.datanet.name

    def submission(self, number: int) -> Submission:
        """The submission of this number; raises `Nothing`."""
        for each in self.submissions:
            if each.number == number:
                return each
        raise Nothing(
            f"{self.name}#{number}: {self.name} has {len(self.submissions)} submissions; "
            f"`openledger data show {self.name}` lists them"
        )


@dataclass(frozen=True, slots=True)
class WholeVersion:
    """One version with its contributions in the order in which they were accepted."""

    datanet_id: bytes
    name: str
    version: int
    record: DatanetVersion
    contributions: tuple[Submission, ...]
    known: Known

    @property
    def reference(self) -> str:
        """The reference that people write: `garden@1`."""
        return f"{self.name}@{self.version}"

    @property
    def checked_record(self) -> VersionRecord:
        """The form in which rows are fetched and trained on."""
        records = tuple([contribution_record(each) for each in self.contributions])
        return VersionRecord.recorded(self.datanet_id, self.version, self.record.accepted_through, records)


def contribution_record(submission: Submission) -> ContributionRecord:
    """A submission in the form in which its rows are fetched and trained on."""
    stored = submission.stored
    return ContributionRecord(
        contribution_id=submission.contribution_id,
        contributor=stored.contribution.contributor,
        commitment=submission.commitment,
        registered_height=stored.height,
        registered_number=stored.submitted_number,
        datanet_id=stored.contribution.datanet_id,
        accepted_number=stored.accepted_number,
        form=Form(stored.contribution.form),
    )


def split_datanet(text: str) -> tuple[bytes, str]:
    """Id and name of a DataNet as people write it, one of them empty; raises `UsageError`."""
    datanet_id = id_of_text("oldata", text)
    return datanet_id, "" if datanet_id else text


def read_datanet(client: Asks, text: str, *, height: int = 0, prove: bool = True) -> WholeDatanet:
    """A DataNet by name or id with all of its submissions and versions; raises `QueryFailed`, `NotVerified`."""
    answer = client.query("datanets", "datanet", DatanetQuery(*split_datanet(text)), height=height, prove=prove)
    view: DatanetView = answer.value
    items: list[FullContribution] = []
    versions: list[DatanetVersion] = []
    after = 0
    for _ in range(_MAX_PAGES):
        question = ContributionsQuery(datanet_id=view.datanet_id, name="", after_number=after, limit=MAX_PAGE)
        page = client.query("datanets", "contributions", question, height=answer.height, prove=prove).value
        items += page.contributions
        after = page.next_number
        if not after:
            break
    for _ in range(_MAX_PAGES):
        asked = VersionsQuery(datanet_id=view.datanet_id, name="", after_version=len(versions), limit=MAX_PAGE)
        found = client.query("datanets", "versions", asked, height=answer.height, prove=prove).value
        versions += [item.record for item in found.versions]
        if not found.next_version:
            break
    if (len(items), len(versions)) != (view.counts.submitted, view.counts.versions):
        raise NotVerified(f"the node's pages of DataNet {view.datanet.name!r} leave something out: ask another node")
    return WholeDatanet(
        datanet_id=view.datanet_id,
        datanet=view.datanet,
        counts=view.counts,
        submissions=tuple([Submission(view.datanet.name, item.contribution_id, item.stored) for item in items]),
        versions=tuple(versions),
        known=Known(answer.height, answer.verified, answer.note),
    )


def read_submission(client: Asks, reference: str, *, prove: bool = True) -> tuple[WholeDatanet, Submission]:
    """The submission `garden#2`, and its DataNet; raises `UsageError`, `QueryFailed`, `Nothing`."""
    name, number = split_number(reference)
    datanet = read_datanet(client, name, prove=prove)
    return datanet, datanet.submission(number)


def read_version(client: Asks, reference: str, *, height: int = 0, prove: bool = True) -> WholeVersion:
    """The version `garden@2`, the latest one for `garden`; raises `UsageError`, `QueryFailed`, `NotVerified`."""
    text, version = split_version(reference)
    datanet_id, name = split_datanet(text)
    question = VersionQuery(datanet_id=datanet_id, name=name, version=version, after_number=0, limit=MAX_FULL_PAGE)
    first = client.query("datanets", "version_contributions", question, height=height, prove=prove)
    page: FullVersionView = first.value
    items = list(page.contributions)
    after = page.next_number
    while after and len(items) < page.record.contribution_count:
        question = VersionQuery(
            datanet_id=page.datanet_id, name="", version=page.version, after_number=after, limit=MAX_FULL_PAGE
        )
        further = client.query("datanets", "version_contributions", question, height=first.height, prove=prove).value
        if not after < (further.next_number or after + 1):
            break
        items += further.contributions
        after = further.next_number
    whole = WholeVersion(
        datanet_id=page.datanet_id,
        name=page.name,
        version=page.version,
        record=page.record,
        contributions=tuple([Submission(page.name, item.contribution_id, item.stored) for item in items]),
        known=Known(first.height, first.verified, first.note),
    )
    if whole.checked_record.root != page.record.contributions_root:
        raise NotVerified(
            f"the contributions of {whole.reference} do not hash to its root on the chain: use none of its rows, ask "
            "another node"
        )
    return whole


def read_names(client: Asks, *, prove: bool = True) -> tuple[tuple[DatanetView, ...], Known]:
    """Every DataNet of the chain, with its counts, by name."""
    items: list[DatanetView] = []
    first = client.query("datanets", "list", DatanetListQuery(b"", MAX_PAGE), prove=prove)
    page: DatanetPage = first.value
    items += page.items
    while page.next_datanet_id and len(items) < MAX_PAGE * _MAX_PAGES:
        asked = DatanetListQuery(page.next_datanet_id, MAX_PAGE)
        page = client.query("datanets", "list", asked, height=first.height, prove=prove).value
        items += page.items
    ordered = tuple(sorted(items, key=lambda item: item.datanet.name))
    return ordered, Known(first.height, first.verified, first.note)
