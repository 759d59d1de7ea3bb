"""One value, one encoding: everything else, even where msgspec would accept it, is a `CodecError`."""

import itertools
import struct
from enum import IntEnum
from typing import Annotated, Any

import msgpack  # type: ignore[import-untyped]  # an independent codec
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from abci_app.chain.registry import MESSAGE_TYPES, MODULES, SECTIONS, TABLES, all_queries
from abci_app.chain.transaction import Envelope
from abci_app.errors import Code
from abci_app.parameters import CHAIN
from abci_app.policy import DelegatedKey, Policy
from abci_app.state.codec import CodecError, Record, decode, encode
from abci_app.state.table import Index
from abci_app.types import Address, Bytes32, Flag, Integer, Name, Text

MAX_LENGTH = 2**20


class Sample(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One field of each kind."""

    number: Integer
    data: Annotated[bytes, Meta(max_length=300)]
    text: Text
    items: Annotated[tuple[Integer, ...], Meta(max_length=20)]


SAMPLES = st.builds(
    Sample,
    st.integers(0, 2**63 - 1),
    st.binary(max_size=300),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=256),
    st.lists(st.integers(0, 2**63 - 1), max_size=20).map(tuple),
)


@given(SAMPLES)
def test_every_value_comes_back_and_its_bytes_are_plain_messagepack(value: Sample) -> None:
    data = encode(value)
    assert decode(Sample, data) == value
    assert data == msgpack.packb([1, value.number, value.data, value.text, list(value.items)], use_bin_type=True)


@given(SAMPLES, st.data())
def test_changed_bytes_are_refused_or_are_another_value(value: Sample, data: st.DataObject) -> None:
    raw = bytearray(encode(value))
    at = data.draw(st.integers(0, len(raw)))
    raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        decoded = decode(Sample, bytes(raw))
    except CodecError:
        return
    assert encode(decoded) == bytes(raw)


@given(st.binary(max_size=60))
def test_no_bytes_make_the_decoder_raise_anything_else(data: bytes) -> None:
    try:
        decoded = decode(Sample, data)
    except CodecError:
        return
    assert encode(decoded) == data


def sample(
    number: bytes = b"\x07", data: bytes = b"\xc4\x01x", text: bytes = b"\xa1y", items: bytes = b"\x90"
) -> bytes:
    return b"\x95\x01" + number + data + text + items


def test_the_base_of_the_following_cases_is_canonical() -> None:
    assert decode(Sample, sample()) == Sample(7, b"x", "y", ())


@pytest.mark.parametrize(
    "number",
    [
        b"\xcc\x07", b"\xcd\x00\x07", b"\xce\x00\x00\x00\x07", b"\xcf" + bytes(7) + b"\x07", b"\xd0\x07",
        b"\xd1\x00\x07", b"\xd2\x00\x00\x00\x07", b"\xd3" + bytes(7) + b"\x07", b"\xff", b"\xd0\x80", b"\xc2", b"\xc3",
        b"\xc0", b"\xca" + struct.pack(">f", 7), b"\xcb" + struct.pack(">d", 7),
        b"\xcb" + struct.pack(">d", float("nan")),
        b"\xcf\x80" + bytes(7), b"\xcf" + b"\xff" * 8, b"\xd3\x80" + bytes(7), b"\xa17", b"\xc4\x017", b"\xc1",
        b"\xd4\x01\x07", b"\xd6\xff" + bytes(4), b"\xc7\x0c\xff" + bytes(12), b"\x91\x07", b"\x81\xa1a\x07",
    ],
)  # fmt: skip
def test_an_integer_has_one_form(number: bytes) -> None:
    with pytest.raises(CodecError):
        decode(Sample, sample(number=number))


@pytest.mark.parametrize(
    "data", [b"\xc5\x00\x01x", b"\xc6\x00\x00\x00\x01x", b"\xa1x", b"\xd9\x01x", b"\xc0", b"\x91\x01", b"\xd4\x00x"]
)
def test_bytes_are_bin_with_the_shortest_length(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode(Sample, sample(data=data))


@pytest.mark.parametrize(
    "text",
    [
        b"\xd9\x01y", b"\xda\x00\x01y", b"\xdb\x00\x00\x00\x01y", b"\xc4\x01y", b"\xa1\n", b"\xa2y\n", b"\xa1\x7f",
        b"\xa1\x00", b"\xa1\xff", b"\xa2\xc3\xa9", b"\xa3\xed\xa0\x80", b"\xa2\xc0\x80", b"\xda\x01\x01" + b"y" * 257,
    ],
)  # fmt: skip
def test_text_is_printable_ascii_and_bounded(text: bytes) -> None:
    with pytest.raises(CodecError):
        decode(Sample, sample(text=text))


@pytest.mark.parametrize(
    "items",
    [b"\xdc\x00\x00", b"\xdd" + bytes(4), b"\x80", b"\xc0", b"\xdc\x00\x15" + bytes(21), b"\xdd\xff\xff\xff\xff"],
)
def test_lists_are_arrays_with_the_shortest_length_and_bounded(items: bytes) -> None:
    with pytest.raises(CodecError):
        decode(Sample, sample(items=items))


@pytest.mark.parametrize(
    "data", [b"", sample() + b"\x00", sample() * 2, sample()[:-1], b"\x94" + sample()[1:-1],
     b"\x96" + sample()[1:] + b"\x00",
             b"\xdc\x00\x05" + sample()[1:], b"\x95\x02" + sample()[2:], b"\x85" + sample()[1:], b"\x91" * 50_000]
)  # fmt: skip
def test_records_have_exactly_their_fields(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode(Sample, data)


# --- Every type that reaches the wire or the state


def wire_types() -> list[Any]:
    """Transactions, policies, every message, state value and query argument."""
    values = [table.value_type for table in TABLES if not isinstance(table, Index)]
    arguments = [query.args_type for query in all_queries().values()]
    return [Envelope, Policy, DelegatedKey, *MESSAGE_TYPES, *values, *arguments]


def objections(type_: Any, path: str) -> list[str]:
    """List the parts of a type that canonical MessagePack forbids or that have no bound."""
    info = msgspec.inspect.type_info(type_) if not isinstance(type_, msgspec.inspect.Type) else type_
    if isinstance(info, msgspec.inspect.Metadata):
        return objections(info.type, path)
    if isinstance(info, msgspec.inspect.StructType):
        found = [] if info.array_like and info.forbid_unknown_fields else [f"{path}: not a strict array"]
        for field in info.fields:
            found += [] if field.required else [f"{path}.{field.name}: has a default"]
            found += objections(field.type, f"{path}.{field.name}")
        return found
    if isinstance(info, msgspec.inspect.UnionType):
        return [line for member in info.types for line in objections(member, path)]
    if isinstance(info, msgspec.inspect.TupleType):
        return [line for member in info.item_types for line in objections(member, path)]
    if isinstance(info, msgspec.inspect.VarTupleType):
        return ([] if (info.max_length or MAX_LENGTH) < MAX_LENGTH else [f"{path}: no greatest length"]) + objections(
            info.item_type, f"{path}[]"
        )
    if isinstance(info, msgspec.inspect.Metadata):
        return objections(info.type, path)
    if isinstance(info, msgspec.inspect.BytesType):
        return [] if (info.max_length or MAX_LENGTH) < MAX_LENGTH else [f"{path}: no greatest length"]
    if isinstance(info, msgspec.inspect.StrType):
        pattern = info.pattern or ""
        good = pattern.startswith("\\A") and pattern.endswith("\\Z")
        bounded = info.max_length is not None or "{40}" in pattern
        return [] if good and bounded else [f"{path}: text without a bound or a pattern from \\A to \\Z"]
    if isinstance(info, msgspec.inspect.IntType):
        bounded = info.ge is not None and info.le is not None and info.le < 2**63
        return [] if bounded else [f"{path}: integer without bounds"]
    return [f"{path}: {type(info).__name__} has no canonical form"]


@pytest.mark.parametrize("type_", wire_types(), ids=lambda type_: type_.__name__)
def test_every_field_on_the_wire_has_one_form_and_a_bound(type_: Any) -> None:
    assert objections(type_, type_.__name__) == []


@pytest.mark.parametrize(
    "type_",
    [
        int, bytes, str, float, bool, None, Any, list[Integer], dict[str, Integer], set[Integer], tuple[Integer, ...],
        Annotated[str, Meta(max_length=5)], Annotated[str, Meta(max_length=5, pattern="^a$")], Integer | None,
        Annotated[tuple[bool, ...], Meta(max_length=3)], Annotated[int, Meta(ge=0)], msgspec.Raw,
    ],
    ids=str,
)  # fmt: skip
def test_the_check_itself_finds_what_it_must(type_: Any) -> None:
    assert objections(type_, "x") != []


@pytest.mark.parametrize("type_", [Integer, Bytes32, Flag, Name, Text, Sample], ids=str)
def test_the_check_itself_accepts_what_is_canonical(type_: Any) -> None:
    assert objections(type_, "x") == []


def test_every_table_has_a_prefix_that_begins_no_other() -> None:
    prefixes = sorted([table.prefix for table in TABLES])
    assert [left for left, right in itertools.pairwise(prefixes) if right.startswith(left)] == []
    assert {CHAIN, *[section.table for section in SECTIONS]} <= set(TABLES)


def test_error_codes_of_all_modules_are_unique_and_in_their_ranges() -> None:
    by_code: dict[int, str] = {}
    enums: list[type[IntEnum]] = [Code, *[module.errors for module in MODULES]]
    for errors in enums:
        for member in errors:
            name = f"{errors.__name__}.{member.name}"
            assert by_code.setdefault(int(member), name) == name
    assert all(0 <= code < 1_600 for code in by_code)


def test_message_tags_are_unique_and_u16() -> None:
    tags = [int(message.__struct_config__.tag) for message in MESSAGE_TYPES]  # type: ignore[arg-type]
    assert len(set(tags)) == len(tags)
    assert all(0 < tag < 2**16 for tag in tags)


def test_new_types_are_plain_bytes_at_run_time() -> None:
    assert encode(Address(bytes(32))) == b"\xc4\x20" + bytes(32)
