"""A chain with provenance to ask about: two DataNets, five people, a base model, two fine-tunes of one model, a merge.

The bytes in the content store are the manifests that the entries name.
"""

from dataclasses import dataclass, field

from msgspec import structs

from abci_app.modules.datanets.records import CreateDatanet, CreateVersion, Decision, ReviewContribution
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.licences.records import Stated, Terms
from abci_app.modules.models.kinds import EntryKind
from abci_app.modules.models.records import (
    CreateModel,
    Entry,
    EvaluationDraft,
    Grade,
    RecordEvaluations,
    RecordReproduction,
    RecordRuns,
    SupersedeEntry,
    entry_id_of,
)
from openledger.data.manifest import Manifest, to_json
from tests.kit.modules import drafts
from tests.kit.modules.ledger import ALICE, BOB, CARL, DORA, EVE, Ledger
from tests.kit.signing import Signer

FREE = drafts.terms()
SHARED = drafts.terms(name="CC BY-SA 4.0", spdx="CC-BY-SA-4.0", share_alike=Stated.YES)
CLASHING = drafts.terms(name="CC BY-NC-SA 4.0", spdx="CC-BY-NC-SA-4.0", share_alike=Stated.YES, use_class=2)


@dataclass
class Story:
    """The ledger and what was made on it, by name."""

    ledger: Ledger
    datanets: dict[str, bytes] = field(default_factory=dict)
    models: dict[str, bytes] = field(default_factory=dict)
    entries: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, Manifest] = field(default_factory=dict)

    @classmethod
    def tell(cls) -> "Story":
        """All of it."""
        story = cls(Ledger.start())
        story.ledger.accept(ALICE, *[RegisterTerms(terms) for terms in (FREE, SHARED, CLASHING)])
        story.add_datanet("reference", ALICE, ((BOB, FREE), (CARL, FREE)))
        story.add_datanet("questions", ALICE, ((DORA, SHARED), (EVE, SHARED)))
        story.add_datanet("exam", ALICE, ((EVE, CLASHING),))
        for name in ("base", "tutor"):
            story.models[name] = story._next_id("model", ALICE)
            story.ledger.accept(ALICE, CreateModel(name, ""))
        story.record("base", drafts.entry("base", kind=EntryKind.IMPORT, terms_id=terms_id_of(FREE)), "base")
        story.train("first", ("reference", "questions"), ("base",), "tutor")
        story.train("second", ("reference",), ("base", "first"), "tutor")
        story.train("draft", ("reference",), ("base",))
        story.ledger.accept(ALICE, SupersedeEntry(story.entries["draft"], story.entries["second"], "wrong filter"))
        evaluation = EvaluationDraft(story.entries["second"], story.datanets["exam"], 1, "accuracy", 812, 40, 15)
        story.ledger.accept(BOB, RecordEvaluations((evaluation,)))
        output = drafts.output("second")
        story.ledger.accept(
            CARL,
            RecordReproduction(
                story.entries["second"], Grade.BIT_EXACT, output.artefact_digest, output.tensor_digest, drafts.RUN
            ),
        )
        return story

    def add_datanet(self, name: str, owner: Signer, people: tuple[tuple[Signer, Terms], ...]) -> None:
        """A DataNet whose version 1 has one contribution of each."""
        datanet_id = self._next_id("datanet", owner)
        self.datanets[name] = datanet_id
        self.ledger.accept(owner, CreateDatanet(name, f"about {name}", terms_id_of(FREE), (), 1))
        for number, (person, terms) in enumerate(people):
            message = drafts.contribute(datanet_id, f"{name} {number}", terms_id=terms_id_of(terms))
            message = structs.replace(message, row_count=10 + number)
            self.ledger.accept(person, message)
            contribution_id = drafts.contribution_id(message, person.address, b"")
            self.ledger.accept(owner, ReviewContribution(contribution_id, Decision.ACCEPT, 0))
        self.ledger.accept(owner, CreateVersion(datanet_id, "first"))

    def train(self, name: str, data: tuple[str, ...], made_from: tuple[str, ...], model: str = "") -> None:
        """A LoRA fine-tune with a manifest."""
        versions = [(self.datanets[each], 1) for each in data]
        self.manifests[name] = manifest = a_manifest(name, versions)
        parents = [self.entries[each] for each in made_from]
        entry = drafts.entry(name, data=versions, made_from=parents, manifest_root=manifest.root)
        self.record(name, entry, model)

    def record(self, name: str, entry: Entry, model: str = "") -> None:
        """Record a run of Alice's."""
        self.entries[name] = entry_id_of(entry)
        model_id = self.models[model] if model else b""
        label = "" if not model else name
        self.ledger.accept(ALICE, RecordRuns((drafts.run_of(entry, model_id=model_id, label=label),)))

    def _next_id(self, kind: str, signer: Signer) -> bytes:
        return drafts.new_id(kind, signer.address, self.ledger.next_sequence(signer))


_UNCUT = {"examples": 18, "prompts_cut": 0, "completions_cut": 0, "tokens_cut": 0, "without_target": 0}


def a_manifest(name: str, versions: list[tuple[bytes, int]]) -> Manifest:
    """A manifest as the trainer writes it: a filter, a held-out split, shuffled."""
    parts = {"about": to_json({"kind": "lora", "framework": f"made for {name}", "data_checked": False})}
    for number, (datanet_id, version) in enumerate(versions):
        parts[f"input/{number:04}"] = to_json(
            {
                "datanet": datanet_id.hex(),
                "version": version,
                "weight_ppb": 10**9 // len(versions),
                "rows": 21,
                "preprocess": [{"step": "strip"}],
                "filters": [{"step": "min_chars", "characters": 40}],
                "changed_by_step": [0],
                "passed_by_step": [0],
                "rows_by_form": {"completion": 21},
                "kept_by_filter": [20],
                "rows_empty": 0,
                "held_out_copies": {"exact": 0, "near": 0, "inside": 0},
                "rows_over_limit": 0,
                "cut": {"trained": _UNCUT, "measured": _UNCUT},
                "split": {"held_out_ppb": 10**8, "name": "held-out"},
                "rows_held_out": 2,
                "rows_for_training": 18,
                "sampling": {"max_rows": 0, "order": "shuffled"},
                "rows_used": 18,
            }
        )
    return Manifest(parts)
