"""Array files: whole or not at all, one form for one content, every size checked before anything is parsed."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attribution.errors import AttributionError
from attribution.lga.basis import ModuleBasis, ModuleScale
from attribution.lga.index.files import (
    MAGIC,
    MAX_ARRAYS,
    ArrayFile,
    DamagedFile,
    digest_of,
    read_whole,
    write_arrays,
    write_whole,
)
from attribution.lga.index.map_files import read_basis, read_scales, write_basis, write_scales
from attribution.lga.parameters import ModuleShape

pytestmark = pytest.mark.ml


def some_arrays() -> dict[str, Any]:
    return {
        "codes": np.arange(-3, 3, dtype=np.int16).reshape(2, 3),
        "nothing": np.zeros((0, 4), dtype=np.float64),
        "sums": np.array([2**62, -(2**63)], dtype=np.int64),
        "swapped": np.array([1.5, 2.5], dtype=">f4"),
    }


def test_arrays_come_back_one_by_one(tmp_path: Path) -> None:
    write_arrays(tmp_path / "file", some_arrays(), {"note": [1, 2]})
    stored = ArrayFile.open(tmp_path / "file", "field")
    assert stored.about == {"note": [1, 2]}
    assert list(stored.places) == list(some_arrays())
    for name, values in some_arrays().items():
        found = stored.read(name)
        assert np.array_equal(found, values)
        assert found.dtype == values.dtype.newbyteorder("=")
    with pytest.raises(AttributionError, match="field: file has no array 'other'"):
        stored.read("other")


def test_one_content_has_one_form(tmp_path: Path) -> None:
    write_arrays(tmp_path / "one", some_arrays())
    write_arrays(tmp_path / "other", {name: values.copy() for name, values in some_arrays().items()})
    size = (tmp_path / "one").stat().st_size
    assert digest_of(tmp_path / "one", "f", size) == digest_of(tmp_path / "other", "f", size)
    with pytest.raises(AttributionError, match=f"f: one has {size} bytes, not {size + 1}"):
        digest_of(tmp_path / "one", "f", size + 1)


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    def chunks() -> Any:
        yield b"first"
        raise RuntimeError("stopped")

    (tmp_path / "file").write_bytes(b"before")
    with pytest.raises(RuntimeError, match="stopped"):
        write_whole(tmp_path / "file", chunks())
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"before")]
    with pytest.raises(AttributionError, match="x: has type complex128"):
        write_arrays(tmp_path / "file", {"x": np.zeros(1, dtype=np.complex128)})


def test_small_files_are_read_up_to_their_limit(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_whole(tmp_path / "file", "f", 5) == b"12345"
    with pytest.raises(AttributionError, match="f: file has more than 4 bytes"):
        read_whole(tmp_path / "file", "f", 4)
    with pytest.raises(AttributionError, match="f: absent cannot be read: No such file"):
        read_whole(tmp_path / "absent", "f", 4)


def forged(header: Any, body: bytes = b"") -> bytes:
    data = header if isinstance(header, bytes) else json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    return MAGIC + len(data).to_bytes(4, "little") + sha256(data).digest() + data + body


def array_row(**changes: Any) -> list[Any]:
    row = {"name": "a", "type": "<i2", "shape": [1], "digest": "00" * 32} | changes
    return [row["name"], row["type"], row["shape"], row["digest"]]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        MAGIC,
        MAGIC + b"\xff\xff\xff\xff" + bytes(40),
        MAGIC + (5).to_bytes(4, "little") + bytes(32) + b"{}   ",
        forged(b"not json"),
        forged(b"[" * 100_000),
        forged(b'{"about": 1, "arrays": []}'),
        forged({"about": "", "arrays": [], "more": 1}),
        forged({"about": "", "arrays": {}}),
        forged({"about": 1.5, "arrays": []}),
        forged(b'{"about":NaN,"arrays":[]}'),
        forged({"about": "", "arrays": [array_row()]}),
        forged({"about": "", "arrays": [array_row(), array_row()]}, bytes(4)),
        forged({"about": "", "arrays": [array_row(shape=[-1])]}),
        forged({"about": "", "arrays": [array_row(shape=[2**62, 2**62])]}),
        forged({"about": "", "arrays": [array_row(shape=[True])]}, bytes(2)),
        forged({"about": "", "arrays": [array_row(shape=[1] * 4)]}, bytes(2)),
        forged({"about": "", "arrays": [array_row(type="|O")]}, bytes(8)),
        forged({"about": "", "arrays": [array_row(type=["<i2"])]}, bytes(2)),
        forged({"about": "", "arrays": [array_row(digest="zz" * 32)]}, bytes(2)),
        forged({"about": "", "arrays": [array_row(digest=0)]}, bytes(2)),
        forged({"about": "", "arrays": [7]}),
        forged({"about": "", "arrays": [array_row()] * (MAX_ARRAYS + 1)}),
    ],
)
def test_whatever_is_no_array_file_is_refused_under_its_field(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(DamagedFile) as refused:
        ArrayFile.open(tmp_path / "file", "basis/0000")
    assert (refused.value.field, refused.value.path) == ("basis/0000", tmp_path / "file")
    assert str(refused.value) == f"basis/0000: {refused.value.reason}"


def test_a_file_that_is_not_there_or_goes_away_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(DamagedFile, match="f: file cannot be read: No such file") as refused:
        ArrayFile.open(path, "f")
    assert refused.value.path == path
    write_arrays(path, some_arrays())
    stored = ArrayFile.open(path, "f")
    path.unlink()
    with pytest.raises(DamagedFile, match="f: file cannot be read: No such file"):
        stored.read("codes")


MODULES = [ModuleShape("a", 3, 2, 2, 1), ModuleShape("b", 2, 2, 1, 2)]


def some_bases() -> list[ModuleBasis]:
    return [
        ModuleBasis(
            np.full((module.out_features, module.directions), -32_767, np.int16),
            15,
            np.full((module.in_features, module.rank_directions), 32_767, np.int16),
            14,
        )
        for module in MODULES
    ]


def test_bases_and_scales_come_back(tmp_path: Path) -> None:
    write_basis(tmp_path / "basis", some_bases())
    found = read_basis(tmp_path / "basis", MODULES, "basis/0000")
    for one, other in zip(found, some_bases(), strict=True):
        assert np.array_equal(one.output, other.output)
        assert np.array_equal(one.rank, other.rank)
        assert (one.output_exponent, one.rank_exponent) == (15, 14)
    scales = [ModuleScale(np.array([[2**31 - 1], [0]], np.int32), -3), ModuleScale(np.ones((1, 2), np.int32), 40)]
    write_scales(tmp_path / "scales", scales)
    again = read_scales(tmp_path / "scales", MODULES, "scales/0000")
    assert [(item.values.tolist(), item.exponent) for item in again] == [
        ([[2**31 - 1], [0]], -3),
        ([[1, 1]], 40),
    ]


def test_bases_and_scales_of_another_index_or_out_of_range_are_refused_by_module(tmp_path: Path) -> None:
    path = tmp_path / "file"
    low = some_bases()
    low[1].output[0, 0] = -32_768
    short = [some_bases()[0]]
    swapped = some_bases()[::-1]
    for bases, field in ((low, "basis/0000.b"), (short, "basis/0000"), (swapped, "basis/0000.a")):
        write_basis(path, bases)
        with pytest.raises(AttributionError) as refused:
            read_basis(path, MODULES, "basis/0000")
        assert refused.value.field == field
    for exponents in ([32, 1], [-1, 1], ["1", 1], [1], 7, [True, 1]):
        arrays: dict[str, Any] = {"0000/output": some_bases()[0].output, "0000/rank": some_bases()[0].rank}
        write_arrays(path, arrays, [exponents])
        with pytest.raises(AttributionError) as refused:
            read_basis(path, MODULES[:1], "basis/0000")
        assert refused.value.field == "basis/0000.a"
    wrong: list[tuple[Any, int]] = [
        (np.array([[-1], [1]], np.int32), 1),
        (np.array([[1, 1]], np.int32), 1),
        (np.array([[1], [1]], np.int64), 1),
        (np.array([[1], [1]], np.int32), 601),
    ]
    for values, exponent in wrong:
        write_arrays(path, {"0000": values}, [exponent])
        with pytest.raises(AttributionError) as refused:
            read_scales(path, MODULES[:1], "scales/0000")
        assert refused.value.field == "scales/0000.a"
