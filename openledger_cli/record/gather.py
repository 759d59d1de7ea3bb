"""Facts about a run from the thing that its user has: a folder, a configuration, an MLflow run, or options alone."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from openledger.errors import UsageError

if TYPE_CHECKING:
    from trainer.recording.facts import RunFacts

_CONFIGURATIONS = (".yaml", ".yml")


def _no_tag(entry: str, chain_id: str) -> None:
    """Write nothing back: folders and configurations have no tags."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """Facts, whether their folder is an output with more in it than the result, and how the tool is told the entry."""

    facts: RunFacts
    is_output: bool
    tag: Callable[[str, str], None] = _no_tag
    # The entry that the tool says the run is recorded as, and on which chain.
    recorded_entry: str = ""
    recorded_chain: str = ""

    def result_folder(self) -> Path:
        """The folder that holds the result, and more in an output; raises `UsageError` when there is none."""
        if self.facts.output_folder is None:
            raise UsageError(
                f"{self.facts.source}: its result is not on this machine, or was written over by a later run: name the "
                "folder that holds it"
            )
        return self.facts.output_folder

    def files(self) -> AbstractContextManager[Path]:
        """The folder with the result alone, for as long as it is needed."""
        from trainer.recording.result import picked_result

        folder = self.result_folder()
        return picked_result(folder) if self.is_output else nullcontext(folder)


def gather_facts(args: argparse.Namespace) -> Gathered:
    """Read what the arguments name; options count more than files. Raises `UsageError`."""
    if args.mlflow:
        return _with_options(_of_mlflow(args), args)
    source = args.source
    if source is None:
        raise UsageError("what is to be recorded? name a folder, a configuration, or --mlflow RUN")
    if source.is_file() and source.suffix.lower() in _CONFIGURATIONS:
        return _with_options(_of_configuration(source), args)
    if not source.is_dir():
        raise UsageError(f"{source} is no folder and no configuration (.yaml): name the folder with the result")
    return _with_options(_of_folder(source), args)


def _of_mlflow(args: argparse.Namespace) -> Gathered:
    from trainer.recording.mlflow_runs import open_store, read_run, tag_run

    store = open_store(args.tracking_uri)
    run = read_run(store, args.mlflow)
    facts = run.facts
    if args.source is not None:
        if not args.source.is_dir():
            raise UsageError(f"{args.source} is no folder: name the one that holds the result of the run")
        facts = replace(facts, output_folder=args.source)
    return Gathered(
        facts,
        True,
        lambda entry, chain_id: tag_run(store, args.mlflow, entry, chain_id),
        recorded_entry=run.recorded_entry,
        recorded_chain=run.recorded_chain,
    )


def _of_configuration(path: Path) -> Gathered:
    """A configuration says what was planned, the folder that it names what became of it."""
    from trainer.recording.axolotl.configuration import is_axolotl, read_axolotl
    from trainer.recording.facts import read_yaml
    from trainer.recording.llama_factory import is_llama_factory, read_llama_factory
    from trainer.recording.trainer_folder import is_trainer_folder, read_trainer_folder

    _, fields = read_yaml(path, "a configuration")
    if is_axolotl(fields):
        planned = read_axolotl(path)
    elif is_llama_factory(fields):
        planned = read_llama_factory(path)
    else:
        raise UsageError(
            f"{path} is neither axolotl's nor LLaMA-Factory's: name the folder with the result, and this as --recipe"
        )
    folder = planned.output_folder
    if folder is None or not folder.is_dir():
        return Gathered(replace(planned, output_folder=None), True)
    if not is_trainer_folder(folder):
        return Gathered(planned, True)
    done = read_trainer_folder(folder)
    return Gathered(
        replace(
            done,
            framework=planned.framework,
            recipe=planned.recipe,
            source=planned.source,
            base=planned.base or done.base,
            datasets=planned.datasets,
            training={**planned.training, **done.training},
        ),
        True,
    )


def _of_folder(folder: Path) -> Gathered:
    from trainer.recording.facts import RunFacts
    from trainer.recording.trainer_folder import base_of, is_trainer_folder, read_trainer_folder

    if is_trainer_folder(folder):
        return Gathered(read_trainer_folder(folder), True)
    kind = "lora" if (folder / "adapter_config.json").is_file() else ""
    facts = RunFacts(
        framework="", recipe=b"", source=str(folder), output_folder=folder, base=base_of(folder), kind=kind
    )
    return Gathered(facts, False)


def _with_options(gathered: Gathered, args: argparse.Namespace) -> Gathered:
    """Options over files, and nothing that a record needs missing."""
    from trainer.recording.facts import read_text

    facts = gathered.facts
    facts = replace(
        facts,
        kind=args.kind or facts.kind,
        framework=args.framework or facts.framework,
        recipe=read_text(args.recipe, "a recipe") if args.recipe else facts.recipe,
        started_seconds=facts.started_seconds if args.started is None else args.started,
        finished_seconds=facts.finished_seconds if args.finished is None else args.finished,
    )
    missing = [option for option, value in (("--kind", facts.kind), ("--framework", facts.framework),
                                            ("--recipe FILE", facts.recipe)) if not value]  # fmt: skip
    if missing:
        raise UsageError(
            f"{facts.source} does not show everything about the run: pass {' and '.join(missing)} (a Trainer's output "
            "folder has it in training_args.bin)"
        )
    return replace(gathered, facts=facts)
