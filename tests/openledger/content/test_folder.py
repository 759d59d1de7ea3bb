"""Which files of a folder are the artefact: caches, clones, downloads and training runs as they really lie on disks."""

import os
import pickle
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from openledger.content.folder import ArtefactError, artefact_files

DATA = b"numbers"


def hub_cache(folder: Path, files: dict[str, bytes], *, blob_names: dict[str, str] | None = None) -> Path:
    """A cached repository as huggingface_hub lays it out; returns its snapshot."""
    repository = folder / "models--maker--model"
    snapshot = repository / "snapshots" / ("ab" * 20)
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("ab" * 20)
    for name, data in files.items():
        blob = repository / "blobs" / (blob_names or {}).get(name, sha256(data).hexdigest())
        blob.write_bytes(data)
        link = snapshot / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return snapshot


def names_of(folder: Path) -> list[str]:
    return [file.name for file in artefact_files(folder)]


def test_links_of_a_snapshot_into_its_blobs_are_followed(tmp_path: Path) -> None:
    snapshot = hub_cache(
        tmp_path, {"config.json": b"{}", "onnx/model.onnx": DATA}, blob_names={"config.json": "e" * 40}
    )
    files = list(artefact_files(snapshot))
    assert [(file.name, file.digest, file.byte_count) for file in files] == [
        ("config.json", sha256(b"{}").digest(), 2),
        ("onnx/model.onnx", sha256(DATA).digest(), len(DATA)),
    ]
    linked = tmp_path / "my-model"
    linked.symlink_to(snapshot)
    assert list(artefact_files(linked)) == files


def test_a_blob_that_is_not_what_its_name_says_is_refused(tmp_path: Path) -> None:
    snapshot = hub_cache(tmp_path, {"model.gguf": DATA}, blob_names={"model.gguf": "0" * 64})
    with pytest.raises(ArtefactError, match=r"model.gguf is not what its name in the cache says \(SHA-256 0000"):
        names_of(snapshot)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../other/secret", "../../refs/main", "../../../../outside"])
def test_a_link_that_leads_out_of_the_cached_blobs_is_refused(tmp_path: Path, target: str) -> None:
    snapshot = hub_cache(tmp_path / "hub", {"config.json": b"{}"}, blob_names={"config.json": "e" * 40})
    for path in (tmp_path / "hub/other/secret", tmp_path / "outside"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"secret")
    (snapshot / "x").symlink_to(target)
    with pytest.raises(ArtefactError, match=r"x is a symbolic link that leads (out of the folder|to no file)"):
        names_of(snapshot)


def test_a_blob_that_is_itself_a_link_outwards_is_refused(tmp_path: Path) -> None:
    snapshot = hub_cache(tmp_path / "hub", {"config.json": b"{}"}, blob_names={"config.json": "e" * 40})
    (tmp_path / "secret").write_bytes(b"secret")
    blob = snapshot.parent.parent / "blobs" / ("e" * 40)
    blob.unlink()
    blob.symlink_to(tmp_path / "secret")
    with pytest.raises(ArtefactError, match="leads out of the folder"):
        names_of(snapshot)


def test_links_in_other_folders_are_followed_inside_only(tmp_path: Path) -> None:
    folder = tmp_path / "snapshots" / "mine"
    folder.mkdir(parents=True)
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "x").write_bytes(DATA)
    (folder / "a").write_bytes(DATA)
    (folder / "b").symlink_to("a")
    assert names_of(folder) == ["a", "b"]
    (folder / "c").symlink_to("../../blobs/x")
    with pytest.raises(ArtefactError, match="c is a symbolic link that leads out of the folder"):
        names_of(folder)


@pytest.mark.parametrize("kind", ["broken", "circle", "folder", "pipe", "hidden"])
def test_links_and_files_of_other_kinds_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "model"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "config").write_bytes(b"token")
    (folder / "a").write_bytes(DATA)
    (folder / "sub").mkdir()
    (folder / "sub" / "b").write_bytes(DATA)
    path = folder / "odd"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"broken": "nowhere", "circle": "odd", "folder": "sub", "hidden": ".git/config"}[kind])
    with pytest.raises(ArtefactError, match=r"odd is (a symbolic link|not a regular file)"):
        names_of(folder)


def test_download_records_are_left_out(tmp_path: Path) -> None:
    for name in (".cache/huggingface/download/model.gguf.metadata", ".git/HEAD", ".gitattributes", "model.sig", "a/b"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(DATA)
    assert names_of(tmp_path) == ["a/b"]


def test_a_cache_and_a_cached_repository_are_not_artefacts(tmp_path: Path) -> None:
    snapshot = hub_cache(tmp_path, {"config.json": b"{}"}, blob_names={"config.json": "e" * 40})
    with pytest.raises(ArtefactError, match=r"is a cached repository: name one of its snapshots in .*" + "ab" * 20):
        names_of(snapshot.parent.parent)
    with pytest.raises(ArtefactError, match="is a cache of repositories: name a snapshot"):
        names_of(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("checkpoint-30/model.safetensors", "checkpoint-30 is a checkpoint that training goes on from"),
        ("runs/global_step12/x", "runs/global_step12 is a checkpoint"),
        ("optimizer.pt", "optimizer.pt is what training goes on from"),
        ("sub/optimizer.bin", "sub/optimizer.bin is what training goes on from"),
        ("scheduler.pt", "scheduler.pt is what"),
        ("rng_state_0.pth", "rng_state_0.pth is what"),
        ("rng_state.pth", "rng_state.pth is what"),
        ("trainer_state.json", "trainer_state.json is what"),
        ("training_args.bin", "training_args.bin is what"),
        ("model.safetensors.incomplete", "is an unfinished download"),
    ],
)
def test_what_training_or_a_download_left_behind_is_refused_by_name(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "model.gguf").write_bytes(DATA)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(DATA)
    with pytest.raises(ArtefactError, match=text):
        names_of(tmp_path)


def test_pickles_and_pointers_are_known_by_their_content(tmp_path: Path) -> None:
    (tmp_path / "adapter_model.bin").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ArtefactError, match=r"adapter_model.bin is a pickle, which runs code when it is opened"):
        names_of(tmp_path)
    with zipfile.ZipFile(tmp_path / "adapter_model.bin", "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps({}))
    with pytest.raises(ArtefactError, match="is a pickle"):
        names_of(tmp_path)
    (tmp_path / "adapter_model.bin").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(
        ArtefactError, match="is a git-LFS pointer, not the file that it stands for: run `git lfs pull`"
    ):
        names_of(tmp_path)
    (tmp_path / "adapter_model.bin").write_bytes(DATA)
    assert names_of(tmp_path) == ["adapter_model.bin"]
