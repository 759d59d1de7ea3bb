"""Models in a hub's cache: by name, by any folder of it, and what is said where there are several or none."""

from pathlib import Path

import pytest

from openledger.content.folder import ArtefactError
from openledger.content.hub_cache import ModelFolder, cache_folder, from_cache, model_folder

FIRST, SECOND = "a" * 40, "b" * 40


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    repository = tmp_path / "hub" / "models--org--tiny-llama"
    for revision in (FIRST, SECOND):
        (repository / "snapshots" / revision).mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(SECOND)
    return tmp_path / "hub"


def test_a_name_on_the_hub_leads_to_the_snapshot_of_its_main_branch(cache: Path) -> None:
    found = from_cache("org/tiny-llama", cache)
    assert found == ModelFolder(
        cache / "models--org--tiny-llama" / "snapshots" / SECOND, f"org/tiny-llama at revision {SECOND}"
    )
    assert from_cache("org/tiny-llama@aaaa", cache).path.name == FIRST


def test_any_folder_of_the_cache_leads_there_too(cache: Path) -> None:
    repository = cache / "models--org--tiny-llama"
    assert model_folder(repository) == from_cache("org/tiny-llama", cache)
    snapshot = repository / "snapshots" / FIRST
    assert model_folder(snapshot) == ModelFolder(snapshot, f"org/tiny-llama at revision {FIRST}")
    assert model_folder(cache.parent) == ModelFolder(cache.parent, "")


def test_what_is_not_there_or_not_one_is_said(cache: Path) -> None:
    with pytest.raises(ArtefactError, match="org/other is not in the cache"):
        from_cache("org/other", cache)
    with pytest.raises(ArtefactError, match="revision 'cccc' of it is not there"):
        from_cache("org/tiny-llama@cccc", cache)
    with pytest.raises(ArtefactError, match="neither a folder nor a name on a hub"):
        from_cache("../../etc/passwd", cache)
    with pytest.raises(ArtefactError, match="is not a folder"):
        model_folder(cache / "nowhere")
    for text in ("../../..", "c" * 40):
        (cache / "models--org--tiny-llama" / "refs" / "main").write_text(text)
        with pytest.raises(ArtefactError, match=r"several snapshots \(there are aaaaaaaaaaaa, bbbbbbbbbbbb\)"):
            from_cache("org/tiny-llama", cache)


def test_the_cache_is_where_the_hub_client_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert cache_folder() == Path.home() / ".cache" / "huggingface" / "hub"
    monkeypatch.setenv("HF_HOME", "/data/hf")
    assert cache_folder() == Path("/data/hf/hub")
    monkeypatch.setenv("HF_HUB_CACHE", "/data/cache")
    assert cache_folder() == Path("/data/cache")
