"""Begin and end hooks: what one of them raises cannot leave the block, in no phase, and the others are not touched."""

from dataclasses import replace
from typing import Any

import pytest

from abci_app.accounts import ACCOUNTS, EMPTY_ACCOUNT
from abci_app.chain.validator_set import VALIDATORS, ValidatorPower, ValidatorPowers, ValidatorsQuery
from abci_app.errors import Code, Rejected
from abci_app.mechanisms.hooks import (
    FAILING,
    FailingHook,
    FailingHooksQuery,
    FailingHooksView,
    HookFailed,
    HookRefused,
)
from abci_app.module import Alarm, ConsensusUpdate, HookContext
from abci_app.modules.bank import Burn, Transfer
from abci_app.pb import abci_pb2 as pb
from abci_app.state.overlay import Overlay
from abci_app.state.work import QueryBudgetExceeded
from tests.kit.chain import Chain, accounts_with, replay
from tests.kit.modules.ledger import ask
from tests.kit.scheduled import JOBS, Deed, Job, JobDone, Jobs, job_id, raises
from tests.kit.signing import Signer

ALICE, BOB = Signer.named("alice"), Signer.named("bob")
FUNDS = 10**9


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    ALICE.sequence = BOB.sequence = 0
    return Jobs().register(monkeypatch)


def start() -> Chain:
    return Chain.start(accounts_with(FUNDS, [ALICE, BOB]))


def events(response: Any) -> list[tuple[str, dict[str, str]]]:
    return [(event.type, {each.key: each.value for each in event.attributes}) for event in response.events]


def failing(chain: Chain) -> tuple[FailingHook, ...]:
    with chain.application.store.latest() as version:
        view = ask(version, "deadlines", "failing", FailingHooksQuery())
    assert isinstance(view, FailingHooksView)
    return view.hooks


def test_a_hook_that_stumbles_over_one_transaction_stops_neither_it_nor_the_chain(jobs: Jobs) -> None:
    """Before, every validator stopped at that height, and again after every restart."""

    def end(state: Overlay, context: HookContext, job: bytes) -> None:
        if (ACCOUNTS.get(state, BOB.address) or EMPTY_ACCOUNT).balance_nopen == FUNDS + 13:
            raise KeyError("what one transaction left behind")

    jobs.deeds["end"] = end
    heard: list[Alarm] = []
    chain = start()
    chain.application.local = replace(chain.application.local, alarm=heard.append)
    chain.block()
    raw = ALICE.transaction(Transfer(BOB.address, 13))
    assert chain.check(raw) == (0, "")
    assert chain.propose(raw) == [raw]
    assert chain.accepts(raw)
    response = chain.decide(raw)
    assert [result.code for result in response.tx_results] == [0]
    assert events(response) == [("hook_failed", {"hook": "jobs.end_block"})]
    assert not chain.application.mempool.is_excluded(raw)
    assert failing(chain) == (FailingHook("jobs.end_block", 2, 1),)
    chain.block()
    assert failing(chain) == (FailingHook("jobs.end_block", 2, 2),)
    for _ in range(3):
        chain.block()
    assert [alarm.text.split(" raised")[0] for alarm in heard] == [
        "hook jobs.end_block at height 2",
        "hook jobs.end_block at height 3",
        "hook jobs.end_block at height 5",
    ]
    chain.block(BOB.transaction(Burn(1)))  # what it stumbled over is gone: it is no longer listed
    assert failing(chain) == ()
    assert replay(chain) == chain.hashes


@pytest.mark.parametrize("place", ["begin", "end"])
@pytest.mark.parametrize("error", [KeyError("bug"), AssertionError(), Rejected(Code.NOT_FOUND, "expected")], ids=repr)
def test_nothing_of_a_hook_that_fails_stays(jobs: Jobs, place: str, error: Exception) -> None:
    def deed(state: Overlay, context: HookContext, job: bytes) -> None:
        JOBS.set(state, job_id(1), Job(1, 1, 1))
        context.set_power(bytes(32), 1)
        context.consensus = ConsensusUpdate(max_block_bytes=2_000_000)
        raise error

    jobs.deeds[place] = deed
    chain = start()
    response = chain.decide()
    name = f"jobs.{place}_block"
    expected = (
        ("hook_refused", {"hook": name, "code": str(int(Code.NOT_FOUND))})
        if isinstance(error, Rejected)
        else ("hook_failed", {"hook": name})
    )
    assert events(response) == [expected]
    assert (len(response.validator_updates), response.HasField("consensus_param_updates")) == (0, False)
    assert JOBS.get(chain.application.store, job_id(1)) is None
    assert replay(chain) == chain.hashes


