"""Anchors as people give them: a genesis document, a height with a hash."""

import json
from typing import Any

import pytest

from openledger.light.anchors import HashAnchor, parse_genesis, parse_trust
from openledger.light.errors import MalformedAnswer, NoAnchor
from openledger.light.verifier import Genesis
from tests.kit.simulated_chain import START_NS, SimulatedChain, validator_set, validators


def test_a_genesis_document_gives_chain_time_and_ordered_validators() -> None:
    chain = SimulatedChain([*validators("ann", "bob"), *validators("cat", power=50)])
    found = parse_genesis(chain.genesis_bytes())
    assert found.genesis == Genesis(chain.chain_id, 1, START_NS, validator_set(chain.members))
    assert found.genesis.validators.validators[0].power == 50


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validators": []}, "0 validators; 1 to 1000 are allowed"),
        ({"chain_id": None}, "the genesis document is malformed: Expected `str`, got `null` - at `$.chain_id`"),
        ({"genesis_time": "today"}, "time 'today' is not RFC 3339 in UTC"),
        ({"initial_height": "x"}, "genesis.initial_height is 'x', not a 64-bit integer"),
    ],
)
def test_a_malformed_genesis_document_is_refused(changes: dict[str, Any], message: str) -> None:
    document = json.loads(SimulatedChain().genesis_bytes()) | changes
    with pytest.raises(MalformedAnswer) as caught:
        parse_genesis(json.dumps(document).encode())
    assert str(caught.value) == message


def test_a_hash_is_read_in_either_case() -> None:
    assert parse_trust("12:" + "aB" * 32) == HashAnchor(12, b"\xab" * 32)


@pytest.mark.parametrize(
    "text", ["", "12", "12:", "0:" + "ab" * 32, "12:" + "ab" * 31, "-1:" + "ab" * 32, "12:" + "xy" * 32]
)
def test_what_is_no_hash_is_refused(text: str) -> None:
    with pytest.raises(NoAnchor, match="give HEIGHT:HASH, the hash as 64 hex digits"):
        parse_trust(text)
