"""Models out of folders: whole ones are taken, and what is wrong with others is said by name."""

import json
import shutil
from pathlib import Path

import pytest

from openledger.content.folder import ArtefactError
from openledger.content.hub_cache import ModelFolder, model_folder
from openledger.content.store import ContentStore
from openledger.data.manifest import files_of, get_manifest
from openledger.data.ownership import find_owner
from openledger.errors import UsageError
from tests.kit.trainer.tiny import tiny_model
from trainer.describe import describe_run
from trainer.importing import check_model_name, examine_model, record_model, store_model
from trainer.run_records import RunRecord


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model(), tmp_path / "tiny"))


def record_of(folder: Path, store: ContentStore, source: str = "", owner: bytes = b"") -> RunRecord:
    model = examine_model(model_folder(folder))
    store_model(model, store, lambda done, total: None)
    return record_model(
        "tiny",
        model,
        terms_id=b"\1" * 32,
        licence="Apache-2.0",
        source=source,
        store=store,
        now_seconds=7,
        owner=owner,
    )


def test_a_folder_is_stored_whole_and_its_record_says_that_what_is_below_is_unknown(
    folder: Path, tmp_path: Path
) -> None:
    store = ContentStore.open(tmp_path / "content")
    record = record_of(folder, store)
    manifest = get_manifest(store, record.entry.manifest_root)
    assert {file.name for file in files_of(manifest)} == {path.name for path in folder.iterdir()}
    assert all(store.get(file.digest) == (folder / file.name).read_bytes() for file in files_of(manifest))
    assert (record.entry.kind, record.entry.terms_id, record.entry.undeclared) == ("import", b"\1" * 32, "nothing")
    assert describe_run(manifest)[:3] == [
        "import by openledger model add",
        "imported from a folder of files (Apache-2.0); the files as they were received",
        "training data: unknown: not declared on this chain",
    ]


def test_the_same_files_from_the_same_source_are_one_entry(folder: Path, tmp_path: Path) -> None:
    first, second = [record_of(folder, ContentStore.open(tmp_path / name)) for name in ("one", "two")]
    assert first.entry == second.entry
    assert record_of(folder, ContentStore.open(tmp_path / "one"), source="elsewhere").entry != first.entry


def test_an_import_names_who_adds_it_so_that_nobody_else_decides_what_becomes_of_it(
    folder: Path, tmp_path: Path
) -> None:
    """Anybody can add the same public files first, and supersede them once others build on that entry."""
    store = ContentStore.open(tmp_path / "content")
    mine, theirs = record_of(folder, store, owner=b"\5" * 32), record_of(folder, store, owner=b"\6" * 32)
    assert find_owner(get_manifest(store, mine.entry.manifest_root)) == b"\5" * 32
    assert mine.entry != theirs.entry


def test_the_same_numbers_in_other_forms_are_left_out_and_named(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")
    (folder / "training_args.bin").write_bytes(b"PK\x03\x04" + b"archive/data.pkl")
    (folder / "model.onnx").write_bytes(b"onnx")
    model = examine_model(model_folder(folder))
    assert model.left_out == ("model.onnx", "pytorch_model.bin", "training_args.bin")
    assert "pytorch_model.bin" not in {file.name for file in model.artefact.files}


def test_a_snapshot_with_links_into_its_blobs_is_taken(folder: Path, tmp_path: Path) -> None:
    repository = tmp_path / "models--org--tiny"
    snapshot, blobs = repository / "snapshots" / ("a" * 40), repository / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for path in folder.iterdir():
        shutil.copy(path, blobs / path.name)
        (snapshot / path.name).symlink_to(Path("../../blobs") / path.name)
    model = examine_model(model_folder(repository))
    assert model.source == f"org/tiny at revision {'a' * 40}"
    assert model.artefact == examine_model(model_folder(folder)).artefact


def break_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def test_a_folder_that_is_no_whole_model_is_refused_with_what_to_do(folder: Path, tmp_path: Path) -> None:
    names = ("layers", "pointer", "cut", "config", "json", "adapter", "pickles", "outside")
    broken = {name: Path(shutil.copytree(folder, tmp_path / name)) for name in names}
    break_config(broken["layers"], num_hidden_layers=3)
    (broken["pointer"] / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    whole = (broken["cut"] / "model.safetensors").read_bytes()
    (broken["cut"] / "model.safetensors").write_bytes(whole[:-8])
    (broken["config"] / "config.json").unlink()
    (broken["json"] / "config.json").write_text("[1")
    (broken["adapter"] / "adapter_config.json").write_text("{}")
    (broken["pickles"] / "model.safetensors").unlink()
    (broken["pickles"] / "pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")
    (broken["outside"] / "model.safetensors").unlink()
    (broken["outside"] / "model.safetensors").symlink_to(folder / "model.safetensors")
    said = {
        "layers": "is missing, by config.json",
        "pointer": "is a git-LFS pointer",
        "cut": "is cut short",
        "config": "has no config.json, so it is no model in transformers' layout",
        "json": "is not JSON",
        "adapter": "holds an adapter, which stands on a base",
        "pickles": r"no .safetensors file \(pytorch_model.bin cannot be taken\)",
        "outside": "leads out of the folder",
    }
    for name, path in broken.items():
        with pytest.raises(UsageError, match=said[name]):
            examine_model(model_folder(path))


def test_what_does_not_stop_an_import_is_said(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    break_config(folder, architectures=[], auto_map={"AutoConfig": "code.Config"})
    notes = " / ".join(examine_model(ModelFolder(folder, "")).notes)
    for text in ("names no causal language model", "needs code of its own", "no tokenizer file"):
        assert text in notes


def test_a_configuration_that_names_no_architecture_is_judged_by_its_type(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["architectures"]
    (folder / "config.json").write_text(json.dumps(config))
    assert examine_model(ModelFolder(folder, "")).notes == ()


@pytest.mark.parametrize(
    ("name", "like"),
    [("Tiny Llama", "tiny-llama"), ("-x", "x"), ("x" * 300, "x"), ("☃", "tiny-llama"), ("", "tiny-llama")],
)
def test_a_name_that_no_model_can_have_is_refused_with_one_that_it_can(name: str, like: str) -> None:
    with pytest.raises(UsageError, match=f"such as {like}"):
        check_model_name(name)
    check_model_name("org/tiny-llama_2.0")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"has no config\.json"):
        examine_model(model_folder(tmp_path))
