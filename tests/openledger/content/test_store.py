"""Content store: what is put is what is got, or a typed error names the digest."""

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openledger.content.store import (
    ContentCorrupt,
    ContentError,
    ContentMissing,
    ContentStore,
    ContentTooLarge,
    default_url,
)


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore.open(tmp_path / "content")


def test_put_returns_the_sha256_and_get_the_bytes(store: ContentStore, tmp_path: Path) -> None:
    digest = store.put(b"hello")
    assert digest == sha256(b"hello").digest()
    assert store.get(digest) == b"hello"
    assert (tmp_path / "content" / "sha256" / digest.hex()).read_bytes() == b"hello"


def test_a_changed_object_is_refused_by_name_and_repaired_by_putting_it_again(store: ContentStore) -> None:
    digest = store.put(b"hello")
    Path(store.path_of(digest)).write_bytes(b"hellO")
    with pytest.raises(ContentCorrupt, match=digest.hex()) as caught:
        store.get(digest)
    assert (caught.value.digest, caught.value.found) == (digest, b"hellO")
    store.put(b"hello")
    assert store.get(digest) == b"hello"


def test_a_missing_object_is_named(store: ContentStore) -> None:
    with pytest.raises(ContentMissing, match="is not in the store") as caught:
        store.get(b"\1" * 32)
    assert caught.value.digest == b"\1" * 32


def test_reads_and_writes_are_bounded(store: ContentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = store.put(b"hello")
    with pytest.raises(ContentTooLarge, match="more than 4 bytes"):
        store.get(digest, max_bytes=4)
    monkeypatch.setattr("openledger.content.store.MAX_MEMORY_BYTES", 3)
    with pytest.raises(ContentTooLarge, match="use put_file"):
        store.put(b"hello")


def test_files_are_streamed_and_checked(store: ContentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openledger.content.store.CHUNK_BYTES", 7)
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 3)
    digest = store.put_file(source)
    store.get_file(digest, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    Path(store.path_of(digest)).write_bytes(b"other")
    with pytest.raises(ContentCorrupt, match=digest.hex()):
        store.get_file(digest, tmp_path / "second")
    assert not (tmp_path / "second").exists()


def test_an_interrupted_write_leaves_nothing_behind(store: ContentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("openledger.content.files.os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        store.put(b"hello")
    assert list(Path(store.path_of(b"\0" * 32)).parent.iterdir()) == []


def test_another_file_system_is_a_matter_of_the_url(tmp_path: Path) -> None:
    store = ContentStore.open("memory://openledger-test")
    source = tmp_path / "source"
    source.write_bytes(b"in memory")
    digest = store.put_file(source)
    assert store.get(digest) == b"in memory"
    assert store.put(b"other") == sha256(b"other").digest()
    assert store.has(sha256(b"other").digest())
    with pytest.raises(ContentMissing):
        store.get(b"\1" * 32)
    with pytest.raises(ContentError, match="cannot open content store"):
        ContentStore.open("no-such-protocol://x")


def test_the_default_place_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("OPENLEDGER_CONTENT", raising=False)
    assert default_url() == str(tmp_path / "openledger" / "content")
    monkeypatch.setenv("OPENLEDGER_CONTENT", "s3://bucket/prefix")
    assert default_url() == "s3://bucket/prefix"


def test_named_objects_are_checked_by_their_own_rule(store: ContentStore) -> None:
    store.put_named("thing", b"\5" * 32, b"\5")
    assert store.get_named("thing", b"\5" * 32, lambda data: data * 32) == b"\5"
    with pytest.raises(ContentCorrupt):
        store.get_named("thing", b"\5" * 32, lambda data: b"\6" * 32)

    def refuse(data: bytes) -> bytes:
        raise ValueError("not a thing")

    with pytest.raises(ContentCorrupt, match="not a thing"):
        store.get_named("thing", b"\5" * 32, refuse)


@given(st.binary(max_size=300))
def test_any_bytes_come_back(data: bytes) -> None:
    store = ContentStore.open("memory://openledger-property")
    assert store.get(store.put(data)) == data
