"""A base with an adapter in it: numbers are exchanged, what has another form is refused."""

from pathlib import Path
from typing import Any

import pytest

from attribution.adapted_model import AdaptedModel
from openledger.errors import UsageError
from tests.kit.trainer.tiny import sentence, tiny_model

pytestmark = pytest.mark.ml


def made_adapter(folder: Path, rank: int, value: float) -> Path:
    """An adapter of the tiny model, all of whose numbers are `value`."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(str(tiny_model()), local_files_only=True)
    model: Any = get_peft_model(base, LoraConfig(r=rank, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.fill_(value)
    model.save_pretrained(str(folder))
    return folder


def test_another_adapter_of_the_same_form_replaces_the_numbers(tmp_path: Path) -> None:
    one, other = (made_adapter(tmp_path / str(value), 2, value) for value in (0.25, 0.5))
    adapted = AdaptedModel.open(tiny_model(), one)

    model = adapted.load(other)

    assert model is adapted.model
    numbers = {name: value.unique().tolist() for name, value in model.named_parameters() if "lora_" in name}
    assert set(map(tuple, numbers.values())) == {(0.5,)}
    assert not any(module.training for module in model.modules())
    again = AdaptedModel.open(tiny_model(), other)
    assert adapted.answer(sentence(1), 8) == again.answer(sentence(1), 8)


def test_an_adapter_of_another_form_is_refused_with_its_folder(tmp_path: Path) -> None:
    adapted = AdaptedModel.open(tiny_model(), made_adapter(tmp_path / "two", 2, 0.5))
    wider = made_adapter(tmp_path / "three", 3, 0.5)

    with pytest.raises(UsageError, match=r"three has rank, scaling and modules \(3, .*the model is made for \(2, "):
        adapted.load(wider)
    with pytest.raises(UsageError, match=r"absent holds no adapter \(adapter_config.json is missing\)"):
        adapted.load(tmp_path / "absent")
    (wider / "adapter_config.json").unlink()
    with pytest.raises(UsageError, match="three holds no adapter"):
        AdaptedModel.open(tiny_model(), wider)
