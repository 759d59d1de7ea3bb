"""A random Llama of a few thousand numbers, two small DataNets and a chain in a dictionary: runs take a second."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from abci_app.bech32 import decode_id
from abci_app.modules.datanets import Form
from attribution.numerics import prepare
from openledger.content.artefact import describe_artefact, put_artefact
from openledger.content.store import ContentStore
from openledger.data.rows import RowBatch, RowCommitment, put_batch
from openledger.data.versions import ContributionRecord, VersionRecord
from trainer.ancestry import KnownEntry
from trainer.measurements import RecordedMeasurement
from trainer.recipe import Recipe, parse_recipe
from trainer.recording.external import record_external
from trainer.run_records import EntryRecord, ParentRecord, RunEventRecord
from trainer.workflow import LicenceVerdict

WORDS = ("chain", "block", "state", "proof", "model", "data", "tree", "leaf", "root", "node", "key", "value")
RECIPE = """
version: 1
name: tiny-run
model: {base: base}
method: {rank: 2, alpha: 4, dropout: 0.1, target_modules: [q_proj, v_proj]}
datasets:
  - datanet: facts
    version: 1
    weight_ppb: 750000000
    preprocess: [strip]
    filters: [{min_chars: 10}]
    split: {held_out_ppb: 200000000}
  - datanet: questions
    version: 1
    weight_ppb: 250000000
    preprocess: [{template: {prompt: "{question} ", completion: "{answer}"}}]
    filters: [deduplicate]
train: {steps: 6, batch_size: 2, sequence_tokens: 16, learning_rate: 0.05, seed: 3, threads: 1, checkpoint_steps: 2,
        loss: rows}
evaluate: {rows: 6}
output: {model: tiny}
"""


@cache
def tiny_model() -> Path:
    """Folder with a random two-layer Llama and a word tokenizer, in transformers' layout."""
    prepare()
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = Path(mkdtemp(prefix="tiny-model-"))
    vocabulary = {word: index for index, word in enumerate(("<unk>", "<eos>", *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    wrapped: Any = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<eos>")
    wrapped.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=64, bos_token_id=None, eos_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def byte_tokenizer(
    *, special: Sequence[str] = (), added: Sequence[str] = (), eos_token: str | None = "</s>", **more: Any
) -> Any:
    """A tokenizer of a token a byte: `<unk>`, `<s>` and `</s>` have the numbers 0, 1 and 2."""
    prepare()
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate(["<unk>", "<s>", "</s>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    roles = {"eos_token": eos_token} if eos_token else {}
    wrapped: Any = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", **roles, **more)
    if special:
        wrapped.add_special_tokens({"additional_special_tokens": list(special)})
    if added:
        wrapped.add_tokens(list(added))
    return wrapped


def byte_base(folder: Path, tokenizer: Any, *, rows: int = 259, tied: bool = False) -> Path:
    """A random two-layer Llama with an embedding of so many tokens, and a tokenizer, in transformers' layout."""
    prepare()
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=rows, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=512, bos_token_id=None, eos_token_id=2, tie_word_embeddings=tied,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@dataclass
class TinyChain:
    """A chain reader over dictionaries; ids are found by name, by hex and in bech32m."""

    store: ContentStore
    versions: dict[tuple[str, int], VersionRecord] = field(default_factory=dict)
    entries: dict[str, KnownEntry] = field(default_factory=dict)
    measured: dict[bytes, Sequence[RecordedMeasurement]] = field(default_factory=dict)

    def datanet_version(self, reference: str, version: int) -> VersionRecord:
        return self.versions[_in_hex("oldata", reference), version]

    def entry(self, reference: str) -> KnownEntry:
        return self.entries[_in_hex("olrun", reference)]

    def measurements(self, entry_id: bytes) -> Sequence[RecordedMeasurement]:
        return self.measured.get(entry_id, ())

    def licence_verdict(
        self, kind: str, parents: Sequence[ParentRecord], inputs: Sequence[tuple[bytes, int]]
    ) -> LicenceVerdict:
        return LicenceVerdict(("terms: compatible",), conflict=False)

    def add_version(
        self, name: str, objects: Sequence[Sequence[Mapping[str, Any]]], forms: Sequence[Form] = ()
    ) -> VersionRecord:
        records = []
        for number, rows in enumerate(objects):
            commitment = put_rows(self.store, number, rows)
            form = forms[number] if forms else Form.OTHER
            records.append(ContributionRecord(commitment.content_digest, bytes([number]) * 32, commitment, form=form))
        version = VersionRecord.of(name.encode().ljust(32, b"."), 1, tuple(records))
        self.versions[name, 1] = self.versions[version.datanet_id.hex(), 1] = version
        return version

    def add_entry(self, name: str, record: EntryRecord) -> KnownEntry:
        known = KnownEntry(record.manifest_root, record)
        self.entries[name] = self.entries[known.entry_id.hex()] = known
        return known


def _in_hex(prefix: str, reference: str) -> str:
    return decode_id(reference, prefix)[1].hex() if reference.startswith(f"{prefix}1") else reference


def sentence(number: int, length: int = 8) -> str:
    """A fixed sentence over the tokenizer's words."""
    return " ".join(WORDS[(number * 7 + place * (number % 5 + 1)) % len(WORDS)] for place in range(length))


QUESTIONS = [{"question": sentence(number, 3), "answer": sentence(number + 3, 4)} for number in range(20)]


def fact_batches() -> list[list[dict[str, str]]]:
    """Rows of the two contributions of `facts`."""
    return [[{"text": f" {sentence(batch * 20 + row)} "} for row in range(20)] for batch in range(2)]


def put_rows(store: ContentStore, number: int, rows: Sequence[Mapping[str, Any]]) -> RowCommitment:
    """Store a batch of rows under salts that depend on its number, so that roots are the same on every run."""
    salts = [(number * 100_000 + index).to_bytes(16, "big") for index in range(len(rows))]
    return put_batch(store, RowBatch.from_objects(rows, salts))


def tiny_chain(folder: Path) -> TinyChain:
    """A chain with the DataNets `facts` and `questions` and the base model `base`."""
    chain = TinyChain(ContentStore.open(folder / "content"))
    chain.add_version("facts", fact_batches())
    chain.add_version("questions", [QUESTIONS])
    add_base(chain, "base", tiny_model())
    return chain


def add_base(chain: TinyChain, name: str, model: Path) -> KnownEntry:
    """Record a model folder as a base model of this name; its files lie in the store."""
    artefact = describe_artefact(model)
    put_artefact(chain.store, model, artefact)
    event = RunEventRecord(1, 2, "test", "", 0)
    record = record_external(
        model_name=name, kind="pretrain", framework="test", recipe=b"random", parents=(), inputs=(),
        folder=model, artefact=artefact, store=chain.store, event=event, terms_id=b"\7" * 32, undeclared="inputs",
    )  # fmt: skip
    return chain.add_entry(name, record.entry)


def tiny_recipe(*replacements: tuple[str, str]) -> Recipe:
    """The recipe above with pieces of its text replaced."""
    text = RECIPE
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new)
    return parse_recipe(text)
