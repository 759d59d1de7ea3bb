"""Digests of model artefacts: the files of a folder, and its tensors, whichever files they lie in.

Two digests, two purposes. The **artefact digest** names exact files and is the root digest of the OpenSSF
model-signing format v1.0 (`subject[0].digest.sha256` of its in-toto statement), so that a signature made with that
tool and our record speak of the same thing. The **tensor digest** names the numbers, and stays when a file is
resharded or its metadata change. Standard library only; files are streamed. Which files of a folder count
is decided in `openledger.content.folder`.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from abci_app.hashing import TAGS, tagged_hash, uvarint
from openledger.content.folder import ArtefactError, ArtefactFile, artefact_files
from openledger.content.store import CHUNK_BYTES, ContentStore, file_digest

MAX_TENSORS = 1_000_000
# safetensors itself refuses larger headers.
MAX_HEADER_BYTES = 100_000_000
# Far beyond any file, and within what a file's position can be.
MAX_OFFSET = 2**62
_DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Artefact:
    """Files in model-signing order, and the digests that go on the chain."""

    files: tuple[ArtefactFile, ...]
    artefact_digest: bytes
    tensor_digest: bytes
    byte_count: int


def describe_artefact(folder: Path, leave_out: Collection[str] = ()) -> Artefact:
    """Hash a folder of model files; its tensors are those of all `*.safetensors` files in it."""
    files = tuple(artefact_files(folder, leave_out))
    tensors = [folder / file.name for file in files if file.name.endswith(".safetensors")]
    if not tensors:
        raise ArtefactError(f"{folder.name} holds no .safetensors file; save the model with safetensors first")
    return Artefact(
        files=files,
        artefact_digest=model_signing_root(files),
        tensor_digest=tensor_digest(tensors),
        byte_count=sum(file.byte_count for file in files),
    )


def model_signing_root(files: Iterable[ArtefactFile]) -> bytes:
    """SHA-256 over the concatenated raw SHA-256 digests of the files, ordered by path (components, code points).

    This is the root digest of model-signing v1.0 with method "files" and hash "sha256". It binds contents and order,
    not names; names are bound by the manifest's `output` part and, for tensors, by the tensor digest.
    """
    ordered = sorted(files, key=lambda file: PurePosixPath(file.name))
    return sha256(b"".join(file.digest for file in ordered)).digest()


def tensor_digest(paths: Iterable[Path]) -> bytes:
    """Canonical digest of all tensors of some safetensors files, independent of their layout.

    H('openledger/tensors/v1', uvarint(n) || item...) with one item a tensor, names in byte order:
    uvarint(len name) || name || uvarint(len dtype) || dtype || uvarint(rank) || uvarint(each dimension)... ||
    SHA-256(its little-endian, row-major bytes). Names are UTF-8, dtypes as safetensors writes them ("F32").
    """
    items: dict[bytes, bytes] = {}
    for path in paths:
        with path.open("rb") as source:
            for name, item in _tensor_items(path.name, source):
                if name in items:
                    raise ArtefactError(f"{path.name}: tensor {name.decode()} occurs twice")
                items[name] = item
    if len(items) > MAX_TENSORS:
        raise ArtefactError(f"{len(items)} tensors, more than {MAX_TENSORS}")
    return tagged_hash(TAGS["tensors"], uvarint(len(items)) + b"".join(items[name] for name in sorted(items)))


def _tensor_items(file_name: str, source: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """(name, item) of every tensor in one safetensors file, which they fill without gap, overlap or rest."""
    header_size = int.from_bytes(source.read(8), "little")
    if not 0 < header_size <= MAX_HEADER_BYTES:
        raise ArtefactError(f"{file_name} is not a safetensors file (header of {header_size} bytes)")
    text = source.read(header_size)
    if len(text) < header_size:
        raise ArtefactError(f"{file_name} is not a safetensors file: it is cut short in its header")
    try:
        described = _read_header(text)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise ArtefactError(f"{file_name} is not a safetensors file: {error}") from error
    filled = 0
    for name, dtype, shape, start, end in sorted(described, key=lambda each: each[3:]):
        size = _tensor_bytes(file_name, name, dtype, shape)
        if not 0 <= start <= MAX_OFFSET:
            raise ArtefactError(f"{file_name}: tensor {name.decode()} begins at {start}, outside of any file")
        if end - start != size:
            raise ArtefactError(f"{file_name}: tensor {name.decode()} has {end - start} bytes, its shape needs {size}")
        if start != filled:
            raise ArtefactError(
                f"{file_name}: tensor {name.decode()} begins at {start}, the one before ends at {filled}"
            )
        filled = end
        item = uvarint(len(name)) + name + uvarint(len(dtype)) + dtype.encode() + uvarint(len(shape))
        item += b"".join(uvarint(dimension) for dimension in shape)
        yield name, item + _read_hashed(file_name, source, size)
    if source.read(1):
        raise ArtefactError(f"{file_name} goes on behind its last tensor: it was written over or put together")


def _read_header(text: bytes) -> list[tuple[bytes, str, list[int], int, int]]:
    """(name, dtype, shape, start, end) of every tensor; raises for what safetensors' own reader would refuse."""
    header = json.loads(text, object_pairs_hook=_unique)
    described = []
    for name, value in header.items():
        if name == "__metadata__":
            if not all(isinstance(item, str) for item in value.values()):
                raise ValueError("its metadata are not texts")
            continue
        start, end = value["data_offsets"]
        numbers = [start, end, *value["shape"]]
        if not all(type(number) is int for number in numbers) or type(value["dtype"]) is not str:
            raise ValueError(f"tensor {name} has a dtype, shape or offsets of another form")
        described.append((name.encode(), value["dtype"], list(value["shape"]), start, end))
    return described


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in its header")
    return found


def _tensor_bytes(file_name: str, name: bytes, dtype: str, shape: list[int]) -> int:
    if dtype not in _DTYPE_BITS or any(dimension < 0 for dimension in shape):
        raise ArtefactError(f"{file_name}: tensor {name.decode()} has unknown dtype {dtype!r} or shape {shape}")
    size = _DTYPE_BITS[dtype] // 8
    for dimension in shape:
        size *= dimension
    return size


def _read_hashed(file_name: str, source: BinaryIO, size: int) -> bytes:
    hasher = sha256()
    while size > 0:
        chunk = source.read(min(size, CHUNK_BYTES))
        if not chunk:
            raise ArtefactError(f"{file_name} is cut short")
        hasher.update(chunk)
        size -= len(chunk)
    return hasher.digest()


def put_artefact(store: ContentStore, folder: Path, artefact: Artefact) -> None:
    """Store every file of an artefact under its digest."""
    for file in artefact.files:
        if store.put_file(folder / file.name) != file.digest:
            raise ArtefactError(f"{file.name} changed since the artefact was described")


def get_artefact(store: ContentStore, files: Iterable[ArtefactFile], folder: Path) -> None:
    """Bring an artefact's files into `folder`, each checked against its digest; files that are there already stay."""
    for file in files:
        path = PurePosixPath(file.name)
        if path.is_absolute() or ".." in path.parts:
            raise ArtefactError(f"file name {file.name!r} leads out of the artefact's folder")
        target = folder / path
        if not target.exists() or file_digest(target) != file.digest:
            store.get_file(file.digest, target)
