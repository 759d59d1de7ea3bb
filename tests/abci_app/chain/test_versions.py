"""Rules by height: a rule, a record and a query change with version 3 of a test, from one height on.

A program that knows both versions replays the chain from genesis and reads bundles of before and after; one that knows
only the older stops at the height where it cannot go on, with everything before that as it was.
"""

from dataclasses import replace
from typing import Any

import pytest

from abci_app import versions
from abci_app.chain import block as block_module
from abci_app.chain import registry
from abci_app.chain.application import Application
from abci_app.chain.chain_module import VersionOfRulesQuery
from abci_app.chain.registry import HANDLERS, query_named
from abci_app.errors import Code, Rejected
from abci_app.module import BlockContext, Context, HookContext, Query
from abci_app.modules.bank import SUPPLY, BankCode, Burn, Supply, SupplyQuery, Transfer
from abci_app.parameters import Parameter, ParameterRecord, Parameters, ParameterValue, Section, Unit, write_parameters
from abci_app.pb import abci_pb2 as pb
from abci_app.state.codec import Record, decode
from abci_app.state.memory_store import MemoryStore
from abci_app.state.overlay import Overlay
from abci_app.state.proof import verify
from abci_app.state.store import StateView
from abci_app.state.table import Item
from abci_app.state.views import EmptyView
from abci_app.types import Integer, Nopen
from abci_app.versions import APP_VERSION, AppVersion, Rules, UnknownVersion, schedule_version
from openledger.light.bundle import make_bundle, parse_bundle, verify_bundle
from openledger.light.errors import MalformedAnswer
from openledger.light.query import QueryQuestion, prove_answer, query_question
from tests.kit.chain import Chain, accounts_with, changed, replay
from tests.kit.modules.ledger import ask
from tests.kit.openledger.light_clients import light_client
from tests.kit.scheduled import Jobs
from tests.kit.signing import Signer
from tests.kit.simulated_chain import SimulatedChain

ALICE, BOB = Signer.named("alice"), Signer.named("bob")
SCHEDULED_AT, FROM_HEIGHT, LAST = 3, 6, 9
SMALLEST_BURN = 10


class Supply3(Record, frozen=True, array_like=True, tag=2, gc=False):
    """The supply's record from version 3 on: it counts burns, too."""

    minted_nopen: Nopen
    burned_nopen: Nopen
    burns: Integer


SUPPLY3 = Item("bank/supply/", Supply3)


def migrate(state: Overlay, block: BlockContext) -> None:
    """Version 3 counts burns from its first block on."""
    supply = SUPPLY.get(state)
    assert supply is not None
    SUPPLY3.set(state, Supply3(supply.minted_nopen, supply.burned_nopen, 0))


def burn3(context: Context, message: Burn) -> None:
    """Version 3 refuses tiny burns and writes the new record."""
    if message.amount_nopen < SMALLEST_BURN:
        raise Rejected(BankCode.ZERO_AMOUNT, f"burn at least {SMALLEST_BURN} nopen")
    supply = SUPPLY3.get(context.state)
    assert supply is not None
    OLD_BURN(replace_state(context, supply), message)
    SUPPLY3.set(
        context.state, Supply3(supply.minted_nopen, supply.burned_nopen + message.amount_nopen, supply.burns + 1)
    )


def replace_state(context: Context, supply: Supply3) -> Context:
    """The old handler debits; its record is written over afterwards."""
    SUPPLY.set(context.state, Supply(supply.minted_nopen, supply.burned_nopen))
    return context


OLD_BURN = HANDLERS[Burn][1]


def burn(context: Context, message: Burn) -> None:
    """One handler that branches on the version of the block."""
    (burn3 if context.block.app_version >= 3 else OLD_BURN)(context, message)


def query_supply3(view: StateView, args: SupplyQuery) -> Supply3:
    """The supply with its burns."""
    return SUPPLY3.get(view) or Supply3(0, 0, 0)


