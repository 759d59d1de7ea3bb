"""Each way in which the DataNets' records can contradict each other is named by an invariant."""

from collections.abc import Callable

import pytest
from msgspec import structs

from abci_app.hashing import list_root
from abci_app.modules import datanets
from abci_app.modules.datanets.records import (
    ACCEPTED,
    CONTENT,
    CONTRIBUTIONS,
    COUNTS,
    DATANETS,
    NAMES,
    NODES,
    REVIEWS,
    ROWS,
    SUBMITTED,
    TERMS_COUNTS,
    VERSIONS,
    CreateDatanet,
    CreateVersion,
    Decision,
    Review,
    ReviewContribution,
    RevokeContribution,
    Submitted,
    TermsCount,
    TreeNode,
)
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.names import NameOwner
from abci_app.state.overlay import Overlay
from abci_app.state.table import hash_key_part
from tests.kit.modules.corruption import delete, put, replace
from tests.kit.modules.drafts import FREE, contribute, contribution_id, digest, new_id
from tests.kit.modules.ledger import ALICE, DORA, Ledger

FREE_ID = terms_id_of(FREE)
TICKETS = new_id("datanet", ALICE.address, 0, 1)
HELD, REVOKED, PENDING, REJECTED = [
    contribution_id(contribute(TICKETS, name), DORA.address, FREE_ID) for name in ("a", "b", "c", "d")
]
UNKNOWN = digest("nothing has this id")
NAME_HASH = hash_key_part("support")


@pytest.fixture
def state() -> Overlay:
    """One contribution in each status; version 1 holds the first two."""
    ledger = Ledger.start()
    ledger.accept(ALICE, RegisterTerms(FREE), CreateDatanet("support", "", FREE_ID, (), 1))
    ledger.accept(DORA, *[contribute(TICKETS, name) for name in "abcd"])
    verdicts = [ReviewContribution(each, Decision.ACCEPT, 0) for each in (HELD, REVOKED)]
    ledger.accept(ALICE, *verdicts, ReviewContribution(REJECTED, Decision.REJECT, 1), CreateVersion(TICKETS, ""))
    ledger.accept(DORA, RevokeContribution(REVOKED, 1))
    assert ledger.violations() == []
    return Overlay(ledger.store)


def faults(state: Overlay) -> list[str]:
    return [fault for invariant in datanets.MODULE.invariants for fault in invariant(state)]


def no_datanet_of(name: str) -> str:
    return f"name {hash_key_part(name).hex()} leads to no DataNet of that name"


NO_TERMS = "default terms of DataNet 'support' are not registered"
ROWS_OF_HELD = contribute(TICKETS, "a").rows_root
FILE_OF_PENDING = contribute(TICKETS, "c").content_digest
ROWS_OF_REJECTED = contribute(TICKETS, "d").rows_root
NOT_FOLLOWING = f"version 1 of DataNet {TICKETS.hex()} does not follow from its contributions"
TWO_CHANGES = f"DataNet {TICKETS.hex()} counts 1 changes since its last version, there are 2"
OTHER_SUMS = f"DataNet {TICKETS.hex()} counts other rows or bytes than it holds"
OTHER_JOINED = f"DataNet {TICKETS.hex()} joins other terms than those of what it holds"
OTHER_TERMS = f"DataNet {TICKETS.hex()} counts its contributions by other terms than they have"
OTHER_TREE = f"the tree of DataNet {TICKETS.hex()} does not follow from its accepted list"
HELD_DIFFERS = f"contribution {HELD.hex()} differs from its accepted listing"


