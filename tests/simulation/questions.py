"""Auditors' questions at random moments, about random heights: each answer is proven and asked again of the proof."""

from collections.abc import Callable
from typing import Any

from abci_app.chain.chain_module import ParametersQuery, VersionOfRulesQuery
from abci_app.chain.queries import QUERY_BUDGET_UNITS
from abci_app.chain.registry import query_named
from abci_app.chain.validator_set import ValidatorsQuery
from abci_app.mechanisms.beacon import BeaconQuery, OnionQuery, WaitingQuery
from abci_app.mechanisms.epochs import EpochQuery
from abci_app.mechanisms.freezes import FreezesQuery
from abci_app.mechanisms.hooks import FailingHooksQuery
from abci_app.mechanisms.locks import LockQuery, LocksQuery, Purpose
from abci_app.mechanisms.module import DueQuery, StuckQuery
from abci_app.modules.accounts import DelegationsQuery
from abci_app.modules.bank import AccountQuery, PayeeQuery, SupplyQuery
from abci_app.modules.datanets.queries import (
    ContributionQuery,
    ContributionsQuery,
    DatanetListQuery,
    DatanetQuery,
    VersionQuery,
    VersionsQuery,
)
from abci_app.modules.governance import (
    BallotQuery,
    DryRunQuery,
    HolderQuery,
    OpenQuery,
    ProposalQuery,
    ProposalsQuery,
    Scope,
    UpgradeQuery,
)
from abci_app.modules.licences.queries import JoinedTermsQuery, TermsListQuery, TermsQuery
from abci_app.modules.members import MemberQuery, MembersQuery, PeersQuery
from abci_app.modules.models.impact import ImpactQuery
from abci_app.modules.models.lineage import CleanQuery, LineageQuery
from abci_app.modules.models.queries import (
    EntryEventsQuery,
    EntryListQuery,
    EntryQuery,
    ModelListQuery,
    ModelQuery,
    ModelVersionsQuery,
    VerdictQuery,
)
from abci_app.modules.models.records import ENTRIES
from abci_app.modules.validators.queries import TurnoverQuery, ValidatorListQuery, ValidatorQuery
from abci_app.state import proof
from abci_app.state.views import RecordingView
from abci_app.state.work import Work
from tests.kit.modules.drafts import digest
from tests.kit.modules.ledger import ask
from tests.simulation import governing
from tests.simulation.rules import random_entry
from tests.simulation.world import World

Question = tuple[str, str, Any]
NOBODY = digest("nothing has this id")


def _one_of(world: World, known: dict[bytes, Any]) -> bytes:
    """Mostly something that exists now (perhaps not yet at the height that is asked about)."""
    return world.rng.choice([*known, NOBODY])


def _joined_id(world: World) -> bytes:
    stored = ENTRIES.get(world.store, _one_of(world, world.entries))
    return stored.admission.joined_terms_id if stored else NOBODY


