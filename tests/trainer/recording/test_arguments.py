"""Arguments of a Trainer become facts: what is known, nothing that is secret or names a place."""

from __future__ import annotations

import json

import pytest

from trainer.recording.arguments import holds_secrets, recipe_of_arguments, training_of_arguments


def test_arguments_become_facts_whether_they_are_values_or_text() -> None:
    values = {
        "max_steps": 10, "num_train_epochs": 3.0, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 4,
        "optim": "adamw_torch", "learning_rate": 5e-4, "lr_scheduler_type": "cosine", "warmup_steps": 2,
        "weight_decay": 0.0, "bf16": True, "seed": 7, "max_length": 64, "packing": False,
    }  # fmt: skip
    expected = {
        "steps": 10, "planned_steps": 10, "epochs": "1.6667", "batch_rows_per_device": 2, "accumulation": 4,
        "optimizer": "adamw_torch", "learning_rate": "0.0005", "schedule": "cosine", "warmup_steps": 2,
        "weight_decay": "0", "precision": "bf16 mixed", "seed": 7, "sequence_tokens": 64, "packing": "off",
    }  # fmt: skip
    texts = {name: str(value) for name, value in values.items()}
    assert training_of_arguments(values, steps=10, epochs=5 / 3) == expected
    assert training_of_arguments(texts, steps=10, epochs=5 / 3) == expected


def test_what_is_not_known_is_absent() -> None:
    nothing = {"max_steps": -1, "optim": None, "learning_rate": "fast", "seed": True, "packing": "None", "bf16": "no"}
    assert training_of_arguments(nothing) == {}
    assert training_of_arguments({}) == {}


def test_epochs_are_planned_only_where_no_number_of_steps_is_given() -> None:
    assert training_of_arguments({"num_train_epochs": 3, "max_steps": -1}) == {"planned_epochs": "3"}
    assert training_of_arguments({"num_train_epochs": 3, "max_steps": 5}) == {"planned_steps": 5}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"warmup_steps": 5, "warmup_ratio": 0.1}, {"warmup_steps": 5}),
        ({"warmup_steps": 0, "warmup_ratio": 0.1}, {"warmup_share": "0.1"}),
        ({"warmup_steps": 0.05}, {"warmup_share": "0.05"}),
        ({"warmup_steps": 0}, {"warmup_steps": 0}),
    ],
)
def test_a_warm_up_is_in_steps_or_a_share(arguments: dict[str, object], expected: dict[str, object]) -> None:
    assert training_of_arguments(arguments) == expected


def test_a_recipe_names_no_place_and_no_secret() -> None:
    arguments = {
        "output_dir": "out/dana", "hub_token": "hf_123", "hf_hub_token": "hf_123", "swanlab_api_key": "k",
        "pad_token": "<pad>", "max_new_tokens": 5, "learning_rate": 5e-4, "seed": None,
        "nested": {"password": "x", "kept": [1, None, 0.5]},
    }  # fmt: skip
    assert json.loads(recipe_of_arguments(arguments)) == {
        "pad_token": "<pad>",
        "max_new_tokens": 5,
        "learning_rate": "0.0005",
        "nested": {"kept": [1, "0.5"]},
    }


def test_secrets_are_found_at_any_depth() -> None:
    assert holds_secrets({"a": [{"wandb_api_key": "k"}]})
    assert not holds_secrets({"hf_use_auth_token": True, "pad_token": "<pad>", "api_key": ""})
