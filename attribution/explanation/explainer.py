"""Explaining an output: indexes fetched and checked, query codes computed, the document put together; and the reverse.

An explanation is made of what cannot be derived (codes of the query, proofs, which rows are shown); everything else
follows from it and from the chain (attribution.explanation.explanation). `reexecute` computes the codes again with the
recorded model and compares them within the band of the method.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from abci_app.bech32 import encode_id
from abci_app.modules.models.kinds import EntryKind
from abci_app.modules.models.records import Entry, StoredEntry
from attribution.adapted_model import AdaptedModel
from attribution.adapter_config import CONFIG_FILE
from attribution.entry import GRADIENTS, SPANS, EntryCommitment, get_commitment
from attribution.errors import AttributionError
from attribution.explanation.document import ContributionLine, Explanation, GradientPart, from_base64
from attribution.explanation.evidence import IndexEvidence
from attribution.explanation.explanation import explain
from attribution.explanation.facts import KnownEntries
from attribution.explanation.parts import (
    Exchange,
    LayerInputs,
    contributions_to_show,
    embeddable,
    reached,
    rows_to_show,
)
from attribution.explanation.registration import ContributionSource
from attribution.lga import codes as code_form
from attribution.lga.code_clusters import check_copies
from attribution.lga.codes import Codes
from attribution.lga.commitment import ItemProof
from attribution.lga.index.adapters import adapters_of
from attribution.lga.index.reader import GradientIndex
from attribution.lga.query import (
    MAX_CODE_DIFFERENCE,
    REPEATED_BAND,
    at_checkpoints,
    deviation,
    query_codes,
    query_tokens,
)
from attribution.spans.index import SpanIndex
from attribution.spans.proof import prove_spans
from attribution.stored import fetch_index
from attribution.text_tokens import open_tokenizer, prompt_ids, text_ids
from openledger.content.files import cache_home
from openledger.content.store import ContentErased, ContentMissing, ContentStore
from openledger.data.outputs import fetch_output
from openledger.data.rows import load_batch
from openledger.errors import NotVerified, UsageError

# torch has no class of its own for this on a CPU.
_NO_MEMORY = re.compile("(?i)(allocate|out of) memory")
Say = Callable[[str], None]
# Entry id and entry -> a folder with its output files, checked against the entry.
OutputSource = Callable[[bytes, Entry], Path]
DEFAULT_ROWS = 5
DEFAULT_MAX_TOKENS = 48
# Of each layer, the best ones.
SHOWN_CONTRIBUTIONS = 20


@dataclass(frozen=True)
class LayerIndexes:
    """The indexes of one layer, fetched; the gradient index's adapters lie beside its files."""

    commitment: EntryCommitment
    gradients: GradientIndex | None
    spans: SpanIndex | None
    # Why there is no span index although the entry committed to one: its text was erased.
    spans_erased: str = ""


def stored_outputs(store: ContentStore) -> OutputSource:
    """Output files of entries, out of the content store."""

    def folder_of(entry_id: bytes, entry: Entry) -> Path:
        folder, _ = fetch_output(
            store,
            entry_id=entry_id,
            manifest_root=entry.manifest_root,
            artefact_digest=entry.output.artefact_digest,
            tensor_digest=entry.output.tensor_digest,
        )
        return folder

    return folder_of


