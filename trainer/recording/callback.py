"""Record a run of transformers' own `Trainer`, TRL's included, with one line:

    trainer.add_callback(OpenLedgerCallback("gardener", base="tiny-llama", data=["garden@2"]))

Chain, key and content store are those of the settings (settings.sh or client.yaml). Without `data` it is what this
process loaded with `openledger.data.load`; a base or data that nobody names are recorded as undeclared, and said so.
Names, key and base are looked up when training begins, so that a mistake costs nothing; the base is compared with the
one that the model in memory was loaded from, where its files are at hand. The model is saved to a folder of its own
when training ends, and recorded; where that fails, the model stays and one line says how to record it.
"""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import transformers

from openledger.content.store import ContentStore
from openledger.errors import OpenLedgerError
from trainer.claiming import NotClaimed
from trainer.environment import environment_line
from trainer.outside import check_fits_configuration, describe_folder
from trainer.recording.arguments import recipe_of_arguments, training_of_arguments
from trainer.recording.declared import Declared, RecordLedger, declare
from trainer.recording.external import DURING, record_external
from trainer.recording.memory import compare_base_in_memory
from trainer.recording.result import ARTEFACT_FOLDER
from trainer.recording.trainer_folder import losses_of
from trainer.run_records import RunEventRecord, RunRecord

EVALUATION_METRIC = "evaluation-loss-micronats"


class CallbackLedger(RecordLedger, Protocol):
    """The chain as the callback needs it: `trainer.publish.ClientLedger`."""

    @property
    def signer_address(self) -> bytes:
        """Address of the account that records."""

    def check_model(self, name: str) -> None:
        """Refuse a model that the signer may not add a version to."""

    def publish(self, record: RunRecord) -> Any:
        """Record the run."""