def questions(world: World) -> list[Question]:
    """One of each kind."""
    rng = world.rng
    address = rng.choice([*world.actors, world.pauper]).address
    net, entry, model = (_one_of(world, known) for known in (world.nets, world.entries, world.models))
    contribution = _one_of(world, {key: None for each in world.nets.values() for key in each.contributors})
    some, after = rng.randint(1, 20), rng.randint(0, 5)
    return [
        ("bank", "account", AccountQuery(address)),
        ("bank", "payee", PayeeQuery(address)),
        ("bank", "supply", SupplyQuery()),
        ("epochs", "current", EpochQuery()),
        ("locks", "lock", LockQuery(Purpose.GOPEN, b"", address)),
        ("locks", "list", LocksQuery(address, 0, b"", some)),
        ("governance", "proposals", ProposalsQuery(rng.randint(0, 9), some)),
        ("governance", "proposal", ProposalQuery(rng.randint(1, 9))),
        ("governance", "open", OpenQuery(rng.choice((Scope.CHAIN, Scope.COMMITTEE)), b"")),
        ("governance", "holder", HolderQuery(address)),
        ("governance", "ballot", BallotQuery(rng.randint(1, 9), address)),
        ("governance", "dry_run", DryRunQuery(Scope.CHAIN, b"", governing.some_actions(world), world.chain.height)),
        ("governance", "upgrade", UpgradeQuery()),
        ("freezes", "list", FreezesQuery(0, b"", some)),
        ("accounts", "delegations", DelegationsQuery(address)),
        ("members", "member", MemberQuery(address)),
        ("members", "list", MembersQuery(b"", some)),
        ("members", "peers", PeersQuery()),
        ("chain", "parameters", ParametersQuery("")),
        ("chain", "version", VersionOfRulesQuery()),
        ("chain", "validators", ValidatorsQuery()),
        *_of_validators(rng.choice([*world.actors, *world.operators]).address),
        ("deadlines", "stuck", StuckQuery(0, some)),
        ("deadlines", "due", DueQuery(0, 1)),
        ("deadlines", "failing", FailingHooksQuery()),
        ("beacon", "state", BeaconQuery()),
        ("beacon", "onion", OnionQuery(address)),
        ("beacon", "waiting", WaitingQuery(0, some)),
        ("licences", "terms", TermsQuery(_one_of(world, world.terms))),
        ("licences", "joined", JoinedTermsQuery(_joined_id(world))),
        ("licences", "list", TermsListQuery(_one_of(world, world.terms), some)),
        ("datanets", "datanet", DatanetQuery(net, "")),
        ("datanets", "list", DatanetListQuery(b"", some)),
        ("datanets", "version", VersionQuery(net, "", after, after, some)),
        ("datanets", "version_contributions", VersionQuery(b"", "net-1", 0, 0, some)),
        ("datanets", "datasheet", VersionQuery(b"", "net-1", 0, 0, some)),
        ("datanets", "versions", VersionsQuery(net, "", after, some)),
        ("datanets", "contributions", ContributionsQuery(net, "", after, some)),
        ("datanets", "contribution", ContributionQuery(contribution)),
        ("models", "model", ModelQuery(model, "")),
        ("models", "list", ModelListQuery(b"", some)),
        ("models", "versions", ModelVersionsQuery(model, "", after, some)),
        ("models", "entry", EntryQuery(entry)),
        ("models", "entries", EntryListQuery(after, rng.randint(0, 1), some)),
        ("models", "runs", EntryEventsQuery(entry, after, some)),
        ("models", "reproductions", EntryEventsQuery(entry, after, some)),
        ("models", "evaluations", EntryEventsQuery(entry, after, some)),
        ("models", "verdict", VerdictQuery(random_entry(world, ()), world.chain.seconds(world.chain.height))),
        ("models", "lineage", LineageQuery(entry, "", 0, (), some, after)),
        ("models", "clean", CleanQuery(entry, "", 0, net, "", rng.randint(0, 2))),
        ("models", "impact", ImpactQuery(net, "", rng.randint(0, 2), rng.randint(0, 1), 0, (), some)),
    ]


def _of_validators(operator: bytes) -> list[Question]:
    return [
        ("validators", "validator", ValidatorQuery(operator, b"")),
        ("validators", "list", ValidatorListQuery()),
        ("validators", "turnover", TurnoverQuery()),
    ]


def ask_at_random(world: World, count: int) -> None:
    """`ask` compares the answer of the state with that of the proof, refusals included."""
    store = world.chain.application.store
    for module, name, args in world.rng.sample(questions(world), count):
        height = world.rng.randint(store.earliest_height, store.height)
        with store.version(height) as version:
            ask(version, module, name, args)


def lie_at_random(world: World, count: int) -> None:
    """A proof with one byte changed proves the same or nothing, never something else."""
    store = world.chain.application.store
    for module, name, args in world.rng.sample(questions(world), count):
        with store.latest() as version:
            answer = _answer(module, name)
            recording = RecordingView(version, Work(QUERY_BUDGET_UNITS))
            honest = answer(recording, args)
            honest_proof = version.prove(recording.keys, recording.ranges)
            lie = bytearray(honest_proof)
            lie[world.rng.randrange(len(lie))] ^= 1 << world.rng.randrange(8)
            try:
                found = answer(proof.verify(bytes(lie), version.app_hash), args)
            except (proof.ProofError, proof.UnprovenRead):
                continue
            assert found == honest


def _answer(module: str, name: str) -> Callable[[Any, Any], Any]:
    from abci_app.errors import Rejected

    def run(view: Any, args: Any) -> Any:
        try:
            return query_named(module, name).function(view, args)
        except Rejected as rejection:
            return rejection.code, rejection.text

    return run
