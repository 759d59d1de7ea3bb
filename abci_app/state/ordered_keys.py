"""The sorted keys of an overlay, kept up to date with every new key.

    keys    a c | f g | m p z      buckets of at most `_BUCKET_KEYS` keys, in order
    firsts  b"" | f   | m          the first key that belongs to each bucket; the first bucket takes every small key

Adding a key replaces one bucket and copies the short list of buckets, and changes nothing in place: an iteration goes
on over the keys that stood when it began.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

# Keys in one bucket at most: adding to a block of 100,000 keys then copies about 256 and 400 pointers.
_BUCKET_KEYS = 512


class OrderedKeys:
    """Distinct keys in order: adding one costs about 2 us and looking for the first in a range about 1 us."""

    __slots__ = ("_buckets", "_firsts")

    def __init__(self, keys: Iterable[bytes]) -> None:
        ordered = sorted(keys)
        half = _BUCKET_KEYS // 2
        self._buckets = [ordered[at : at + half] for at in range(0, len(ordered), half)] or [[]]
        self._firsts = [b"", *[bucket[0] for bucket in self._buckets[1:]]]

    def add(self, key: bytes) -> None:
        """Take up a key that is not here yet."""
        place = bisect_right(self._firsts, key) - 1
        bucket = self._buckets[place].copy()
        bucket.insert(bisect_left(bucket, key), key)
        buckets = self._buckets.copy()
        if len(bucket) <= _BUCKET_KEYS:
            buckets[place] = bucket
        else:
            half = _BUCKET_KEYS // 2
            buckets[place : place + 1] = [bucket[:half], bucket[half:]]
            self._firsts = [*self._firsts[: place + 1], bucket[half], *self._firsts[place + 1 :]]
        self._buckets = buckets

    def between(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[bytes]:
        """Keys of start <= key < end in order, or backwards."""
        buckets, firsts = self._buckets, self._firsts
        if start >= end:
            return iter(())
        if reverse:
            return _backwards(buckets, firsts, start, end)
        return _forwards(buckets, firsts, start, end)


def _forwards(buckets: list[list[bytes]], firsts: list[bytes], start: bytes, end: bytes) -> Iterator[bytes]:
    place = bisect_right(firsts, start) - 1
    at = bisect_left(buckets[place], start)
    while place < len(buckets):
        for key in buckets[place][at:]:
            if key >= end:
                return
            yield key
        place, at = place + 1, 0


def _backwards(buckets: list[list[bytes]], firsts: list[bytes], start: bytes, end: bytes) -> Iterator[bytes]:
    place = bisect_right(firsts, end) - 1
    at = bisect_left(buckets[place], end)
    while place >= 0:
        for key in reversed(buckets[place][:at]):
            if key < start:
                return
            yield key
        place, at = place - 1, len(buckets[place - 1]) if place else 0
