"""Files that some other program made, before they are recorded: what they are, whether they are whole, of which base.

`openledger record` calls this. An adapter says of its base no more than a name, which anybody may have written; so
the base is compared by the digest of its tensors: the folder that is named with --base, the folder or cached
repository that the adapter names, or the entry whose id it names, must be among the ancestors that are recorded.
"""

import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from abci_app.bech32 import encode_id
from attribution.adapter_config import CONFIG_FILE, AdapterRefused, read_adapter_config
from attribution.adapter_file import ADAPTER_FILE, read_adapter, read_adapter_of_base
from attribution.numerics import prepare
from attribution.weights import WeightsRefused, check_shards, check_weights
from openledger.client.provenance import id_of_text
from openledger.content.artefact import Artefact, describe_artefact, model_signing_root
from openledger.content.folder import ArtefactError, artefact_files
from openledger.content.store import ContentStore
from openledger.data.manifest import files_of, get_manifest
from openledger.errors import UsageError
from trainer.ancestry import ChainEntries, ancestors_of
from trainer.gguf_file import check_gguf, is_gguf
from trainer.run_records import EntryRecord, ParentRecord
from trainer.whole_model import check_whole_model

# What is needed of a base to know which tensors an adapter of it has.
BASE_CONFIG_FILE = "config.json"
_SAFETENSORS = ".safetensors"
_SHARDS_INDEX = ".safetensors.index.json"
_SHARD = re.compile(r"-[0-9]{5}-of-[0-9]{5}\.safetensors\Z")
# peft's names, also as they stand in a wrapped model that was saved without merging.
_OF_ADAPTER = re.compile(r"\.(lora_(A|B|embedding_A|embedding_B|magnitude_vector)|base_layer|modules_to_save)(\.|\Z)")
# Kinds whose output is a whole model, never an adapter.
_WHOLE_MODELS = ("pretrain", "full")


def describe_folder(folder: Path, kind: str = "", leave_out: Collection[str] = ()) -> Artefact:
    """Digests of an output folder, its tensors and its adapter read whole; raises `UsageError` for what is damaged.

    A whole model is held against its own configuration, GGUF against its header. Without safetensors (GGUF, an index of
    texts) the artefact digest stands for both digests.
    """
    files = tuple(artefact_files(folder, leave_out))
    names = [file.name for file in files if file.name.endswith(".safetensors")]
    is_adapter = (folder / CONFIG_FILE).is_file()
    if kind == "lora" and not is_adapter:
        raise ArtefactError(f"{folder.name} holds no adapter ({CONFIG_FILE} is missing): record it as full or merge")
    if kind in _WHOLE_MODELS and is_adapter:
        raise ArtefactError(f"{folder.name} holds an adapter ({CONFIG_FILE}), not a whole model: record it as lora")
    _check_one_thing(folder, [file.name for file in files], is_adapter)
    check_gguf(folder, [file.name for file in files if is_gguf(folder / file.name)])
    if not names and not is_adapter:
        root = model_signing_root(files)
        return Artefact(
            files=files, artefact_digest=root, tensor_digest=root, byte_count=sum(file.byte_count for file in files)
        )
    prepare()
    artefact = describe_artefact(folder, leave_out)
    check_weights(folder, names)
    listed = {
        f"{file.name.rpartition('/')[0]}/{shard}"
        for file in files
        if file.name.endswith(_SHARDS_INDEX)
        for shard in _checked_shards(folder / file.name, file.name)
    }
    for name in names:
        if _SHARD.search(name) and f"{name.rpartition('/')[0]}/{name.rpartition('/')[2]}" not in listed:
            raise WeightsRefused(
                f"{name} is a part of a model that no index lists, so no loader reads it: move it away"
            )
    if is_adapter:
        read_adapter(folder)
    else:
        _check_no_adapter_inside(folder, names)
        check_whole_model(folder, names)
    return artefact


def _check_one_thing(folder: Path, names: Sequence[str], is_adapter: bool) -> None:
    """Every file with numbers is one that a loader of this folder reads; raises `ArtefactError`."""
    for name in names:
        last = name.rpartition("/")[2]
        if last == CONFIG_FILE and name != CONFIG_FILE:
            raise ArtefactError(f"{name} belongs to an adapter further down: record that folder by itself, as lora")
        if last.lower().endswith(_SAFETENSORS) and not last.endswith(_SAFETENSORS):
            raise ArtefactError(f"{name} is read by no loader under this name: write {_SAFETENSORS} in small letters")
        if is_adapter and last.endswith(_SAFETENSORS) and name != ADAPTER_FILE:
            raise ArtefactError(
                f"{name} stands beside an adapter, whose numbers are all in {ADAPTER_FILE}: move it away or record it "
                f"by itself ({folder.name} would be recorded as more than what is loaded)"
            )


