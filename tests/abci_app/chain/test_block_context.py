"""Facts that rules may know of a block; a remembered result is only reused for a block with all facts equal."""

from collections.abc import Callable
from typing import Any

import pytest

from abci_app.chain.application import Application
from abci_app.chain.block import BlockResult, execute_block
from abci_app.chain.validator_set import VALIDATORS, ValidatorPower, ValidatorPowers
from abci_app.errors import GenesisError
from abci_app.module import HookContext, LastCommit, LastCommitVote, Misbehaviour
from abci_app.modules.bank import Burn
from abci_app.pb import abci_pb2 as pb
from abci_app.state.memory_store import MemoryStore
from abci_app.state.overlay import Overlay
from tests.kit.chain import Chain, accounts_with
from tests.kit.scheduled import Jobs
from tests.kit.signing import CHAIN_ID, Signer

ALICE = Signer.named("alice")
ONE, TWO = b"\x01" * 20, b"\x02" * 20


def vote(address: bytes, power: int, flag: Any) -> pb.VoteInfo:
    return pb.VoteInfo(validator=pb.Validator(address=address, power=power), block_id_flag=flag)


def evidence(kind: int, address: bytes, height: int) -> pb.Misbehavior:
    return pb.Misbehavior(type=kind, validator=pb.Validator(address=address, power=3), height=height)  # type: ignore[arg-type]


def started() -> Chain:
    ALICE.sequence = 0
    chain = Chain.start(accounts_with(10**9, [ALICE]))
    chain.block()
    chain.proposer = ONE
    chain.commit = pb.CommitInfo(
        round=2,
        votes=[
            vote(ONE, 5, pb.BLOCK_ID_FLAG_COMMIT),
            vote(TWO, 4, pb.BLOCK_ID_FLAG_NIL),
            vote(b"\x03" * 20, 3, pb.BLOCK_ID_FLAG_ABSENT),
        ],
    )
    chain.misbehaviour = [evidence(1, TWO, 1)]
    return chain


def test_rules_know_proposer_commit_misbehaviour_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    jobs = Jobs().register(monkeypatch)
    jobs.deeds["begin"] = lambda state, context, job: seen.append(context.block)
    chain = started()
    seen.clear()
    chain.propose()
    chain.application.discard_uncommitted()
    chain.accepts()
    chain.application.discard_uncommitted()
    chain.finalize()
    assert len(seen) == 3
    assert seen[0] == seen[1] == seen[2]
    block = seen[0]
    votes = (LastCommitVote(ONE, 5, True), LastCommitVote(TWO, 4, False), LastCommitVote(b"\x03" * 20, 3, False))
    assert (block.proposer, block.last_commit, block.misbehaviour, block.app_version) == (
        ONE,
        LastCommit(2, votes),
        (Misbehaviour(kind=1, address=TWO, height=1, time_seconds=0),),
        2,
    )


def _change(chain: Chain, name: str) -> None:
    changes: dict[str, Callable[[], object]] = {
        "proposer": lambda: setattr(chain, "proposer", TWO),
        "no proposer": lambda: setattr(chain, "proposer", b""),
        "round": lambda: setattr(chain.commit, "round", 0),
        "a vote that is missing": chain.commit.votes.pop,
        "a vote that was signed": lambda: setattr(chain.commit.votes[1], "block_id_flag", pb.BLOCK_ID_FLAG_COMMIT),
        "a vote's power": lambda: setattr(chain.commit.votes[0].validator, "power", 6),
        "a vote's address": lambda: setattr(chain.commit.votes[0].validator, "address", TWO),
        "no misbehaviour": chain.misbehaviour.clear,
        "more misbehaviour": lambda: chain.misbehaviour.append(evidence(1, ONE, 1)),
        "kind of misbehaviour": lambda: setattr(chain.misbehaviour[0], "type", 2),
        "misbehaviour of another": lambda: setattr(chain.misbehaviour[0].validator, "address", ONE),
        "height of misbehaviour": lambda: setattr(chain.misbehaviour[0], "height", 2),
    }
    changes[name]()


CHANGES = [
    "proposer", "no proposer", "round", "a vote that is missing", "a vote that was signed", "a vote's power",
    "a vote's address", "no misbehaviour", "more misbehaviour", "kind of misbehaviour", "misbehaviour of another",
    "height of misbehaviour",
]  # fmt: skip


@pytest.fixture
def executions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one for each block that is executed from the start."""
    calls: list[int] = []

    def counting(*args: Any, **options: Any) -> BlockResult:
        calls.append(1)
        return execute_block(*args, **options)

    monkeypatch.setattr("abci_app.chain.application.execute_block", counting)
    return calls


@pytest.mark.parametrize("first", ["propose", "accepts"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_block_that_differs_in_anything_is_executed_again(executions: list[int], first: str, change: str) -> None:
    """Before, a result of another block was taken: nodes that had seen other rounds would have forked."""
    chain = started()
    executions.clear()
    getattr(chain, first)()
    before = len(executions)
    chain.application.work_ahead()
    _change(chain, change)
    chain.accepts()
    assert len(executions) == before + 1
    chain.finalize()
    assert len(executions) == before + 1


def test_the_same_block_is_executed_once_whichever_way_it_came(executions: list[int]) -> None:
    chain = started()
    executions.clear()
    raw = ALICE.transaction(Burn(1))
    proposal = chain.propose(raw)
    assert chain.accepts(*proposal)
    chain.application.work_ahead()
    chain.block(*proposal)
    assert executions == []


def test_what_a_rule_makes_of_the_commit_is_that_of_the_decided_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook that depends on evidence: a node that saw an earlier round without it decides as all others."""

    def end(state: Overlay, context: HookContext, job: bytes) -> None:
        for each in context.block.misbehaviour:
            state.set(b"jobs/job/" + each.address + bytes(12), b"\x01")

    jobs = Jobs().register(monkeypatch)
    jobs.deeds["end"] = end
    hashes = []
    for saw_another_round in (False, True):
        chain = started()
        if saw_another_round:
            decided, chain.misbehaviour = chain.misbehaviour, []
            assert chain.accepts()
            chain.application.work_ahead()
            chain.misbehaviour = decided
        hashes.append(chain.decide().app_hash)
    assert hashes[0] == hashes[1]


