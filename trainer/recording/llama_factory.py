"""LLaMA-Factory: its configuration files, and a launcher that records a run while it runs.

    python -m trainer.recording.llama_factory sft.yaml --model gardener --base tiny-llama --data garden@2

LLaMA-Factory has no plug-ins; its nearest extension point is `llamafactory.train.tuner.run_exp(args, callbacks)`, to
which the launcher hands the configuration as it is and `OpenLedgerCallback`. Read against LLaMA-Factory 0.9.5.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from openledger.errors import OpenLedgerError
from trainer.recording.arguments import holds_secrets, recipe_of_arguments, training_of_arguments
from trainer.recording.facts import FactsError, RunFacts, read_yaml

FRAMEWORK = "LLaMA-Factory"
_ADAPTERS = ("lora", "oft")


def is_llama_factory(fields: Mapping[str, Any]) -> bool:
    """Whether a configuration is LLaMA-Factory's: its words for base and stage, or for the way of fine-tuning."""
    return "model_name_or_path" in fields and bool({"stage", "finetuning_type"} & fields.keys())


def read_llama_factory(path: Path) -> RunFacts:
    """The facts of a configuration file; raises `FactsError`. What the run did is in the folder that it names."""
    data, fields = read_yaml(path, "a LLaMA-Factory configuration")
    output = fields.get("output_dir")
    datasets = fields.get("dataset")
    names = datasets.split(",") if isinstance(datasets, str) else datasets if isinstance(datasets, list) else []
    arguments = {**fields, "max_length": fields.get("cutoff_len")}
    return RunFacts(
        framework=FRAMEWORK,
        recipe=recipe_of_arguments(fields) if holds_secrets(fields) else data,
        source=str(path),
        # LLaMA-Factory takes it from where it was started, usually the configuration's folder or one above.
        output_folder=_first_folder(path.parent, output) if isinstance(output, str) and output else None,
        base=str(fields.get("model_name_or_path") or ""),
        datasets=tuple([str(name).strip() for name in names if str(name).strip()]),
        kind="lora" if fields.get("finetuning_type", "lora") in _ADAPTERS else "full",
        training=training_of_arguments(arguments),
    )


def _first_folder(start: Path, name: str) -> Path:
    """The folder of this name in `start` or in a folder above it; in `start` where there is none."""
    return next((place / name for place in (start, *start.resolve().parents) if (place / name).is_dir()), start / name)


def main(arguments: Sequence[str]) -> int:
    """Run LLaMA-Factory on a configuration and record the run; returns an exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.recording.llama_factory",
        description="Fine-tune with LLaMA-Factory and record the run.",
        epilog="Settings and key are those of the openledger command (settings.sh or client.yaml).",
        allow_abbrev=False,
    )
    parser.add_argument("configuration", type=Path, help="YAML file, as for `llamafactory-cli train`")
    parser.add_argument("--model", required=True, help="name of the model that the run makes a version of")
    parser.add_argument("--base", help="the base model's name on the chain (NAME or NAME@VERSION)")
    parser.add_argument("--data", action="append", metavar="DATANET@VERSION", help="data used (repeat)")
    parser.add_argument("--terms", default="", help="terms of what is undeclared, for example CC-BY-4.0")
    parser.add_argument("--from", dest="key", default="", help="key that records the run")
    given = parser.parse_args(arguments)
    try:
        _run(given)
    except OpenLedgerError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.exit_code)
    return 0


def _run(given: argparse.Namespace) -> None:
    _, fields = read_yaml(given.configuration, "a LLaMA-Factory configuration")
    if not is_llama_factory(fields):
        raise FactsError(f"{given.configuration} is no LLaMA-Factory configuration: it needs model_name_or_path, stage")
    try:
        from llamafactory.train.tuner import run_exp
    except ImportError as error:
        raise FactsError(
            f"LLaMA-Factory is not in this environment ({error}): install it beside this project"
        ) from None
    from trainer.recording.callback import OpenLedgerCallback

    callback = OpenLedgerCallback(
        given.model, base=given.base, data=given.data, terms=given.terms, key=given.key, framework=FRAMEWORK
    )
    run_exp(fields, callbacks=[callback])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
