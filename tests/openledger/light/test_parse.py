"""JSON of a node: read, written back, and refused with the field named."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openledger.light import parse
from openledger.light.blocks import ZERO_TIME_NS
from openledger.light.errors import MalformedAnswer
from tests.kit.simulated_chain import SimulatedChain


def _commit_document() -> Any:
    chain = SimulatedChain()
    chain.make_blocks(2)
    block = chain.blocks[2]
    signed = {"header": parse.dump_header(block.header), "commit": parse.dump_commit(block.commit)}
    return json.loads(msgspec.json.encode({"signed_header": signed, "canonical": True}))


def test_a_commit_survives_writing_and_reading() -> None:
    chain = SimulatedChain()
    chain.make_block(signers=chain.members[:3])
    block = chain.blocks[1]
    assert parse.parse_header(parse.dump_header(block.header)) == block.header
    assert parse.parse_commit(parse.dump_commit(block.commit)) == block.commit
    assert parse.parse_validators(parse.dump_validators(block.validators)) == block.validators


@pytest.mark.parametrize(
    "text",
    ["1970-01-01T00:00:00Z", "2026-11-21T09:00:00.5Z", "2026-11-21T09:00:00.000000001Z", "1969-12-31T23:59:59.9Z"],
)
def test_times_are_written_as_they_were_read(text: str) -> None:
    assert parse.format_time(parse.parse_time(text)) == text


def test_the_time_of_an_absent_vote_is_year_one() -> None:
    assert parse.parse_time("0001-01-01T00:00:00Z") == ZERO_TIME_NS


def test_the_epoch_is_zero() -> None:
    assert parse.parse_time("1970-01-01T00:00:00.25Z") == 250_000_000


@given(st.integers(min_value=ZERO_TIME_NS, max_value=253_402_300_799 * 10**9))
def test_every_time_survives_writing_and_reading(time_ns: int) -> None:
    assert parse.parse_time(parse.format_time(time_ns)) == time_ns


def _set(place: str, value: object) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        *parents, last = [int(part) if part.isdigit() else part for part in place.split(".")]
        for part in parents:
            document = document[part]
        document[last] = value

    return change


_HEADER, _COMMIT = "signed_header.header", "signed_header.commit"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set(f"{_HEADER}.height", "02"), "header.height is '02', not a 64-bit integer"),
        (
            _set(f"{_HEADER}.height", "9223372036854775808"),
            "header.height is '9223372036854775808', not a 64-bit integer",
        ),
        (_set(f"{_HEADER}.height", "-1"), "header.height is negative"),
        (_set(f"{_HEADER}.chain_id", ""), "header.chain_id has 0 characters, 1 to 50 allowed"),
        (_set(f"{_HEADER}.chain_id", "x" * 51), "header.chain_id has 51 characters, 1 to 50 allowed"),
        (
            _set(f"{_HEADER}.time", "2026-11-21T09:00:00+01:00"),
            "time '2026-11-21T09:00:00+01:00' is not RFC 3339 in UTC",
        ),
        (_set(f"{_HEADER}.time", "2026-02-30T09:00:00Z"), "time '2026-02-30T09:00:00Z' does not exist"),
        (_set(f"{_HEADER}.app_hash", "abc"), "header.app_hash is 'abc', not upper-case hex"),
        (_set(f"{_HEADER}.data_hash", "AB"), "header.data_hash is 'AB', not upper-case hex of 32 bytes"),
        (_set(f"{_COMMIT}.round", -1), "commit.round is -1"),
        (_set(f"{_COMMIT}.signatures", []), "a commit has 0 signatures, 1 to 1000 are read"),
        (_set(f"{_COMMIT}.signatures.0.block_id_flag", 4), "block_id_flag is 4, must be 1, 2 or 3"),
        (
            _set(f"{_COMMIT}.signatures.0.signature", None),
            "a commit signature has an address or a signature of the wrong size",
        ),
        (
            _set(f"{_COMMIT}.signatures.0.validator_address", "AB"),
            "a commit signature has an address or a signature of the wrong size",
        ),
        (_set(f"{_COMMIT}.block_id.parts.total", -1), "block_id.parts.total is -1"),
    ],
)
def test_a_malformed_commit_is_refused_with_its_field(change: Callable[[Any], None], message: str) -> None:
    document = _commit_document()
    change(document)
    with pytest.raises(MalformedAnswer) as caught:
        parse.parse_commit_answer(json.dumps(document).encode())
    assert str(caught.value) == message


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{}", b"\xff", b'{"signed_header": 1}', b"[" * 100_000])
def test_json_of_another_shape_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedAnswer, match=r"^the node's commit is malformed: "):
        parse.parse_commit_answer(data)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        parse.parse_validators_answer(data)


def _validators(total: object = "1", power: str = "10", kind: str = parse.KEY_TYPE, key: str = "A" * 43 + "=") -> bytes:
    one = {"address": "00" * 20, "pub_key": {"type": kind, "value": key}, "voting_power": power}
    return json.dumps({"block_height": "5", "validators": [one], "total": total}).encode()


def test_validators_are_read() -> None:
    page = parse.parse_validators_answer(_validators())
    assert (page.height, page.total, page.validators[0].public_key, page.validators[0].power) == (5, 1, bytes(32), 10)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_validators(total="0"), "the node's validator list says it has 0 validators; 1 to 1000 are read"),
        (_validators(total="1001"), "the node's validator list says it has 1001 validators; 1 to 1000 are read"),
        (_validators(power="0"), "voting power 0 is outside 1 to 1152921504606846975"),
        (_validators(kind="other"), "validator key of type 'other'; this chain has tendermint/PubKeyEd25519"),
        (
            _validators(key="AAAA"),
            "validator key of type 'tendermint/PubKeyEd25519'; this chain has tendermint/PubKeyEd25519",
        ),
    ],
)
def test_a_malformed_validator_list_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(MalformedAnswer) as caught:
        parse.parse_validators_answer(data)
    assert str(caught.value) == message
