"""`training_args.bin` is a pickle: it is read, and nothing in it runs."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

from trainer.recording.facts import FactsError
from trainer.recording.saved_arguments import MAX_VALUES, read_saved_arguments


class Arguments:
    """Stands for a class of arguments."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


class _Runs:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


def saved(path: Path, value: object) -> Path:
    """A file as torch writes it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("training_args/data.pkl", pickle.dumps(value, protocol=2))
    return path


def test_plain_values_come_out_and_private_ones_do_not(tmp_path: Path) -> None:
    fields = {"seed": 7, "learning_rate": 0.5, "optim": "adamw", "_n_gpu": 1, "where": Path("x"), "none": None}
    path = saved(tmp_path / "training_args.bin", Arguments(**fields, deep={"a": [1, "b"]}))
    expected = {"seed": 7, "learning_rate": 0.5, "optim": "adamw", "where": "x", "deep": {"a": [1, "b"]}}
    assert read_saved_arguments(path) == expected


def test_code_in_the_file_does_not_run(tmp_path: Path) -> None:
    made = tmp_path / "made"
    path = saved(tmp_path / "training_args.bin", Arguments(seed=1, bad=_Runs(made)))
    read_saved_arguments(path)
    assert not made.exists()


def test_a_list_that_holds_itself_many_times_over_is_refused(tmp_path: Path) -> None:
    value: list[Any] = [1]
    for _ in range(MAX_VALUES.bit_length()):
        value = [value, value]
    with pytest.raises(FactsError, match="holds more than"):
        read_saved_arguments(saved(tmp_path / "training_args.bin", Arguments(bomb=value)))


def test_a_value_that_holds_itself_is_refused(tmp_path: Path) -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(FactsError, match="holds more than"):
        read_saved_arguments(saved(tmp_path / "training_args.bin", Arguments(loop=value)))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive", b"\x80\x02}q\x00."])
def test_a_file_that_torch_did_not_write_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "training_args.bin"
    path.write_bytes(content)
    with pytest.raises(FactsError, match="cannot be read"):
        read_saved_arguments(path)


@pytest.mark.parametrize("pickled", [b"\x80\x02}q", b".", b"\x80\x02K\x01.", b"\x80\x02cos\nsystem\n."])
def test_a_damaged_pickle_is_refused(tmp_path: Path, pickled: bytes) -> None:
    path = tmp_path / "training_args.bin"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickled)
    with pytest.raises(FactsError, match=r"is damaged|holds no training arguments"):
        read_saved_arguments(path)
