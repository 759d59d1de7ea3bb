"""Transactions have one encoding each; every other byte string is a coded rejection."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.chain.transaction import (
    MAX_MESSAGES,
    MAX_TRANSACTION_BYTES,
    Auth,
    Body,
    Envelope,
    KeySignature,
    Transaction,
    decode_transaction,
    encode_envelope,
    signed_digest,
)
from abci_app.chain.weight import weight_of
from abci_app.errors import Code, Rejected
from abci_app.hashing import sha256, tagged_hash
from abci_app.modules.bank import BankCode, Burn, Transfer
from abci_app.state.codec import encode
from tests.kit.signing import CHAIN_ID, Signer

ALICE, BOB = Signer.named("alice"), Signer.named("bob")
TRANSFER = Transfer(BOB.address, 5)


def body_with(**changes: object) -> bytes:
    fields = {
        "chain_id": CHAIN_ID, "sender": ALICE.address, "sequence": 0, "fee_limit_nopen": 10**6, "expiry_height": 0,
        "sponsor": b"", "memo_digest": b"", "messages": (TRANSFER,), **changes,
    }  # fmt: skip
    return encode(Body(**fields))  # type: ignore[arg-type]


def sealed(body: bytes) -> bytes:
    """Make an envelope with Alice's signature over any body."""
    return encode_envelope(body, (ALICE.auth(body),))


def rejection_of(raw: bytes) -> tuple[int, str]:
    with pytest.raises(Rejected) as caught:
        decode_transaction(raw)
    return caught.value.code, caught.value.text


def test_decoding_gives_back_what_was_encoded() -> None:
    body = body_with()
    raw = sealed(body)
    decoded = decode_transaction(raw)
    assert decoded == Transaction(
        size_bytes=len(raw),
        weight=weight_of(len(raw), 1, decoded.presented, (TRANSFER,)),
        body=Body(CHAIN_ID, ALICE.address, 0, 10**6, 0, b"", b"", (TRANSFER,)),
        auths=(ALICE.auth(body),),
        presented=decoded.presented,
        signed_digest=tagged_hash("openledger/tx/v1", body),
        verified=set(),
        keys_checked=False,
    )
    assert [encode(policy) for policy in decoded.presented if policy] == [ALICE.policy]


def test_the_signed_digest_is_the_tagged_hash_of_the_body_as_received() -> None:
    body = body_with()
    tag = sha256(b"openledger/tx/v1")
    assert signed_digest(body) == sha256(tag + tag + body) == decode_transaction(sealed(body)).signed_digest


def test_the_signed_digest_does_not_depend_on_the_policy_or_the_signatures() -> None:
    body = body_with()
    digests = {
        decode_transaction(encode_envelope(body, (Auth(ALICE.address, policy, (KeySignature(0, bytes(64)),)),)))
        .signed_digest for policy in (b"", ALICE.policy)
    }  # fmt: skip
    assert digests == {signed_digest(body)}


# Each makes other bytes out of a valid transaction's body that a lenient decoder would read as the same body.
def longer_integer(body: bytes) -> bytes:
    """Sequence 0 as uint8 and not as fixint."""
    at = body.index(ALICE.address) + 32
    return body[:at] + b"\xcc\x00" + body[at + 1 :]


def integer_of_nine_bytes(body: bytes) -> bytes:
    at = body.index(ALICE.address) + 32
    return body[:at] + b"\xcf" + bytes(8) + body[at + 1 :]


def signed_integer(body: bytes) -> bytes:
    at = body.index(ALICE.address) + 32
    return body[:at] + b"\xd0\x00" + body[at + 1 :]


def longer_bin_header(body: bytes) -> bytes:
    at = body.index(ALICE.address) - 2
    return body[:at] + b"\xc5\x00\x20" + body[at + 2 :]


def longer_string_header(body: bytes) -> bytes:
    at = body.index(CHAIN_ID.encode()) - 1
    return body[:at] + b"\xd9" + bytes([len(CHAIN_ID)]) + body[at + 1 :]


def chain_id_as_bin(body: bytes) -> bytes:
    at = body.index(CHAIN_ID.encode()) - 1
    return body[:at] + b"\xc4" + bytes([len(CHAIN_ID)]) + body[at + 1 :]


def sender_as_string(body: bytes) -> bytes:
    at = body.index(ALICE.address) - 2
    return body[:at] + b"\xd9\x20" + body[at + 2 :]


def longer_array_header(body: bytes) -> bytes:
    return b"\xdc\x00\x09" + body[1:]


def array_of_32_bit_length(body: bytes) -> bytes:
    return b"\xdd\x00\x00\x00\x09" + body[1:]


def trailing_byte(body: bytes) -> bytes:
    return body + b"\x00"


def trailing_field(body: bytes) -> bytes:
    return b"\x9a" + body[1:] + b"\x00"