@pytest.mark.parametrize(
    ("corrupt", "expected"),
    [
        (
            delete(NAMES, "support"),
            [f"DataNet {TICKETS.hex()} is not found under its name 'support'"],
        ),
        (put(NAMES, "nobody", NameOwner(UNKNOWN)), [no_datanet_of("nobody")]),
        (put(NAMES, "alias", NameOwner(TICKETS)), [no_datanet_of("alias")]),
        (replace(DATANETS, TICKETS, default_terms_id=UNKNOWN), [NO_TERMS]),
        (delete(COUNTS, TICKETS), [f"DataNet {TICKETS.hex()} has no counts"]),
        (
            replace(COUNTS, TICKETS, submitted=5),
            [f"DataNet {TICKETS.hex()} counts (5, 2, 1, 1), its listings have (4, 2, 1, 1)"],
        ),
        (
            replace(COUNTS, TICKETS, revoked=0),
            [f"DataNet {TICKETS.hex()} counts (4, 2, 0, 1), its listings have (4, 2, 1, 1)"],
        ),
        (
            replace(COUNTS, TICKETS, usable_from_version=1),
            [f"DataNet {TICKETS.hex()} says that versions from 1 are usable, its revocations say from 2"],
        ),
        (
            replace(COUNTS, TICKETS, changes=0),
            [f"DataNet {TICKETS.hex()} counts 0 changes since its last version, there are 1"],
        ),
        (
            replace(COUNTS, TICKETS, joined_terms_id=b""),
            [OTHER_JOINED],
        ),
        (replace(COUNTS, TICKETS, row_count=7), [OTHER_SUMS]),
        (replace(COUNTS, TICKETS, byte_count=7), [OTHER_SUMS]),
        (replace(TERMS_COUNTS, TICKETS, FREE_ID, contributions=2), [OTHER_TERMS]),
        (delete(TERMS_COUNTS, TICKETS, FREE_ID), [OTHER_TERMS]),
        (put(TERMS_COUNTS, TICKETS, UNKNOWN, TermsCount(1)), [OTHER_TERMS]),
        (delete(NODES, TICKETS, 1, 0), [OTHER_TREE]),
        (replace(NODES, TICKETS, 1, 0, node_hash=UNKNOWN), [OTHER_TREE]),
        (put(NODES, TICKETS, 1, 1, TreeNode(UNKNOWN)), [OTHER_TREE]),
        (
            delete(CONTRIBUTIONS, PENDING),
            [
                f"submission 3 of {TICKETS.hex()} leads nowhere",
                f"rows_root {hash_key_part(contribute(TICKETS, 'c').rows_root).hex()} of {TICKETS.hex()} leads nowhere",
                f"content_digest {hash_key_part(FILE_OF_PENDING).hex()} of {TICKETS.hex()} leads nowhere",
            ],
        ),
        (
            delete(SUBMITTED, TICKETS, 1),
            [
                f"contribution {HELD.hex()} is not listed as submission 1",
                f"DataNet {TICKETS.hex()} counts (4, 2, 1, 1), its listings have (3, 2, 1, 1)",
            ],
        ),
        (delete(ROWS, TICKETS, ROWS_OF_HELD), [f"contribution {HELD.hex()} lost its rows"]),
        (delete(CONTENT, TICKETS, FILE_OF_PENDING), [f"contribution {PENDING.hex()} lost its file"]),
        (
            put(ROWS, TICKETS, ROWS_OF_REJECTED, Submitted(REJECTED)),
            [f"contribution {REJECTED.hex()} still holds its rows"],
        ),
        (
            put(ROWS, TICKETS, b"other rows", Submitted(HELD)),
            [f"rows_root {hash_key_part(b'other rows').hex()} of {TICKETS.hex()} leads nowhere"],
        ),
        (replace(ACCEPTED, TICKETS, 1, byte_count=301), [HELD_DIFFERS, OTHER_SUMS, NOT_FOLLOWING]),
        (replace(ACCEPTED, TICKETS, 1, absent_from_version=2), [
            HELD_DIFFERS, f"DataNet {TICKETS.hex()} counts (4, 2, 1, 1), its listings have (4, 2, 2, 1)",
            TWO_CHANGES, OTHER_JOINED, OTHER_SUMS, OTHER_TERMS, OTHER_TREE,
        ]),
        (replace(ACCEPTED, TICKETS, 1, present_from_version=2), [TWO_CHANGES, NOT_FOLLOWING]),
        (
            replace(CONTRIBUTIONS, PENDING, accepted_number=9),
            [f"contribution {PENDING.hex()} and the accepted list disagree"],
        ),
        (replace(VERSIONS, TICKETS, 1, contributions_root=list_root("contributions", [HELD])), [NOT_FOLLOWING]),
        (replace(VERSIONS, TICKETS, 1, row_count=7), [NOT_FOLLOWING]),
        (replace(VERSIONS, TICKETS, 1, joined_terms_id=UNKNOWN), [NOT_FOLLOWING]),
        (
            replace(CONTRIBUTIONS, HELD, accept_votes=2),
            [f"contribution {HELD.hex()} counts other votes than it has"],
        ),
        (
            put(REVIEWS, UNKNOWN, b"reviewer", Review(ALICE.address, Decision.ACCEPT, 0, 1)),
            [f"a review of {UNKNOWN.hex()} belongs to no contribution"],
        ),
    ],
)  # fmt: skip
def test_each_contradiction_is_named(state: Overlay, corrupt: Callable[[Overlay], None], expected: list[str]) -> None:
    assert faults(state) == []
    corrupt(state)
    assert faults(state) == expected


def test_a_changed_contribution_no_longer_hashes_to_its_id(state: Overlay) -> None:
    stored = CONTRIBUTIONS.get(state, HELD)
    assert stored is not None
    contribution = structs.replace(stored.contribution, payee=UNKNOWN)
    CONTRIBUTIONS.set(state, HELD, structs.replace(stored, contribution=contribution))
    assert faults(state) == [f"contribution {HELD.hex()} hashes otherwise"]