@pytest.mark.parametrize("place", ["begin", "end"])
@pytest.mark.parametrize("error", [MemoryError(), RecursionError(), OSError("disk")], ids=repr)
def test_errors_of_the_machine_in_a_hook_stop_the_node(jobs: Jobs, place: str, error: Exception) -> None:
    chain = start()
    chain.block()
    jobs.deeds[place] = raises(error)
    for way in (chain.propose, chain.accepts, chain.finalize):
        with pytest.raises(type(error)):
            way()
    assert chain.height == 1


def test_hooks_hand_out_events_powers_and_consensus_parameters(jobs: Jobs) -> None:
    def deed(state: Overlay, context: HookContext, job: bytes) -> None:
        context.set_power(b"\x02" * 32, 7)
        context.set_power(b"\x01" * 32, 0)  # nobody's key: CometBFT would stop at its removal
        context.set_power(b"\x02" * 32, 9)
        context.set_power(b"\x03" * 32, 4)
        context.consensus = ConsensusUpdate(max_block_bytes=2_000_000)

    jobs.deeds["end"] = deed
    response = start().decide()
    assert [(each.pub_key.ed25519, each.power) for each in response.validator_updates] == [
        (b"\x02" * 32, 9),
        (b"\x03" * 32, 4),
    ]
    updates = response.consensus_param_updates
    # The version stands in every update: CometBFT takes a missing one as 0.
    assert (updates.block.max_bytes, updates.block.max_gas, updates.version.app) == (2_000_000, -1, 2)


@pytest.mark.parametrize(("key", "power"), [(b"\x01" * 31, 1), (b"\x01" * 32, -1), (b"\x01" * 32, 10**12 + 1)])
def test_a_validator_update_that_cometbft_would_not_take_is_a_bug_of_the_hook(
    jobs: Jobs, key: bytes, power: int
) -> None:
    jobs.deeds["end"] = lambda state, context, job: context.set_power(key, power)
    chain = start()
    response = chain.decide()
    assert len(response.validator_updates) == 0
    assert failing(chain) == (FailingHook("jobs.end_block", 1, 1),)


def test_a_block_without_hooks_that_fail_writes_nothing_of_hooks(jobs: Jobs) -> None:
    chain = start()
    chain.block()
    assert FAILING.get(chain.application.store, "jobs.end_block") is None
    assert chain.violations() == []


def test_a_dry_run_that_is_out_of_budget_in_a_hook_is_no_bug_of_the_hook(jobs: Jobs) -> None:
    chain = start()
    chain.block()
    raw = ALICE.transaction(Burn(1))
    assert chain.query("/simulate", raw).code == 0
    jobs.deeds["begin"] = raises(QueryBudgetExceeded("the query reads more than it may"))
    answer = chain.query("/simulate", raw)
    assert (answer.code, answer.log) == (Code.QUERY_TOO_LARGE, "the query reads more than it may")


def powers(response: pb.ResponseFinalizeBlock) -> list[tuple[bytes, int]]:
    return [(each.pub_key.ed25519, each.power) for each in response.validator_updates]


ONE, TWO = b"\x01" * 32, b"\x02" * 32


