"""The reader accepts exactly the shortest forms of what it expects."""

from __future__ import annotations

import msgpack  # type: ignore[import-untyped]  # an independent codec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.state.message_pack import (
    MalformedBytes,
    Reader,
    pack_array_size,
    pack_byte_string,
    pack_byte_strings,
    pack_integer,
    pack_proof,
)


@given(st.integers(0, 2**64 - 1))
def test_integers_are_packed_as_msgpack_packs_them_and_read_back(number: int) -> None:
    packed = pack_integer(number)
    assert packed == msgpack.packb(number)
    assert Reader(packed).integer() == number


@given(st.binary(max_size=70_000))
def test_byte_strings_are_packed_as_msgpack_packs_them_and_read_back(data: bytes) -> None:
    packed = pack_byte_string(data)
    assert packed == msgpack.packb(data, use_bin_type=True)
    assert Reader(packed).byte_string() == data


@pytest.mark.parametrize("items", [0, 15, 16, 65535, 65536])
def test_lists_are_packed_as_msgpack_packs_them_and_read_back(items: int) -> None:
    packed = pack_byte_strings([b"x"] * items)
    assert packed == msgpack.packb([b"x"] * items)
    assert Reader(packed).byte_strings() == [b"x"] * items
    assert packed.startswith(pack_array_size(items))


def test_a_proof_is_one_list_of_six() -> None:
    packed = pack_proof(1, 300, [b"k", b"v"], b"\x00", b"", [b"a", b"b"])
    assert msgpack.unpackb(packed) == [1, 300, [b"k", b"v"], b"\x00", b"", [b"a", b"b"]]


@pytest.mark.parametrize(
    "text", ["cc7f", "cd00ff", "ce0000ffff", "cf00000000ffffffff", "d001", "ff", "c0", "a161", "cc", "cd01"]
)
def test_an_integer_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(MalformedBytes):
        Reader(bytes.fromhex(text)).integer()


@pytest.mark.parametrize("text", ["c50001ff", "c600000001ff", "a161", "c402ff", "c4", "01"])
def test_a_byte_string_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(MalformedBytes):
        Reader(bytes.fromhex(text)).byte_string()


@pytest.mark.parametrize("text", ["dc000f", "dd0000ffff", "80", "01", "dc", "91"])
def test_a_list_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(MalformedBytes):
        Reader(bytes.fromhex(text)).byte_strings()


def test_nothing_may_follow() -> None:
    reader = Reader(b"\x01\x02")
    reader.integer()
    with pytest.raises(MalformedBytes, match="1 bytes follow"):
        reader.finish()


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (Reader.integer, Reader.byte_string, Reader.byte_strings):
        reader = Reader(data)
        try:
            value = read(reader)
            reader.finish()
        except MalformedBytes:
            continue
        assert msgpack.packb(value) == data


def test_an_integer_of_more_than_64_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="has more than 64 bits"):
        pack_integer(2**64)
