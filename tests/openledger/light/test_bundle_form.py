"""A bundle has one form: another spelling, another order, a wider proof or a question about nothing are refused."""

import json

import pytest
from msgspec import structs

from abci_app.hashing import sha256
from openledger.client.provenance import lineage_question
from openledger.data.manifest import Manifest
from openledger.light.attachments import Attachment
from openledger.light.bundle import _encode, _JsonBundle, parse_bundle, verify_bundle
from openledger.light.errors import BadStateProof, LightError, MalformedAnswer, VerificationFailed
from openledger.light.parse import decode_json
from openledger.light.query import prove_answer
from tests.kit.openledger.light_clients import light_client
from tests.kit.openledger.story import Story
from tests.kit.simulated_chain import SimulatedChain

RECIPE = b"model: small\nsteps: 20\n"
MANIFEST = Manifest({"about": b'{"version":1}', "recipe": json.dumps({"sha256": sha256(RECIPE).hex()}).encode()})


@pytest.fixture(scope="module")
def chain() -> SimulatedChain:
    made = SimulatedChain()
    made.make_block([(b"number/root", MANIFEST.root)])
    made.make_blocks(29)
    return made


def _respelled(data: bytes, old: bytes, new: bytes) -> bytes:
    """The bundle with another spelling of one value, under a checksum that fits."""
    return _encode(decode_json(_JsonBundle, data.replace(old, new), "the bundle"))


def test_the_same_values_in_another_spelling_are_no_bundle(chain: SimulatedChain) -> None:
    data = light_client(chain).bundle(light_client(chain).read([b"number/now"], height=9))
    for old, new in (
        (b'"time":"2026-09-21T14:13:20Z"', b'"time":"2026-09-21T14:13:20.000Z"'),
        (b'"app":"2"', b'"app":"02"'),
        (b'"height":"9"', b'"height":"09"'),
        (b'"round":0', b'"round":-0'),
        (b'"version":1,', b'"version":1,"note":"mine",'),
        (b'"attachments":[]', b'"attachments": []'),
        (b'"attachments":[]', b'"attachments":[],"attachments":[]'),
    ):
        assert old in data
        with pytest.raises((VerificationFailed, MalformedAnswer)):
            verify_bundle(data.replace(old, new), chain.genesis, chain.now_ns)
        try:
            again = _respelled(data, old, new)
        except LightError:
            continue
        if again != data:
            with pytest.raises((VerificationFailed, MalformedAnswer)):
                verify_bundle(again, chain.genesis, chain.now_ns)


def test_a_checksum_that_is_longer_or_over_more_than_the_content_is_none(chain: SimulatedChain) -> None:
    data = light_client(chain).bundle(light_client(chain).read([b"number/now"], height=9))
    body, end = data[:-67], b'"}\n'
    assert data == body + sha256(body + b'"}').hex().encode() + end
    for more in (b"0" * 64, b"note", b" "):
        longer = body + more
        forged = longer + sha256(longer + b'"}').hex().encode() + end
        with pytest.raises(VerificationFailed, match="not as it was written"):
            parse_bundle(forged)
    with pytest.raises((VerificationFailed, MalformedAnswer)):
        parse_bundle(data[:-1] + b" \n")


def test_attachments_have_one_order_and_come_once(chain: SimulatedChain) -> None:
    client = light_client(chain)
    answer = client.read([b"number/root"])
    attached = [Attachment("recipe.yaml", RECIPE), Attachment("manifest", MANIFEST.encode(), "manifest")]
    data = client.bundle(answer, attached)
    assert client.bundle(answer, attached[::-1]) == data
    raw = decode_json(_JsonBundle, data, "the bundle")
    with pytest.raises(VerificationFailed, match="not as it was written"):
        parse_bundle(_encode(structs.replace(raw, attachments=raw.attachments[::-1])))
    twice = client.bundle(answer, [*attached, Attachment("another name", RECIPE)])
    with pytest.raises(VerificationFailed, match=r"the bundle carries the attachment .* twice"):
        verify_bundle(twice, chain.genesis, chain.now_ns)


@pytest.mark.parametrize(
    ("keys", "ranges", "text"),
    [
        ([b"number/now", b"number/root"], [], "shows more than the question reads"),
        ([b"number/now"], [(b"number/x", b"number/y")], "claims other ranges than the question reads"),
        ([], [(b"number/now", b"number/now\x00")], "claims other ranges than the question reads"),
    ],
)
def test_a_true_proof_of_more_than_the_question_is_another_form_and_refused(
    chain: SimulatedChain, keys: list[bytes], ranges: list[tuple[bytes, bytes]], text: str
) -> None:
    client = light_client(chain)
    answer = client.read([b"number/now"], height=9)
    with chain.store.version(9) as version:
        wider = version.prove(keys, ranges)
    with pytest.raises(BadStateProof, match=text):
        prove_answer(answer.question, wider, answer.header.app_hash, 9)
    assert prove_answer(answer.question, answer.proof, answer.header.app_hash, 9).value == answer.value


def test_a_question_about_nothing_proves_nothing(chain: SimulatedChain) -> None:
    """Asked of a client, and in a bundle that somebody made by hand around a true proof."""
    client = light_client(chain)
    with pytest.raises(MalformedAnswer, match="the question names no key and no range"):
        client.read()
    raw = decode_json(_JsonBundle, client.bundle(client.read([b"number/now"])), "the bundle")
    empty = _encode(structs.replace(raw, question=structs.replace(raw.question, keys=[])))
    with pytest.raises(MalformedAnswer, match="the question names no key and no range"):
        verify_bundle(empty, chain.genesis, chain.now_ns)


def test_no_flipped_bit_leaves_a_proof_that_is_accepted() -> None:
    """Once a flip in the end of a proven range left a wider range, which held as well."""
    signed = SimulatedChain()
    signed.make_block(list(Story.tell().ledger.chain.state().items()))
    signed.make_blocks(4)
    answer = light_client(signed).query("models", "lineage", lineage_question("tutor"))
    for place in range(len(answer.proof)):
        # Every bit of the ranges, which stand at the end; one bit of each byte elsewhere.
        for bit in range(8) if place > len(answer.proof) - 300 else (place % 8,):
            changed = bytearray(answer.proof)
            changed[place] ^= 1 << bit
            with pytest.raises(BadStateProof):
                prove_answer(answer.question, bytes(changed), answer.header.app_hash, answer.height)
