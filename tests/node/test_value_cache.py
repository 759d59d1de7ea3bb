"""Latest values in memory never differ from the database's, after any commits in between."""

from collections.abc import Callable

from node.value_cache import ValueCache


class Database:
    """Counts reads; `during` runs once in the middle of the next one."""

    def __init__(self, **values: bytes) -> None:
        self.values = {key.encode(): value for key, value in values.items()}
        self.reads = 0
        self.during: Callable[[], None] = lambda: None

    def read(self, key: bytes) -> bytes | None:
        self.reads += 1
        value = self.values.get(key)
        during, self.during = self.during, lambda: None
        during()
        return value


def test_value_and_absence_are_read_once() -> None:
    database = Database(a=b"1")
    cache = ValueCache(10_000, database.read)
    assert [cache.get(b"a"), cache.get(b"a"), cache.get(b"b"), cache.get(b"b")] == [b"1", b"1", None, None]
    assert database.reads == 2


def test_commit_replaces_removes_and_adds() -> None:
    database = Database(a=b"1", b=b"2")
    cache = ValueCache(10_000, database.read)
    assert [cache.get(key) for key in (b"a", b"b", b"c")] == [b"1", b"2", None]
    cache.committed([(b"a", b"3"), (b"b", None), (b"c", b"4")])
    assert [cache.get(key) for key in (b"a", b"b", b"c")] == [b"3", None, b"4"]
    assert database.reads == 3


def test_value_read_before_a_commit_and_returned_after_it_is_not_kept() -> None:
    database = Database(a=b"old")
    cache = ValueCache(10_000, database.read)

    def commit() -> None:
        database.values[b"a"] = b"new"
        cache.committed([])  # as if `a` had been dropped for want of room right after

    database.during = commit
    assert cache.get(b"a") == b"old"
    assert cache.get(b"a") == b"new"


def test_earlier_commit_is_answered_from_memory_only_while_it_is_the_last() -> None:
    database, snapshot = Database(a=b"1"), Database(a=b"1")
    cache = ValueCache(10_000, database.read)
    generation = cache.generation
    assert [cache.get_of(generation, b"a", snapshot.read), cache.get_of(generation, b"a", snapshot.read)] == [b"1"] * 2
    assert snapshot.reads == 1
    cache.committed([(b"a", b"2")])
    assert cache.get_of(generation, b"a", snapshot.read) == b"1"
    assert cache.get(b"a") == b"2"
    assert (snapshot.reads, database.reads) == (2, 0)


def test_size_stays_within_its_limit_and_the_least_recently_used_goes_first() -> None:
    database = Database(a=b"x" * 100, b=b"x" * 100, c=b"x" * 100)
    cache = ValueCache(600, database.read)  # room for two
    for key in (b"a", b"b", b"a", b"c"):
        cache.get(key)
    assert database.reads == 3
    cache.get(b"a")
    assert database.reads == 3
    cache.get(b"b")
    assert database.reads == 4


def test_cleared_cache_reads_again() -> None:
    database = Database(a=b"1")
    cache = ValueCache(10_000, database.read)
    cache.get(b"a")
    database.values[b"a"] = b"2"
    cache.clear()
    assert cache.get(b"a") == b"2"
