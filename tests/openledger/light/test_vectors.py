"""Golden bytes for other implementations: `tests/vectors/light.json`, made from a deterministic chain.

Run this file as a program to write the vectors again: `python -m tests.openledger.light.test_vectors`.
"""

import json
from pathlib import Path
from typing import Any

from openledger.client.light_client import LightClient
from openledger.light.anchors import parse_genesis
from openledger.light.bundle import verify_bundle
from tests.kit.simulated_chain import SimulatedChain, SimulatedNode

PATH = Path(__file__).parents[2] / "vectors" / "light.json"


def make_vectors() -> dict[str, Any]:
    """Header hash, validator set hash, sign bytes, and a bundle with its genesis document."""
    chain = SimulatedChain()
    chain.make_blocks(4)
    client = LightClient(
        SimulatedNode(chain, "primary"),
        [SimulatedNode(chain, "witness")],
        anchor=chain.genesis,
        clock=lambda: chain.now_ns,
    )
    bundle = client.bundle(client.read([b"number/now", b"number/none"], [(b"number/", b"number0")]))
    block = chain.blocks[4]
    return {
        "about": "bundle: one answer with its way from the genesis document; all hashes are lower-case hex",
        "chain_id": chain.chain_id,
        "header_height": block.height,
        "header_hash": block.hash.hex(),
        "validators_hash": block.validators.hash.hex(),
        "sign_bytes_of_vote_0": block.commit.sign_bytes(chain.chain_id, 0).hex(),
        "now_nanoseconds": chain.now_ns,
        "proven_height": 3,
        "proven_value_of_number_now": b"3".hex(),
        "path_from_genesis": [1, 4],
        "genesis": chain.genesis_bytes().decode(),
        "bundle": bundle.decode(),
    }


def test_the_vectors_are_current() -> None:
    assert json.loads(PATH.read_text()) == make_vectors()


def test_the_bundle_of_the_vectors_verifies_from_their_genesis() -> None:
    vectors = json.loads(PATH.read_text())
    anchor = parse_genesis(vectors["genesis"].encode())
    verdict = verify_bundle(vectors["bundle"].encode(), anchor, vectors["now_nanoseconds"])
    assert (verdict.anchored, verdict.height, list(verdict.path)) == (True, 3, vectors["path_from_genesis"])
    assert verdict.header.hash.hex() == vectors["header_hash"]
    assert verdict.value.values == (bytes.fromhex(vectors["proven_value_of_number_now"]), None)


if __name__ == "__main__":
    PATH.write_text(json.dumps(make_vectors(), indent=2) + "\n")