def missing_field(body: bytes) -> bytes:
    return b"\x98" + body[1:-38]


def other_version(body: bytes) -> bytes:
    return body[:1] + b"\x02" + body[2:]


def version_as_text(body: bytes) -> bytes:
    return body[:1] + b"\xa1\x31" + body[2:]


def nil_sponsor(body: bytes) -> bytes:
    return body.replace(b"\xc4\x00\xc4\x00", b"\xc0\xc4\x00")


def boolean_sequence(body: bytes) -> bytes:
    at = body.index(ALICE.address) + 32
    return body[:at] + b"\xc2" + body[at + 1 :]


def float_sequence(body: bytes) -> bytes:
    at = body.index(ALICE.address) + 32
    return body[:at] + b"\xca\x00\x00\x00\x00" + body[at + 1 :]


def unknown_message_tag(body: bytes) -> bytes:
    return body.replace(b"\x93\xcd\x01\x01\xc4", b"\x93\xcd\x7f\xff\xc4")


def truncated(body: bytes) -> bytes:
    return body[:-1]


def empty(body: bytes) -> bytes:
    return b""


def newline_after_chain_id(body: bytes) -> bytes:
    """A pattern that ended in `$` would let this pass."""
    text = CHAIN_ID.encode()
    return body.replace(bytes([0xA0 + len(text)]) + text, bytes([0xA1 + len(text)]) + text + b"\n")


def chain_id_that_is_no_utf8(body: bytes) -> bytes:
    return body.replace(b"openledger-test", b"openledger-\xff\xfe\xfd\xfc")


def sequence_beyond_63_bits(body: bytes) -> bytes:
    at = body.index(ALICE.address) + 32
    return body[:at] + b"\xcf\x80" + bytes(7) + body[at + 1 :]


MALLEATIONS = [
    longer_integer, integer_of_nine_bytes, signed_integer, longer_bin_header, longer_string_header, chain_id_as_bin,
    sender_as_string, longer_array_header, array_of_32_bit_length, trailing_byte, trailing_field, missing_field,
    other_version, version_as_text, nil_sponsor, boolean_sequence, float_sequence, unknown_message_tag, truncated,
    empty, newline_after_chain_id, chain_id_that_is_no_utf8, sequence_beyond_63_bits,
]  # fmt: skip


@pytest.mark.parametrize("malleate", MALLEATIONS, ids=lambda function: function.__name__)
def test_a_body_in_any_other_encoding_is_malformed_even_if_it_is_signed(malleate: Callable[[bytes], bytes]) -> None:
    body = malleate(body_with())
    assert body != body_with()
    code, text = rejection_of(sealed(body))
    assert (code, text.startswith("transaction is malformed: ")) == (Code.MALFORMED, True), text


def envelope_parts() -> tuple[bytes, bytes]:
    """An envelope cut behind its body."""
    body = body_with()
    raw = sealed(body)
    at = raw.index(body) + len(body)
    return raw[:at], raw[at:]


@pytest.mark.parametrize(
    "malleated",
    [
        pytest.param(lambda head, tail: b"\xdc\x00\x03" + head[1:] + tail, id="longer array header"),
        pytest.param(lambda head, tail: head + tail + b"\x00", id="trailing byte"),
        pytest.param(lambda head, tail: head + tail + head + tail, id="twice"),
        pytest.param(lambda head, tail: b"\x94" + head[1:] + tail + b"\x00", id="surplus field"),
        pytest.param(lambda head, tail: b"\x92" + head[1:], id="no auths"),
        pytest.param(lambda head, tail: head + b"\x90", id="empty list of auths"),
        pytest.param(lambda head, tail: head + b"\x93" + tail[1:] * 3, id="three auths"),
        pytest.param(lambda head, tail: b"\x93\xcc\x01" + head[2:] + tail, id="longer version"),
        pytest.param(lambda head, tail: b"\x93\x02" + head[2:] + tail, id="other version"),
        pytest.param(
            lambda head, tail: b"\x93\x01\xc5" + head[3:4].rjust(2, b"\x00") + head[4:] + tail, id="longer bin header"
        ),
        pytest.param(lambda head, tail: b"\x93\x01\xd9" + head[3:] + tail, id="body as text"),
        pytest.param(lambda head, tail: (head + tail)[:-1], id="truncated"),
        pytest.param(lambda head, tail: b"\xc0", id="nil"),
        pytest.param(lambda head, tail: b"\x91" * 60_000, id="deep nesting"),
        pytest.param(lambda head, tail: b"\xdd\xff\xff\xff\xff", id="array of 2^32 - 1 items"),
    ],
)
def test_an_envelope_in_any_other_encoding_is_malformed(malleated: Callable[[bytes, bytes], bytes]) -> None:
    code, text = rejection_of(malleated(*envelope_parts()))
    assert (code, text.startswith("transaction is malformed: ")) == (Code.MALFORMED, True), text


