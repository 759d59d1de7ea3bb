"""Index files through the content store: complete, checked, and never outside of their folder."""

from pathlib import Path

import pytest

from attribution.errors import AttributionError
from attribution.stored import fetch_index, get_index_file, put_index
from openledger.content.store import ContentCorrupt, ContentMissing, ContentStore, ContentTooLarge
from openledger.data.manifest import to_json

ROOT = b"\x05" * 32


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore.open(tmp_path / "content")


def make_index(folder: Path) -> dict[str, bytes]:
    files = {"commitment": b"one", "leaves/0000": b"two"}
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return files


def read(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_fetched_index_has_the_same_files_and_nothing_else(store: ContentStore, tmp_path: Path) -> None:
    files = make_index(tmp_path / "built")
    put_index(store, tmp_path / "built", ROOT)
    target = tmp_path / "fetched"
    target.mkdir()
    (target / "stale").write_bytes(b"from an earlier index")
    (target / "link").symlink_to(tmp_path / "built" / "commitment")
    (target / "commitment").write_bytes(b"damaged")
    assert read(fetch_index(store, ROOT, target)) == files


def test_one_file_of_an_index_can_be_had_alone(store: ContentStore, tmp_path: Path) -> None:
    make_index(tmp_path / "built")
    put_index(store, tmp_path / "built", ROOT)
    assert get_index_file(store, ROOT, "leaves/0000", 3) == b"two"
    with pytest.raises(ContentTooLarge):
        get_index_file(store, ROOT, "leaves/0000", 2)
    with pytest.raises(AttributionError, match=r"files: the listing has no leaves/0001; fetch it from another store"):
        get_index_file(store, ROOT, "leaves/0001", 3)
    with pytest.raises(ContentMissing):
        get_index_file(store, bytes(32), "leaves/0000", 3)


def test_a_changed_file_in_the_store_is_refused(store: ContentStore, tmp_path: Path) -> None:
    make_index(tmp_path / "built")
    put_index(store, tmp_path / "built", ROOT)
    changed = next(path for path in (tmp_path / "content" / "sha256").iterdir() if path.read_bytes() == b"two")
    changed.write_bytes(b"owt")
    with pytest.raises(ContentCorrupt):
        fetch_index(store, ROOT, tmp_path / "fetched")


def test_an_unknown_index_is_missing(store: ContentStore, tmp_path: Path) -> None:
    with pytest.raises(ContentMissing):
        fetch_index(store, ROOT, tmp_path / "fetched")


@pytest.mark.parametrize(
    "listing",
    [
        b"not json",
        b"[]",
        to_json({"files": []}),
        to_json({"files": [{"name": "../outside", "sha256": "00" * 32, "bytes": 1}]}),
        to_json({"files": [{"name": "/etc/passwd", "sha256": "00" * 32, "bytes": 1}]}),
        to_json({"files": [{"name": "a", "sha256": "00", "bytes": 1}]}),
        to_json({"files": [{"name": "a", "sha256": "00" * 32, "bytes": 1}] * 129}),
        b'{"files":' + b"[" * 50_000,
        b'{"files":[{"bytes":Infinity,"name":"a","sha256":"%s"}]}' % (b"00" * 32),
        to_json({"files": [{"name": "a", "sha256": "00" * 32, "bytes": True}]}),
        to_json({"files": [{"name": "a", "sha256": "00" * 32, "bytes": -1}]}),
        to_json({"files": [{"name": 7, "sha256": "00" * 32, "bytes": 1}]}),
        to_json({"files": [{"name": "a/../b", "sha256": "00" * 32, "bytes": 1}]}),
        to_json({"files": [{"name": "a//b", "sha256": "00" * 32, "bytes": 1}]}),
        to_json({"files": [{"name": "a/./b", "sha256": "00" * 32, "bytes": 1}]}),
        to_json({"files": [{"name": name, "sha256": "00" * 32, "bytes": 1} for name in ("a", "a")]}),
        to_json({"files": [{"name": name, "sha256": "00" * 32, "bytes": 1} for name in ("a/b", "a-b", "a")]}),
    ],
)
def test_a_malformed_listing_is_refused_by_its_field(store: ContentStore, tmp_path: Path, listing: bytes) -> None:
    store.put_named("index", ROOT, listing)
    with pytest.raises(AttributionError, match="files: "):
        fetch_index(store, ROOT, tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


def test_what_a_false_listing_left_in_the_folder_does_not_stand_in_the_way(store: ContentStore, tmp_path: Path) -> None:
    """A listing proves nothing: one whose files fit no index must not spoil the folder for the right one."""
    files = make_index(tmp_path / "built")
    put_index(store, tmp_path / "built", ROOT)
    target = tmp_path / "fetched"
    (target / "commitment" / "below").mkdir(parents=True)
    (target / "commitment" / "below" / "file").write_bytes(b"in the way")
    (target / "leaves").write_bytes(b"in the way")
    assert read(fetch_index(store, ROOT, target)) == files


def test_what_another_process_is_fetching_is_left_alone(store: ContentStore, tmp_path: Path) -> None:
    files = make_index(tmp_path / "built")
    put_index(store, tmp_path / "built", ROOT)
    target = tmp_path / "fetched"
    target.mkdir()
    (target / ".incoming-abc").write_bytes(b"half")
    assert read(fetch_index(store, ROOT, target)) == files | {".incoming-abc": b"half"}
