"""An adapter's configuration, read in full: each key of it is applied, without effect on the numbers, or refused.

The keys are those that peft writes. What peft can do is more than this project's index, explanations and trainer
compute with, and a key that is read over changes what an adapter does without a word: rsLoRA alone scales it by
another factor. So a key that is not in the tables below is refused by its name.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openledger.errors import UsageError

CONFIG_FILE = "adapter_config.json"
# peft writes some 2 KB; lists of target modules of large models some 20.
MAX_CONFIG_BYTES = 1_000_000
MAX_RANK = 4_096

# Keys with the values under which they change nothing, and what another value would do.
_NEUTRAL: dict[str, tuple[tuple[Any, ...], str]] = {
    "alora_invocation_tokens": ((None,), "the adapter would act behind certain tokens only"),
    "alpha_pattern": (({}, None), "modules would be scaled differently"),
    "arrow_config": ((None,), "several adapters would be routed"),
    "bias": (("none",), "biases of the base would be replaced"),
    "corda_config": ((None,), "the base would be changed when the adapter is loaded"),
    "ensure_weight_tying": ((False, None), "tied tensors would be trained twice"),
    "eva_config": ((None,), "ranks would differ between modules"),
    "kasa_config": ((None,), "singular values would be part of the adapter"),
    "layer_replication": ((None,), "layers of the base would be doubled"),
    "layers_pattern": ((None, [], ""), "layers would be chosen by a pattern"),
    "loftq_config": (({}, None), "the base would be changed when the adapter is loaded"),
    "lora_bias": ((False, None), "the adapter would have biases"),
    "lora_ga_config": ((None,), "the base would be changed when the adapter is loaded"),
    "megatron_config": ((None,), "layers of Megatron would be expected"),
    "modules_to_save": ((None, []), "whole modules of the base would be replaced"),
    "monteclora_config": ((None,), "the adapter would be random"),
    "peft_type": (("LORA",), "it is an adapter of another kind"),
    "qalora_group_size": ((16, None), "QALoRA would group inputs"),
    "rank_pattern": (({}, None), "modules would have different ranks"),
    "target_parameters": ((None, []), "parameters without a module would be adapted"),
    "task_type": (("CAUSAL_LM", None), "it is made for another task than continuing a text"),
    "trainable_token_indices": ((None, []), "rows of the embedding would be replaced"),
    "use_bdlora": ((None, False), "matrices would be block-diagonal"),
    "use_dora": ((False, None), "magnitudes would be part of the adapter (DoRA)"),
    "use_qalora": ((False, None), "inputs would be pooled (QALoRA)"),
    "velora_config": ((None,), "gradients would be compressed"),
}
# How the adapter began. These leave the base as it is; the others subtract from it what the adapter began with.
_HARMLESS_STARTS = (True, False, None, "gaussian", "orthogonal", "eva")
# Applied, or said by something that the tensors show (which modules), or words without effect on the numbers.
_READ = frozenset(
    ("auto_mapping", "r", "lora_alpha", "lora_dropout", "use_rslora", "target_modules", "init_lora_weights",
     "base_model_name_or_path",
     "exclude_modules", "fan_in_fan_out", "inference_mode", "layers_to_transform", "megatron_core", "peft_version",
     "revision")
)  # fmt: skip
_RESTRICTING = ("exclude_modules", "layers_to_transform")
_NEEDED = ("peft_type", "task_type", "r", "lora_alpha", "target_modules")


class AdapterRefused(UsageError):
    """An adapter that cannot be used here, or only otherwise than it was made; the text names what and why."""


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """An adapter's configuration says this of its numbers; `base_name` is the name by which it calls its base."""

    rank: int
    alpha: float
    rank_stabilised: bool
    target_modules: tuple[str, ...]
    base_name: str
    # Which of the target modules are left out, by key, as it is written.
    restrictions: tuple[str, ...] = ()
    # Branch, tag or commit of the base's repository; empty where none is named.
    revision: str = ""

    @property
    def scaling(self) -> float:
        """The factor of B A: alpha / rank, or alpha / sqrt(rank) where it is rank-stabilised (rsLoRA)."""
        return self.alpha / (math.sqrt(self.rank) if self.rank_stabilised else self.rank)

    @property
    def form(self) -> tuple[int, float, tuple[str, ...]]:
        """Two adapters can be exchanged in one model when this is equal."""
        return self.rank, self.scaling, tuple(sorted((*self.target_modules, *self.restrictions)))


