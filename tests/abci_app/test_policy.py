"""Policies: unique for their keys, reachable, and satisfied by exactly the signatures they need."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.chain.signature_cases import SIGNATURE_CASES
from abci_app.errors import Code, InvariantBroken, Rejected
from abci_app.hashing import tagged_hash
from abci_app.policy import (
    MAX_POLICY_KEYS,
    DelegatedKey,
    Policy,
    PolicyKey,
    address_of,
    check_indices,
    check_policy,
    check_signature_edge_cases,
    decode_policy,
    encode_policy,
    signature_is_valid,
    single_key_policy,
)
from abci_app.state.codec import encode
from tests.kit import edwards
from tests.kit.signing import Key

KEYS = sorted([Key.named(f"key {number}") for number in range(12)], key=lambda key: key.public)


def policy_of(threshold: int, *weights: int) -> Policy:
    return Policy(threshold, tuple([PolicyKey(1, KEYS[i].public, weight) for i, weight in enumerate(weights)]))


def rejection_of(data: bytes) -> str:
    with pytest.raises(Rejected) as caught:
        decode_policy(data)
    assert caught.value.code == Code.BAD_POLICY
    return caught.value.text


def test_a_policy_is_decoded_as_it_was_encoded() -> None:
    for policy in (single_key_policy(KEYS[0].public), policy_of(3, 1, 2, 3), policy_of(1, *[1] * MAX_POLICY_KEYS)):
        assert decode_policy(encode_policy(policy)) == policy
    assert decode_policy(encode(DelegatedKey(KEYS[0].public))) == DelegatedKey(KEYS[0].public)


def test_the_address_is_the_tagged_hash_of_the_first_policy() -> None:
    data = encode_policy(single_key_policy(KEYS[0].public))
    assert data == bytes.fromhex("9301019193 01c420") + KEYS[0].public + b"\x01"
    assert address_of(data) == tagged_hash("openledger/address/v1", data)


@pytest.mark.parametrize(
    ("keys", "threshold", "text"),
    [
        ((1, 0), 1, "policy keys must be unique and sorted by scheme and key"),
        ((0, 0), 1, "policy keys must be unique and sorted by scheme and key"),
        ((0, 1), 0, "policy threshold 0 must be between 1 and 2"),
        ((0, 1), 3, "policy threshold 3 must be between 1 and 2"),
    ],
)
def test_keys_are_sorted_and_unique_and_the_threshold_is_reachable(
    keys: tuple[int, ...], threshold: int, text: str
) -> None:
    policy = Policy(threshold, tuple([PolicyKey(1, KEYS[index].public, 1) for index in keys]))
    assert rejection_of(encode_policy(policy)) == text


@pytest.mark.parametrize("scheme", [0, 2, 255])
def test_only_ed25519_is_supported(scheme: int) -> None:
    policy = Policy(1, (PolicyKey(scheme, KEYS[0].public, 1),))
    assert rejection_of(encode_policy(policy)) == f"signature scheme {scheme} is not supported: use 1 (Ed25519)"


@pytest.mark.parametrize(
    "data",
    [
        encode(["x"]), b"", b"\x93\x01\x01\x90", encode_policy(policy_of(1, *[1] * 11)), encode_policy(policy_of(1, 0)),
        encode_policy(policy_of(1, 2**16)), encode_policy(policy_of(2**32, 1)),
        encode_policy(Policy(1, (PolicyKey(1, bytes(31), 1),))), encode([1, 1, [[1, KEYS[0].public, 1]], 0]),
        encode([3, KEYS[0].public]), encode([2, KEYS[0].public, 1]), encode([1, 1, [[1, KEYS[0].public]]]),
    ],
    ids=range(12),
)  # fmt: skip
def test_other_shapes_are_malformed(data: bytes) -> None:
    assert rejection_of(data).startswith("policy is malformed: ")


# Points of small order, encodings beyond the field, and points off the curve: each would make validity ambiguous.
INVALID_POINTS = sorted({case[0] for case in SIGNATURE_CASES if not case[3]})


@pytest.mark.parametrize("point", INVALID_POINTS, ids=lambda point: point.hex()[:16])
def test_a_key_that_is_no_valid_point_never_enters_a_policy(point: bytes) -> None:
    with pytest.raises(Rejected) as rejection:
        check_policy(single_key_policy(point))
    text = f"public key {point.hex()} is not a valid Ed25519 point"
    assert (rejection.value.code, rejection.value.text) == (Code.BAD_POLICY, text)


def satisfies(policy: Policy, indices: Sequence[int]) -> bool:
    try:
        check_indices(policy, indices)
    except Rejected as rejection:
        if rejection.code != Code.BAD_SIGNATURE:
            raise
        return False
    return True


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.data())
def test_exactly_the_minimal_sets_of_signatures_satisfy_a_policy(weights: list[int], data: st.DataObject) -> None:
    threshold = data.draw(st.integers(1, sum(weights)))
    policy = policy_of(threshold, *weights)
    for size in range(len(weights) + 1):
        for indices in itertools.combinations(range(len(weights)), size):
            total = sum([weights[index] for index in indices])
            minimal = total >= threshold and all(total - weights[index] < threshold for index in indices)
            assert satisfies(policy, indices) == minimal


@given(st.lists(st.integers(0, 4), max_size=5))
def test_indices_that_repeat_or_go_back_or_point_nowhere_are_refused(indices: list[int]) -> None:
    policy = policy_of(2, 1, 1, 1)
    honest = indices == sorted(set(indices)) and len(indices) == 2 and indices[-1] < 3
    assert satisfies(policy, indices) == honest


def test_check_policy_accepts_ten_keys_of_the_greatest_weight() -> None:
    check_policy(policy_of(10 * (2**16 - 1), *[2**16 - 1] * 10))


# --- Signatures


def test_this_libsodium_judges_every_edge_case_as_recorded() -> None:
    check_signature_edge_cases(SIGNATURE_CASES)


@pytest.mark.parametrize(("position", "word"), [(3, "point"), (4, "signature")])
def test_a_library_that_judges_one_case_differently_is_refused(position: int, word: str) -> None:
    cases = [list(case) for case in SIGNATURE_CASES]
    cases[5][position] = not cases[5][position]
    with pytest.raises(InvariantBroken, match=f"this build of libsodium judges the {word} "):
        check_signature_edge_cases([tuple(case) for case in cases])  # type: ignore[misc]


def test_edge_cases_cover_every_pair_of_answers() -> None:
    assert {case[3:] for case in SIGNATURE_CASES} == set(itertools.product((True, False), repeat=2))


@pytest.mark.parametrize("case", SIGNATURE_CASES, ids=range(len(SIGNATURE_CASES)))
def test_the_recorded_answers_follow_from_the_arithmetic(case: tuple[bytes, bytes, bytes, bool, bool]) -> None:
    public_key, signature, message, point_is_valid, signature_valid = case
    assert edwards.is_prime_order_point(public_key) == point_is_valid
    assert edwards.verifies_without_cofactor(public_key, signature, message) == signature_valid


@given(st.binary(max_size=80), st.binary(max_size=40), st.binary(max_size=40))
def test_no_bytes_make_the_verification_raise(signature: bytes, key: bytes, message: bytes) -> None:
    assert signature_is_valid(key, signature, message) is False
