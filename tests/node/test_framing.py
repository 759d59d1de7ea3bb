"""Frames: every cut, every bound, and bytes that are no frames."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.framing import MAX_FRAME_BYTES, FrameDecoder, FrameError, field_frame, frame, uvarint


def _drain(decoder: FrameDecoder) -> list[bytes]:
    found = []
    while (payload := decoder.next()) is not None:
        found.append(payload)
    return found


def test_a_frame_is_found_when_cut_at_every_byte() -> None:
    payloads = [b"", b"a", b"b" * 127, b"c" * 128, b"d" * 20_000]
    stream = b"".join(frame(payload) for payload in payloads)
    decoder, found = FrameDecoder(), []
    for byte in stream:
        decoder.feed(bytes((byte,)))
        found += _drain(decoder)
    assert found == payloads
    assert decoder.pending_bytes == 0


def test_a_stream_cut_once_at_each_position_gives_the_same_frames() -> None:
    payloads = [b"x" * 5, b"", b"y" * 300]
    stream = b"".join(frame(payload) for payload in payloads)
    for position in range(len(stream) + 1):
        decoder = FrameDecoder()
        decoder.feed(stream[:position])
        found = _drain(decoder)
        decoder.feed(stream[position:])
        assert found + _drain(decoder) == payloads


@given(st.lists(st.binary(max_size=400), max_size=20), st.lists(st.integers(1, 700), max_size=40))
def test_any_payloads_in_any_chunks_come_out_whole(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(frame(payload) for payload in payloads)
    decoder, found, position = FrameDecoder(), [], 0
    for cut in [*cuts, len(stream)]:
        decoder.feed(stream[position : position + cut])
        position += cut
        found += _drain(decoder)
    assert found == payloads


@given(st.binary(max_size=200))
def test_garbage_gives_frames_or_a_frame_error_and_nothing_else(garbage: bytes) -> None:
    decoder = FrameDecoder(max_frame_bytes=64)
    decoder.feed(garbage)
    try:
        found = _drain(decoder)
    except FrameError:
        return
    assert b"".join(frame(payload) for payload in found).__len__() <= len(garbage)


def test_a_frame_over_the_bound_is_refused_before_its_bytes_arrive() -> None:
    decoder = FrameDecoder(max_frame_bytes=1000)
    decoder.feed(uvarint(1001))
    with pytest.raises(FrameError, match="a frame of 1001 bytes; the limit is 1000"):
        decoder.next()


def test_a_frame_at_the_bound_is_read() -> None:
    decoder = FrameDecoder(max_frame_bytes=1000)
    decoder.feed(frame(b"z" * 1000))
    assert decoder.next() == b"z" * 1000


def test_a_length_of_six_bytes_is_refused() -> None:
    decoder = FrameDecoder()
    decoder.feed(b"\x80" * 5)
    with pytest.raises(FrameError, match="more than 5 bytes"):
        decoder.next()


def test_the_default_bound_holds_for_the_largest_length_of_five_bytes() -> None:
    decoder = FrameDecoder()
    decoder.feed(b"\xff\xff\xff\xff\x7f")
    with pytest.raises(FrameError, match=f"the limit is {MAX_FRAME_BYTES}"):
        decoder.next()


def test_missing_bytes_are_known_once_the_length_is() -> None:
    decoder = FrameDecoder()
    decoder.feed(uvarint(100_000) + b"q" * 10)
    assert decoder.next() is None
    assert decoder.missing_bytes == 100_000 - 10


@pytest.mark.parametrize(
    ("value", "encoded"), [(0, "00"), (127, "7f"), (128, "8001"), (300, "ac02"), (2**32, "8080808010")]
)
def test_unsigned_varints_have_their_known_encodings(value: int, encoded: str) -> None:
    assert uvarint(value).hex() == encoded


def test_a_field_frame_is_the_frame_of_a_message_with_one_field() -> None:
    assert field_frame(3, b"").hex() == "021a00"
    assert field_frame(20, b"ab") == frame(bytes.fromhex("a20102") + b"ab")
