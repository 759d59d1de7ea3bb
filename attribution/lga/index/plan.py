"""Plan of an index: its examples and pieces, fixed by examples and settings before anything is computed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from abci_app.hashing import HASH_BYTES
from attribution.errors import AttributionError
from attribution.lga.code_copies import DEFAULT_COSINE_PPB, check_minimum
from attribution.lga.features import FeatureSettings
from attribution.lga.parameters import MAX_CHECKPOINTS, MAX_EXAMPLES, PRECISIONS, check_range
from attribution.lga.precision import Precision
from attribution.loss import Tokens
from openledger.content.artefact import tensor_digest
from openledger.data.manifest import to_json

# The longest sequences of models in use.
MAX_TOKENS = 2**20


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """One different row that a run trained on: what the model saw, and its leaf (32-byte digests and address).

    `place` orders the rows as the chain registered them: number of the contribution, row in it. Of copies the first is
    credited. `weight` is how often the row's loss counts beside other rows in a step of training: its learned tokens,
    where all tokens of a step count alike, else 1.
    """

    tokens: Tokens
    row_leaf: bytes
    contribution_id: bytes
    owner: bytes
    place: tuple[int, int]
    weight: int = 1


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """How an index is built; all of it is in the commitment.

    `basis_examples`: at most so many examples, evenly spread, fit the bases (0: all); their gradients lie on the disk
    meanwhile. `piece_examples` bounds memory: so many gradients are held at a time. `batch_examples` go through the
    model together, padded with `padding_id`. `threads` of torch. `copy_cosine_ppb`: see attribution.lga.code_copies.
    """

    features: FeatureSettings = field(default_factory=FeatureSettings)
    precision: Precision = "float32"
    basis_examples: int = 2_048
    piece_examples: int = 64
    batch_examples: int = 8
    padding_id: int = 0
    threads: int = 1
    copy_cosine_ppb: int = DEFAULT_COSINE_PPB

    def __post_init__(self) -> None:
        """Refuse what is out of range; raises `AttributionError` for `parameters.<name>` and `copy_cosine_ppb`."""
        check_minimum("copy_cosine_ppb", self.copy_cosine_ppb)
        if self.precision not in PRECISIONS:
            raise AttributionError("parameters.precision", f"must be {' or '.join(PRECISIONS)}")
        for name, value in self.numbers.items():
            check_range(name, value)

    @property
    def numbers(self) -> dict[str, int]:
        """The whole numbers of the settings that are parameters, under their names in `attribution.lga.parameters`."""
        values = asdict(self)
        values |= values.pop("features")
        del values["precision"], values["copy_cosine_ppb"]
        return values | {"rank_directions": self.features.rank_directions or 0}


@dataclass(frozen=True)
class IndexPlan:
    """Examples in the order of the leaves, checkpoints with their digests, and the order of work."""

    examples: tuple[TrainingExample, ...]
    checkpoints: tuple[Path, ...]
    settings: IndexSettings
    module_names: tuple[str, ...] | None
    source: Mapping[str, bytes]

    @classmethod
    def of(
        cls,
        examples: Sequence[TrainingExample],
        checkpoints: Sequence[Path],
        settings: IndexSettings,
        module_names: Sequence[str] | None,
        source: Mapping[str, bytes],
    ) -> "IndexPlan":
        """Sort and check; raises `AttributionError`."""
        if not 0 < len(examples) <= MAX_EXAMPLES:
            raise AttributionError("examples", f"1 to {MAX_EXAMPLES}, not {len(examples)}")
        if not 0 < len(checkpoints) <= MAX_CHECKPOINTS:
            raise AttributionError("checkpoints", f"1 to {MAX_CHECKPOINTS}, not {len(checkpoints)}")
        ordered = tuple(sorted(examples, key=_leaf_order))
        for example in ordered:
            _check(example)
        for one, other in pairwise(ordered):
            if _leaf_order(one) == _leaf_order(other):
                raise AttributionError("examples", f"row {one.row_leaf.hex()[:16]}… is there twice; index it once")
        if len({example.place for example in ordered}) < len(ordered):
            raise AttributionError("examples", "two rows have one place: which was registered first?")
        names = None if module_names is None else tuple(sorted(module_names))
        return cls(ordered, tuple(checkpoints), settings, names, dict(source))

    @cached_property
    def chain_order(self) -> tuple[int, ...]:
        """Numbers of all leaves in the order of the chain."""
        return tuple(sorted(range(len(self.examples)), key=lambda number: self.examples[number].place))

    @cached_property
    def pieces(self) -> tuple[tuple[int, ...], ...]:
        """Numbers of leaves, piece by piece; the first `basis_pieces` are those that the bases are fitted on.

        Within a piece the short examples come first, so that a batch has little padding.
        """
        limit = self.settings.basis_examples or len(self.examples)
        stride = -(-len(self.examples) // limit)
        sampled = list(range(0, len(self.examples), stride))
        rest = [number for number in range(len(self.examples)) if number % stride]
        size = self.settings.piece_examples
        return tuple(
            tuple(sorted(group[start : start + size], key=lambda number: len(self.examples[number].tokens.ids)))
            for group in (sampled, rest)
            for start in range(0, len(group), size)
        )

    @cached_property
    def basis_pieces(self) -> int:
        """How many pieces the bases are fitted on."""
        limit = self.settings.basis_examples or len(self.examples)
        stride = -(-len(self.examples) // limit)
        sampled = -(-len(self.examples) // stride)
        return -(-sampled // self.settings.piece_examples)

    def batches(self, piece: int) -> list[slice]:
        """The batches of a piece, as slices of it."""
        size = self.settings.batch_examples
        return [slice(start, start + size) for start in range(0, len(self.pieces[piece]), size)]

    @cached_property
    def checkpoint_digests(self) -> tuple[bytes, ...]:
        """Tensor digest of every checkpoint: a safetensors file, or a folder with some."""
        return tuple(checkpoint_digest(path) for path in self.checkpoints)

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over everything that the index depends on: the part `build` of its commitment."""
        hasher = sha256(b"openledger/index-build/v1")
        about = {
            "checkpoints": [item.hex() for item in self.checkpoint_digests],
            "copy_cosine_ppb": self.settings.copy_cosine_ppb,
            "modules": list(self.module_names or ()),
            "precision": self.settings.precision,
            "settings": self.settings.numbers,
            "source": {name: sha256(value).hexdigest() for name, value in self.source.items()},
        }
        hasher.update(sha256(to_json(about)).digest())
        for example in self.examples:
            hasher.update(example.row_leaf + example.contribution_id + example.owner)
            ids = b"".join([number.to_bytes(4, "big") for number in example.tokens.ids])
            hasher.update(len(example.tokens.ids).to_bytes(4, "big") + example.tokens.prompt_length.to_bytes(4, "big"))
            hasher.update(ids)
            # Both are left out where they say nothing, as in all indexes that were built before there were any.
            for start, end in example.tokens.passed:
                hasher.update(b"passed" + start.to_bytes(4, "big") + end.to_bytes(4, "big"))
            if example.weight != 1:
                hasher.update(b"weight" + example.weight.to_bytes(8, "big"))
        for number in self.chain_order:
            hasher.update(number.to_bytes(4, "big"))
        return hasher.digest()