def _check_no_adapter_inside(folder: Path, names: Sequence[str]) -> None:
    """No tensor of an adapter in what is no adapter: loaders of models leave it out; raises `ArtefactError`."""
    from safetensors import safe_open

    for name in names:
        with safe_open(folder / name, framework="pt") as opened:
            found = next((tensor for tensor in sorted(opened.keys()) if _OF_ADAPTER.search(tensor)), None)
        if found:
            raise ArtefactError(
                f"{name} holds {found}, a tensor of an adapter: merge the adapter into the model, or record its folder "
                f"with {CONFIG_FILE} as lora"
            )


def _checked_shards(path: Path, name: str) -> set[str]:
    """The shards that an index lists, each compared with it."""
    index = _read_index(path)
    check_shards(path.parent, index, name)
    return set(dict(index["weight_map"]).values())  # type: ignore[call-overload]  # check_shards has looked at it


def _read_index(path: Path) -> Mapping[str, object]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise WeightsRefused(f"{path.name} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise WeightsRefused(f"{path.name} is no JSON object")
    return value


def check_base_of_adapter(
    folder: Path,
    parents: Sequence[ParentRecord],
    chain: ChainEntries,
    store: ContentStore,
    base_folder: Path | None = None,
) -> None:
    """Check that an adapter in `folder` fits its parent base, and its own base is an ancestor; raise `UsageError`."""
    # A run of any kind: an adapter has a base, which its lineage must name.
    if not (folder / CONFIG_FILE).is_file():
        return
    prepare()
    ancestors: dict[bytes, EntryRecord] = {}
    for parent in parents:
        known = chain.entry(parent.entry_id.hex())
        ancestors |= {known.entry_id: known.record, **ancestors_of(chain, known)}
    named = _named_base(folder, ancestors, base_folder)
    if named is not None and named not in {record.tensor_digest for record in ancestors.values()}:
        raise AdapterRefused(
            f"the base of this adapter (tensors {named.hex()[:16]}…) is not among the ancestors of the run: name it as "
            "--parent, or record it first"
        )
    for parent in parents:
        if parent.role == "base":
            _check_fits(folder, ancestors[parent.entry_id], store, base_folder)


def _named_base(folder: Path, ancestors: Mapping[bytes, EntryRecord], base_folder: Path | None) -> bytes | None:
    """Tensor digest of the base that the adapter was made for; None where it names the id of an ancestor."""
    if base_folder is not None:
        return describe_folder(base_folder).tensor_digest
    config = read_adapter_config(folder)
    name = config.base_name
    entry_id = id_of_text("olrun", name)
    if entry_id in ancestors:
        return None
    if entry_id:
        raise AdapterRefused(
            f"this adapter names {encode_id('olrun', entry_id)} as its base, which is not among the ancestors"
        )
    for place in (Path(name), *cached_snapshots(name, config.revision)) if name else ():
        if place.is_dir():
            try:
                digest = describe_folder(place).tensor_digest
            except UsageError:
                if place == Path(name):
                    raise
                # A snapshot that was fetched in part is no base; another one may be.
                continue
            if digest in {record.tensor_digest for record in ancestors.values()} or place == Path(name):
                return digest
    shown = repr(name) if name else "nothing"
    raise AdapterRefused(
        f"this adapter names {shown} as its base, which cannot be compared by digest: pass --base DIR with its files"
    )


def cached_snapshots(name: str, revision: str) -> list[Path]:
    """Snapshots of a repository in this machine's hub cache: of the revision that is named, else all."""
    if name.count("/") != 1 or name.startswith((".", "/")):
        return []
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    repository = cache / f"models--{name.replace('/', '--')}"
    found = sorted(each for each in (repository / "snapshots").glob("*") if each.is_dir())
    if not revision:
        return found
    reference = repository / "refs" / revision
    inside = reference.is_file() and reference.resolve().is_relative_to(repository.resolve())
    commit = reference.read_text(encoding="utf-8").strip() if inside else revision
    return [each for each in found if each.name == commit]


def _check_fits(folder: Path, base: EntryRecord, store: ContentStore, base_folder: Path | None) -> None:
    """Every tensor of the adapter has its place in the base, by the base's recorded configuration."""
    files = [file for file in files_of(get_manifest(store, base.manifest_root)) if file.name == BASE_CONFIG_FILE]
    if not files:
        if base_folder is None or not (base_folder / BASE_CONFIG_FILE).is_file():
            raise UsageError(f"the recorded base has no {BASE_CONFIG_FILE}: pass --base DIR with its files")
        read_adapter_of_base(folder, base_folder)
        return
    with TemporaryDirectory(prefix="openledger-base-") as work:
        store.get_file(files[0].digest, Path(work) / BASE_CONFIG_FILE)
        read_adapter_of_base(folder, Path(work))


def check_fits_configuration(folder: Path, config: Any) -> None:
    """Check that every tensor of an adapter has its place in a base of this configuration of transformers."""
    with TemporaryDirectory(prefix="openledger-base-") as work:
        config.save_pretrained(work)
        read_adapter_of_base(folder, Path(work))
