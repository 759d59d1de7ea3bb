"""GGUF files before they are recorded: the header read whole, every tensor in its place, nothing cut or empty.

Own reader of the header: strings and counts of a foreign file are believed only as far as the file reaches, and arrays
(a vocabulary of 250,000 words) are stepped over. Sizes of the many types of numbers are those of the package gguf.
Numbers of quantised types are not looked at, but for a tensor whose bytes are all zero.
"""

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from openledger.errors import UsageError

GGUF_SUFFIX = ".gguf"
_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MAX_KEYS, _MAX_TENSORS, _MAX_DIMENSIONS = 2**16, 2**20, 4
_MAX_NAME_BYTES = 2**16
_MAX_ALIGNMENT = 2**16
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_PIECE_BYTES = 2**22
_DEFAULT_ALIGNMENT = 32
_SHARD = re.compile(r"-([0-9]{5})-of-([0-9]{5})\.gguf\Z")
_LAYER = re.compile(r"blk\.([0-9]+)\.")


class GgufRefused(UsageError):
    """A GGUF file that is not a whole model; the text names file and place."""


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """A tensor of a file: its lengths (fastest first), number of its type, and the place of its bytes."""

    name: str
    lengths: tuple[int, ...]
    type_number: int
    start: int
    byte_count: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The settings of a file by key (an array as its count) and its tensors by name."""

    settings: Mapping[str, Any]
    tensors: Mapping[str, GgufTensor]


def check_gguf(folder: Path, names: Sequence[str]) -> None:
    """Read every GGUF file of a folder, and hold the model in each (or in all its shards) against its settings."""
    whole: dict[str, list[tuple[str, GgufHeader]]] = {}
    for name in names:
        header = read_header(folder / name, name)
        shard = _SHARD.search(name)
        whole.setdefault(f"{name[: shard.start()]} in {int(shard[2])}" if shard else name, []).append((name, header))
    for parts in whole.values():
        _check_model(parts)


def is_gguf(path: Path) -> bool:
    """Whether a file is one by its name or by its first bytes: model stores keep such files under their digest."""
    if path.name.lower().endswith(GGUF_SUFFIX):
        return True
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def read_header(path: Path, name: str) -> GgufHeader:
    """The header of one file, whose tensors all lie in it; raises `GgufRefused`."""
    size = path.stat().st_size
    with path.open("rb") as file:
        reader = _Reader(file, size, name)
        if reader.take(4) != _MAGIC:
            raise GgufRefused(f"{name} is no GGUF file (its first bytes are others): was it downloaded whole?")
        version = reader.number("I")
        if version not in _VERSIONS:
            why = "its numbers are in the other byte order" if not version & 0xFFFF else f"version {version}"
            raise GgufRefused(f"{name} cannot be read here: {why}; convert it to GGUF version 3")
        tensor_count, key_count = reader.number("Q"), reader.number("Q")
        if tensor_count > _MAX_TENSORS or key_count > _MAX_KEYS:
            raise GgufRefused(f"{name} says that it has {tensor_count} tensors and {key_count} settings: it is damaged")
        settings: dict[str, Any] = {}
        for _ in range(key_count):
            key = reader.text()
            if key in settings:
                raise GgufRefused(f"{name} has the setting {key!r} twice: it is damaged")
            settings[key] = reader.value(reader.number("I"))
        heads = [reader.tensor_head() for _ in range(tensor_count)]
        tensors = _placed(name, heads, _data_start(name, settings, file.tell()), _alignment(name, settings), size)
        for tensor in tensors.values():
            _check_numbers(file, tensor, name)
    return GgufHeader(settings, tensors)


@dataclass(frozen=True, slots=True)
class _Reader:
    file: BinaryIO
    size: int
    name: str

    def take(self, count: int) -> bytes:
        if count > self.size - self.file.tell():
            raise GgufRefused(f"{self.name} ends within its header: it was cut, fetch it again")
        return self.file.read(count)

    def number(self, letter: str) -> Any:
        return struct.unpack(f"<{letter}", self.take(struct.calcsize(f"<{letter}")))[0]

    def text(self, most: int = _MAX_NAME_BYTES) -> str:
        count = self.number("Q")
        if count > most:
            raise GgufRefused(f"{self.name} has a name of {count} bytes: it is damaged")
        try:
            return self.take(count).decode()
        except UnicodeDecodeError as error:
            raise GgufRefused(f"{self.name} has a name that is no UTF-8: it is damaged") from error

    def value(self, kind: int) -> Any:
        """A setting; of an array its count, of a long text the empty one."""
        if kind == _STRING:
            count = self.number("Q")
            if count > _MAX_NAME_BYTES:
                self._skip(count)
                return ""
            return self.take(count).decode(errors="replace")
        if kind != _ARRAY:
            return self.number(self._letter(kind))
        inner, count = self.number("I"), self.number("Q")
        if inner == _STRING:
            # Each text has eight bytes at least.
            if count * 8 > self.size - self.file.tell():
                raise GgufRefused(f"{self.name} ends within its header: it was cut, fetch it again")
            for _ in range(count):
                self._skip(self.number("Q"))
        else:
            self._skip(count * struct.calcsize(f"<{self._letter(inner)}"))
        return count

    def tensor_head(self) -> tuple[str, tuple[int, ...], int, int]:
        name, dimensions = self.text(), self.number("I")
        if not 0 < dimensions <= _MAX_DIMENSIONS:
            raise GgufRefused(f"{self.name}: tensor {name} has {dimensions} dimensions: the file is damaged")
        return name, tuple([self.number("Q") for _ in range(dimensions)]), self.number("I"), self.number("Q")

    def _letter(self, kind: int) -> str:
        if kind not in _SCALARS:
            raise GgufRefused(f"{self.name} has a setting of an unknown kind ({kind}): it is damaged")
        return _SCALARS[kind]

    def _skip(self, count: int) -> None:
        if count > self.size - self.file.tell():
            raise GgufRefused(f"{self.name} ends within its header: it was cut, fetch it again")
        self.file.seek(count, 1)


def _alignment(name: str, settings: Mapping[str, Any]) -> int:
    value = settings.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(value, int) or not 0 < value <= _MAX_ALIGNMENT or value & (value - 1):
        raise GgufRefused(f"{name} has the alignment {value}, which is no power of two: it is damaged")
    return value


def _data_start(name: str, settings: Mapping[str, Any], header_bytes: int) -> int:
    alignment = _alignment(name, settings)
    return -(-header_bytes // alignment) * alignment


def _placed(
    name: str, heads: Sequence[tuple[str, tuple[int, ...], int, int]], start: int, alignment: int, size: int
) -> dict[str, GgufTensor]:
    """The tensors with their places: none outside the file, none over another, none of an unknown type."""
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    sizes = {int(kind): GGML_QUANT_SIZES[kind] for kind in GGMLQuantizationType if kind in GGML_QUANT_SIZES}
    tensors: dict[str, GgufTensor] = {}
    end = start
    for tensor, lengths, kind, offset in sorted(heads, key=lambda head: head[3]):
        if tensor in tensors:
            raise GgufRefused(f"{name} has tensor {tensor} twice: it is damaged")
        if kind not in sizes:
            raise GgufRefused(
                f"{name}: tensor {tensor} has numbers of the unknown type {kind}: update the package gguf"
            )
        block, block_bytes = sizes[kind]
        if not all(lengths) or lengths[0] % block:
            raise GgufRefused(f"{name}: tensor {tensor} has the lengths {lengths}: the file is damaged")
        byte_count = prod(lengths) // block * block_bytes
        if offset % alignment or start + offset < end:
            raise GgufRefused(f"{name}: tensor {tensor} does not begin where it may: the file is damaged")
        end = start + offset + byte_count
        if end > size:
            raise GgufRefused(
                f"{name} has {size} bytes and ends within tensor {tensor} (byte {end}): it was cut, fetch it again"
            )
        tensors[tensor] = GgufTensor(
            name=tensor, lengths=lengths, type_number=kind, start=start + offset, byte_count=byte_count
        )
    if size - end >= alignment:
        raise GgufRefused(f"{name} has {size - end} bytes behind its last tensor, which no loader reads: it is damaged")
    return tensors


def _check_numbers(file: BinaryIO, tensor: GgufTensor, name: str) -> None:
    """A matrix is not zero everywhere, and numbers of the types of float are finite."""
    import numpy as np

    # Numbers of F32 and F16 in GGUF's own table of types.
    kinds: dict[int, str] = {0: "<f4", 1: "<f2"}
    file.seek(tensor.start)
    left, has_number = tensor.byte_count, len(tensor.lengths) == 1
    while left:
        piece = file.read(min(left, _PIECE_BYTES))
        left -= len(piece)
        numbers = np.frombuffer(piece, kinds[tensor.type_number]) if tensor.type_number in kinds else None
        if numbers is not None and not bool(np.isfinite(numbers).all()):
            raise GgufRefused(f"{name}: tensor {tensor.name} holds numbers that are not finite")
        has_number = has_number or piece.count(0) < len(piece)
        if has_number and numbers is None:
            return
    if not has_number:
        raise GgufRefused(f"{name}: tensor {tensor.name} is zero everywhere: was the file downloaded whole?")


def _check_model(parts: Sequence[tuple[str, GgufHeader]]) -> None:
    """The tensors of a model against its own settings: shards, layers, width and vocabulary."""
    name, first = parts[0]
    settings = first.settings
    tensors = {key: tensor for _, header in parts for key, tensor in header.tensors.items()}
    if settings.get("general.type", "model") == "adapter":
        raise GgufRefused(
            f"{name} holds an adapter, which cannot be read here: record the adapter's safetensors as lora"
        )
    wanted = settings.get("split.count", 1)
    if not tensors:
        raise GgufRefused(f"{name} holds no tensors: fetch a whole model")
    if wanted > 1 and wanted != len(parts):
        raise GgufRefused(f"{name} is one of {wanted} parts, of which {len(parts)} are there: fetch the others")
    if settings.get("split.tensors.count", len(tensors)) != len(tensors):
        raise GgufRefused(f"{name} belongs to {settings['split.tensors.count']} tensors, {len(tensors)} are there")
    kind = settings.get("general.architecture")
    if not isinstance(kind, str) or not kind:
        raise GgufRefused(f"{name} does not say which architecture it is of (general.architecture): it is damaged")
    depth, width = settings.get(f"{kind}.block_count"), settings.get(f"{kind}.embedding_length")
    layers = {int(match[1]) for match in map(_LAYER.match, tensors) if match}
    if isinstance(depth, int) and layers and layers != set(range(depth)):
        odd = min(layers ^ set(range(depth)))
        raise GgufRefused(f"{name} says that it has {depth} layers; layer {odd} is {_layer_words(odd, depth)}")
    words = settings.get("tokenizer.ggml.tokens", settings.get(f"{kind}.vocab_size"))
    embedding = tensors.get("token_embd.weight")
    for what, says, index in (("width", width, 0), ("vocabulary", words, 1)):
        if embedding and isinstance(says, int) and (*embedding.lengths, 1)[index] != says:
            raise GgufRefused(
                f"{name} says that its {what} is {says}, token_embd.weight is {' x '.join(map(str, embedding.lengths))}"
            )


def _layer_words(layer: int, depth: int) -> str:
    return "missing: fetch it again" if layer < depth else "one too many: the file is put together"
