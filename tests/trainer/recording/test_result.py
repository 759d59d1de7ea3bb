"""The files of a result are picked out of an output folder that is left as it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from openledger.content.folder import ArtefactError
from tests.kit.trainer.outputs import finished_output
from trainer.recording.callback import free_folder
from trainer.recording.result import picked_result


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_checkpoints_logs_and_arguments_are_left_out_and_nothing_is_left_behind(tmp_path: Path) -> None:
    output = finished_output(tmp_path / "out")
    (output / "original").mkdir()
    (output / "original" / "params.json").write_text("{}")
    before = _names(tmp_path)
    with picked_result(output) as picked:
        assert _names(picked) == ["adapter_config.json", "adapter_model.safetensors", "original/params.json"]
        assert picked.name == "out"
        assert (picked / "adapter_model.safetensors").samefile(output / "adapter_model.safetensors")
    assert _names(tmp_path) == before


def test_what_the_callback_saved_in_an_output_is_no_second_model_of_it(tmp_path: Path) -> None:
    output = finished_output(tmp_path / "out")
    for _ in range(2):
        again = free_folder(output)
        again.mkdir()
        shutil.copy(output / "adapter_model.safetensors", again)
    with picked_result(output) as picked:
        assert _names(picked) == ["adapter_config.json", "adapter_model.safetensors"]


def test_a_link_is_refused_by_name(tmp_path: Path) -> None:
    output = finished_output(tmp_path / "out")
    (output / "tokenizer.json").symlink_to("/etc/hostname")
    with pytest.raises(ArtefactError, match=r"tokenizer\.json is a link"), picked_result(output):
        pass


def test_a_folder_of_logs_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out" / "runs").mkdir(parents=True)
    (tmp_path / "out" / "runs" / "events.out.tfevents.1").write_bytes(b"log")
    with pytest.raises(ArtefactError, match="out holds no files of a model"), picked_result(tmp_path / "out"):
        pass
