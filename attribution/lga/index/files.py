"""Files of an index: written whole or not at all, and read with every size checked before anything is parsed.

An array file holds some numeric arrays and a small JSON note about them:

    openledger-arrays/1\\n | header length, 4 bytes | SHA-256 of the header | header | arrays, C order, little-endian

The header is canonical JSON: {"about": ..., "arrays": [[name, type, shape, SHA-256]...]}. One array can be read and
checked without the others. A file has one form for one content, so that its SHA-256 stands for the content.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from abci_app.integers import NumbersRefused
from attribution.errors import AttributionError
from openledger.content.files import replacing
from openledger.data.manifest import ManifestError, to_json

MAGIC = b"openledger-arrays/1\n"
# 4,096 modules with two arrays and names of 200 bytes stay below.
MAX_HEADER_BYTES = 4 * 2**20
MAX_ARRAYS = 16_384
MAX_DIMENSIONS = 3
# One array in memory at a time: a piece of gradients of one module, or a basis.
MAX_ARRAY_BYTES = 8 * 2**30
_DIGEST_BYTES = 32
_PREFIX_BYTES = len(MAGIC) + 4 + _DIGEST_BYTES
_TYPES = ("<f4", "<f8", "<i2", "<i4", "<i8")
_CHUNK_BYTES = 2**20

Array = npt.NDArray[Any]


class DamagedFile(AttributionError):
    """An array file is missing, cut short or changed: `path` can be made or fetched again."""

    def __init__(self, path: Path, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.path = path


@dataclass(frozen=True, slots=True)
class _Place:
    type: str
    shape: tuple[int, ...]
    digest: bytes
    offset: int

    @property
    def byte_count(self) -> int:
        return int(np.dtype(self.type).itemsize) * math.prod(self.shape)


@dataclass(frozen=True)
class ArrayFile:
    """An array file that has been opened: `about` and the names are known, arrays are read one by one."""

    path: Path
    field: str
    about: Any
    places: Mapping[str, _Place]

    @classmethod
    def open(cls, path: Path, field: str) -> "ArrayFile":
        """Read the header; raises `DamagedFile` for `field` when the file is missing, cut short or malformed."""
        try:
            size = path.stat().st_size
            with path.open("rb") as source:
                header = _read_header(source, size, field)
            places, end = _places(header, field)
        except OSError as error:
            raise DamagedFile(path, field, f"{path.name} cannot be read: {error.strerror or error}") from error
        except NumbersRefused as error:
            raise DamagedFile(path, field, error.reason) from error
        if end + _PREFIX_BYTES + len(to_json(header)) != size:
            raise DamagedFile(path, field, f"{path.name} has {size} bytes, not what its header says; fetch it again")
        start = size - end
        moved = {
            name: _Place(type=place.type, shape=place.shape, digest=place.digest, offset=place.offset + start)
            for name, place in places.items()
        }
        return cls(path, field, header["about"], moved)

    def read(self, name: str) -> Array:
        """One array, checked against its digest; raises `DamagedFile`, `AttributionError` for an unknown name."""
        place = self.places.get(name)
        if place is None:
            raise AttributionError(self.field, f"{self.path.name} has no array {name!r}")
        try:
            with self.path.open("rb") as source:
                source.seek(place.offset)
                data = source.read(place.byte_count)
        except OSError as error:
            reason = f"{self.path.name} cannot be read: {error.strerror or error}"
            raise DamagedFile(self.path, self.field, reason) from error
        if sha256(data).digest() != place.digest:
            reason = f"array {name!r} of {self.path.name} is damaged; fetch it again"
            raise DamagedFile(self.path, self.field, reason)
        values: Array = np.frombuffer(data, dtype=place.type).reshape(place.shape)
        return values.astype(values.dtype.newbyteorder("="))


def write_arrays(path: Path, arrays: Mapping[str, Array], about: Any = "") -> None:
    """Write an array file in one step: readers see all of it or none, also after a power failure."""
    rows, blobs = [], []
    for name, values in arrays.items():
        type_ = values.dtype.newbyteorder("<").str
        if type_ not in _TYPES:
            raise AttributionError(name, f"has type {values.dtype}; files hold {', '.join(_TYPES)}")
        blob = np.ascontiguousarray(values, dtype=type_).tobytes()
        rows.append([name, type_, list(values.shape), sha256(blob).hexdigest()])
        blobs.append(blob)
    header = to_json({"about": about, "arrays": rows})
    prefix = MAGIC + len(header).to_bytes(4, "little") + sha256(header).digest()
    write_whole(path, [prefix, header, *blobs])


def write_whole(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file in one step, from pieces that need not be in memory together."""
    with replacing(path) as sink:
        sink.writelines(chunks)


