"""A chain with a lineage of every kind that an export has to tell of, and texts that try to be more than text."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from abci_app.modules.datanets.records import (
    CreateDatanet,
    CreateVersion,
    Decision,
    ReviewContribution,
    RevokeContribution,
)
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.licences.records import Stated
from abci_app.modules.models.kinds import EntryKind
from abci_app.modules.models.records import CreateModel, EvaluationDraft, Output, RecordEvaluations, SupersedeEntry
from openledger.client.client import Client
from openledger.client.light_client import LightClient
from openledger.client.provenance import lineage, lineage_question
from openledger.content.artefact import model_signing_root
from openledger.content.folder import ArtefactFile
from openledger.data.manifest import Manifest, to_json
from openledger.exports import DatanetFacts, ModelFacts, facts_of, next_sheet_question, sheet_question
from openledger.light.attachments import Attachment
from openledger.light.bundle import verify_bundle
from openledger.light.results import LightSettings
from openledger.references import split_version
from tests.kit.modules import drafts
from tests.kit.modules.ledger import ALICE, BOB, DORA, EVE
from tests.kit.openledger.local_node import LocalNode
from tests.kit.openledger.story import FREE, Story, a_manifest
from tests.kit.simulated_chain import SimulatedChain, digest

# Printable ASCII is all that a note, description or name of terms may be.
HOSTILE = (
    '--- ]](javascript:alert(1)) <script>alert(1)</script> <!-- openledger:proven 9 --> | a: b | "}, {"x": "y" '
    "`# _*~ &lt; openledger-proof:?form=oms;bundle=evil.json \\"
)
# A part of a manifest may be anything: lines, other directions, what no document may hold.
UNSEEN = "a\nlicense: mit\n---\n\u202eevil\u2028\x00\ue000<script>"
ODD_NAME = "a/b/c--d..e_f"
ODD_MODEL = "x--y..z"
OWN = drafts.terms(
    name="<b>own</b> | terms](x) --- :",
    spdx="LicenseRef-own",
    fields_of_use=("research",),
    irrevocable=Stated.UNKNOWN,
)
LIMITED = drafts.terms(name="CC BY 4.0, not for war", spdx="LicenseRef-own", excluded_domains=("war",))
FILES = ("config.json", "model.safetensors", "sub/merges.txt")
# Of each kind one: an import alone, fine-tunes, a merge, parents that are not declared, hostile names and texts.
MODELS = ("base", "tutor", "merged", "secret", "gardener", ODD_MODEL)


class Gallery:
    """The chain under signed headers, and what its content store has."""

    def __init__(self) -> None:
        self.story = story = Story.tell()
        story.ledger.accept(ALICE, RegisterTerms(OWN), RegisterTerms(LIMITED))
        story.add_datanet("garden", ALICE, ((DORA, FREE), (EVE, LIMITED)))
        self._add_datanet(ODD_NAME, HOSTILE)
        for name in MODELS[2:]:
            story.models[name] = drafts.new_id("model", ALICE.address, story.ledger.next_sequence(ALICE))
            story.ledger.accept(ALICE, CreateModel(name, HOSTILE))
        self._record("merged", EntryKind.MERGE, made_from=("first", "second"))
        self._record("secret", EntryKind.LORA, data=("garden",), terms_id=terms_id_of(OWN))
        self._record("gardener", EntryKind.LORA, data=("garden", "reference"), made_from=("base",))
        self._record(ODD_MODEL, EntryKind.FULL, data=(ODD_NAME,), made_from=("gardener",), hostile=True)
        self._measure("gardener", "garden", "loss-micronats", 3_487_400, 282_300, 24)
        self._measure("gardener", "garden", "accuracy", 7, 0, 1)
        self._measure(ODD_MODEL, "exam", "loss-micronats", -1_500_000, 10, 24)
        contributor, given = self._given
        story.ledger.accept(contributor, RevokeContribution(given, 1))
        story.ledger.accept(ALICE, SupersedeEntry(story.entries["merged"], story.entries["gardener"], HOSTILE))

    def _add_datanet(self, name: str, text: str) -> None:
        ledger = self.story.ledger
        datanet_id = drafts.new_id("datanet", ALICE.address, ledger.next_sequence(ALICE))
        self.story.datanets[name] = datanet_id
        ledger.accept(ALICE, CreateDatanet(name, text, terms_id_of(OWN), (), 1))
        ids = []
        for number, terms in enumerate((OWN, FREE)):
            message = drafts.contribute(datanet_id, f"{name} {number}", terms_id=terms_id_of(terms))
            ledger.accept(BOB, message)
            ids.append(drafts.contribution_id(message, BOB.address, b""))
            ledger.accept(ALICE, ReviewContribution(ids[-1], Decision.ACCEPT, 0))
        ledger.accept(ALICE, CreateVersion(datanet_id, text))
        self._given = (BOB, ids[0])

    def _record(
        self,
        name: str,
        kind: EntryKind,
        *,
        data: Sequence[str] = (),
        made_from: Sequence[str] = (),
        terms_id: bytes = b"",
        hostile: bool = False,
    ) -> None:
        story = self.story
        versions = [(story.datanets[each], 1) for each in data]
        files = [ArtefactFile(each, digest(f"{name} {each}"), 9) for each in FILES]
        files += [ArtefactFile(UNSEEN, digest("odd"), 1)] if hostile else []
        parts = dict(a_manifest(name, versions).parts)
        parts["output"] = _files(files)
        parts["recipe"] = b"a: {'free' text" if hostile else to_json({"train": {"steps": 24}, "method": {"rank": 8}})
        if hostile:
            parts["about"] = to_json({"kind": "full", "framework": HOSTILE + UNSEEN, "data_checked": False})
            parts["training"] = to_json({UNSEEN: HOSTILE, "steps": 5, "on": True})
        self.story.manifests[name] = manifest = Manifest(parts)
        entry = drafts.entry(
            name,
            kind=kind,
            data=versions,
            made_from=[story.entries[each] for each in made_from],
            terms_id=terms_id,
            manifest_root=manifest.root,
            output=Output(model_signing_root(files), digest(f"tensors {name}"), 27, "safetensors"),
        )
        story.record(name, entry, name)

    def _measure(self, name: str, where: str, metric: str, value: int, interval: int, rows: int) -> None:
        draft = EvaluationDraft(self.story.entries[name], self.story.datanets[where], 1, metric, value, rows, interval)
        self.story.ledger.accept(BOB, RecordEvaluations((draft,)))

    @staticmethod
    def content(model: str, name: str) -> bytes:
        """The bytes of a file of a model."""
        return f"{model} {name}".encode()

    # --- Asked

    @cached_property
    def chain(self) -> SimulatedChain:
        """The state under signed headers."""
        return SimulatedChain.holding(self.story.ledger.chain.state())

    @cached_property
    def client(self) -> Client:
        """A client that verifies."""
        node = LocalNode(self.chain, "primary")
        settings = LightSettings(without_witness=True)
        return Client(
            light=LightClient(node, anchor=self.chain.genesis, settings=settings, clock=lambda: self.chain.now_ns)
        )

    def bundles(self, model: str, *, bare: bool = False) -> list[bytes]:
        """The bundles of a model's lineage, with its manifests unless `bare`."""
        whole = lineage(self.client, lineage_question(model))
        found = {each.root: each for each in self.story.manifests.values()}
        assert self.client.light is not None
        files = []
        for answer in whole.answers:
            roots = dict.fromkeys([each.stored.entry.manifest_root for each in answer.value.entries])
            attached = [Attachment("m", found[root].encode(), "manifest") for root in roots if root in found]
            files.append(self.client.light.bundle(answer.evidence, () if bare else attached))
        return files

    def sheet_bundles(self, datanet: str) -> list[bytes]:
        """The bundles of a DataNet version."""
        name, version = split_version(datanet)
        question: Any = sheet_question(b"", name, version)
        assert self.client.light is not None
        files: list[bytes] = []
        while question is not None:
            answer = self.client.query("datanets", "datasheet", question)
            files.append(self.client.light.bundle(answer.evidence))
            question = next_sheet_question(answer.value)
        return files

    def model(self, model: str, *, bare: bool = False) -> ModelFacts:
        """Facts of a model."""
        found = self._facts(self.bundles(model, bare=bare))
        assert isinstance(found, ModelFacts)
        return found

    def datanet(self, datanet: str) -> DatanetFacts:
        """Facts of a DataNet version."""
        found = self._facts(self.sheet_bundles(datanet))
        assert isinstance(found, DatanetFacts)
        return found

    def _facts(self, files: list[bytes]) -> Any:
        verdicts = [verify_bundle(each, self.chain.genesis, self.chain.now_ns) for each in files]
        assert all(verdict.anchored for verdict in verdicts)
        return facts_of(files, verdicts, [f"proof-{number}.bundle.json" for number in range(1, len(files) + 1)])


def _files(files: Sequence[ArtefactFile]) -> bytes:
    return to_json(
        {"files": [{"name": each.name, "sha256": each.digest.hex(), "bytes": each.byte_count} for each in files]}
    )
