"""Short forms that people may write in a recipe, and what they stand for: steps by name, NAME@VERSION, per cents.

A field that ends in `_ppb` may be written without the ending, in per cent: `weight: 75 %` is `weight_ppb: 750000000`.
What is written in neither way stays as it is, and is named among the wrong fields.
"""

import re
from contextlib import suppress
from decimal import Decimal
from typing import Any

from abci_app.types import PPB
from openledger.errors import UsageError
from openledger.references import split_version
from trainer.steps import expand_step

# Seven decimals of a per cent are a part per billion.
_PERCENT = re.compile(r"\s*([0-9]{1,3}(?:\.[0-9]{1,7})?)\s*%\s*")
_PPB_PER_PERCENT = PPB // 100
_SHARES = frozenset(
    ("adapter_share", "cap", "copy_cosine", "flat", "held_out", "kappa", "minimum_positive", "warmup", "weight")
)


def expand_recipe(value: dict[Any, Any]) -> dict[Any, Any]:
    """The recipe in full form."""
    expanded: dict[Any, Any] = _with_shares(value)
    method = expanded.get("method")
    if isinstance(method, dict) and "kind" not in method:
        expanded["method"] = {"kind": "lora", **method}
    datasets = expanded.get("datasets")
    if isinstance(datasets, dict):
        datasets = [datasets]
    if isinstance(datasets, list):
        alone = len(datasets) == 1
        expanded["datasets"] = [_expand_dataset(item, alone) if isinstance(item, dict) else item for item in datasets]
    return expanded


def _with_shares(value: Any) -> Any:
    """Shares in per cent as parts per billion, in every section."""
    if isinstance(value, list):
        return [_with_shares(item) for item in value]
    if not isinstance(value, dict):
        return value
    made: dict[Any, Any] = {}
    for key, item in value.items():
        share = _parts(item) if key in _SHARES else None
        if share is not None and f"{key}_ppb" not in value:
            made[f"{key}_ppb"] = share
        else:
            # Rows and texts stand in steps alone, whose fields have none of these names.
            made[key] = item if key in ("preprocess", "filters") else _with_shares(item)
    return made


def _parts(written: Any) -> int | None:
    """Parts per billion of a text like `75 %`; None for anything else."""
    found = _PERCENT.fullmatch(written) if isinstance(written, str) else None
    return int(Decimal(found[1]) * _PPB_PER_PERCENT) if found else None


def _expand_dataset(dataset: dict[Any, Any], alone: bool) -> dict[Any, Any]:
    made = dict(dataset)
    for key in ("preprocess", "filters"):
        if isinstance(made.get(key), list):
            made[key] = [expand_step(item) for item in made[key]]
    reference, version = made.get("datanet"), made.get("version", 0)
    if isinstance(reference, str) and "@" in reference and type(version) is int:
        with suppress(UsageError):  # what stays as it is written is refused with what to write
            made["datanet"], made["version"] = split_version(reference, version)
    if alone and "weight_ppb" not in made and "weight" not in made:
        made["weight_ppb"] = PPB
    return made