class Explainer:
    """One entry with everything that its explanations need; models are loaded when they are first used."""

    def __init__(
        self,
        entries: KnownEntries,
        store: ContentStore,
        say: Say = lambda _: None,
        outputs: OutputSource | None = None,
    ) -> None:
        self.entries = entries
        self._store = store
        self._outputs = outputs or stored_outputs(store)
        self._say = say
        self._indexes: dict[bytes, LayerIndexes] = {}
        self._evidence: dict[bytes, IndexEvidence] = {}
        self._models: dict[tuple[bytes, bytes], AdaptedModel] = {}
        own = entries.stored[entries.facts.entry_id].entry
        if not own.attribution.method:
            raise UsageError(
                f"entry {_shown(entries.facts.entry_id)} committed to no attribution: only a run whose "
                "recipe has an 'attribution' section can be explained; name another model, or train one so"
            )

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of some tokens."""
        return str(self.tokenizer.decode(list(token_ids)))

    @cached_property
    def tokenizer(self) -> Any:
        """Tokenizer of the explained model; the model is not loaded for it."""
        return open_tokenizer(self._artefact(self._base_of(self.entries.facts.entry_id)))

    # --- Making

    def exchange(self, prompt: str, output: str | None, max_tokens: int = DEFAULT_MAX_TOKENS) -> Exchange:
        """Prompt and output as the model reads and writes them; without `output` the model answers (greedily)."""
        adapted, given = self._final_model(), output is not None
        if output is None:
            self._say("the model answers")
            tokens = adapted.answer(prompt, max_tokens)
            output = str(adapted.tokenizer.decode(tokens.ids[tokens.prompt_length :]))
        else:
            tokens = adapted.exchange_tokens(prompt, output)
        if len(tokens.ids) == tokens.prompt_length:
            why = "the answer is empty" if given else "the model ended at once"
            remedy = "give another one" if given else "end --prompt as those of its training end, or give an --answer"
            raise UsageError(f"there is no output to explain: {why}; {remedy}")
        ids, at = tokens.ids, tokens.prompt_length
        return Exchange(prompt=prompt, prompt_ids=tuple(ids[:at]), output=output, output_ids=tuple(ids[at:]))

    def explain(self, exchange: Exchange, *, rows: int = DEFAULT_ROWS, embed: bool = True) -> Explanation:
        """The document; `embed` puts what its integers are computed from into it, unless that is too large.

        They can then be verified without the index.
        """
        inputs = {
            entry_id: self._layer_inputs(entry_id, exchange, rows, embed=embed) for entry_id in self._indexed_layers()
        }
        return explain(self.entries.facts, exchange, inputs)

    def evidence(self, *, search_copies: bool = True) -> Mapping[bytes, IndexEvidence]:
        """All codes of all layers, checked: what `verify_integers` takes to check the choice of rows as well.

        Which rows are copies is found again, unless only an explanation is made: that takes it from the commitment.
        """
        found: dict[bytes, IndexEvidence] = {}
        for entry_id in self._indexed_layers():
            evidence = self._layer_evidence(entry_id)
            if evidence is not None and evidence.codes is not None:
                if search_copies:
                    check_copies(evidence.codes, evidence.commitment.copies)
                found[entry_id] = evidence
        return found

    def _layer_evidence(self, entry_id: bytes) -> IndexEvidence | None:
        """Evidence of one layer, if it has a gradient index; all of it is read and checked the first time."""
        index = self.indexes(entry_id).gradients
        if index is not None and entry_id not in self._evidence:
            self._evidence[entry_id] = IndexEvidence.of_index(index, with_codes=True, search_copies=False)
        return self._evidence.get(entry_id)

    def indexed_contributions(self) -> frozenset[bytes]:
        """Contributions whose rows the indexes of all layers have: an explanation may quote any of them."""
        found: set[bytes] = set()
        for entry_id in self._indexed_layers():
            indexes = self.indexes(entry_id)
            if indexes.gradients is not None:
                found |= {leaf.contribution_id for leaf in indexes.gradients.leaves}
            if indexes.spans is not None:
                count = indexes.spans.commitment.parameters.document_count
                found |= {indexes.spans.document(number).contribution_id for number in range(count)}
        return frozenset(found)

    def _indexed_layers(self) -> list[bytes]:
        """Entries that get a part of the whole and committed to attribution."""
        facts = self.entries.facts
        return [entry_id for entry_id in reached(facts) if self._stored(entry_id).entry.attribution.method]

    def _layer_inputs(self, entry_id: bytes, exchange: Exchange, rows: int, *, embed: bool) -> LayerInputs:
        indexes = self.indexes(entry_id)
        query, evidence, proofs = None, self._layer_evidence(entry_id), list[ItemProof]()
        contributions: tuple[ContributionLine, ...] = ()
        if indexes.gradients is not None and evidence is not None:
            query = self.query_codes(entry_id, exchange)
            proofs = [indexes.gradients.prove_leaf(number) for number in rows_to_show(evidence, query, rows)]
            contributions = contributions_to_show(evidence, query, SHOWN_CONTRIBUTIONS)
        span_proof = prove_spans(indexes.spans, exchange.output_ids) if indexes.spans is not None else None
        return LayerInputs(
            commitment=indexes.commitment,
            query=query,
            evidence=evidence,
            rows=proofs,
            contributions=contributions,
            embed=embed and evidence is not None and embeddable(evidence, indexes.commitment.policy),
            span_proof=span_proof,
            spans_erased=bool(indexes.spans_erased),
        )

    # --- Floats

    def query_codes(self, entry_id: bytes, exchange: Exchange) -> Codes:
        """Codes of prompt and output under a layer's index: one example, computed singly, at every checkpoint."""
        index = self.indexes(entry_id).gradients
        if index is None:
            raise UsageError(f"entry {_shown(entry_id)} has no gradient index")
        self._say(f"computing gradients under entry {_shown(entry_id)}")
        tokens = query_tokens(exchange.prompt_ids, exchange.output_ids)
        self._model(entry_id).check_length(len(tokens.ids))
        try:
            return query_codes(self.models(entry_id), index.feature_map, tokens, index.precision)
        except (RuntimeError, MemoryError) as error:
            if isinstance(error, RuntimeError) and not _NO_MEMORY.search(str(error)):
                raise
            raise UsageError(
                f"gradients of {len(tokens.ids)} tokens need more memory than there is: shorten prompt or output"
            ) from None

    def models(self, entry_id: bytes) -> Iterator[Any]:
        """The model at every checkpoint of a layer's gradient index, adapters checked against the commitment."""
        index = self.indexes(entry_id).gradients
        if index is None:
            raise UsageError(f"entry {_shown(entry_id)} has no gradient index")
        return at_checkpoints(self._model(entry_id).model, *adapters_of(index))

    def reexecute(self, document: Explanation, band: float = REPEATED_BAND) -> list[str]:
        """Compute all query codes of a document again; one line a layer. Raises `NotVerified` outside of the band."""
        prompt, output = document.prompt, document.output
        exchange = Exchange(
            prompt=prompt.text, prompt_ids=prompt.token_ids, output=output.text, output_ids=output.token_ids
        )
        self._check_text(exchange)
        lines = []
        for number, layer in enumerate(document.layers):
            if not isinstance(layer.gradients, GradientPart):
                continue
            field = f"layers[{number}].gradients.query_codes"
            claimed = code_form.decode(from_base64(layer.gradients.query_codes, field), field)
            own = self.query_codes(bytes.fromhex(layer.entry_id), exchange)
            apart = deviation(claimed, own)
            if not (apart.relative <= band and apart.largest <= MAX_CODE_DIFFERENCE):
                raise NotVerified(
                    f"{field}: the recorded model gives other codes: relative distance {apart.relative:.1e} (allowed "
                    f"{band:.0e}), largest difference {apart.largest:.0f} (allowed {MAX_CODE_DIFFERENCE})"
                )
            lines.append(
                f"query codes under entry {_shown(bytes.fromhex(layer.entry_id))} repeated: "
                f"distance {apart.relative:.1e} of {band:.0e}"
            )
        return lines

    def _check_text(self, exchange: Exchange) -> None:
        """Token ids and texts of a document must be the same thing.

        A prompt has the tokens that the tokenizer gives, so that nobody chooses others which say the same. An output
        may be cut into tokens as the model happened to write it, but none of them outside of the tokenizer: those
        are read by a model and not seen in a text.
        """
        tokenizer = self.tokenizer
        prompt, output = exchange.prompt_ids, exchange.output_ids
        known = all(number < len(tokenizer) for number in output)
        written = known and tokenizer.decode(list(output)) == exchange.output
        for field, same in (
            ("prompt", prompt == prompt_ids(tokenizer, exchange.prompt)),
            ("output", written or output == text_ids(tokenizer, exchange.output)),
        ):
            if not same:
                raise NotVerified(f"{field}.token_ids are not the tokens of {field}.text")

    # --- Fetching

    def indexes(self, entry_id: bytes) -> LayerIndexes:
        """Commitment and indexes of a layer, from the content store, under the roots on the chain."""
        if entry_id not in self._indexes:
            attribution = self._stored(entry_id).entry.attribution
            commitment = get_commitment(self._store, attribution.method, attribution.commitment_root)
            gradients, spans, spans_erased = None, None, ""
            if GRADIENTS in commitment.roots:
                gradients = GradientIndex.open(self._fetch(commitment.roots[GRADIENTS]), commitment.roots[GRADIENTS])
            if SPANS in commitment.roots:
                try:
                    spans = SpanIndex.open(self._fetch(commitment.roots[SPANS]))
                except ContentErased as error:
                    if gradients is None:
                        raise
                    spans_erased = str(error)
                    self._say(f"entry {_shown(entry_id)}: {spans_erased}")
            if spans is not None and spans.commitment.root != commitment.roots[SPANS]:
                raise AttributionError(SPANS, "the stored index has another root: fetch it from another store")
            self._indexes[entry_id] = LayerIndexes(
                commitment=commitment, gradients=gradients, spans=spans, spans_erased=spans_erased
            )
        return self._indexes[entry_id]

    def _fetch(self, root: bytes) -> Path:
        return fetch_index(self._store, root, cache_home() / "indexes" / root.hex())

    def _final_model(self) -> AdaptedModel:
        """The explained model itself: with its recorded adapter, or whole as a full fine-tune leaves it."""
        entry_id = self.entries.facts.entry_id
        if self._stored(entry_id).entry.kind == EntryKind.FULL:
            key = entry_id, b""
            if key not in self._models:
                self._models.clear()  # one model in memory at a time
                self._say("loading the model")
                self._models[key] = AdaptedModel.whole(self._artefact(entry_id))
            return self._models[key]
        adapted = self._model(entry_id)
        adapted.load(self._artefact(entry_id))
        return adapted

    def _model(self, entry_id: bytes) -> AdaptedModel:
        """A model with an adapter of this entry's form; whose numbers are in it, `load` decides."""
        base, adapter = self._base_of(entry_id), self._artefact(entry_id)
        key = base, (adapter / CONFIG_FILE).read_bytes()
        if key not in self._models:
            self._models.clear()  # one model in memory at a time
            self._say("loading the model")
            self._models[key] = AdaptedModel.open(self._artefact(base), adapter)
        return self._models[key]

    def _base_of(self, entry_id: bytes) -> bytes:
        parents = self._stored(entry_id).entry.parents
        base = next((parent.entry_id for parent in parents if parent.role == "base"), None)
        if base is None:
            raise UsageError(f"entry {_shown(entry_id)} names no base model; only fine-tunes can be explained")
        return base

    def _artefact(self, entry_id: bytes) -> Path:
        return self._outputs(entry_id, self._stored(entry_id).entry)

    def _stored(self, entry_id: bytes) -> StoredEntry:
        return self.entries.stored[entry_id]


def why_no_text(source: ContributionSource, store: ContentStore, contribution_id: bytes) -> str:
    """Why the store has no text of a contribution's rows: erased, and when, or not stored."""
    stone = store.find_tombstone(source.contribution(contribution_id).commitment.content_digest)
    return f"erased on {stone.day}" if stone is not None else "not stored here"


def row_text(source: ContributionSource, store: ContentStore, contribution_id: bytes, row_leaf: bytes) -> str | None:
    """Text of a row, checked against the chain; None where the store has not got it."""
    record = source.contribution(contribution_id)
    try:
        batch = load_batch(store, contribution_id, record.commitment)
    except ContentMissing:
        return None
    if row_leaf not in batch.leaves:
        raise NotVerified(f"row {row_leaf.hex()[:16]}… is not in contribution {contribution_id.hex()[:16]}…")
    return batch.rows[batch.leaves.index(row_leaf)].decode()


def _shown(entry_id: bytes) -> str:
    return f"{encode_id('olrun', entry_id)[:20]}…"
