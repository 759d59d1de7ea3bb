"""A model of somebody else's, out of a folder: checked whole, stored, and recorded as an import under its terms.

Nothing is said of what it was trained on, since nobody here knows: its manifest says so, and so does every lineage.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from abci_app.types import MAX_NAME_LENGTH, NAME_PATTERN
from openledger.content.artefact import Artefact
from openledger.content.folder import ArtefactError, other_forms
from openledger.content.hub_cache import ModelFolder
from openledger.content.store import ContentStore
from openledger.data.manifest import Manifest, put_manifest, to_json
from openledger.data.ownership import owner_parts
from openledger.errors import UsageError
from trainer.outside import BASE_CONFIG_FILE, describe_folder
from trainer.record import MANIFEST_FORMAT, TOKENIZER_FILES, files_part
from trainer.run_records import EntryRecord, RunEventRecord, RunRecord

_ADAPTER_CONFIG = "adapter_config.json"
_CAUSAL = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
_MAX_CONFIG_BYTES = 4 * 2**20
_FRAMEWORK = "openledger model add"


@dataclass(frozen=True, slots=True)
class ImportedModel:
    """A checked folder: its files and digests, what was left out, and what a reader should know."""

    folder: Path
    source: str
    artefact: Artefact
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


def check_model_name(name: str) -> None:
    """Refuse a name that the chain would refuse, before anything is read; raises `UsageError`."""
    if len(name) > MAX_NAME_LENGTH or re.fullmatch(NAME_PATTERN, name) is None:
        raise UsageError(
            f"model name {name[:MAX_NAME_LENGTH]!r}: write lower-case letters, digits, '.', '_', '-', '/', at most "
            f"{MAX_NAME_LENGTH}, such as {_like(name)}"
        )


def _like(name: str) -> str:
    made = re.sub(r"[^a-z0-9._/-]+", "-", name.lower()).strip("-._/")
    return made[:MAX_NAME_LENGTH].rstrip("-._/") or "tiny-llama"


def examine_model(found: ModelFolder) -> ImportedModel:
    """Read a folder whole: configuration, tensors, tokenizer. Raises `UsageError` that says what is wrong."""
    folder = found.path
    if (folder / _ADAPTER_CONFIG).is_file():
        raise ArtefactError(
            f"{folder.name} holds an adapter, which stands on a base: add the base with `openledger model add`, then "
            "record the adapter with `openledger record`"
        )
    config = _read_config(folder)
    left_out = other_forms(folder)
    artefact = describe_folder(folder, "full", left_out)
    names = {file.name for file in artefact.files}
    if not any(name.endswith(".safetensors") for name in names):
        pickles = f" ({', '.join(left_out[:3])} cannot be taken)" if left_out else ""
        raise ArtefactError(f"{folder.name} holds no .safetensors file{pickles}: save the model with safetensors first")
    return ImportedModel(
        folder=folder, source=found.source, artefact=artefact, left_out=left_out, notes=tuple(_notes(config, names))
    )


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / BASE_CONFIG_FILE
    try:
        if path.stat().st_size > _MAX_CONFIG_BYTES:
            raise ArtefactError(f"{BASE_CONFIG_FILE} of {folder.name} is too large to be a configuration")
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtefactError(
            f"{folder.name} has no {BASE_CONFIG_FILE}, so it is no model in transformers' layout: name the folder that "
            "save_pretrained wrote, or a snapshot of a hub's cache"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"{BASE_CONFIG_FILE} of {folder.name} is not JSON ({error}): fetch it again") from None
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise ArtefactError(f"{BASE_CONFIG_FILE} of {folder.name} names no model_type: it describes no model")
    return config


def _is_causal(config: dict[str, Any]) -> bool:
    """Whether it is a causal language model: by what the configuration names, else by its type."""
    architectures = config.get("architectures")
    if architectures is None:
        from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

        return config["model_type"] in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    named = architectures if isinstance(architectures, list) else []
    return any(str(each).endswith(_CAUSAL) for each in named)


def _notes(config: dict[str, Any], names: set[str]) -> list[str]:
    """Findings that do not stop an import and are better known."""
    notes = []
    if not _is_causal(config):
        notes.append("its configuration names no causal language model: training on it may not be possible")
    if config.get("auto_map"):
        notes.append("it needs code of its own to run: read that code before you load it")
    if config.get("quantization_config"):
        notes.append("its numbers are quantised: its tensors were not compared with its configuration")
    if not names & TOKENIZER_FILES:
        notes.append("it has no tokenizer file: training on it and explaining it need one")
    return notes


def store_model(model: ImportedModel, store: ContentStore, progress: Callable[[int, int], None]) -> None:
    """Put every file into the content store; what is there already is not copied again."""
    done, total = 0, model.artefact.byte_count
    for file in model.artefact.files:
        if store.put_file(model.folder / file.name) != file.digest:
            raise ArtefactError(f"{file.name} changed while it was read: try again")
        done += file.byte_count
        progress(done, total)


def record_model(
    name: str,
    model: ImportedModel,
    *,
    terms_id: bytes,
    licence: str,
    source: str,
    store: ContentStore,
    now_seconds: int,
    owner: bytes,
) -> RunRecord:
    """The record of the import; its manifest goes into the store. The same files from the same source are one entry.

    `owner` is the account that adds it: others who add the same files decide nothing about this entry (ADR 29).
    """
    tokenizer = tuple([file for file in model.artefact.files if file.name in TOKENIZER_FILES])
    about = {"format": MANIFEST_FORMAT, "kind": "import", "framework": _FRAMEWORK, "data_checked": False}
    parts = {
        "about": to_json(about),
        "output": files_part(model.artefact.files),
        "source": to_json(
            {
                "source": source or model.source or "a folder of files",
                "licence": licence,
                "conversion": "the files as they were received",
                "left_out": list(model.left_out),
                "training_data": "unknown: not declared on this chain",
            }
        ),
        **owner_parts(owner),
    }
    if tokenizer:
        parts["tokenizer"] = files_part(tokenizer)
    manifest = Manifest(parts)
    put_manifest(store, manifest)
    artefact = model.artefact
    entry = EntryRecord(
        kind="import",
        parents=(),
        inputs=(),
        manifest_root=manifest.root,
        artefact_digest=artefact.artefact_digest,
        tensor_digest=artefact.tensor_digest,
        byte_count=artefact.byte_count,
        format="safetensors",
        terms_id=terms_id,
    )
    event = RunEventRecord(
        started_seconds=now_seconds, finished_seconds=now_seconds, environment="", quality_metric="", quality_value=0
    )
    return RunRecord(model_name=name, manifest=manifest, entry=entry, event=event)