def checkpoint_digest(path: Path) -> bytes:
    """Tensor digest of a safetensors file, or of those in a folder; raises `ArtefactError` or `AttributionError`."""
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise AttributionError("checkpoints", f"{path.name} is no safetensors file or folder with one")
    return tensor_digest(files)


def check_tokens(tokens: Tokens, field_name: str) -> None:
    """Token ids are 32-bit numbers; raises `AttributionError`. A row may be so short that nothing is predicted."""
    if not 1 <= len(tokens.ids) <= MAX_TOKENS:
        raise AttributionError(field_name, f"has {len(tokens.ids)} tokens, not 1 to {MAX_TOKENS}")
    if type(tokens.prompt_length) is not int or not 0 <= tokens.prompt_length <= len(tokens.ids):
        raise AttributionError(field_name, f"a prompt of {tokens.prompt_length} of {len(tokens.ids)} tokens")
    edges = [tokens.prompt_length, *[edge for stretch in tokens.passed for edge in stretch], len(tokens.ids)]
    if any(type(edge) is not int for edge in edges) or (tokens.passed and edges != sorted(set(edges))):
        raise AttributionError(field_name, "have stretches without loss out of order")
    if any(type(number) is not int or not 0 <= number < 2**32 for number in tokens.ids):
        raise AttributionError(field_name, "token ids must be integers from 0 to 2^32 - 1")


def _check(example: TrainingExample) -> None:
    place = f"examples.{example.row_leaf.hex()[:16]}"
    for name in ("row_leaf", "contribution_id", "owner"):
        if len(getattr(example, name)) != HASH_BYTES:
            raise AttributionError(f"{place}.{name}", f"must have {HASH_BYTES} bytes")
    check_tokens(example.tokens, f"{place}.tokens")
    if type(example.weight) is not int or not 0 <= example.weight <= MAX_TOKENS:
        raise AttributionError(f"{place}.weight", f"must be an integer from 0 to {MAX_TOKENS}")


def _leaf_order(example: TrainingExample) -> tuple[bytes, bytes]:
    return example.contribution_id, example.row_leaf
