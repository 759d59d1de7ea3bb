"""Bytes that validators hash and sign, against values that CometBFT's own tests state."""

import hashlib

from openledger.light import wire
from openledger.light.blocks import ZERO_TIME_NS, BlockID, Header
from openledger.light.parse import parse_time


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def test_a_header_hashes_to_the_value_that_cometbft_states() -> None:
    header = Header(
        block_version=1,
        app_version=2,
        chain_id="chainId",
        height=3,
        time_ns=parse_time("2019-10-13T16:14:44Z"),
        last_block_id=BlockID(bytes(32), 6, bytes(32)),
        last_commit_hash=_sha256("last_commit_hash"),
        data_hash=_sha256("data_hash"),
        validators_hash=_sha256("validators_hash"),
        next_validators_hash=_sha256("next_validators_hash"),
        consensus_hash=_sha256("consensus_hash"),
        app_hash=_sha256("app_hash"),
        last_results_hash=_sha256("last_results_hash"),
        evidence_hash=_sha256("evidence_hash"),
        proposer_address=_sha256("proposer_address")[:20],
    )
    assert header.hash.hex().upper() == "F740121F553B5418C3EFBD343C2DBFE9E007BB67B0D020A0741374BAB65242A4"


def test_sign_bytes_of_an_empty_precommit_are_the_ones_that_cometbft_states() -> None:
    expected = "2108021101000000000000001901000000000000002a0b088092b8c398feffffff01"
    assert wire.precommit("", 1, 1, None, ZERO_TIME_NS).hex() == expected


def test_height_and_round_zero_are_left_out_of_sign_bytes() -> None:
    assert wire.precommit("", 0, 0, None, ZERO_TIME_NS).hex() == "0f08022a0b088092b8c398feffffff01"


def test_the_chain_id_comes_last_in_sign_bytes() -> None:
    signed = wire.precommit("test_chain_id", 1, 1, None, ZERO_TIME_NS)
    assert signed == bytes((0x30,)) + wire.precommit("", 1, 1, None, ZERO_TIME_NS)[1:] + b"\x32\x0dtest_chain_id"


def test_an_empty_block_id_still_has_its_part_set_header() -> None:
    assert wire.block_id(b"", 0, b"") == bytes.fromhex("1200")


def test_times_before_1970_have_nanoseconds_that_are_not_negative() -> None:
    assert wire.timestamp(-1) == wire.varint(1, -1) + wire.varint(2, 999_999_999)
