"""Hashes of validator sets and what counts as a signature, compared with protobuf's own encoder."""

import pytest

from abci_app.hashing import merkle_root
from abci_app.pb import crypto_pb2, light_pb2
from openledger.light.blocks import Validator, ValidatorSet, signature_is_valid
from tests.kit.simulated_chain import SimulatedChain, SimulatedValidator


def test_a_validator_set_hashes_as_the_generated_messages_do() -> None:
    members = (Validator(b"\x01" * 32, 10), Validator(b"\x02" * 32, 2**40))
    leaves = [
        light_pb2.SimpleValidator(
            pub_key=crypto_pb2.PublicKey(ed25519=each.public_key), voting_power=each.power
        ).SerializeToString()
        for each in members
    ]
    assert ValidatorSet(members).hash == merkle_root(leaves)


def test_sign_bytes_are_the_generated_messages_behind_their_length() -> None:
    chain = SimulatedChain()
    chain.make_blocks(2)
    block = chain.blocks[2]
    vote = block.commit.votes[0]
    canonical = light_pb2.CanonicalVote(
        type=light_pb2.SIGNED_MESSAGE_PRECOMMIT,
        height=2,
        round=0,
        block_id=light_pb2.CanonicalBlockID(
            hash=block.hash,
            part_set_header=light_pb2.CanonicalPartSetHeader(total=1, hash=block.commit.block_id.parts_hash),
        ),
        chain_id=chain.chain_id,
    )
    canonical.timestamp.FromNanoseconds(vote.time_ns)
    content = canonical.SerializeToString()
    assert block.commit.sign_bytes(chain.chain_id, 0) == bytes((len(content),)) + content


@pytest.mark.parametrize("size", [0, 1, 63, 65])
def test_a_signature_of_another_size_is_no_signature(size: int) -> None:
    assert not signature_is_valid(SimulatedValidator("ann").keys[0], b"text", bytes(size))