def read_whole(path: Path, field: str, max_bytes: int) -> bytes:
    """A small file; raises `AttributionError` for `field` when it is missing or larger than `max_bytes`."""
    try:
        with path.open("rb") as source:
            data = source.read(max_bytes + 1)
    except OSError as error:
        raise AttributionError(field, f"{path.name} cannot be read: {error.strerror or error}") from error
    if len(data) > max_bytes:
        raise AttributionError(field, f"{path.name} has more than {max_bytes} bytes")
    return data


def digest_of(path: Path, field: str, expected_bytes: int) -> tuple[bytes, int]:
    """SHA-256 and size of a file; raises `AttributionError` for `field` when it is missing or of another size."""
    hasher, size = sha256(), 0
    try:
        found = path.stat().st_size
        if found != expected_bytes:
            raise AttributionError(field, f"{path.name} has {found} bytes, not {expected_bytes}; fetch it again")
        with path.open("rb") as source:
            while chunk := source.read(_CHUNK_BYTES):
                hasher.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise AttributionError(field, f"{path.name} cannot be read: {error.strerror or error}") from error
    return hasher.digest(), size


def _read_header(source: IO[bytes], size: int, field: str) -> Any:
    prefix = source.read(_PREFIX_BYTES)
    if not prefix.startswith(MAGIC) or len(prefix) < _PREFIX_BYTES:
        raise AttributionError(field, "is no array file (no 'openledger-arrays/1' at its start, or cut short)")
    length = int.from_bytes(prefix[len(MAGIC) : len(MAGIC) + 4], "little")
    if not 0 < length <= min(MAX_HEADER_BYTES, size - _PREFIX_BYTES):
        raise AttributionError(field, f"announces a header of {length} bytes in a file of {size}")
    data = source.read(length)
    if sha256(data).digest() != prefix[-_DIGEST_BYTES:]:
        raise AttributionError(field, "has a damaged header; fetch it again")
    try:
        header = json.loads(data)
        if not isinstance(header, dict) or set(header) != {"about", "arrays"} or to_json(header) != data:
            raise AttributionError(field, "has a header in another form than this program writes")
    except (ValueError, RecursionError, ManifestError) as error:
        raise AttributionError(field, f"has a header that cannot be read: {error}") from error
    return header


def _places(header: Any, field: str) -> tuple[dict[str, _Place], int]:
    """Where every array lies after the header, and where the last one ends."""
    rows: Sequence[Any] = header["arrays"]
    if not isinstance(rows, list) or len(rows) > MAX_ARRAYS:
        raise AttributionError(field, f"must list at most {MAX_ARRAYS} arrays")
    places: dict[str, _Place] = {}
    offset = 0
    for row in rows:
        place = _place(row, offset)
        if place is None or row[0] in places:
            raise AttributionError(field, f"describes an array that cannot be: {str(row)[:100]}")
        places[row[0]] = place
        offset += place.byte_count
    return places, offset


def _place(row: Any, offset: int) -> _Place | None:
    if not isinstance(row, list) or len(row) != 4:
        return None
    name, type_, shape, digest = row
    if not isinstance(name, str) or type_ not in _TYPES or not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS:
        return None
    if any(type(size) is not int or not 0 <= size <= MAX_ARRAY_BYTES for size in shape):
        return None
    if not isinstance(digest, str) or len(digest) != 2 * _DIGEST_BYTES or set(digest) - set("0123456789abcdef"):
        return None
    place = _Place(type=type_, shape=tuple(shape), digest=bytes.fromhex(digest), offset=offset)
    return place if place.byte_count <= MAX_ARRAY_BYTES else None