@pytest.fixture
def new_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that knows versions 2 and 3; its rule about upgrades schedules version 3 in block 3."""
    ALICE.sequence = BOB.sequence = 0
    monkeypatch.setattr(versions, "RULES", Rules(2, 3, {3: migrate}))
    handlers: dict[Any, Any] = dict(HANDLERS)
    handlers[Burn] = (HANDLERS[Burn][0], burn)
    monkeypatch.setattr(block_module, "HANDLERS", handlers)
    supply = query_named("bank", "supply")
    later = Query("supply", SupplyQuery, Supply3, query_supply3)
    monkeypatch.setitem(registry._QUERIES, ("bank", "supply"), replace(supply, later={3: later}))
    _schedule(monkeypatch)


def _schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(state: Overlay, context: HookContext, job: bytes) -> None:
        if context.height == SCHEDULED_AT:
            schedule_version(state, 3, FROM_HEIGHT, context.height)

    Jobs().register(monkeypatch).deeds["begin"] = begin


def live(blocks: int = LAST) -> tuple[Chain, list[list[int]], list[int]]:
    """A chain that burns 5 and 50 in each block: codes a block, and the version that CometBFT is told (0: nothing)."""
    chain = Chain.start(accounts_with(10**9, [ALICE, BOB]), app_version=2)
    codes, told = [], []
    for _ in range(blocks):
        block = [ALICE.transaction(Burn(5)), BOB.transaction(Burn(50))]
        proposal = chain.propose(*block)
        assert chain.accepts(*proposal)
        response = chain.decide(*proposal)
        codes.append([result.code for result in response.tx_results])
        told.append(response.consensus_param_updates.version.app)
    return chain, codes, told


def test_a_rule_changes_at_its_height_and_not_before(new_program: None) -> None:
    chain, codes, told = live()
    assert codes == [[0, 0]] * 5 + [[BankCode.ZERO_AMOUNT, 0]] * 4
    # The block before tells CometBFT: the header of the first new block has the version.
    assert told == [0, 0, 0, 0, 3, 0, 0, 0, 0]
    assert chain.application.info(pb.RequestInfo()).app_version == 3
    assert APP_VERSION.get(chain.application.store) == AppVersion(3, 0, 0)
    assert SUPPLY3.get(chain.application.store) == Supply3(10**18, 5 * 55 + 4 * 50, 4)


def test_replay_from_genesis_goes_through_the_change(new_program: None) -> None:
    chain, _, _ = live()
    assert replay(chain) == chain.hashes


def test_a_restart_at_every_height_changes_nothing(new_program: None) -> None:
    chain, _, _ = live()
    other = Chain.start(accounts_with(10**9, [ALICE, BOB]), app_version=2)
    for request in chain.requests:
        other.application = Application(other.application.store)
        expected = 3 if other.height + 1 >= FROM_HEIGHT else 2
        assert other.application.info(pb.RequestInfo()).app_version == expected
        other.commit_block(request)
    assert other.hashes == chain.hashes


def test_installing_the_new_program_early_changes_nothing(new_program: None, monkeypatch: pytest.MonkeyPatch) -> None:
    chain, _, _ = live()
    monkeypatch.undo()
    _schedule(monkeypatch)
    old = Application(MemoryStore())
    old.init_chain(chain.init)
    copy = Chain(old, chain.init)
    for request in chain.requests[: FROM_HEIGHT - 2]:
        copy.commit_block(request)
    assert copy.hashes == chain.hashes[: FROM_HEIGHT - 2]


def test_a_program_that_lacks_the_version_stops_before_its_first_block_with_all_before_committed(
    new_program: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain, _, _ = live()
    monkeypatch.undo()
    _schedule(monkeypatch)
    old = Application(MemoryStore())
    old.init_chain(chain.init)
    copy = Chain(old, chain.init)
    expected = "the chain's rules are version 3, this program knows 2 to 2: install the release"
    with pytest.raises(UnknownVersion, match=expected):
        for request in chain.requests:
            copy.commit_block(request)
    assert (old.store.height, old.store.app_hash) == chain.hashes[FROM_HEIGHT - 2]
    with pytest.raises(UnknownVersion, match=expected):
        Application(old.store)


def test_queries_of_every_height_are_answered_by_the_rules_of_that_height(new_program: None) -> None:
    chain, _, _ = live()
    before = chain.query("/query/bank/supply", bytes([0x91, 1]), height=5)
    after = chain.query("/query/bank/supply", bytes([0x91, 1]), height=7)
    assert (before.info, after.info) == ("app_version 2", "app_version 3")
    with chain.application.store.version(5) as version:
        assert ask(version, "bank", "supply", SupplyQuery()) == Supply(10**18, 275)
        assert ask(version, "chain", "version", VersionOfRulesQuery()) == AppVersion(2, 3, 6)
    with chain.application.store.version(7) as version:
        assert ask(version, "bank", "supply", SupplyQuery()) == Supply3(10**18, 375, 2)
        assert ask(version, "chain", "version", VersionOfRulesQuery()) == AppVersion(3, 0, 0)


def signed(chain: Chain) -> SimulatedChain:
    """Put the states of a chain under headers that validators signed."""
    made, last = SimulatedChain(), dict[bytes, bytes]()
    for height, _ in chain.hashes:
        with chain.application.store.version(height) as version:
            state = dict(version.iterate(b"\x00", b"\xff"))
        made.make_block(list(changed(last, state).items()))
        last = state
    made.make_blocks(1)
    return made


def test_bundles_of_before_and_after_verify_and_say_by_which_rules(new_program: None) -> None:
    chain, _, _ = live()
    made = signed(chain)
    client = light_client(made)
    for height, version, supply in ((4, 2, Supply(10**18, 220)), (7, 3, Supply3(10**18, 375, 2))):
        bundle = client.bundle(client.query("bank", "supply", SupplyQuery(), height=height))
        assert b'"app_version":%d' % version in bundle
        verdict = verify_bundle(bundle, made.genesis, made.now_ns)
        assert (verdict.anchored, verdict.value) == (True, supply)


def test_an_old_bundle_verifies_with_a_program_of_any_time(new_program: None, monkeypatch: pytest.MonkeyPatch) -> None:
    chain, _, _ = live()
    made = signed(chain)
    client = light_client(made)
    old = client.bundle(client.query("bank", "supply", SupplyQuery(), height=4))
    answer = client.query("bank", "supply", SupplyQuery(), height=7)
    new = client.bundle(answer)
    monkeypatch.undo()  # the program of then
    assert verify_bundle(old, made.genesis, made.now_ns).value == Supply(10**18, 220)
    with pytest.raises(MalformedAnswer, match="is of rules version 3, this program knows 2 to 2"):
        verify_bundle(new, made.genesis, made.now_ns)
    with pytest.raises(MalformedAnswer, match="the chain's rules are version 3, this program knows 2 to 2"):
        prove_answer(query_question("bank", "supply", SupplyQuery()), answer.proof, answer.header.app_hash, 7)


def test_a_bundle_that_names_other_rules_than_its_state_is_refused(new_program: None) -> None:
    chain, _, _ = live()
    made = signed(chain)
    client = light_client(made)
    answer = client.query("bank", "supply", SupplyQuery(), height=4)
    parsed = parse_bundle(client.bundle(answer))
    for version, text in ((3, "meant by rules of version 3, the proven state has 2"), (9, "is of rules version 9")):
        assert isinstance(parsed.question, QueryQuestion)
        question = replace(parsed.question, app_version=version)
        with pytest.raises(MalformedAnswer, match=text):
            verify_bundle(make_bundle(replace(parsed, question=question)), made.genesis, made.now_ns)


def test_a_message_of_a_later_version_is_refused_before_it_by_programs_that_have_it(
    new_program: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, handler = HANDLERS[Transfer]
    handlers: dict[Any, Any] = dict(HANDLERS)
    handlers[Transfer] = (replace(module, since={Transfer: 3}), handler)
    monkeypatch.setattr(block_module, "HANDLERS", handlers)
    chain = Chain.start(accounts_with(10**9, [ALICE, BOB]), app_version=2)
    logs = []
    for _ in range(7):
        (result,) = chain.block(ALICE.transaction(Transfer(BOB.address, 1)))
        logs.append((result.code, result.log))
    refusal = (Code.NOT_PERMITTED, "Transfer comes with version 3 of the rules, the chain has 2")
    assert logs == [refusal] * 5 + [(0, "")] * 2


def test_genesis_of_an_older_version_has_no_parameters_of_a_later_one() -> None:
    unit = Unit("blocks")
    first = Parameter("x", 0, "a", unit, 1, 0, 9, "One.")
    second = Parameter("x", 1, "b", unit, 2, 0, 9, "Two.", since=3)
    section, state = Section("x", (first, second)), Overlay(EmptyView())
    write_parameters(state, (section,), Parameters(), 2)
    assert section.table.get(state) == ParameterRecord((ParameterValue(0, 1),))
    write_parameters(state, (section,), Parameters(), 3)
    assert section.table.get(state) == ParameterRecord((ParameterValue(0, 1), ParameterValue(1, 2)))


@pytest.mark.parametrize(("version", "from_height"), [(2, 20), (1, 20), (3, 10), (3, 11)])
def test_a_version_is_scheduled_ahead_and_forwards_only(version: int, from_height: int) -> None:
    state = Overlay(EmptyView())
    APP_VERSION.set(state, AppVersion(2, 0, 0))
    with pytest.raises(ValueError, match=f"version {version} from height {from_height} cannot follow"):
        schedule_version(state, version, from_height, 10)
    schedule_version(state, 3, 12, 10)
    assert APP_VERSION.get(state) == AppVersion(2, 3, 12)


def test_the_version_is_part_of_what_a_query_proves() -> None:
    chain = Chain.start(accounts_with(10**9, [ALICE]))
    for _ in range(3):
        chain.block()
    answer = chain.query("/query/bank/supply", bytes([0x91, 1]), prove=True, height=2)
    proven = verify(answer.value, chain.hashes[1][1])
    assert decode(AppVersion, proven.entries[APP_VERSION.key()]) == AppVersion(2, 0, 0)
