"""Three entries with indexes on a tiny model: a base, a fine-tune, and one on top of it. Made in seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from abci_app.bech32 import encode_id
from abci_app.modules.models.records import Admission, InheritanceSchedule, Run, StoredEntry, entry_id_of
from abci_app.types import PPB
from attribution.explanation.explainer import Explainer
from attribution.explanation.facts import read_facts
from openledger.content.store import ContentStore
from openledger.data.versions import ContributionRecord, VersionRecord
from openledger.errors import UsageError
from tests.kit.trainer.tiny import RECIPE, WORDS, TinyChain, sentence, tiny_chain
from trainer.ancestry import KnownEntry
from trainer.chain_records import to_entry
from trainer.recipe import parse_recipe
from trainer.run_records import EntryRecord
from trainer.workflow import train_recipe

# A split under which the texts that tests ask about (2, 7) are trained on.
_SPLIT = ("{held_out_ppb: 200000000}", "{held_out_ppb: 200000000, name: c}")
WITH_INDEX = RECIPE.replace("steps: 6", "steps: 30").replace(*_SPLIT) + "attribution: {checkpoints: 2, codes: 32}\n"
# Long enough for 32 bits of surprisal over a dozen words.
LONG = 14
PROMPT = sentence(3, 4) + " "


def prose(number: int) -> str:
    """A text that repeats neither itself nor another one."""
    return " ".join(Random(number).choices(WORDS, k=LONG))


@dataclass
class Records:
    """Entries as the chain would have stored them, by number and by name."""

    chain_id: str = "test-chain"
    stored: dict[bytes, StoredEntry] = field(default_factory=dict)
    names: dict[str, bytes] = field(default_factory=dict)
    contributions: dict[bytes, ContributionRecord] = field(default_factory=dict)
    versions: dict[tuple[str, int], VersionRecord] = field(default_factory=dict)

    def add(self, name: str, record: EntryRecord) -> bytes:
        entry = to_entry(record)
        schedule = InheritanceSchedule(PPB // 2, 0, PPB // 10)
        number = len(self.stored) + 1
        admission = Admission(number, 1, 1, b"r" * 32, 1, 1, b"t" * 32, 0, schedule)
        entry_id = entry_id_of(entry)
        self.stored[entry_id] = StoredEntry(
            entry, admission, Run(1, 2, b"", "", "", 0), b"m" * 32, number, b"", admission.recorder, 0
        )
        self.names[name] = entry_id
        return entry_id

    def entry_id(self, reference: str) -> bytes:
        known = {encode_id("olrun", entry_id): entry_id for entry_id in self.stored}
        return self.names.get(reference) or known[reference]

    def datanet_version(self, reference: str, version: int) -> VersionRecord:
        return self.versions[reference, version]

    def contribution(self, contribution_id: bytes) -> ContributionRecord:
        return self.contributions[contribution_id]

    def stored_entry(self, entry_id: bytes) -> StoredEntry:
        return self.stored[entry_id]

    def origin(self, contribution_id: bytes) -> tuple[str, str]:
        return "facts", "CC-BY-4.0"

    def model_name(self, model_id: bytes) -> str:
        return "tiny"


@dataclass
class World:
    """The chain's side, the store's, and an explainer of the second fine-tune."""

    chain: TinyChain
    records: Records
    explainer: Explainer
    folder: Path

    @property
    def store(self) -> ContentStore:
        return self.chain.store

    def answered_prompt(self) -> str:
        """A prompt after which this random model says something before it ends."""
        for number in range(40):
            try:
                self.explainer.exchange(prose(number), None, max_tokens=4)
            except UsageError:
                continue
            return prose(number)
        raise AssertionError("the model ends at once after every prompt")


@contextmanager
def explained_world(folder: Path) -> Iterator[World]:
    """Train and record in `folder`; caches lie there, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        chain = tiny_chain(folder)
        chain.add_version("facts", [[{"text": prose(20 * batch + row)} for row in range(20)] for batch in (0, 1)])
        records = Records()
        base_id = records.add("base", chain.entries["base"].record)
        chain.entries["base"] = chain.entries[base_id.hex()] = KnownEntry(base_id, chain.entries["base"].record)
        for name, text in (("first", WITH_INDEX), ("second", _second(WITH_INDEX))):
            _, record = train_recipe(parse_recipe(text), chain, chain.store, folder / name)
            entry_id = records.add(name, record.entry)
            chain.entries[name] = chain.entries[entry_id.hex()] = KnownEntry(entry_id, record.entry)
        records.versions = chain.versions
        for version in chain.versions.values():
            records.contributions |= {record.contribution_id: record for record in version.contributions}
        yield World(chain, records, Explainer(read_facts(records, "second"), chain.store), folder)


def _second(text: str) -> str:
    return text.replace("{base: base}", "{base: base, adapter: first}").replace("seed: 3", "seed: 5")