# --- InitChain


def init(*validators: tuple[bytes, int], app_state: bytes = b"{}", app_version: int = 0) -> Application:
    request = pb.RequestInitChain(chain_id=CHAIN_ID, initial_height=1, app_state_bytes=app_state)
    for key, power in validators:
        request.validators.add(power=power).pub_key.ed25519 = key
    if app_version:
        request.consensus_params.version.app = app_version
    application = Application(MemoryStore())
    application.init_chain(request)
    return application


KEY, OTHER = b"\x11" * 32, b"\x22" * 32


def test_the_validators_that_start_the_chain_are_recorded() -> None:
    application = init((OTHER, 3), (KEY, 5))
    expected = ValidatorPowers((ValidatorPower(KEY, 5), ValidatorPower(OTHER, 3)))
    assert VALIDATORS.get(application.store) == expected


def test_a_document_that_names_the_validators_must_name_the_same() -> None:
    named = b'{"validators": [{"public_key": "%s", "power": 5}]}' % KEY.hex().encode()
    init((KEY, 5), app_state=named)
    for others in ([(KEY, 6)], [(OTHER, 5)], [(KEY, 5), (OTHER, 1)], []):
        with pytest.raises(GenesisError, match="are not the validators of the genesis document"):
            init(*others, app_state=named)


@pytest.mark.parametrize(
    ("validators", "text"),
    [
        ([(KEY, 0)], f"validators: {KEY.hex()} has power 0, must be 1 to 1000000000000"),
        ([(KEY, -1)], f"validators: {KEY.hex()} has power -1, must be"),
        ([(KEY, 10**12 + 1)], f"validators: {KEY.hex()} has power 1000000000001, must be"),
        ([(KEY, 1), (KEY, 2)], f"validators: InitChain names key {KEY.hex()} twice"),
        ([(KEY[:31], 1)], "validators: InitChain names a key that is not an Ed25519 key"),
        ([(bytes([number]) * 32, 1) for number in range(101)], "validators: InitChain names 101, at most 100"),
    ],
)
def test_validators_that_cannot_be_are_refused(validators: list[tuple[bytes, int]], text: str) -> None:
    with pytest.raises(GenesisError) as refused:
        init(*validators)
    assert str(refused.value).startswith(text)


def test_a_key_of_another_type_is_refused() -> None:
    request = pb.RequestInitChain(chain_id=CHAIN_ID, initial_height=1, app_state_bytes=b"{}")
    request.validators.add(power=1).pub_key.secp256k1 = b"\x02" * 33
    with pytest.raises(GenesisError, match="not an Ed25519 key"):
        Application(MemoryStore()).init_chain(request)


@pytest.mark.parametrize(
    ("app_state", "text"),
    [
        (b'{"validator": []}', "app_state: Object contains unknown field `validator`"),
        (b'{"validators": [{"public_key": "ab", "power": 1}]}', "app_state: Expected `str` matching regex"),
        (b'{"validators": [{"public_key": "%s", "power": 0}]}' % KEY.hex().encode(), "app_state: Expected `int` >= 1"),
        (
            b'{"validators": [{"public_key": "%s", "power": 1}, {"public_key": "%s", "power": 1}]}'
            % (KEY.hex().encode(), KEY.hex().encode()),
            "app_state.validators[1]: key 1111",
        ),
        (b'{"models": {}}', "app_state: Object contains unknown field `models`"),
    ],
)
def test_a_section_that_is_wrong_or_nobodys_is_named(app_state: bytes, text: str) -> None:
    with pytest.raises(GenesisError) as refused:
        init((KEY, 1), app_state=app_state)
    assert str(refused.value).startswith(text)


@pytest.mark.parametrize("version", [1, 3, 99])
def test_a_chain_of_another_version_is_refused_by_its_version(version: int) -> None:
    with pytest.raises(GenesisError, match=f"consensus_params.version.app is {version}, this program knows 2 to 2"):
        init((KEY, 1), app_version=version)


def test_an_initchain_that_was_refused_leaves_the_application_as_it_was() -> None:
    request = pb.RequestInitChain(chain_id=CHAIN_ID, initial_height=1, app_state_bytes=b"{}")
    request.validators.add(power=0).pub_key.ed25519 = KEY
    application = Application(MemoryStore())
    with pytest.raises(GenesisError):
        application.init_chain(request)
    request.validators[0].power = 1
    application.init_chain(request)
    assert VALIDATORS.get(application.store) == ValidatorPowers((ValidatorPower(KEY, 1),))
