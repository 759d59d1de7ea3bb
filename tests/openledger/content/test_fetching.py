"""Files of a recorded model come whole, resume, and never go where they should not."""

from pathlib import Path

import pytest

from openledger.content.fetching import fetch_files
from openledger.content.folder import ArtefactFile
from openledger.content.store import ContentCorrupt, ContentMissing, ContentStore
from openledger.errors import NotVerified, UsageError


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore.open(tmp_path / "content")


def put(store: ContentStore, **contents: bytes) -> list[ArtefactFile]:
    return [ArtefactFile(name.replace("__", "/"), store.put(data), len(data)) for name, data in contents.items()]


def test_files_come_and_what_is_there_is_kept(store: ContentStore, tmp_path: Path) -> None:
    files = put(store, config=b"{}", shards__one=b"numbers")
    told: list[tuple[int, int]] = []
    folder = tmp_path / "out"
    assert fetch_files(store, files, folder, progress=lambda done, total: told.append((done, total))) == 0
    assert ((folder / "config").read_bytes(), (folder / "shards/one").read_bytes()) == (b"{}", b"numbers")
    assert told == [(2, 9), (9, 9)]
    (folder / "config").unlink()
    told.clear()
    assert fetch_files(store, files, folder, progress=lambda done, total: told.append((done, total))) == 1
    assert told == [(9, 9)]


def test_another_file_of_that_name_stops_everything_before_anything_is_fetched(
    store: ContentStore, tmp_path: Path
) -> None:
    files = put(store, a=b"one", b=b"two")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "b").write_bytes(b"mine")
    with pytest.raises(UsageError, match="b is there already with other content: name another folder, or pass"):
        fetch_files(store, files, folder)
    assert [path.name for path in folder.iterdir()] == ["b"]
    assert fetch_files(store, files, folder, overwrite=True) == 0
    assert (folder / "b").read_bytes() == b"two"


def test_a_link_in_the_folder_is_neither_followed_nor_replaced(store: ContentStore, tmp_path: Path) -> None:
    files = put(store, sub__a=b"one")
    folder, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / "sub").symlink_to(elsewhere)
    with pytest.raises(UsageError, match="is a symbolic link"):
        fetch_files(store, files, folder, overwrite=True)
    (folder / "a").symlink_to(elsewhere / "a")
    with pytest.raises(UsageError, match="is there already with other content"):
        fetch_files(store, put(store, a=b"one"), folder, overwrite=True)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["../a", "/etc/a", "a/../../b", ".git/hooks/pre-commit", "a\\b", "", ".", "a//b", "./a", "a\nb"]
)
def test_names_that_no_model_has_are_refused(store: ContentStore, tmp_path: Path, name: str) -> None:
    file = ArtefactFile(name, store.put(b"x"), 1)
    with pytest.raises(NotVerified, match="is none that a model's folder holds"):
        fetch_files(store, [file], tmp_path / "out")
    with pytest.raises(NotVerified, match="lists a file twice"):
        fetch_files(store, put(store, a=b"1") * 2, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_store_that_lies_or_lacks_leaves_no_file(store: ContentStore, tmp_path: Path) -> None:
    files = put(store, a=b"one")
    Path(store.path_of(files[0].digest)).write_bytes(b"another")
    with pytest.raises(ContentCorrupt):
        fetch_files(store, files, tmp_path / "out")
    with pytest.raises(ContentMissing):
        fetch_files(store, [ArtefactFile("b", bytes(32), 3)], tmp_path / "out")
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_a_disk_without_room_is_said_before_the_first_byte(store: ContentStore, tmp_path: Path) -> None:
    huge = ArtefactFile("a", bytes(32), 2**60)
    with pytest.raises(UsageError, match="are free there: free some, or name another disk"):
        fetch_files(store, [huge], tmp_path / "out" / "deep")
    with pytest.raises(UsageError, match="is a file: name a folder"):
        (tmp_path / "file").write_text("x")
        fetch_files(store, put(store, a=b"1"), tmp_path / "file")
