"""Objects that were erased: what is said of them, and that they do not come back."""

from pathlib import Path

import pytest

from openledger.content.store import ContentErased, ContentMissing, ContentStore
from openledger.content.tombstone import MAX_TOMBSTONE_BYTES, Erased, Tombstone
from openledger.exit_codes import ExitCode

STONE = Tombstone(Erased.ROWS, "garden#2", b"\7" * 32, "personal-data", 1_796_000_000)


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ContentStore:
    return ContentStore.open(tmp_path / "content" if request.param == "folder" else f"memory://{tmp_path.name}")


def test_those_who_ask_for_an_erased_object_hear_what_it_was_and_when(store: ContentStore) -> None:
    digest = store.put(b"her rows")
    store.erase("sha256", digest, STONE)
    with pytest.raises(ContentErased) as raised:
        store.get(digest)
    assert str(raised.value).startswith(
        "the rows of garden#2 were erased from this content store on 2026-11-30 (personal data); "
    )
    assert (raised.value.tombstone, raised.value.exit_code, store.has(digest)) == (STONE, ExitCode.NOT_FOUND, False)
    assert store.find_tombstone(digest) == STONE
    assert store.find_tombstone(b"\1" * 32) is None


def test_it_is_not_stored_again_by_a_copy_of_a_file_or_of_bytes(store: ContentStore, tmp_path: Path) -> None:
    digest = store.put(b"her rows")
    store.put_named("index", b"\2" * 32, b"listing")
    store.erase("sha256", digest, STONE)
    store.erase("index", b"\2" * 32, STONE)
    (tmp_path / "copy").write_bytes(b"her rows")
    for put in (
        lambda: store.put(b"her rows"),
        lambda: store.put_file(tmp_path / "copy"),
        lambda: store.put_named("index", b"\2" * 32, b"listing"),
        lambda: store.get_file(digest, tmp_path / "fetched"),
        lambda: store.get_named("index", b"\2" * 32, lambda _: b"\2" * 32),
    ):
        with pytest.raises(ContentErased):
            put()
    assert not (tmp_path / "fetched").exists()


def test_a_kill_between_tombstone_and_removal_is_mended_by_erasing_again(store: ContentStore, tmp_path: Path) -> None:
    digest = store.put(b"her rows")
    store.erase("sha256", digest, STONE)
    with store._filesystem.open(store.path_of(digest), "wb") as sink:
        sink.write(b"her rows")
    store.erase("sha256", digest, STONE)
    assert not store.has(digest)
    store.erase("sha256", digest, STONE)


def test_all_files_are_listed_but_tombstones(store: ContentStore) -> None:
    assert list(store.files()) == []
    kept, erased = store.put(b"kept"), store.put(b"erased")
    store.put_named("manifest", b"\3" * 32, b"parts")
    store.erase("sha256", erased, STONE)
    with store._filesystem.open(f"{store._root}/sha256/.incoming-x", "wb") as sink:
        sink.write(b"half")
    found = [(file.kind, file.name, file.byte_count) for file in store.files()]
    assert sorted(found) == [("", "", 4), ("manifest", (b"\3" * 32).hex(), 5), ("sha256", kept.hex(), 4)]


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"what": 1}', b"[" * 5_000, b"x" * (MAX_TOMBSTONE_BYTES + 1), STONE.encode()[:40]]
)
def test_a_tombstone_that_cannot_be_read_still_says_that_something_was_erased(tmp_path: Path, data: bytes) -> None:
    store = ContentStore.open(tmp_path)
    digest = store.put(b"her rows")
    store.erase("sha256", digest, STONE)
    (tmp_path / "erased" / "sha256" / digest.hex()).write_bytes(data)
    assert Tombstone.decode(data) is None
    with pytest.raises(ContentErased, match="was erased on purpose; its tombstone cannot be read"):
        store.get(digest)


def test_what_was_never_there_is_missing_and_not_erased(store: ContentStore) -> None:
    with pytest.raises(ContentMissing, match="is not in the store") as raised:
        store.get(b"\1" * 32)
    assert not isinstance(raised.value, ContentErased)


@pytest.mark.parametrize("what", list(Erased))
def test_each_kind_says_what_can_still_be_done(what: Erased) -> None:
    stone = Tombstone(what, "garden#2", b"\7" * 32, "licence", 0)
    said = str(Tombstone.decode(stone.encode()))
    assert "garden#2" in said
    assert "1970-01-01 (licence); " in said
