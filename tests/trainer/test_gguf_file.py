"""GGUF files made elsewhere are read whole or refused by name."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openledger.errors import UsageError
from tests.kit.trainer.gguf import LAYERS, VOCABULARY, WIDTH, gguf_file
from trainer.gguf_file import GgufRefused, read_header
from trainer.outside import describe_folder

pytestmark = pytest.mark.ml


def test_a_whole_file_is_read_and_recorded(tmp_path: Path) -> None:
    path = gguf_file(tmp_path / "model.gguf")
    header = read_header(path, path.name)
    assert header.settings["general.architecture"] == "llama"
    assert header.settings["tokenizer.ggml.tokens"] == VOCABULARY
    assert {name: tensor.lengths for name, tensor in header.tensors.items()} == {
        "token_embd.weight": (WIDTH, VOCABULARY),
        "output_norm.weight": (WIDTH,),
        "blk.0.attn_q.weight": (WIDTH, VOCABULARY),
        "blk.1.attn_q.weight": (WIDTH, VOCABULARY),
    }
    artefact = describe_folder(tmp_path, "import")
    assert artefact.artefact_digest == artefact.tensor_digest
    assert [file.name for file in artefact.files] == ["model.gguf"]


def test_a_file_that_is_cut_anywhere_is_refused(tmp_path: Path) -> None:
    data = gguf_file(tmp_path / "whole" / "model.gguf").read_bytes()
    path = tmp_path / "cut.gguf"
    for length in [*range(0, 600, 7), *range(600, len(data), 97), len(data) - 1]:
        path.write_bytes(data[:length])
        with pytest.raises(GgufRefused, match=r"cut\.gguf (is no GGUF file|ends within|has .* ends within tensor)"):
            read_header(path, path.name)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: b"version https://git-lfs.github.com/spec/v1\n", "is a git-LFS pointer"),
        (lambda data: b"weights", "is no GGUF file"),
        (lambda data: data[:4] + struct.pack(">I", 3) + data[8:], "its numbers are in the other byte order"),
        (lambda data: data[:4] + struct.pack("<I", 1) + data[8:], "version 1; convert it to GGUF version 3"),
        (lambda data: data[:8] + struct.pack("<Q", 2**60) + data[16:], "says that it has 1152921504606846976 tensors"),
        (lambda data: data[:8] + struct.pack("<Q", 0) + data[16:], "(bytes behind its last tensor|holds no tensors)"),
        (lambda data: data[:24] + struct.pack("<Q", 2**62) + data[32:], "has a name of 46116860184"),
        (lambda data: data + bytes(4096), "4096 bytes behind its last tensor"),
        (lambda data: data.replace(b"blk.1.attn_q", b"blk.0.attn_q"), r"has tensor blk\.0\.attn_q\.weight twice"),
        (lambda data: data.replace(b"blk.1.attn_q", b"blk.7.attn_q"), "says that it has 2 layers; layer 1 is missing"),
        (lambda data: data.replace(b"general.architecture", b"general.architectuur"), "which architecture it is of"),
        (lambda data: data.replace(struct.pack("<QI", VOCABULARY, 0), struct.pack("<QI", VOCABULARY, 999)),
         "the unknown type 999"),
        (lambda data: data[:-4] + struct.pack("<f", float("nan")), "numbers that are not finite"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, change: Callable[[bytes], bytes], said: str) -> None:
    path = gguf_file(tmp_path / "model.gguf")
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(UsageError, match=said) as refused:
        describe_folder(tmp_path, "quantise")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"layers": LAYERS - 1}, "says that it has 2 layers; layer 1 is missing"),
        ({"layers": LAYERS + 1}, "layer 2 is one too many"),
        ({"token_embd": np.ones((VOCABULARY, WIDTH * 2), np.float32)}, "its width is 32, token_embd.weight is 64 x 6"),
        ({"token_embd": np.ones((VOCABULARY - 1, WIDTH), np.float32)}, "its vocabulary is 6, token_embd.* 32 x 5"),
        ({"token_embd": np.zeros((VOCABULARY, WIDTH), np.float32)}, "token_embd.weight is zero everywhere"),
        ({"settings": {"split.count": 3}}, "is one of 3 parts, of which 1 are there"),
        ({"settings": {"split.tensors.count": 9}}, "belongs to 9 tensors, 4 are there"),
        ({"settings": {"general.alignment": 3}}, "(has the alignment 3|does not begin where it may)"),
    ],
)
def test_a_model_that_is_not_what_its_settings_say_is_refused(
    tmp_path: Path, arguments: dict[str, Any], said: str
) -> None:
    try:
        gguf_file(tmp_path / "model.gguf", **arguments)
    except ValueError:
        pytest.fail("the package refused to write it")
    with pytest.raises(UsageError, match=said):
        describe_folder(tmp_path, "import")


def test_a_file_under_another_name_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    data = gguf_file(tmp_path / "model.gguf").read_bytes()
    (tmp_path / "model.gguf").unlink()
    (tmp_path / "sha256-00").write_bytes(data[:-100])
    with pytest.raises(GgufRefused, match=r"sha256-00 has .* ends within tensor"):
        describe_folder(tmp_path, "import")