def read_adapter_config(folder: Path) -> AdapterConfig:
    """The configuration in an adapter's folder; raises `AdapterRefused`."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise AdapterRefused(f"{folder} holds no adapter ({CONFIG_FILE} is missing)")
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise AdapterRefused(f"{CONFIG_FILE} has more than {MAX_CONFIG_BYTES} bytes")
    try:
        value = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise AdapterRefused(f"{CONFIG_FILE} is not JSON that says one thing: {error}") from error
    if not isinstance(value, dict):
        raise AdapterRefused(f"{CONFIG_FILE} is no JSON object")
    return parse_adapter_config(value)


def parse_adapter_config(value: dict[str, Any]) -> AdapterConfig:
    """Read every key; raises `AdapterRefused` naming the first that is missing, unknown or not computed with."""
    for key in _NEEDED:
        if key not in value:
            raise AdapterRefused(f"{CONFIG_FILE}: {key} is missing")
    for key, given in sorted(value.items()):
        if key in _NEUTRAL:
            neutral, effect = _NEUTRAL[key]
            # 0 equals False in Python; in JSON they are different things.
            if not any(given == one and type(given) is type(one) for one in neutral):
                raise AdapterRefused(f"{CONFIG_FILE}: {key} {_shown(given)} cannot be used here: {effect}")
        elif key not in _READ:
            raise AdapterRefused(f"{CONFIG_FILE}: {key} is not known here, and may change what the adapter does")
    start = value.get("init_lora_weights", True)
    if not any(start == one and type(start) is type(one) for one in _HARMLESS_STARTS):
        raise AdapterRefused(
            f"{CONFIG_FILE}: init_lora_weights {_shown(start)} cannot be used here: the base would be changed when the "
            "adapter is loaded (convert it to plain LoRA with peft)"
        )
    _check_task(value)
    return AdapterConfig(
        rank=_rank(value["r"]),
        alpha=_alpha(value["lora_alpha"]),
        rank_stabilised=_flag(value, "use_rslora"),
        target_modules=_targets(value["target_modules"]),
        base_name=str(value.get("base_model_name_or_path") or ""),
        revision=str(value.get("revision") or ""),
        restrictions=tuple([f"{key} {_shown(value[key])}" for key in _RESTRICTING if value.get(key) not in (None, [])]),
    )


def _check_task(value: dict[str, Any]) -> None:
    """Without a task, peft notes the class of the base: it must be one that continues a text."""
    mapping = value.get("auto_mapping") or {}
    if not isinstance(mapping, dict) or not mapping.keys() <= {"base_model_class", "parent_library", "unsloth_fixed"}:
        raise AdapterRefused(f"{CONFIG_FILE}: auto_mapping {_shown(mapping)} says more than a class of the base")
    made_for = str(mapping.get("base_model_class", ""))
    if value["task_type"] is None and not made_for.endswith(("ForCausalLM", "LMHeadModel")):
        raise AdapterRefused(
            f"{CONFIG_FILE}: task_type null cannot be used here: auto_mapping {_shown(mapping)} names no class of "
            "model that continues a text"
        )


def _rank(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= MAX_RANK:
        raise AdapterRefused(f"{CONFIG_FILE}: r {_shown(value)} is no rank from 1 to {MAX_RANK}")
    return value


def _alpha(value: Any) -> float:
    if type(value) not in (int, float) or not 0 < value < 2**20:
        raise AdapterRefused(f"{CONFIG_FILE}: lora_alpha {_shown(value)} is no positive number below 2^20")
    return float(value)


def _flag(value: dict[str, Any], key: str) -> bool:
    given = value.get(key, False)
    if given not in (True, False, None) or isinstance(given, int) is not isinstance(given, bool):
        raise AdapterRefused(f"{CONFIG_FILE}: {key} {_shown(given)} is neither true nor false")
    return bool(given)


def _targets(value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise AdapterRefused(f"{CONFIG_FILE}: target_modules {_shown(value)} names no modules")
    return tuple(names)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _shown(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 60 else f"{text[:59]}…"