@given(st.data())
def test_no_two_byte_strings_decode_to_the_same_transaction(data: st.DataObject) -> None:
    raw = bytearray(sealed(body_with()))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 1))] = data.draw(st.binary(max_size=2))
    try:
        decoded = decode_transaction(bytes(raw))
    except Rejected:
        return
    assert encode(Envelope(encode(decoded.body), decoded.auths)) == raw


def test_a_transaction_above_the_size_limit_is_refused_before_it_is_read() -> None:
    assert rejection_of(bytes(MAX_TRANSACTION_BYTES + 1)) == (
        Code.TOO_LARGE, "transaction has 65537 bytes, at most 65536 are allowed",
    )  # fmt: skip


def test_a_transaction_has_one_to_sixteen_messages() -> None:
    assert MAX_MESSAGES == 16
    assert len(decode_transaction(sealed(body_with(messages=(TRANSFER,) * 16))).body.messages) == 16
    for count in (0, 17):
        assert rejection_of(sealed(body_with(messages=(TRANSFER,) * count)))[0] == Code.MALFORMED


@pytest.mark.parametrize(("field", "name"), [("memo_digest", "memo digest"), ("sponsor", "sponsor")])
@pytest.mark.parametrize("size", [1, 20, 31, 33])
def test_memo_digest_and_sponsor_are_empty_or_have_32_bytes(field: str, name: str, size: int) -> None:
    body = body_with(**{field: bytes(size)}, expiry_height=9)
    code, text = rejection_of(sealed(body))
    assert code == Code.MALFORMED
    assert text == f"{name} must be empty or 32 bytes" or "Expected `bytes` of length <= 32" in text


def test_a_memo_digest_is_part_of_what_is_signed() -> None:
    decoded = decode_transaction(sealed(body_with(memo_digest=b"\x07" * 32)))
    assert decoded.body.memo_digest == b"\x07" * 32
    assert decoded.signed_digest != decode_transaction(sealed(body_with())).signed_digest


def test_the_sender_cannot_be_its_own_sponsor() -> None:
    assert rejection_of(sealed(body_with(sponsor=ALICE.address, expiry_height=9))) == (
        Code.BAD_SPONSOR, "sender and sponsor are the same account: leave the sponsor empty",
    )  # fmt: skip


def test_a_sponsored_transaction_needs_an_expiry() -> None:
    assert rejection_of(sealed(body_with(sponsor=BOB.address))) == (
        Code.BAD_SPONSOR, "a sponsored transaction needs an expiry height",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("signers", "sponsored"),
    [((BOB,), False), ((ALICE, BOB), False), ((ALICE,), True), ((BOB, ALICE), True), ((ALICE, ALICE), True)],
)
def test_auths_are_the_senders_then_the_sponsors_and_nobody_elses(signers: tuple[Signer, ...], sponsored: bool) -> None:
    body = body_with(sponsor=BOB.address, expiry_height=9) if sponsored else body_with()
    assert rejection_of(encode_envelope(body, tuple([signer.auth(body) for signer in signers]))) == (
        Code.BAD_SIGNATURE, "signatures must be the sender's, then the sponsor's if there is one",
    )  # fmt: skip


def test_every_message_is_validated_when_the_transaction_is_decoded() -> None:
    assert rejection_of(sealed(body_with(messages=(TRANSFER, Burn(0))))) == (
        BankCode.ZERO_AMOUNT, "burn of 0 nopen: give an amount above zero",
    )  # fmt: skip


def test_a_presented_policy_must_be_canonical_too() -> None:
    body = body_with()
    for policy in (ALICE.policy + b"\x00", b"\xdc\x00\x03" + ALICE.policy[1:], b"\x01", b"\xc1"):
        auth = Auth(ALICE.address, policy, ALICE.auth(body).signatures)
        code, text = rejection_of(encode_envelope(body, (auth,)))
        assert (code, text.startswith("policy is malformed: ")) == (Code.BAD_POLICY, True), text


@pytest.mark.parametrize("size", [0, 63, 65])
def test_a_signature_has_64_bytes(size: int) -> None:
    auth = Auth(ALICE.address, ALICE.policy, (KeySignature(0, bytes(size)),))
    assert rejection_of(encode_envelope(body_with(), (auth,)))[0] == Code.MALFORMED


def test_maximum_spend_sums_the_messages() -> None:
    decoded = decode_transaction(sealed(body_with(messages=(TRANSFER, Burn(7), TRANSFER))))
    assert (decoded.maximum_spend_nopen(), decoded.payer) == (17, ALICE.address)


def test_the_sponsor_pays_where_there_is_one() -> None:
    raw = Signer.named("alice").transaction(TRANSFER, sponsor=BOB, expiry_height=5)
    assert decode_transaction(raw).payer == BOB.address
