"""A dry run says what would happen, needs no signature, and leaves nothing behind."""

import msgspec
import pytest

from abci_app.accounts import ACCOUNTS, POLICY_CHANGES, Account, PolicyChanges
from abci_app.chain.application import Application
from abci_app.chain.simulation import Effect, SimulatedEvent, Simulation
from abci_app.chain.transaction import Auth, Body, KeySignature, decode_transaction, encode_envelope
from abci_app.errors import Code
from abci_app.modules.accounts import SetPolicy
from abci_app.modules.bank import SUPPLY, Burn, Supply, Transfer
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.members import MEMBERS, Member, SetMember
from abci_app.modules.models.codes import ModelsCode
from abci_app.modules.models.records import RecordRuns
from abci_app.policy import encode_policy, single_key_policy
from abci_app.state.codec import encode
from tests.kit.chain import GENESIS_SECONDS, Chain, accounts_with, fee_of
from tests.kit.modules.drafts import entry, run_of, terms
from tests.kit.signing import CHAIN_ID, Key, Signer

FUNDS = 10**9


@pytest.fixture
def alice() -> Signer:
    return Signer.named("alice")


@pytest.fixture
def bob() -> Signer:
    return Signer.named("bob")


@pytest.fixture
def chain(alice: Signer, bob: Signer) -> Chain:
    members = [{"address": alice.address.hex(), "roles": ["registrar"]}]
    chain = Chain.start(accounts_with(FUNDS, [alice, bob]), members=members)
    chain.block()
    return chain


def simulate(chain: Chain, raw: bytes) -> Simulation:
    answer = chain.query("/simulate", raw)
    assert (answer.code, answer.log) == (0, "")
    return msgspec.msgpack.decode(answer.value, type=Simulation)


def effect(table: str, key: bytes, before: object, after: object) -> Effect:
    return Effect(table, key, encode(before) if before else b"", encode(after) if after else b"")


def tx_event(signer: Signer, sequence: int, *involved: bytes) -> SimulatedEvent:
    own = signer.address.hex()
    return SimulatedEvent(
        "tx",
        (("account", own), ("sequence", f"{own}/{sequence}"), *[("account", address.hex()) for address in involved]),
    )


def test_a_dry_run_names_code_fee_events_and_effects(chain: Chain, alice: Signer, bob: Signer) -> None:
    raw = alice.transaction(Transfer(bob.address, 5), Burn(7), SetMember(bob.address, 8, "Bob", 0))
    fee = fee_of(raw)
    effects = [
        effect(
            "account", ACCOUNTS.key(alice.address), Account(0, FUNDS, b""), Account(1, FUNDS - 12 - fee, alice.policy)
        ),
        effect("account", ACCOUNTS.key(bob.address), Account(0, FUNDS, b""), Account(0, FUNDS + 5, b"")),
        effect("bank/supply", SUPPLY.key(), Supply(10**18, 0), Supply(10**18, 7)),
        effect("members/member", MEMBERS.key(bob.address), None, Member(bob.address, 8, "Bob", 0, b"")),
    ]
    assert simulate(chain, raw) == Simulation(
        code=0,
        codespace="",
        log="",
        fee_nopen=fee,
        weight=decode_transaction(raw).weight,
        height=2,
        events=(
            tx_event(alice, 0, bob.address),
            SimulatedEvent("member_changed", (("member", bob.address.hex()), ("roles", "8"))),
        ),
        effects=tuple(sorted(effects, key=lambda one: one.key)),
        effects_left_out=0,
    )


def test_a_dry_run_needs_no_signature_and_has_the_fee_of_the_signed_transaction(
    chain: Chain, alice: Signer, bob: Signer
) -> None:
    signed = alice.transaction(Transfer(bob.address, 5), sequence=0)
    body = encode(Body(CHAIN_ID, alice.address, 0, 10**6, 0, b"", b"", (Transfer(bob.address, 5),)))
    unsigned = encode_envelope(body, (Auth(alice.address, alice.policy, (KeySignature(0, bytes(64)),)),))
    assert simulate(chain, unsigned) == simulate(chain, signed)
    assert chain.check(unsigned)[0] == Code.BAD_SIGNATURE


