"""Artefact digests: the model-signing root and the canonical tensor digest."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from abci_app.hashing import tagged_hash
from openledger.content.artefact import (
    Artefact,
    describe_artefact,
    get_artefact,
    model_signing_root,
    put_artefact,
    tensor_digest,
)
from openledger.content.folder import ArtefactError, ArtefactFile
from openledger.content.store import ContentStore


def safetensors(tensors: dict[str, tuple[str, list[int], bytes]], metadata: dict[str, str] | None = None) -> bytes:
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    body = b""
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def raw(header: str) -> bytes:
    """A file with this header and three bytes of numbers."""
    return len(header).to_bytes(8, "little") + header.encode() + b"\1\2\3"


TENSORS = {"b": ("F32", [2, 1], b"\1" * 8), "a": ("I8", [3], b"\2\3\4")}


def test_a_folder_has_the_root_digest_of_model_signing(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.txt").write_bytes(b"two")
    (tmp_path / "sub.txt").write_bytes(b"three")
    (tmp_path / "model.safetensors").write_bytes(safetensors(TENSORS))
    (tmp_path / "model.sig").write_bytes(b"left out")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_bytes(b"left out")
    artefact = describe_artefact(tmp_path)
    # By path components: model.safetensors < sub/b.txt < sub.txt, though "/" sorts after "." as text.
    assert [file.name for file in artefact.files] == ["model.safetensors", "sub/b.txt", "sub.txt"]
    expected = sha256(b"".join(sha256(data).digest() for data in (safetensors(TENSORS), b"two", b"three"))).digest()
    assert (artefact.artefact_digest, artefact.byte_count) == (expected, len(safetensors(TENSORS)) + 8)
    assert model_signing_root(reversed(artefact.files)) == expected


def test_the_tensor_digest_is_its_definition(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors(TENSORS))
    item_a = b"\x01a" + b"\x02I8" + b"\x01\x03" + sha256(b"\2\3\4").digest()
    item_b = b"\x01b" + b"\x03F32" + b"\x02\x02\x01" + sha256(b"\1" * 8).digest()
    assert tensor_digest([path]) == tagged_hash("openledger/tensors/v1", b"\x02" + item_a + item_b)


def test_the_tensor_digest_ignores_layout_but_not_names_shapes_or_numbers(tmp_path: Path) -> None:
    def digest(*files: bytes) -> bytes:
        paths = []
        for number, data in enumerate(files):
            paths.append(tmp_path / f"{number}.safetensors")
            paths[-1].write_bytes(data)
        return tensor_digest(paths)

    original = digest(safetensors(TENSORS))
    assert digest(safetensors(dict(reversed(TENSORS.items())), {"format": "pt"})) == original
    assert digest(safetensors({"a": TENSORS["a"]}), safetensors({"b": TENSORS["b"]})) == original
    assert digest(safetensors(TENSORS | {"a": ("I8", [3], b"\2\3\5")})) != original
    assert digest(safetensors(TENSORS | {"b": ("F32", [1, 2], b"\1" * 8)})) != original
    assert digest(safetensors({"c": TENSORS["a"], "b": TENSORS["b"]})) != original


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "not a safetensors file"),
        (b"\xff" * 8 + b"{}", "header of"),
        ((5).to_bytes(8, "little") + b"{]}", "not a safetensors file"),
        (
            (57).to_bytes(8, "little") + b'{"a":{"dtype":"I8","shape":[1e999],"data_offsets":[0,1]}}',
            "not a safetensors file: tensor a has a dtype, shape or offsets of another form",
        ),
        (safetensors({"a": ("I8", [4], b"\2\3\4")}), "tensor a has 3 bytes, its shape needs 4"),
        (safetensors({"a": ("X9", [3], b"\2\3\4")}), "unknown dtype"),
        (safetensors(TENSORS)[:-1], "cut short"),
        (safetensors(TENSORS)[:20], "cut short in its header"),
        (safetensors(TENSORS) + b"\0", "goes on behind its last tensor"),
        (bytes(4_096), "not a safetensors file"),
        (
            raw(
                '{"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"I8","shape":[1],"data_offsets":[1,2]}}'
            ),
            "a name stands twice",
        ),
        (raw('{"a":{"dtype":"I8","shape":[1],"data_offsets":[1,2]}}'), "begins at 1, the one before ends at 0"),
        (
            raw(
                '{"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"I8","shape":[2],"data_offsets":[1,3]}}'
            ),
            "tensor b begins at 1, the one before ends at 2",
        ),
        (raw('{"a":{"dtype":"I8","shape":[2.0],"data_offsets":[0,2]}}'), "of another form"),
        (raw('{"a":{"dtype":"I8","shape":[true],"data_offsets":[0,1]}}'), "of another form"),
        (raw('{"__metadata__":{"format":3},"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}'), "are not texts"),
        (b"<!doctype html><title>401</title>", "not a safetensors file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "is a git-LFS pointer"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, data: bytes, text: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(ArtefactError, match=text):
        describe_artefact(tmp_path)


@pytest.mark.parametrize("start", [-1_000, 2**70])
def test_a_tensor_that_begins_outside_of_the_file_is_named(tmp_path: Path, start: int) -> None:
    header = b'{"a":{"dtype":"I8","shape":[1],"data_offsets":[%d,%d]}}' % (start, start + 1)
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"x")
    with pytest.raises(ArtefactError, match=f"model.safetensors: tensor a begins at {start}, outside of any file"):
        describe_artefact(tmp_path)


def test_folders_without_tensors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="0 files"):
        describe_artefact(tmp_path)
    (tmp_path / "readme").write_bytes(b"x")
    with pytest.raises(ArtefactError, match=r"no \.safetensors"):
        describe_artefact(tmp_path)


def test_an_artefact_travels_through_the_content_store(tmp_path: Path) -> None:
    store = ContentStore.open(tmp_path / "content")
    source = tmp_path / "source"
    source.mkdir()
    (source / "model.safetensors").write_bytes(safetensors(TENSORS))
    artefact: Artefact = describe_artefact(source)
    put_artefact(store, source, artefact)
    get_artefact(store, artefact.files, tmp_path / "target")
    assert describe_artefact(tmp_path / "target") == artefact
    with pytest.raises(ArtefactError, match="leads out of"):
        get_artefact(store, [ArtefactFile("../x", artefact.files[0].digest, 1)], tmp_path / "target")
