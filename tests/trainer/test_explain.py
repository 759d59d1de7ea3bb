"""A run that committed to attribution is explained, and the explanation is checked, by integers and by repetition."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from abci_app.modules.models_records import Admission, InheritanceSchedule, Run, StoredEntry, entry_id_of
from abci_app.types import PPB
from attribution.document import GradientPart, SpanPart, decode
from attribution.explanation import unchecked, verify_integers
from openledger.errors import NotVerified, UsageError
from tests.trainer.tiny import RECIPE, TinyChain, sentence, tiny_chain
from trainer.explain import Explainer
from trainer.explain_facts import read_facts
from trainer.publish import to_entry
from trainer.recipe import parse_recipe
from trainer.record import EntryRecord
from trainer.workflow import KnownEntry, train_recipe

pytestmark = pytest.mark.ml
WITH_INDEX = RECIPE.replace("steps: 6", "steps: 30") + "attribution: {checkpoints: 2, directions: 4}\n"
# Long enough for 32 bits of surprisal over a dozen words.
LONG = 14
PROMPT = sentence(3, 3) + " "


@dataclass
class Records:
    """Entries as the chain would have stored them, by number and by name."""

    chain_id: str = "test-chain"
    stored: dict[bytes, StoredEntry] = field(default_factory=dict)
    names: dict[str, bytes] = field(default_factory=dict)

    def add(self, name: str, record: EntryRecord) -> bytes:
        entry = to_entry(record)
        schedule = InheritanceSchedule(PPB // 2, 0, PPB // 10)
        number = len(self.stored) + 1
        admission = Admission(number, 1, 1, b"r" * 32, 1, 1, b"t" * 32, schedule)
        entry_id = entry_id_of(entry)
        self.stored[entry_id] = StoredEntry(entry, admission, Run(1, 2, b"", "", "", 0), b"m" * 32, number, b"")
        self.names[name] = entry_id
        return entry_id

    def entry_id(self, reference: str) -> bytes:
        return self.names[reference]

    def stored_entry(self, entry_id: bytes) -> StoredEntry:
        return self.stored[entry_id]

    def model_name(self, model_id: bytes) -> str:
        return "tiny"


@dataclass
class World:
    chain: TinyChain
    records: Records
    explainer: Explainer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A base, a fine-tune with indexes, and a second one on top of it, both recorded."""
    folder = tmp_path_factory.mktemp("explain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        chain = tiny_chain(folder)
        chain.add_version(
            "facts", [[{"text": sentence(20 * batch + row, LONG)} for row in range(20)] for batch in (0, 1)]
        )
        records = Records()
        base_id = records.add("base", chain.entries["base"].record)
        chain.entries["base"] = chain.entries[base_id.hex()] = KnownEntry(base_id, chain.entries["base"].record)
        for name, text in (("first", WITH_INDEX), ("second", _second(WITH_INDEX))):
            _, record = train_recipe(parse_recipe(text), chain, chain.store, folder / name)
            entry_id = records.add(name, record.entry)
            chain.entries[name] = chain.entries[entry_id.hex()] = KnownEntry(entry_id, record.entry)
        yield World(chain, records, Explainer(read_facts(records, "second"), chain.store))


def _second(text: str) -> str:
    return text.replace("{base: base}", "{base: base, adapter: first}").replace("seed: 3", "seed: 5")


def test_an_answer_is_explained_over_all_layers_and_every_integer_holds(world: World) -> None:
    exchange = world.explainer.exchange(PROMPT, None, max_tokens=8)
    document = world.explainer.explain(exchange, rows=3)
    assert document.model == "tiny"
    assert [layer.method for layer in document.layers] == [3, 3, 0]
    owners = sum(line.share_ppb for line in document.by_owner)
    assert (owners + document.unexplained_ppb, owners > 0) == (PPB, True)
    gradients = document.layers[0].gradients
    assert isinstance(gradients, GradientPart)
    assert len(gradients.owners) == 2
    assert 0 < len(gradients.rows) <= 3
    assert 0 < len(gradients.contributions) <= 3
    read = decode(document.encode())
    assert verify_integers(read, world.explainer.entries.facts) is None
    assert verify_integers(read, world.explainer.entries.facts, world.explainer.evidence()) is None
    assert unchecked(read, world.explainer.evidence()) == ()
    assert len(world.explainer.reexecute(read)) == 2


def test_a_training_row_given_as_output_has_its_contributor_and_its_span(world: World) -> None:
    document = world.explainer.explain(world.explainer.exchange("", sentence(7, LONG)), rows=2)
    spans = document.layers[0].spans
    assert isinstance(spans, SpanPart)
    assert (spans.output_tokens, len(spans.spans), spans.covered_tokens) == (LONG, 1, LONG)
    assert verify_integers(document, world.explainer.entries.facts) is None


def test_codes_of_another_output_fail_the_repetition(world: World) -> None:
    document = world.explainer.explain(world.explainer.exchange(PROMPT, sentence(9)))
    honest = world.explainer.explain(world.explainer.exchange(PROMPT, sentence(2)))
    forged = msgspec.structs.replace(document, output=honest.output)
    with pytest.raises(NotVerified, match=r"query_codes: the recorded model gives other codes"):
        world.explainer.reexecute(forged)


def test_a_text_that_is_not_its_tokens_is_refused(world: World) -> None:
    document = world.explainer.explain(world.explainer.exchange(PROMPT, sentence(2)))
    forged = decode(document.encode().replace(sentence(2).encode(), sentence(4).encode()))
    with pytest.raises(NotVerified, match=r"output.token_ids are not the tokens of output.text"):
        world.explainer.reexecute(forged)


def test_an_entry_without_attribution_says_what_to_do(world: World) -> None:
    with pytest.raises(UsageError, match="committed to no attribution: put an 'attribution' section"):
        Explainer(read_facts(world.records, "base"), world.chain.store)


def test_a_run_without_a_row_of_its_own_model_cannot_be_mistaken(world: World, tmp_path: Path) -> None:
    """The same document against the facts of the first fine-tune: another entry."""
    document = world.explainer.explain(world.explainer.exchange(PROMPT, sentence(2)))
    difference = verify_integers(document, read_facts(world.records, "first").facts)
    assert difference is not None
    assert difference.field == "entry_id"
