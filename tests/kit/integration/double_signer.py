"""A second process with a validator's key, which signs two blocks of one height: never do this.

`python -m tests.kit.integration.double_signer KEY_FILE RPC_URL HEIGHT NUMBER` signs precommits for two blocks that
never were, of a height that the validator signed, and hands both to a node, as a peer that saw them would. Another
number makes other blocks.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

from nacl.bindings import crypto_sign

from node import rpc
from openledger.light import wire
from openledger.light.blocks import BlockID

_TYPE = "tendermint/DuplicateVoteEvidence"
_PRECOMMIT = 2


def main(key_file: str, url: str, height_text: str, number: str) -> None:
    """Sign twice, and tell."""
    key = json.loads(Path(key_file).read_text())
    height, first = int(height_text), 2 * int(number) + 1
    header = rpc.call(url, "header", height=str(height))["header"]
    found = rpc.call(url, "validators", height=str(height), per_page="100")["validators"]
    powers = {each["address"]: int(each["voting_power"]) for each in found}
    votes = [_vote(key, header["chain_id"], height, block) for block in (bytes([first]) * 32, bytes([first + 1]) * 32)]
    evidence = {
        "vote_a": votes[0],
        "vote_b": votes[1],
        "TotalVotingPower": str(sum(powers.values())),
        "ValidatorPower": str(powers[key["address"]]),
        "Timestamp": header["time"],
    }
    rpc.call(url, "broadcast_evidence", evidence={"type": _TYPE, "value": evidence})  # type: ignore[arg-type]


def _vote(key: dict[str, Any], chain_id: str, height: int, block_hash: bytes) -> dict[str, Any]:
    """A signed precommit in CometBFT's JSON."""
    block = BlockID(block_hash, 1, block_hash)
    signed = wire.precommit(chain_id, height, 0, block.encode(), 0)
    secret = base64.b64decode(key["priv_key"]["value"])
    hashed = block_hash.hex().upper()
    return {
        "type": _PRECOMMIT,
        "height": str(height),
        "round": 0,
        "block_id": {"hash": hashed, "parts": {"total": 1, "hash": hashed}},
        "timestamp": "1970-01-01T00:00:00Z",
        "validator_address": key["address"],
        "validator_index": 0,
        "signature": base64.b64encode(crypto_sign(signed, secret)[:64]).decode(),
        "extension": None,
        "extension_signature": None,
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