def test_a_dry_run_changes_nothing_and_admits_nothing(chain: Chain, alice: Signer, bob: Signer) -> None:
    before = chain.state()
    unsigned = Signer.named("alice")
    unsigned.keys = [Key.named("thief")]
    raw = unsigned.transaction(Transfer(bob.address, 5))
    assert simulate(chain, raw).code == 0
    assert (chain.state(), len(chain.application.mempool)) == (before, 0)
    assert chain.codes(raw) == [Code.BAD_SIGNATURE], "the cache must not remember what the dry run believed"


def test_a_dry_run_of_a_failing_message_shows_fee_and_reason(chain: Chain, alice: Signer, bob: Signer) -> None:
    raw = alice.transaction(Transfer(bob.address, 2 * FUNDS))
    fee = fee_of(raw)
    result = simulate(chain, raw)
    assert (result.code, result.codespace, result.fee_nopen, result.events) == (
        Code.INSUFFICIENT_FUNDS, "openledger", fee, (tx_event(alice, 0),),
    )  # fmt: skip
    assert result.effects == (
        effect("account", ACCOUNTS.key(alice.address), Account(0, FUNDS, b""), Account(1, FUNDS - fee, alice.policy)),
    )


@pytest.mark.parametrize("raw", [b"", b"garbage", bytes(70_000)])
def test_a_dry_run_of_garbage_is_its_rejection(chain: Chain, raw: bytes) -> None:
    result = simulate(chain, raw)
    assert (result.code in (Code.MALFORMED, Code.TOO_LARGE), result.effects, result.fee_nopen) == (True, (), 0)


def test_a_dry_run_shows_what_a_change_of_keys_would_store(chain: Chain, alice: Signer) -> None:
    policy = encode_policy(single_key_policy(Key.named("fresh").public))
    result = simulate(chain, alice.transaction(SetPolicy(policy)))
    assert result.effects == (
        effect(
            "account", ACCOUNTS.key(alice.address), Account(0, FUNDS, b""), Account(1, FUNDS - result.fee_nopen, policy)
        ),
        effect("policy-changes", POLICY_CHANGES.key(alice.address), None, PolicyChanges(1)),
    )


# --- The next block's height and time


def test_a_dry_run_judges_expiry_by_the_height_of_the_next_block(chain: Chain, alice: Signer, bob: Signer) -> None:
    raw = alice.transaction(Transfer(bob.address, 5), expiry_height=chain.next_height)
    assert simulate(chain, raw).code == 0
    chain.block()
    result = simulate(chain, raw)
    assert (result.code, result.codespace, result.height) == (Code.EXPIRED, "openledger", 3)
    assert (result.log, result.fee_nopen, result.effects) == (
        "transaction expired at height 2, now 3: build and sign it again", 0, (),
    )  # fmt: skip


def run_under_terms_that_end(chain: Chain, alice: Signer, seconds: int) -> bytes:
    """A run with one input under terms that end so many seconds after genesis; the terms are committed."""
    ending = terms(name="for a while", expiry_seconds=GENESIS_SECONDS + seconds)
    assert chain.codes(alice.transaction(RegisterTerms(ending))) == [0]
    drafted = entry("a run", terms_id=terms_id_of(ending))
    return alice.transaction(RecordRuns((run_of(drafted),)))


def test_a_dry_run_judges_terms_by_the_header_time_of_the_last_block(chain: Chain, alice: Signer) -> None:
    raw = run_under_terms_that_end(chain, alice, seconds=3)
    chain.block()
    assert simulate(chain, raw).code == 0, "the block of their last second"
    chain.block()
    result = simulate(chain, raw)
    assert (result.code, result.codespace) == (ModelsCode.TERMS_CLASH, "models")
    assert chain.codes(raw) == [ModelsCode.TERMS_CLASH], "as execution judges it"


def test_cometbft_connecting_anew_does_not_turn_a_dry_runs_clock_back(chain: Chain, alice: Signer) -> None:
    raw = run_under_terms_that_end(chain, alice, seconds=2)
    chain.block()
    chain.application.discard_uncommitted()
    assert simulate(chain, raw).code == ModelsCode.TERMS_CLASH


def test_after_a_start_a_dry_run_knows_the_genesis_time_until_the_first_block(chain: Chain, alice: Signer) -> None:
    raw = run_under_terms_that_end(chain, alice, seconds=2)
    chain.block()
    chain.application = Application(chain.application.store)
    assert simulate(chain, raw).code == 0
    chain.block()
    assert simulate(chain, raw).code == ModelsCode.TERMS_CLASH
