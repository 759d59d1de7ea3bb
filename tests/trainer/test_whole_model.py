"""A whole model is compared with its configuration when it is recorded, not only when it is opened."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openledger.errors import UsageError
from tests.kit.trainer.tiny import tiny_model
from trainer.outside import describe_folder

pytestmark = pytest.mark.ml

UP = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return shutil.copytree(tiny_model(), tmp_path / "model")


def tensors_changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def configured(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_whole_model_and_one_with_a_tied_head_are_taken(model: Path) -> None:
    assert describe_folder(model, "full").byte_count > 0
    configured(model, tie_word_embeddings=True)
    tensors_changed(model, lambda tensors: tensors.pop("lm_head.weight"))
    assert describe_folder(model, "full").byte_count > 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"hidden_size": 24},
            r"tensor lm_head\.weight is 14 x 16 in the file, config\.json says 14 x 24 \(and 20 more",
        ),
        ({"vocab_size": 20}, r"is 14 x 16 in the file, config\.json says 20 x 16"),
        ({"num_hidden_layers": 3}, r"tensor model\.layers\.2\..* is missing, by config\.json \(and 8 more\)"),
        ({"num_hidden_layers": 1}, r"tensor model\.layers\.1\..* is not described by it"),
        ({"intermediate_size": 48}, r"config\.json says 16 x 48|config\.json says 48 x 16"),
        ({"hidden_size": "x"}, r"config\.json describes no model"),
        ({"model_type": "of-its-own", "vocab_size": 20}, r"embed_tokens\.weight is 14 x 16 .* says 20 x 16"),
        ({"model_type": "of-its-own", "num_hidden_layers": 4}, r"layer 2 of 4 is missing"),
    ],
)
def test_a_configuration_of_another_model_is_refused(model: Path, changes: dict[str, Any], said: str) -> None:
    configured(model, **changes)
    for kind in ("full", "import", "merge"):
        with pytest.raises(UsageError, match=said) as refused:
            describe_folder(model, kind)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "{", "[1]", "<html>"])
def test_a_damaged_configuration_is_refused(model: Path, text: str) -> None:
    (model / "config.json").write_text(text)
    with pytest.raises(UsageError, match=r"config\.json is (not JSON|no JSON object)"):
        describe_folder(model, "full")


def test_a_model_that_lacks_a_tensor_or_has_one_too_many_is_refused(model: Path, tmp_path: Path) -> None:
    more = shutil.copytree(model, tmp_path / "more")
    tensors_changed(model, lambda tensors: tensors.pop(UP))
    with pytest.raises(UsageError, match=f"tensor {UP} is missing, by config.json: fetch or save the model whole"):
        describe_folder(model, "import")
    tensors_changed(more, lambda tensors: tensors.update({"model.extra.weight": tensors[UP] + 0}))
    with pytest.raises(UsageError, match=r"tensor model\.extra\.weight is not described by it"):
        describe_folder(more, "full")


def test_a_model_of_code_of_its_own_is_compared_by_numbers_and_never_runs_it(model: Path) -> None:
    (model / "modeling_own.py").write_text("raise SystemExit('run')\n")
    configured(model, model_type="of-its-own", auto_map={"AutoConfig": "modeling_own.Own"})
    assert describe_folder(model, "import").byte_count > 0


def test_constants_that_older_versions_saved_and_a_missing_class_are_no_fault(
    model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import torch

    name = "model.layers.0.self_attn.masked_bias"
    tensors_changed(model, lambda tensors: tensors.update({name: torch.tensor(-1e4)}))
    assert describe_folder(model, "import").byte_count > 0
    configured(model, architectures=None)
    assert describe_folder(model, "import").byte_count > 0
    tensors_changed(model, lambda tensors: tensors.pop(UP))
    capfd.readouterr()
    with pytest.raises(UsageError, match=f"tensor {UP} is missing"):
        describe_folder(model, "import")
    assert capfd.readouterr().err == ""