class OpenLedgerCallback(transformers.TrainerCallback):  # type: ignore[misc] # transformers has no types
    """Saves the model and records the run when training ends, with arguments and losses as the trainer has them."""

    def __init__(
        self,
        model_name: str,
        *,
        base: str | None = None,
        data: Sequence[str] | None = None,
        terms: str = "",
        kind: str | None = None,
        key: str = "",
        framework: str = "",
        ledger: CallbackLedger | None = None,
        store: ContentStore | None = None,
        say: Callable[[str], None] = lambda text: print(text, file=sys.stderr),
    ) -> None:
        """`base`: NAME or NAME@VERSION; `data`: DATANET@VERSION each; `terms` of what is undeclared; `key` that signs.

        `kind`: what the run makes, where it is neither a LoRA adapter nor a full fine-tune.
        """
        self._model_name = model_name
        self._base = base or ""
        self._data = data
        self._terms = terms
        self._kind = kind
        self._key = key
        self._framework = framework
        self._ledger = ledger
        # Opened by the callback itself, and closed by it.
        self._client: Any = None
        self._store = store
        self._say = say
        self._declared: Declared | None = None
        self._started_seconds = 0
        self.record: RunRecord | None = None
        # Id of the entry (olrun1…) once the run is recorded; the error where recording failed.
        self.entry = ""
        self.failure: OpenLedgerError | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Look up what the run will be recorded under; raises `OpenLedgerError` before anything is trained."""
        self._started_seconds = int(time.time())
        if model is None or not state.is_world_process_zero:
            return
        kind = self._kind or kind_of_model(model)
        ledger = self._connected()
        self._declared = declare(ledger, kind, base=self._base, data=self._used_data(), terms=self._terms)
        ledger.check_model(self._model_name)
        if self._base:
            unsure = compare_base_in_memory(model, self._declared.parents, ledger)
            if unsure:
                self._say(f"openledger: {unsure}")
        if self._declared.undeclared != "nothing":
            self._say(
                f"openledger: this run will be recorded with undeclared {self._declared.undeclared.replace('-', ' ')}: "
                "nobody can be told what the model stands on; name them with base=... and data=[...]"
            )

    def on_train_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Save, describe, record, publish; on the first process only. A failure is said and kept, never raised."""
        if model is None or not state.is_world_process_zero or self._declared is None:
            return
        if is_sharded(args):
            self._say(
                "openledger: the model lies in parts on several devices, so this run is not recorded: save it, then "
                f"`openledger record {args.output_dir} --model {self._model_name}` with its parents and inputs"
            )
            return
        folder = free_folder(Path(args.output_dir))
        model.save_pretrained(str(folder), safe_serialization=True)
        try:
            self.record = self._made(args, state, model, folder, self._declared)
            self.entry = self._connected().publish(self.record).entry
        except NotClaimed as error:
            self.entry, self.failure = error.entry, error
            self._say(f"openledger: {error}")
            return
        except OpenLedgerError as error:
            self.failure = error
            self._say(
                f"openledger: the model is trained and saved in {folder}, but NOT recorded: {error}. Later: "
                f"openledger record {folder} --model {self._model_name}{self._as_options()}"
            )
            return
        finally:
            self._close()
        self._say(f"openledger: recorded as {self.entry}; `openledger query lineage {self._model_name}` shows it")
        tag_active_run(self.entry)

    def _made(self, args: Any, state: Any, model: Any, folder: Path, declared: Declared) -> RunRecord:
        kind = self._kind or kind_of_model(model)
        artefact = describe_folder(folder, kind)
        if hasattr(model, "peft_config"):
            check_fits_configuration(folder, model.get_base_model().config)
        arguments = args.to_dict()
        steps = steps_of_model(args, state)
        history = [entry for entry in state.log_history if entry.get("step", 0) <= steps]
        losses, evaluation = losses_of(history)
        training = training_of_arguments(
            arguments,
            steps=steps,
            planned_steps=state.max_steps,
            epochs=next((entry["epoch"] for entry in reversed(history) if "epoch" in entry), None),
        )
        framework = f"transformers {transformers.__version__} Trainer"
        return record_external(
            model_name=self._model_name,
            kind=kind,
            framework=f"{self._framework} on {framework}" if self._framework else framework,
            recipe=recipe_of_arguments(arguments),
            parents=declared.parents,
            inputs=declared.inputs,
            folder=folder,
            artefact=artefact,
            store=self._content(),
            event=RunEventRecord(
                started_seconds=self._started_seconds,
                finished_seconds=max(self._started_seconds, int(time.time())),
                environment=environment_line(),
                quality_metric=EVALUATION_METRIC if evaluation is not None else "",
                quality_value=evaluation or 0,
            ),
            training=training | {"devices": max(1, args.world_size)},
            losses=losses,
            recorded=DURING,
            terms_id=declared.terms_id,
            undeclared=declared.undeclared,
            owner=self._connected().signer_address,
        )

    def _connected(self) -> CallbackLedger:
        """The ledger that was given, else one by the settings, verified, with the key that signs."""
        if self._ledger is None:
            from openledger.connection import connect, open_signer
            from openledger.settings import load_settings
            from trainer.publish import ClientLedger

            self._client = connect(load_settings())
            self._ledger = ClientLedger(self._client, open_signer(self._key, chain_id=self._client.chain_id))
        return self._ledger

    def _close(self) -> None:
        """Close what the callback has opened; a second training opens it again."""
        if self._client is not None:
            self._client.close()
            self._client = self._ledger = None

    def _content(self) -> ContentStore:
        if self._store is None:
            from openledger.settings import load_settings

            self._store = ContentStore.open(load_settings().content or None)
        return self._store

    def _used_data(self) -> list[str]:
        """The versions that are named, else those that this process has loaded."""
        if self._data is not None:
            return list(self._data)
        from openledger.data import loaded

        return [f"{item.datanet_id.hex()}@{item.version.version}" for item in loaded()]

    def _as_options(self) -> str:
        options = [f" --base {self._base}"] if self._base else []
        options += [f" --data {reference}" for reference in self._used_data()]
        return "".join(options) + (f" --from {self._key}" if self._key else "")


def kind_of_model(model: Any) -> str:
    """`lora` for a model with adapters of peft, else `full`."""
    return "lora" if hasattr(model, "peft_config") else "full"


def steps_of_model(args: Any, state: Any) -> int:
    """Steps that the model in memory had: those of the best checkpoint where that was loaded when training ended."""
    best: int | None = getattr(state, "best_global_step", None)
    if best is not None and args.load_best_model_at_end and state.best_model_checkpoint is not None:
        return best
    return int(state.global_step)


def is_sharded(args: Any) -> bool:
    """Whether no single process holds the whole model, so that none can save it from a callback."""
    return bool(getattr(args, "fsdp", None)) or bool(getattr(args, "deepspeed", None))


def free_folder(output: Path) -> Path:
    """The folder for the saved model: a new one each time, since an earlier run's is somebody's."""
    number = 1
    while (folder := output / (ARTEFACT_FOLDER if number == 1 else f"{ARTEFACT_FOLDER}-{number}")).exists():
        number += 1
    return folder


def tag_active_run(entry: str) -> None:
    """Write the entry's id to the MLflow run that is active in this process, where there is one."""
    mlflow = sys.modules.get("mlflow")
    run = mlflow.active_run() if mlflow is not None else None
    if mlflow is not None and run is not None:
        from trainer.recording.mlflow_runs import ENTRY_TAG

        mlflow.set_tag(ENTRY_TAG, entry)
