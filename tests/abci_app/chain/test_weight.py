"""Weight: every message states what it asks for, and no block holds more than validators can execute in time."""

import pytest

from abci_app.chain import application as application_module
from abci_app.chain import block as block_module
from abci_app.chain import weight as weight_module
from abci_app.chain.registry import MESSAGE_TYPES
from abci_app.chain.transaction import decode_transaction
from abci_app.chain.weight import (
    BYTES_PER_UNIT,
    DELEGATED_KEY_WEIGHT,
    ENVELOPE_WEIGHT,
    KEY_WEIGHT,
    LIGHTEST,
    MAX_BLOCK_WEIGHT,
    SIGNATURE_WEIGHT,
    SPONSOR_WEIGHT,
)
from abci_app.errors import Code
from abci_app.module import Message
from abci_app.modules.bank import Burn, Transfer
from abci_app.modules.models.records import WEIGHT_MADE_FROM, RecordRuns
from benchmarks.messages import missing_types
from tests.golden.samples import MESSAGES
from tests.kit.chain import Chain, accounts_with, refused
from tests.kit.modules.drafts import entry, run_of
from tests.kit.signing import Key, Signer

FUNDS = 10**9
UNKNOWN = bytes([7]) * 32
COUNTS = (9, 2, 1)


@pytest.mark.parametrize("message_type", MESSAGE_TYPES, ids=lambda kind: kind.__name__)
def test_every_message_class_states_a_weight_of_its_own(message_type: type[Message]) -> None:
    """Its cost against this weight is measured by `python -m benchmarks.messages --check`."""
    assert message_type.__dict__["weight_each"] > 0
    sample = next(message for message in MESSAGES if type(message) is message_type)
    assert sample.weight() >= message_type.weight_each * sample.list_items() >= 1


def test_a_transaction_weighs_its_envelope_bytes_signatures_presented_keys_and_messages() -> None:
    shared = Signer.shared(2, "one", "two", "three")
    raw = shared.transaction(Burn(1), Transfer(UNKNOWN, 1))
    expected = ENVELOPE_WEIGHT + len(raw) // BYTES_PER_UNIT + 2 * SIGNATURE_WEIGHT + 3 * KEY_WEIGHT
    assert decode_transaction(raw).weight == expected + Burn.weight_each + Transfer.weight_each
    later = shared.transaction(Burn(1), sequence=1)
    assert decode_transaction(later).weight == ENVELOPE_WEIGHT + 2 * SIGNATURE_WEIGHT + Burn.weight_each
    assert decode_transaction(Signer.named("alice").transaction(Burn(1), sequence=1)).weight >= LIGHTEST


def test_a_sponsor_and_a_delegated_key_weigh_besides_their_signatures() -> None:
    """Each reads and writes a record of its own: a sponsored transfer by a delegated key cost twice what it weighed."""
    alice, payer = Signer.named("alice"), Signer.named("payer")
    alone = decode_transaction(alice.transaction(Burn(1), sequence=1)).weight
    sponsored = alice.transaction(Burn(1), sequence=1, sponsor=payer, sponsor_policy=False, expiry_height=9)
    assert decode_transaction(sponsored).weight == alone + SIGNATURE_WEIGHT + SPONSOR_WEIGHT
    delegated = alice.delegated_transaction(Key.named("agent"), Burn(1))
    assert decode_transaction(delegated).weight == alone + DELEGATED_KEY_WEIGHT


def test_a_run_weighs_more_with_everything_that_it_was_made_from() -> None:
    alone = RecordRuns((run_of(entry("a")),))
    made = RecordRuns((run_of(entry("b", data=[(UNKNOWN, 1), (UNKNOWN, 2)], made_from=[UNKNOWN])),) * 3)
    assert (alone.weight(), made.weight()) == (
        RecordRuns.weight_each,
        3 * RecordRuns.weight_each + 9 * WEIGHT_MADE_FROM,
    )


def limit_blocks(monkeypatch: pytest.MonkeyPatch, units: int) -> None:
    for module in (application_module, block_module, weight_module):
        monkeypatch.setattr(module, "MAX_BLOCK_WEIGHT", units)


@pytest.fixture
def signers() -> list[Signer]:
    return [Signer.named(name) for name in ("alice", "bob", "carol")]


def test_a_proposal_is_filled_up_to_the_limit_and_what_is_too_heavy_for_it_waits(
    signers: list[Signer], monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = Chain.start(accounts_with(FUNDS, signers))
    heavy, light, lighter = [
        signer.transaction(*[Burn(1)] * count) for signer, count in zip(signers, COUNTS, strict=True)
    ]
    weights = [decode_transaction(raw).weight for raw in (heavy, light, lighter)]
    limit_blocks(monkeypatch, max(weights[0], weights[1] + weights[2]))
    assert [chain.check(raw) for raw in (light, heavy, lighter)] == [(0, "")] * 3
    chosen = chain.propose(light, heavy, lighter)
    assert chosen == [light, lighter]
    assert chain.codes(*chosen) == [0, 0]
    assert chain.check(heavy, recheck=True) == (0, "")
    assert chain.propose(heavy) == [heavy]


def test_a_proposer_stops_looking_for_what_still_fits(signers: list[Signer], monkeypatch: pytest.MonkeyPatch) -> None:
    """CometBFT offers up to 4 MiB: decoding all of it for the last units of a block takes longer than the block."""
    chain = Chain.start(accounts_with(FUNDS, signers))
    first, heavy, light = [
        signer.transaction(*[Burn(1)] * count) for signer, count in zip(signers, COUNTS, strict=True)
    ]
    limit_blocks(monkeypatch, sum([decode_transaction(raw).weight for raw in (first, light)]))
    assert chain.propose(first, heavy, light) == [first, light]
    monkeypatch.setattr(application_module, "MAX_TOO_HEAVY", 1)
    assert chain.propose(first, heavy, light) == [first]
    assert chain.propose(first, light, heavy) == [first, light]


def test_a_block_above_the_limit_is_rejected_as_a_proposal_and_executed_once_decided(
    signers: list[Signer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decided block is final: more than two thirds of the validators would have had to accept it."""
    chain = Chain.start(accounts_with(FUNDS, signers))
    transactions = [signer.transaction(Burn(1)) for signer in signers]
    weight = sum([decode_transaction(raw).weight for raw in transactions])
    limit_blocks(monkeypatch, weight - 1)
    assert not chain.accepts(*transactions)
    assert chain.accepts(*transactions[:2])
    assert [result.code for result in chain.finalize(*transactions).tx_results] == [0, 0, 0]
    assert not chain.accepts(*transactions), "whether or not the block was executed before"
    limit_blocks(monkeypatch, weight)
    assert chain.accepts(*transactions)


def test_a_transaction_that_no_block_can_hold_does_not_wait_for_one(
    signers: list[Signer], monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = Chain.start(accounts_with(FUNDS, signers))
    raw = signers[0].transaction(Burn(1))
    weight = decode_transaction(raw).weight
    limit_blocks(monkeypatch, weight - 1)
    assert refused(chain, raw) == (
        Code.TOO_HEAVY,
        f"transaction weighs {weight} units, a block holds {weight - 1}: send its messages in several transactions",
    )
    limit_blocks(monkeypatch, weight)
    assert chain.check(raw) == (0, "")


def test_the_limit_is_what_the_design_says() -> None:
    """A unit is 10 us, and a block of the dearest transactions that fits takes less than 0.5 s."""
    assert MAX_BLOCK_WEIGHT == 30_000


def test_the_benchmark_measures_every_message_type() -> None:
    assert missing_types() == []
