"""Versions under random histories: roots, members and terms are those of a plain model with sets."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abci_app.chain.registry import MODULES
from abci_app.errors import Rejected
from abci_app.hashing import list_root
from abci_app.modules import datanets
from abci_app.modules.datanets.queries import VersionQuery, query_version
from abci_app.modules.datanets.records import (
    CreateDatanet,
    CreateVersion,
    DatanetsCode,
    Decision,
    ReviewContribution,
    RevokeContribution,
)
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.licences.records import JOINED
from abci_app.state.overlay import Overlay
from abci_app.state.views import EmptyView
from tests.kit.modules.drafts import FREE, contribute, contribution_id, new_id, terms
from tests.kit.modules.ledger import ALICE, DORA, execute

KINDS = [terms(name=f"terms {number}") for number in range(3)]
DATANET = new_id("datanet", ALICE.address, 7)
STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "add", "add", "accept", "reject", "revoke", "version"]), st.integers(0, 30)),
    max_size=40,
)


@dataclass(slots=True)
class Model:
    """A model that the module must agree with: plain sets."""

    pending: list[bytes] = field(default_factory=list)
    held: list[bytes] = field(default_factory=list)
    terms_of: dict[bytes, bytes] = field(default_factory=dict)
    # Everything ever accepted, in that order; nothing (b"") where it was revoked.
    slots: list[bytes] = field(default_factory=list)
    # What each version held, ascending, and the slots as they stood.
    versions: list[tuple[list[bytes], list[bytes]]] = field(default_factory=list)


def new_state() -> Overlay:
    state = Overlay(EmptyView())
    for kind in (FREE, *KINDS):
        execute(state, ALICE, RegisterTerms(kind), 1)
    execute(state, ALICE, CreateDatanet("d", "", terms_id_of(FREE), (), 1), 1, sequence=7)
    return state


def step(state: Overlay, model: Model, action: str, number: int, height: int) -> None:
    """Do the same to both."""
    if action == "add":
        kind = terms_id_of(KINDS[number % len(KINDS)])
        message = contribute(DATANET, str(height), terms_id=kind)
        execute(state, DORA, message, height)
        added = contribution_id(message, DORA.address, b"")
        model.pending.append(added)
        model.terms_of[added] = kind
    elif action in ("accept", "reject") and model.pending:
        chosen = model.pending.pop(number % len(model.pending))
        decision = Decision.ACCEPT if action == "accept" else Decision.REJECT
        execute(state, ALICE, ReviewContribution(chosen, decision, 1), height)
        if action == "accept":
            model.held.append(chosen)
            model.slots.append(chosen)
    elif action == "revoke" and model.held + model.pending:
        chosen = (model.held + model.pending)[number % len(model.held + model.pending)]
        execute(state, DORA, RevokeContribution(chosen, 1), height)
        model.held, model.pending = [[each for each in some if each != chosen] for some in (model.held, model.pending)]
        model.slots = [b"" if each == chosen else each for each in model.slots]
    elif action == "version":
        held = sorted(model.held)
        if held and held not in [known for known, _ in model.versions[-1:]]:
            execute(state, ALICE, CreateVersion(DATANET, ""), height)
            model.versions.append((held, list(model.slots)))
        else:
            with pytest.raises(Rejected) as rejection:
                execute(state, ALICE, CreateVersion(DATANET, ""), height)
            assert rejection.value.code == DatanetsCode.NOTHING_NEW


@settings(max_examples=200)
@given(STEPS)
def test_every_version_holds_exactly_what_was_accepted_and_not_revoked_when_it_was_made(
    steps: list[tuple[str, int]],
) -> None:
    state, model = new_state(), Model()
    for height, (action, number) in enumerate(steps, 2):
        step(state, model, action, number, height)
    for version, (expected, slots) in enumerate(model.versions, 1):
        view = query_version(state, VersionQuery(DATANET, "", version, 0, 4_096))
        joined = JOINED.get(state, view.record.joined_terms_id)
        found = (
            sorted([item.accepted.contribution_id for item in view.contributions]),
            view.record.contributions_root,
            (view.record.contribution_count, view.record.row_count, view.record.byte_count),
            [source.terms_id for source in joined.sources] if joined else [],
        )
        assert found == (
            expected,
            list_root("contributions", slots),
            (len(expected), 3 * len(expected), 300 * len(expected)),
            sorted({model.terms_of[each] for each in expected}),
        )
        numbered = {item.number: item.accepted.contribution_id for item in view.contributions}
        assert datanets.version_root(numbered, view.record.accepted_through) == view.record.contributions_root
        gone = set(expected) - set(model.held)
        assert not (gone and view.usable)
    module = next(module for module in MODULES if module.name == "datanets")
    assert [fault for invariant in module.invariants for fault in invariant(state)] == []
