"""The plug-in and the launcher hand `OpenLedgerCallback` to tools of which only the places that they call are here.

axolotl's own `PluginManager` of version 0.19 was seen to load the plug-in; its whole environment is not installed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from trainer.recording.facts import FactsError
from trainer.recording.llama_factory import main

pytestmark = pytest.mark.ml


class AxolotlPlugin:
    """Stands for axolotl's base of plug-ins: hooks that do nothing."""

    def post_trainer_create(self, cfg: Any, trainer: Any) -> None:
        """Stand for the hooks that the plug-in leaves alone."""


def given_module(patch: pytest.MonkeyPatch, name: str, **attributes: Any) -> None:
    """Put a module with these attributes where a tool's would be."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        patch.setitem(sys.modules, ".".join(parts[:end]), ModuleType(".".join(parts[:end])))
    for attribute, value in attributes.items():
        setattr(sys.modules[name], attribute, value)


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Any:
    given_module(monkeypatch, "axolotl.integrations.base", BasePlugin=AxolotlPlugin)
    monkeypatch.delitem(sys.modules, "trainer.recording.axolotl.plugin", raising=False)
    from trainer.recording.axolotl.plugin import OpenLedgerPlugin

    return OpenLedgerPlugin()


def test_axolotl_gets_the_callback_with_the_options_of_its_configuration(plugin: Any) -> None:
    options = {"openledger_model": "gardener", "openledger_base": "tiny-llama", "openledger_data": ["garden@2"]}
    plugin.register(options)
    (callback,) = plugin.add_callbacks_post_trainer(options, None)
    assert (callback._model_name, callback._base, callback._data, callback._framework) == (
        "gardener", "tiny-llama", ["garden@2"], "axolotl",
    )  # fmt: skip
    assert isinstance(plugin, AxolotlPlugin)


def test_axolotl_is_told_at_once_that_the_models_name_is_missing(plugin: Any) -> None:
    with pytest.raises(FactsError, match="openledger_model is missing in the configuration"):
        plugin.register({})


def test_the_options_are_those_that_the_plug_in_names(plugin: Any) -> None:
    pydantic = pytest.importorskip("pydantic")
    module, _, name = plugin.get_input_args().rpartition(".")
    options = getattr(__import__(module, fromlist=[name]), name)
    assert issubclass(options, pydantic.BaseModel)
    assert set(options.model_fields) == {
        "openledger_model", "openledger_base", "openledger_data", "openledger_terms", "openledger_key",
    }  # fmt: skip


def test_llama_factory_runs_its_own_configuration_with_the_callback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[Any, Any]] = []
    given_module(
        monkeypatch, "llamafactory.train.tuner", run_exp=lambda args, callbacks: calls.append((args, callbacks))
    )
    path = tmp_path / "sft.yaml"
    path.write_text("stage: sft\nmodel_name_or_path: tiny\nfinetuning_type: lora\ndataset: garden\n")
    words = [str(path), "--model", "gardener", "--base", "tiny", "--data", "garden@2", "--data", "faq@1"]
    assert main(words) == 0
    ((fields, (callback,)),) = calls
    assert fields == {
        "stage": "sft", "model_name_or_path": "tiny", "finetuning_type": "lora", "dataset": "garden",
    }  # fmt: skip
    assert (callback._model_name, callback._data, callback._framework) == (
        "gardener", ["garden@2", "faq@1"], "LLaMA-Factory",
    )  # fmt: skip
