"""The sorted keys of an overlay: in order after any order of arrival, and an iteration keeps what it began with."""

from hypothesis import given
from hypothesis import strategies as st

from abci_app.hashing import sha256
from abci_app.state import ordered_keys
from abci_app.state.ordered_keys import OrderedKeys

KEYS = st.lists(st.binary(min_size=1, max_size=3), unique=True, max_size=60)


@given(KEYS, st.integers(0, 60), st.binary(max_size=3), st.binary(max_size=3), st.booleans())
def test_keys_come_in_order_wherever_they_were_added(
    keys: list[bytes], at_first: int, start: bytes, end: bytes, reverse: bool
) -> None:
    whole = ordered_keys._BUCKET_KEYS
    ordered_keys._BUCKET_KEYS = 4  # so that a few keys already make many buckets
    try:
        ordered = OrderedKeys(keys[:at_first])
        for key in keys[at_first:]:
            ordered.add(key)
        expected = sorted([key for key in keys if start <= key < end], reverse=reverse)
        assert list(ordered.between(start, end, reverse=reverse)) == expected
    finally:
        ordered_keys._BUCKET_KEYS = whole


def test_an_iteration_does_not_see_keys_that_come_while_it_runs() -> None:
    ordered = OrderedKeys([b"b", b"d"])
    running = ordered.between(b"a", b"z")
    assert next(running) == b"b"
    ordered.add(b"c")
    assert list(running) == [b"d"]
    assert list(ordered.between(b"a", b"z")) == [b"b", b"c", b"d"]


def test_buckets_stay_small_when_keys_come_in_any_order() -> None:
    ordered = OrderedKeys([])
    for number in range(5_000):
        ordered.add(sha256(b"%d" % number))
    assert max(len(bucket) for bucket in ordered._buckets) <= ordered_keys._BUCKET_KEYS
    assert len(list(ordered.between(b"", b"\xff" * 33))) == 5_000
