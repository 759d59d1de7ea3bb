"""The page cache: bounded, the page unused for longest goes first, safe to use from several threads."""

from __future__ import annotations

import random
import threading

import pytest

from abci_app.state.tree.pages import CorruptPage, LeafPage, Page
from node.leveldb.records import encode_page, page_key
from node.leveldb.version import PageCache, page_reader


def page(number: int) -> LeafPage:
    """A page of its own, about 310 bytes by the cache's account."""
    return LeafPage.pack([b"key %08d" % number], [], [number.to_bytes(32, "big")])


def test_the_page_that_was_not_used_for_longest_goes_first() -> None:
    cache = PageCache(4 * 330)
    for number in range(1, 5):
        cache.put(number, page(number))
    assert cache.get(1) is not None
    cache.put(5, page(5))
    assert [number for number in range(1, 6) if cache.get(number)] == [1, 3, 4, 5]


def test_dropped_pages_make_room() -> None:
    cache = PageCache(4 * 330)
    for number in range(1, 5):
        cache.put(number, page(number))
    cache.drop([2, 3, 99])
    cache.put(5, page(5))
    cache.put(6, page(6))
    assert [number for number in range(1, 7) if cache.get(number)] == [1, 4, 5, 6]


def test_a_cache_of_nothing_keeps_nothing() -> None:
    cache = PageCache(0)
    cache.put(1, page(1))
    assert cache.get(1) is None


def test_a_number_keeps_the_page_that_came_first() -> None:
    cache = PageCache(10_000)
    first = page(1)
    cache.put(1, first)
    cache.put(1, page(1))
    assert cache.get(1) is first


def test_pages_are_read_once_while_they_are_in_the_cache() -> None:
    class Source:
        """Counts reads."""

        def __init__(self) -> None:
            self.reads: list[bytes] = []

        def get(self, key: bytes, verify_checksums: bool) -> bytes | None:
            assert verify_checksums
            self.reads.append(key)
            return encode_page(1, page(1)) if key == page_key(1) else None

    source = Source()
    read = page_reader(source, PageCache(10_000))
    pages: list[Page] = [read(1), read(1)]
    assert pages[0] is pages[1]
    assert pages[0].encode() == page(1).encode()
    with pytest.raises(
        CorruptPage, match="page 2 of the tree is missing: the state store is damaged, restore a backup"
    ):
        read(2)
    assert source.reads == [page_key(1), page_key(2)]


def test_many_threads_never_get_a_wrong_page() -> None:
    cache = PageCache(50 * 330)
    wrong: list[object] = []

    def use(seed: int) -> None:
        chance = random.Random(seed)
        try:
            for _ in range(5_000):
                number = chance.randint(1, 100)
                found = cache.get(number)
                if found is None:
                    cache.put(number, page(number))
                elif found.encode() != page(number).encode():
                    wrong.append(number)
                if not number % 10:
                    cache.drop([number])
        except Exception as error:  # noqa: BLE001  # shown by the test's own thread
            wrong.append(error)

    threads = [threading.Thread(target=use, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert 0 < len([number for number in range(1, 101) if cache.get(number)]) <= 55
