"""Drafts: built, signed apart, combined, and never signed unread."""

import json
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.chain.transaction import decode_transaction
from abci_app.modules.bank import Transfer
from abci_app.parameters import Parameters
from abci_app.policy import Policy, PolicyKey, address_of, check_indices, encode_policy
from openledger.client import transactions
from openledger.client.transactions import Draft, build, combine, draft_text, read_draft, single_slot, with_fee
from openledger.errors import UsageError
from openledger.keys.signer import Signer, shared_policy

KEYS = sorted([Signer.from_seed(bytes([number]) * 32) for number in range(1, 6)], key=lambda key: key.public_key)
ALICE = KEYS[0]
BOB = b"\x0b" * 32


def _shared(threshold: int, *weights: int) -> Draft:
    policy = shared_policy(threshold, [key.public_key for key in KEYS[: len(weights)]], list(weights))
    slot = single_slot(address_of(encode_policy(policy)), policy, b"")
    return build("dev-1", [slot], 0, [Transfer(BOB, 5)], 10**6)


def test_one_key_signs_and_the_result_decodes() -> None:
    draft = build("dev-1", [single_slot(ALICE.address, ALICE.policy, b"")], 3, [Transfer(BOB, 5)], 10**6, 9)
    transaction = decode_transaction(draft.sign(ALICE).envelope())
    assert transaction.body == draft.body
    assert transaction.signed_digest == draft.transaction_id
    assert (transaction.body.sequence, transaction.body.expiry_height) == (3, 9)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.data())
def test_whoever_signs_no_signature_in_the_envelope_can_be_left_out(weights: list[int], data: st.DataObject) -> None:
    threshold = data.draw(st.integers(1, sum(weights)))
    signers = data.draw(st.sets(st.integers(0, len(weights) - 1)))
    draft = _shared(threshold, *weights).sign(*[KEYS[number] for number in sorted(signers)])
    if sum([weights[number] for number in signers]) < threshold:
        assert len(draft.missing()) == 1
        with pytest.raises(UsageError, match="keys that have not signed"):
            draft.envelope()
        return
    signatures = decode_transaction(draft.envelope()).auths[0].signatures
    policy = Policy(threshold, tuple([PolicyKey(1, KEYS[n].public_key, w) for n, w in enumerate(weights)]))
    check_indices(policy, [one.key_index for one in signatures])


def test_the_order_of_signing_and_combining_does_not_matter() -> None:
    draft = _shared(2, 1, 1, 1)
    envelopes = {
        combine([draft.sign(KEYS[first]), draft.sign(KEYS[second])]).envelope() for first, second in [(0, 1), (1, 0)]
    } | {draft.sign(KEYS[1]).sign(KEYS[0]).envelope()}
    assert len(envelopes) == 1
    for first, second in combinations(range(3), 2):
        decode_transaction(combine([draft.sign(KEYS[first]), draft.sign(KEYS[second])]).envelope())


def test_signing_twice_or_with_a_foreign_key() -> None:
    draft = _shared(2, 1, 1)
    once = draft.sign(KEYS[0])
    assert once.sign(KEYS[0]) == once
    with pytest.raises(UsageError, match="is in no policy of this transaction"):
        draft.sign(KEYS[4])


def test_different_transactions_do_not_combine() -> None:
    with pytest.raises(UsageError, match="the files hold different transactions"):
        combine([_shared(2, 1, 1), _shared(2, 1, 1, 1)])


@given(st.integers(1, 3), st.booleans())
def test_the_fee_estimate_covers_every_choice_of_signers(threshold: int, stored: bool) -> None:
    policy = shared_policy(threshold, [key.public_key for key in KEYS[:3]], [1, 2, 3])
    first = encode_policy(policy)
    slot = single_slot(address_of(first), policy, first if stored else b"")
    draft = with_fee("dev-1", [slot], 7, [Transfer(BOB, 5)], Parameters())
    for count in (1, 2, 3):
        for chosen in combinations(KEYS[:3], count):
            signed = draft.sign(*chosen)
            if not signed.missing():
                assert transactions.estimate_fee(signed, Parameters()) <= draft.body.fee_limit_nopen
                fee = 10 * len(signed.envelope()) + 1_000
                assert fee <= draft.body.fee_limit_nopen


def test_a_file_comes_back_with_its_signatures(tmp_path: Path) -> None:
    draft = _shared(2, 1, 1, 1).sign(KEYS[1])
    (tmp_path / "draft.json").write_text(draft_text(draft))
    assert read_draft(tmp_path / "draft.json") == draft


def test_a_file_that_shows_something_else_than_it_signs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "draft.json"
    path.write_text(draft_text(_shared(1, 1)))
    document = json.loads(path.read_text())
    document["body"]["messages"][0]["amount_nopen"] = 1
    path.write_text(json.dumps(document))
    with pytest.raises(UsageError, match="`body` is not what `body_hex` says: do not sign this, build it again"):
        read_draft(path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"kind": "openledger-transaction", "version": 1}', "[" * 50_000, '{"kind": 1}']
)
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "draft.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"draft\.json"):
        read_draft(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chain_id": ""}, "chain_id|length"),
        ({"sequence": -1}, ">= 0"),
        ({"messages": []}, "length >= 1"),
        ({"memo_digest": b"x"}, "memo digest must be empty or 32 bytes"),
    ],
)
def test_what_the_chain_would_not_decode_is_not_built(change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {
        "chain_id": "dev-1",
        "sequence": 0,
        "messages": [Transfer(BOB, 1)],
        "memo_digest": b"",
    }
    arguments.update(change)
    with pytest.raises(UsageError, match=message):
        build(slots=[single_slot(ALICE.address, ALICE.policy, b"")], fee_limit_nopen=1, **arguments)  # type: ignore[arg-type]
