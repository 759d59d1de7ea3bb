"""The proven facts that an export is written from: a model's whole lineage, or a DataNet version with its terms.

Everything here comes out of verified bundles (evidence.py). A manifest is among the facts only when the bundle carries
it, so that everybody who has the bundle can write the same export again and compare. Who bears an address is not on the
chain: people stand as addresses, never under the names that a key has in somebody's home.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from abci_app.modules.datanets.records import Datanet, DatanetVersion, StoredContribution
from abci_app.modules.licences.records import Terms
from abci_app.modules.models.lineage import LineageDatanet, LineageEntry, LineagePage
from abci_app.modules.models.records import Input, StoredEntry
from openledger.client.typed.results import Lineage
from openledger.content.artefact import model_signing_root
from openledger.content.folder import ArtefactFile
from openledger.data.manifest import Manifest, ManifestError, files_of
from openledger.exports.identifiers import encode_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenAt:
    """The state that an export speaks of: chain, height, the header that signs it, and the files with the proof."""

    chain_id: str
    height: int
    header_height: int
    header_hash: str
    header_seconds: int
    bundles: tuple[str, ...]

    @property
    def header(self) -> str:
        """The header as `openledger verify --trust` takes it: `376:0F3A...`."""
        return f"{self.header_height}:{self.header_hash}"

    def urn(self, identifier: str) -> str:
        """A name that is unique over all chains, for formats that want one."""
        return f"urn:openledger:{quote(self.chain_id, safe='')}:{quote(identifier, safe='')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """One model version (or entry) with everything that it was made from; always the complete lineage."""

    at: ProvenAt
    lineage: Lineage
    page: LineagePage = field(repr=False)
    # By root, as far as the bundle carries them.
    manifests: Mapping[bytes, Manifest] = field(repr=False)
    # Out of the page, since a lineage may have thousands of entries: names by entry id, and by DataNet version the
    # entries that were trained on it.
    references: Mapping[bytes, str] = field(repr=False)
    users: Mapping[tuple[bytes, int], Sequence[tuple[LineageEntry, Input]]] = field(repr=False)

    @property
    def stored(self) -> StoredEntry:
        """The entry that the export is about."""
        return self.page.entries[0].stored

    @property
    def name(self) -> str:
        """`gardener@2`, or the id of an entry of no model."""
        return self.lineage.entries[0].reference

    @property
    def model(self) -> str:
        """`gardener`, or the id of an entry of no model."""
        return self.lineage.model or self.lineage.entry

    @property
    def version(self) -> str:
        """The version in words that every format takes."""
        return str(self.lineage.version) if self.lineage.version else "none"

    @property
    def terms(self) -> dict[bytes, Terms]:
        """Every terms record that binds something in the lineage."""
        return {item.terms_id: item.terms for item in self.page.terms}

    def reference(self, entry_id: bytes) -> str:
        """An entry of the lineage as people call it."""
        return self.references.get(entry_id) or encode_id("olrun", entry_id)

    def datanet(self, datanet_id: bytes, version: int) -> LineageDatanet | None:
        """A DataNet version of the lineage; None for one that only an evaluation names."""
        wanted = (datanet_id, version)
        return next((each for each in self.page.datanets if (each.datanet_id, each.version) == wanted), None)

    def datanet_name(self, datanet_id: bytes, version: int) -> str:
        """`garden@1`; the id where the lineage does not bring the name."""
        name = next((each.name for each in self.page.datanets if each.datanet_id == datanet_id), "")
        return f"{name or encode_id('oldata', datanet_id)}@{version}"

    def manifest(self, item: LineageEntry) -> Manifest | None:
        """The manifest of an entry, where the bundle carries it."""
        return self.manifests.get(item.stored.entry.manifest_root)

    def files(self, item: LineageEntry) -> tuple[ArtefactFile, ...]:
        """The files of an entry's output; empty where no manifest lists those that the entry names."""
        manifest = self.manifest(item)
        try:
            files = files_of(manifest) if manifest is not None else ()
        except ManifestError:
            return ()
        return files if files and model_signing_root(files) == item.stored.entry.output.artefact_digest else ()

    def part(self, item: LineageEntry, name: str) -> Any:
        """A part of an entry's manifest; None where it is not there or no JSON. Anybody may have written it."""
        manifest = self.manifest(item)
        try:
            return manifest.json(name) if manifest is not None and name in manifest.parts else None
        except ManifestError:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatanetFacts:
    """One DataNet version with all of its contributions in full."""

    at: ProvenAt
    datanet_id: bytes
    datanet: Datanet = field(repr=False)
    version: int
    record: DatanetVersion = field(repr=False)
    usable: bool
    # Contribution id and record, in the order of their acceptance.
    contributions: tuple[tuple[bytes, StoredContribution], ...] = field(repr=False)
    terms: Mapping[bytes, Terms] = field(repr=False)
    # Of its terms together, as the chain joined them.
    duties: tuple[str, ...]
    use: str

    @property
    def name(self) -> str:
        """`garden@1`."""
        return f"{self.datanet.name}@{self.version}"


Facts = ModelFacts | DatanetFacts


def make_model_facts(
    at: ProvenAt, lineage: Lineage, page: LineagePage, manifests: Mapping[bytes, Manifest]
) -> ModelFacts:
    """Facts of a whole lineage, with what is looked up often."""
    named = zip(page.entries, lineage.entries, strict=True)
    users: dict[tuple[bytes, int], list[tuple[LineageEntry, Input]]] = {}
    for entry in page.entries:
        for each in entry.stored.entry.inputs:
            users.setdefault((each.datanet_id, each.version), []).append((entry, each))
    return ModelFacts(
        at=at,
        lineage=lineage,
        page=page,
        manifests=manifests,
        references={item.entry_id: found.reference for item, found in named},
        users=users,
    )


def terms_of_version(item: LineageDatanet) -> list[bytes]:
    """Terms records of a version's contributions, ascending."""
    return sorted({each.accepted.terms_id for each in item.contributions})


def shares_of_version(item: LineageDatanet) -> list[tuple[bytes, bytes, int]]:
    """Contributor, terms and rows under them, most rows first."""
    return count_rows(
        [(each.accepted.contributor, each.accepted.terms_id, each.accepted.row_count) for each in item.contributions]
    )


def count_rows(items: Iterable[tuple[bytes, bytes, int]]) -> list[tuple[bytes, bytes, int]]:
    """Rows of each contributor under each terms, most rows first."""
    rows: dict[tuple[bytes, bytes], int] = {}
    for contributor, terms_id, row_count in items:
        rows[contributor, terms_id] = rows.get((contributor, terms_id), 0) + row_count
    ordered = sorted(rows, key=lambda key: (-rows[key], key))
    return [(contributor, terms_id, rows[contributor, terms_id]) for contributor, terms_id in ordered]