def test_powers_that_would_stop_cometbft_are_put_aside_and_the_record_follows_the_rest(jobs: Jobs) -> None:
    """CometBFT stops for good at an empty set, a removal of nobody, or too many."""
    plan: dict[int, dict[bytes, int]] = {
        2: {ONE: 5, TWO: 6},
        3: {ONE: 5},  # no change
        4: {ONE: 0, TWO: 0},  # nobody would be left
        5: {ONE: 0},
        6: {ONE: 0},  # already gone
        7: {bytes([number]) * 32: 1 for number in range(3, 103)},  # 101 with the one that is there
    }

    def end(state: Overlay, context: HookContext, job: bytes) -> None:
        for key, power in plan.get(context.height, {}).items():
            context.set_power(key, power)

    jobs.deeds["end"] = end
    heard: list[Alarm] = []
    chain = start()
    chain.application.local = replace(chain.application.local, alarm=heard.append)
    told = [powers(chain.decide()) for _ in range(7)]
    assert told == [[], [(ONE, 5), (TWO, 6)], [], [], [(ONE, 0)], [], []]
    assert VALIDATORS.get(chain.application.store) == ValidatorPowers((ValidatorPower(TWO, 6),))
    with chain.application.store.latest() as version:
        assert ask(version, "chain", "validators", ValidatorsQuery()) == ValidatorPowers((ValidatorPower(TWO, 6),))
    assert [str(alarm.error) for alarm in heard] == [
        "0 validators would be left, must be 1 to 100",
        "101 validators would be left, must be 1 to 100",
    ]
    assert replay(chain) == chain.hashes


def test_updates_that_are_refused_are_said_in_an_event(jobs: Jobs) -> None:
    jobs.deeds["end"] = lambda state, context, job: context.set_power(ONE, 0)
    reason = "0 validators would be left, must be 1 to 100"
    assert events(start().decide()) == [("validator_updates_refused", {"reason": reason})]


@pytest.mark.parametrize("place", ["begin", "end"])
@pytest.mark.parametrize(
    "deed",
    [
        lambda state, context, job: state.set(b"x" * 128, b"1"),
        lambda state, context, job: state.delete(b""),
        lambda state, context, job: state.set(b"", b"1"),
        lambda state, context, job: context.emit(HookFailed("\ud800")),
        lambda state, context, job: context.emit("no event"),
        lambda state, context, job: setattr(context, "consensus", ConsensusUpdate(max_block_bytes=5)),
        lambda state, context, job: state.set(b"x", "text"),
        lambda state, context, job: JOBS.set(state, job_id(1), Job(1, -1, 0)),
        lambda state, context, job: JOBS.set(state, job_id(1), Job(1, 2**63, 0)),
        lambda state, context, job: JOBS.set(state, job_id(1), JobDone(b"")),
        lambda state, context, job: context.emit(HookRefused("name", 10**5_000)),
        lambda state, context, job: context.emit(HookFailed(["name"])),  # type: ignore[arg-type]
        lambda state, context, job: context.events.append("no event"),
        lambda state, context, job: context.set_power(bytes(32), 1.5),
        lambda state, context, job: context.set_power(bytes(32), True),
        lambda state, context, job: context.set_power("k" * 32, 1),
        lambda state, context, job: context.powers.update({b"short": 1}),
        lambda state, context, job: setattr(context, "consensus", ConsensusUpdate(app_version=3)),
        lambda state, context, job: setattr(context, "consensus", ConsensusUpdate(2.0**21)),  # type: ignore[arg-type]
        lambda state, context, job: setattr(context, "consensus", "update"),
        lambda state, context, job: setattr(context, "alarms", ["alarm"]),
    ],
    ids=[
        "long key",
        "empty key removed",
        "empty key",
        "text that is none",
        "no event",
        "blocks of five bytes",
        "text as a value",
        "number below zero in a record",
        "number too large in a record",
        "record of another kind",
        "event with a number of 5,000 digits",
        "event with a list",
        "no event among the events",
        "power of one and a half",
        "power true",
        "key that is text",
        "short key among the powers",
        "version out of a hook",
        "bytes in a fraction",
        "no update",
        "no alarm",
    ],
)
def test_what_would_only_fail_behind_the_hook_is_a_bug_of_the_hook(jobs: Jobs, place: str, deed: Deed) -> None:
    jobs.deeds[place] = deed
    chain = start()
    chain.decide()
    assert [hook.name for hook in failing(chain)] == [f"jobs.{place}_block"]
    chain.block()
    assert chain.height == 2
