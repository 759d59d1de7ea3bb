"""Each rule by which a header is accepted or refused, on simulated blocks with real signatures."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from openledger.light.blocks import FLAG_NIL, LightBlock, ValidatorSet
from openledger.light.errors import (
    FromTheFuture,
    LightError,
    MalformedAnswer,
    NotEnoughPower,
    NotEnoughTrust,
    TrustExpired,
    VerificationFailed,
    WrongChain,
)
from openledger.light.verifier import (
    DEFAULT_RULES,
    TrustRules,
    verify_backward,
    verify_first,
    verify_forward,
)
from openledger.light.wire import NANOSECONDS_PER_SECOND as SECOND
from tests.kit.simulated_chain import SimulatedChain, SimulatedValidator, digest, sign, validator_set, validators


@pytest.fixture
def chain() -> SimulatedChain:
    made = SimulatedChain()
    made.make_blocks(10)
    return made


def _forge(chain: SimulatedChain, at: int, /, **changes: Any) -> LightBlock:
    """A header changed and signed again by all validators: what a colluding quorum could make."""
    header = dataclasses.replace(chain.blocks[at].header, **changes)
    return sign(header, chain.genesis_members, chain.genesis_members)


def _with_vote(block: LightBlock, index: int, **changes: Any) -> LightBlock:
    votes = list(block.commit.votes)
    votes[index] = dataclasses.replace(votes[index], **changes)
    return dataclasses.replace(block, commit=dataclasses.replace(block.commit, votes=tuple(votes)))


def test_the_first_block_is_accepted_by_the_genesis_validators(chain: SimulatedChain) -> None:
    verify_first(chain.genesis.genesis, chain.blocks[1], DEFAULT_RULES, chain.now_ns)


@pytest.mark.parametrize("height", [2, 3, 10])
def test_a_later_block_is_accepted_adjacent_or_not(chain: SimulatedChain, height: int) -> None:
    verify_forward(chain.blocks[1], chain.blocks[height], DEFAULT_RULES, chain.now_ns)


def test_exactly_two_thirds_is_not_enough() -> None:
    chain = SimulatedChain(validators("ann", "bob", "cat"))
    chain.make_block()
    block = chain.make_block(signers=chain.members[:2])
    with pytest.raises(NotEnoughPower) as caught:
        verify_forward(chain.blocks[1], block, DEFAULT_RULES, chain.now_ns)
    assert str(caught.value) == "height 2 is signed by 20 of 30 power, more than 20 is needed"


def test_three_of_four_are_enough(chain: SimulatedChain) -> None:
    block = chain.make_block(signers=chain.members[1:])
    verify_forward(chain.blocks[10], block, DEFAULT_RULES, chain.now_ns)


def test_a_signature_that_does_not_hold_counts_as_absent(chain: SimulatedChain) -> None:
    block = _with_vote(chain.blocks[2], 0, signature=bytes(64))
    verify_forward(chain.blocks[1], block, DEFAULT_RULES, chain.now_ns)
    block = _with_vote(block, 1, signature=bytes(64))
    with pytest.raises(NotEnoughPower):
        verify_forward(chain.blocks[1], block, DEFAULT_RULES, chain.now_ns)


def test_votes_for_nil_do_not_count(chain: SimulatedChain) -> None:
    block = _with_vote(_with_vote(chain.blocks[2], 0, flag=FLAG_NIL), 1, flag=FLAG_NIL)
    with pytest.raises(NotEnoughPower):
        verify_forward(chain.blocks[1], block, DEFAULT_RULES, chain.now_ns)


def test_a_validator_that_votes_twice_is_refused(chain: SimulatedChain) -> None:
    first = chain.blocks[2].commit.votes[0]
    block = _with_vote(chain.blocks[2], 1, address=first.address, time_ns=first.time_ns, signature=first.signature)
    with pytest.raises(VerificationFailed, match="vote 1 of height 2 is not by the validator at that place"):
        verify_forward(chain.blocks[1], block, DEFAULT_RULES, chain.now_ns)


def test_a_double_vote_of_a_trusted_validator_is_refused_when_skipping(chain: SimulatedChain) -> None:
    first = chain.blocks[3].commit.votes[0]
    # The first vote is void, so that the tally is not complete before the second is seen.
    block = _with_vote(chain.blocks[3], 0, signature=bytes(64))
    block = _with_vote(block, 1, address=first.address, time_ns=first.time_ns, signature=first.signature)
    with pytest.raises(VerificationFailed, match="the commit of height 3 has two votes of one validator"):
        verify_forward(chain.blocks[1], block, DEFAULT_RULES, chain.now_ns)


def test_skipping_needs_more_than_a_third_of_the_trusted_power() -> None:
    chain = SimulatedChain(validators("ann", "bob", "cat"))
    chain.make_block()
    chain.next_members = validators("ann", "eve", "fay", "guy")
    chain.make_blocks(3)
    with pytest.raises(NotEnoughTrust) as caught:
        verify_forward(chain.blocks[1], chain.blocks[4], DEFAULT_RULES, chain.now_ns)
    assert str(caught.value) == "height 4 is signed by 10 of 30 trusted power, more than 10 is needed"


def test_a_higher_trust_level_needs_more() -> None:
    chain = SimulatedChain(validators("ann", "bob", "cat", "dan"))
    chain.make_block()
    chain.next_members = validators("ann", "bob", "eve", "fay")
    chain.make_blocks(3)
    verify_forward(chain.blocks[1], chain.blocks[4], DEFAULT_RULES, chain.now_ns)
    with pytest.raises(NotEnoughTrust):
        verify_forward(
            chain.blocks[1], chain.blocks[4], TrustRules(trust_numerator=2, trust_denominator=3), chain.now_ns
        )


def test_the_time_in_which_a_block_vouches_for_later_ones_ends(chain: SimulatedChain) -> None:
    rules = TrustRules(trusting_period_seconds=100)
    end_ns = chain.blocks[1].header.time_ns + 100 * SECOND
    verify_forward(chain.blocks[1], chain.blocks[5], rules, end_ns - 1)
    with pytest.raises(TrustExpired) as caught:
        verify_forward(chain.blocks[1], chain.blocks[5], rules, end_ns)
    assert str(caught.value) == (
        "the trusted block 1 is 100 s old, beyond the trusting period of 100 s: "
        "pass a newer HEIGHT:HASH from somebody you trust with --trust"
    )


def test_a_header_more_than_the_drift_ahead_of_our_clock_is_refused(chain: SimulatedChain) -> None:
    time_ns = chain.blocks[5].header.time_ns
    verify_forward(chain.blocks[1], chain.blocks[5], DEFAULT_RULES, time_ns - 10 * SECOND + 1)
    with pytest.raises(FromTheFuture):
        verify_forward(chain.blocks[1], chain.blocks[5], DEFAULT_RULES, time_ns - 10 * SECOND)


def _swap_validators(chain: SimulatedChain) -> LightBlock:
    return dataclasses.replace(chain.blocks[2], validators=validator_set(validators("eve")))


def _other_commit(chain: SimulatedChain) -> LightBlock:
    return dataclasses.replace(chain.blocks[2], commit=chain.blocks[3].commit)


def _unordered(chain: SimulatedChain) -> LightBlock:
    reordered = ValidatorSet(tuple(reversed(chain.blocks[2].validators.validators)))
    return dataclasses.replace(_forge(chain, 2, validators_hash=reordered.hash), validators=reordered)


def _twice(chain: SimulatedChain) -> LightBlock:
    member = chain.blocks[2].validators.validators[0]
    doubled = ValidatorSet((member, member))
    return dataclasses.replace(_forge(chain, 2, validators_hash=doubled.hash), validators=doubled)


def _too_powerful(chain: SimulatedChain) -> LightBlock:
    strong = validator_set([SimulatedValidator("ann", 2**60)])
    return dataclasses.replace(_forge(chain, 2, validators_hash=strong.hash), validators=strong)


def _short_commit(chain: SimulatedChain) -> LightBlock:
    commit = chain.blocks[2].commit
    return dataclasses.replace(chain.blocks[2], commit=dataclasses.replace(commit, votes=commit.votes[:3]))


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (_swap_validators, VerificationFailed, "the validators given for height 2 are not those of its header"),
        (_other_commit, VerificationFailed, "the commit given for height 2 is for another block"),
        (_unordered, MalformedAnswer, "validators are not ordered by power and address"),
        (_twice, MalformedAnswer, "a validator is listed twice"),
        (_too_powerful, MalformedAnswer, "voting power must be positive and at most 1152921504606846975 in total"),
        (_short_commit, VerificationFailed, "the commit of height 2 has 3 votes for 4 validators"),
        (
            lambda chain: _forge(chain, 2, chain_id="dev-other"),
            WrongChain,
            "the header is of chain 'dev-other', expected 'dev-simulated': ask a node of that chain",
        ),
        (
            lambda chain: _forge(chain, 2, time_ns=chain.blocks[1].header.time_ns),
            VerificationFailed,
            "header 2 is not later than the trusted header",
        ),
        (lambda chain: chain.blocks[1], VerificationFailed, "height 1 is not above the trusted height 1"),
        (
            lambda chain: _forge(chain, 2, last_block_id=chain.blocks[3].commit.block_id),
            VerificationFailed,
            "height 2 does not follow the trusted block 1",
        ),
        (lambda chain: _forge(chain, 2, block_version=12), MalformedAnswer, "block protocol 12, this client reads 11"),
        (
            lambda chain: _forge(chain, 2, app_hash=b""),
            MalformedAnswer,
            "header.app_hash must have 32 bytes",
        ),
        (
            lambda chain: dataclasses.replace(
                chain.blocks[2], header=dataclasses.replace(chain.blocks[2].header, app_hash=digest("forged"))
            ),
            VerificationFailed,
            "the commit given for height 2 is for another block",
        ),
    ],
)
def test_a_block_that_breaks_a_rule_is_refused(
    chain: SimulatedChain, make: Callable[[SimulatedChain], LightBlock], kind: type[LightError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        verify_forward(chain.blocks[1], make(chain), DEFAULT_RULES, chain.now_ns)
    assert (type(caught.value), str(caught.value)) == (kind, message)


def test_an_adjacent_block_must_have_the_validators_that_were_announced(chain: SimulatedChain) -> None:
    strangers = validators("eve", "fay")
    header = dataclasses.replace(chain.blocks[2].header, validators_hash=validator_set(strangers).hash)
    with pytest.raises(VerificationFailed, match="height 2 has other validators than height 1 announced"):
        verify_forward(chain.blocks[1], sign(header, strangers, strangers), DEFAULT_RULES, chain.now_ns)


def test_strangers_cannot_vouch_for_a_distant_block(chain: SimulatedChain) -> None:
    strangers = validators("eve", "fay")
    header = dataclasses.replace(chain.blocks[9].header, validators_hash=validator_set(strangers).hash)
    with pytest.raises(NotEnoughTrust):
        verify_forward(chain.blocks[1], sign(header, strangers, strangers), DEFAULT_RULES, chain.now_ns)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"height": 2}, "the first block has height 2, genesis says 1"),
        ({"time_ns": 5}, "the first block's time is not genesis time 2026-09-21T14:13:20Z"),
        ({"validators_hash": None}, "the first block has other validators than the genesis document"),
    ],
)
def test_a_first_block_that_genesis_does_not_announce_is_refused(
    chain: SimulatedChain, changes: dict[str, Any], message: str
) -> None:
    block = _forge(chain, 1, **{name: value for name, value in changes.items() if value is not None})
    if changes.get("validators_hash", 0) is None:
        strangers = validators("eve")
        header = dataclasses.replace(block.header, validators_hash=validator_set(strangers).hash)
        block = sign(header, strangers, strangers)
    with pytest.raises(VerificationFailed) as caught:
        verify_first(chain.genesis.genesis, block, DEFAULT_RULES, chain.now_ns)
    assert str(caught.value) == message


def test_the_header_below_is_accepted_by_its_hash_whatever_its_age(chain: SimulatedChain) -> None:
    verify_backward(chain.blocks[5].header, chain.blocks[4].header)


def test_another_header_below_is_refused(chain: SimulatedChain) -> None:
    with pytest.raises(VerificationFailed, match="header 4 is not the one that header 5 follows"):
        verify_backward(chain.blocks[5].header, _forge(chain, 4, app_hash=digest("forged")).header)


def test_a_trust_level_below_a_third_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^the trust level must lie between 1/3 and 1$"):
        TrustRules(trust_numerator=1, trust_denominator=4)
