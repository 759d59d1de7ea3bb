"""Models in the cache of a hub: found by their name there, or by any folder of it, and said where they came from."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from openledger.content.folder import ArtefactError

_REPOSITORY = re.compile(r"models--(?P<name>[A-Za-z0-9._-]+)")
_HUB_NAME = re.compile(r"[A-Za-z0-9._-]{1,96}(/[A-Za-z0-9._-]{1,96})?")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SHOWN_REVISION = 12


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder with the files of one model, and where it came from in words (empty when nobody can tell)."""

    path: Path
    source: str


def cache_folder() -> Path:
    """Where hub clients keep what they fetched: $HF_HUB_CACHE, $HF_HOME/hub, or the usual place."""
    named = os.environ.get("HF_HUB_CACHE")
    if named:
        return Path(named).expanduser()
    home = os.environ.get("HF_HOME")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return Path(home).expanduser() / "hub" if home else cache / "huggingface" / "hub"


def from_cache(reference: str, cache: Path | None = None) -> ModelFolder:
    """The snapshot of a model by its name on the hub (`org/name`, `org/name@revision`) or by a folder of the cache.

    Raises `ArtefactError` that says what is there.
    """
    folder = Path(reference).expanduser()
    if folder.is_dir():
        return model_folder(folder)
    name, _, revision = reference.partition("@")
    if _HUB_NAME.fullmatch(name) is None:
        raise ArtefactError(f"{reference!r} is neither a folder nor a name on a hub, such as org/name")
    repository = (cache or cache_folder()) / f"models--{name.replace('/', '--')}"
    if not repository.is_dir():
        raise ArtefactError(
            f"{name} is not in the cache {repository.parent}: fetch it with a hub client first, or name a folder"
        )
    return _snapshot_of(repository, revision)


def model_folder(folder: Path) -> ModelFolder:
    """A folder of model files; one of a cached repository leads to its snapshot."""
    folder = folder.expanduser()
    if not folder.is_dir():
        raise ArtefactError(f"{folder} is not a folder: name the folder with the files of the model")
    if _REPOSITORY.fullmatch(folder.resolve().name) and (folder / "snapshots").is_dir():
        return _snapshot_of(folder, "")
    resolved = folder.resolve()
    if resolved.parent.name == "snapshots" and _REPOSITORY.fullmatch(resolved.parent.parent.name):
        return ModelFolder(folder, _source(resolved.parent.parent, resolved.name))
    return ModelFolder(folder, "")


def _snapshot_of(repository: Path, revision: str) -> ModelFolder:
    """The snapshot of a revision (its beginning does), else of the branch main, else the only one."""
    snapshots = sorted([each.name for each in (repository / "snapshots").iterdir() if each.is_dir()])
    wanted = revision or _main_of(repository)
    found = [each for each in snapshots if wanted and each.startswith(wanted)]
    if not revision and not found:
        found = snapshots
    if len(found) != 1:
        known = ", ".join([each[:_SHOWN_REVISION] for each in snapshots]) or "none"
        asked = f"revision {revision!r} of it is not there" if revision else "it has several snapshots"
        raise ArtefactError(f"{repository.name}: {asked} (there are {known}): name one as NAME@REVISION or its folder")
    return ModelFolder(repository / "snapshots" / found[0], _source(repository.resolve(), found[0]))


def _main_of(repository: Path) -> str:
    try:
        text = (repository / "refs" / "main").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return text if _REVISION.fullmatch(text) else ""


def _source(repository: Path, revision: str) -> str:
    found = _REPOSITORY.fullmatch(repository.name)
    name = found["name"].replace("--", "/", 1) if found else repository.name
    return f"{name} at revision {revision}"
