"""Record a run of transformers' own `Trainer` with one line:

    trainer.add_callback(OpenLedgerCallback(publish, "my-model", parents=[...], inputs=[...]))

`publish` receives the `RunRecord` when training ends: `trainer.publish.ClientLedger(client, signer).publish` sends it
to the chain. What the callback cannot know, which DataNet versions the data came from and what was done to them, its
caller says; without, the run is refused, or recorded as `undeclared` under some terms. The model is saved before; when
publishing fails, `callback.record` can be published again. A saved adapter is compared with the base in memory; where
`publish` is a ledger's, the digest of that base's files (a folder, or a repository in this machine's cache) must be
among the ancestors of the run, as with `openledger record`.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import transformers

from openledger.content.store import ContentStore
from openledger.data.manifest import to_json
from trainer.environment import environment_line
from trainer.evaluate import to_micronats
from trainer.outside import check_base_of_adapter, check_fits_configuration, describe_folder
from trainer.record import record_external
from trainer.run_records import DeclaredInput, ParentRecord, RunEventRecord, RunRecord

ARTEFACT_FOLDER = "openledger-artefact"
# Arguments that name places, machines or secrets, not the training.
_LEFT_OUT = ("output_dir", "logging_dir", "run_name", "hub_token", "push_to_hub_token", "report_to", "hub_model_id")
MAX_LOGGED_LOSSES = 100_000


class OpenLedgerCallback(transformers.TrainerCallback):  # type: ignore[misc] # transformers has no types
    """Collects times, losses and arguments of a run; saves the model and records it when training ends."""

    def __init__(
        self,
        publish: Callable[[RunRecord], object],
        model_name: str,
        *,
        parents: Sequence[ParentRecord] = (),
        inputs: Sequence[DeclaredInput] = (),
        kind: str | None = None,
        undeclared: str = "nothing",
        terms_id: bytes = b"",
        store: ContentStore | None = None,
        owner: bytes | None = None,
    ) -> None:
        self._publish = publish
        self._model_name = model_name
        self._parents = parents
        self._inputs = inputs
        self._kind = kind
        self._undeclared = undeclared
        self._terms_id = terms_id
        self._store = store
        # A bound `ClientLedger.publish` knows whose key signs.
        self._owner = getattr(getattr(publish, "__self__", None), "signer_address", b"") if owner is None else owner
        self._started_seconds = 0
        self._losses: list[int] = []
        self._quality: int | None = None
        self.record: RunRecord | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note the start."""
        self._started_seconds = int(time.time())
        self._losses.clear()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Keep the training loss of every logged step."""
        if logs and "loss" in logs and len(self._losses) < MAX_LOGGED_LOSSES:
            self._losses.append(to_micronats(float(logs["loss"])))

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        """Keep the last evaluation loss as measured quality."""
        if metrics and "eval_loss" in metrics:
            self._quality = to_micronats(float(metrics["eval_loss"]))

    def on_train_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Save, describe, record, publish; on the first process only."""
        if model is None or not state.is_world_process_zero:
            return
        folder = Path(args.output_dir) / ARTEFACT_FOLDER
        model.save_pretrained(str(folder), safe_serialization=True)
        kind = self._kind or ("lora" if hasattr(model, "peft_config") else "full")
        store = self._store or ContentStore.open()
        self._check_base(folder, model, store)
        self.record = record_external(
            model_name=self._model_name,
            kind=kind,
            framework=f"transformers {transformers.__version__} Trainer",
            recipe=to_json(_plain_arguments(args)),
            parents=self._parents,
            inputs=self._inputs,
            folder=folder,
            artefact=describe_folder(folder, kind),
            store=store,
            event=RunEventRecord(
                started_seconds=self._started_seconds,
                finished_seconds=max(self._started_seconds, int(time.time())),
                environment=environment_line(),
                quality_metric="evaluation-loss-micronats" if self._quality is not None else "",
                quality_value=self._quality or 0,
            ),
            loss_trace_micronats=self._losses,
            terms_id=self._terms_id,
            undeclared=self._undeclared,
            owner=self._owner,
        )
        self._publish(self.record)

    def _check_base(self, folder: Path, model: Any, store: ContentStore) -> None:
        """Check that a saved adapter fits the base in memory, and that this is an ancestor; raise `UsageError`."""
        if not hasattr(model, "peft_config"):
            return
        check_fits_configuration(folder, model.get_base_model().config)
        ledger: Any = getattr(self._publish, "__self__", None)
        if self._parents and hasattr(ledger, "entry"):
            check_base_of_adapter(folder, self._parents, ledger, store)


def _plain_arguments(args: Any) -> Any:
    """Training arguments as canonical JSON takes them: numbers with a fraction as text, no places, no secrets."""
    values = json.loads(args.to_json_string())
    return {key: _plain(value) for key, value in values.items() if key not in _LEFT_OUT and value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, float) or value is None:
        return str(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
