"""Who owns an entry: front-runners, the owner that a manifest names, and what passes to it."""

import pytest
from msgspec import structs

from abci_app.bech32 import encode_id
from abci_app.errors import Code
from abci_app.modules.models.claims import MAX_PATH, ClaimEntry, PathStep, Side, owner_part, root_of_owner
from abci_app.modules.models.codes import ModelsCode
from abci_app.modules.models.records import (
    ENTRIES,
    SUPERSESSIONS,
    VERSIONS,
    CreateModel,
    ModelVersion,
    RecordRuns,
    SupersedeEntry,
    Supersession,
    entry_id_of,
)
from abci_app.state.codec import encode
from openledger.data.manifest import Manifest, named_parts_root
from openledger.data.ownership import make_claim
from tests.kit.modules.drafts import digest, entry, new_id, run_of
from tests.kit.modules.ledger import ALICE, BOB, CARL, EVE, Ledger
from tests.kit.modules.provenance import MODEL, TICKETS, record, start_with_data, stored_entry

MANIFEST = Manifest({"about": b"{}", "output": b"{}", "owner": owner_part(BOB.address), "recipe": b"lr = 1"})
WORK = entry("bob's work", data=[(TICKETS, 1)], manifest_root=MANIFEST.root)
WORK_ID = entry_id_of(WORK)
EVIL_MODEL = new_id("model", EVE.address, 0)
CLAIM = make_claim(MANIFEST, WORK_ID, MODEL, 1)
BOBS = encode_id("open", BOB.address)


@pytest.fixture
def ledger() -> Ledger:
    return start_with_data()


@pytest.fixture
def robbed(ledger: Ledger) -> Ledger:
    """Eve saw Bob's run on its way, recorded it first in the same block, shows it with her model and supersedes it."""
    ledger.accept(EVE, CreateModel("eve-bot", ""))
    (rubbish,) = record(ledger, entry("rubbish"), signer=EVE)
    theft = (RecordRuns((run_of(WORK, model_id=EVIL_MODEL),)), SupersedeEntry(WORK_ID, rubbish, "outdated"))
    bobs = RecordRuns((run_of(WORK, model_id=MODEL, label="v1"),))
    assert ledger.send_together((EVE, theft[0]), (BOB, bobs)) == [0, 0]
    ledger.accept(EVE, theft[1])
    stored = stored_entry(ledger, WORK_ID)
    assert (stored.owner, stored.claimed_height, stored.model_id) == (EVE.address, 0, EVIL_MODEL)
    return ledger


def test_an_entry_that_was_claimed_without_a_model_is_shown_with_the_owners_once_it_is_recorded_again(
    robbed: Ledger,
) -> None:
    """It is the latest version of the owner's model already, so that no further version is made."""
    robbed.accept(BOB, make_claim(MANIFEST, WORK_ID))
    assert stored_entry(robbed, WORK_ID).model_id == b""
    robbed.accept(BOB, RecordRuns((run_of(WORK, model_id=MODEL, label="v1"),)))
    stored = stored_entry(robbed, WORK_ID)
    assert (stored.model_id, stored.model_version) == (MODEL, 1)
    assert [record.entry_number for _, record in VERSIONS.iterate(robbed.store, MODEL)] == [stored.admission.number]
    assert robbed.violations() == []


def test_the_owner_that_the_manifest_names_takes_over_all_that_a_front_runner_chose(robbed: Ledger) -> None:
    before = stored_entry(robbed, WORK_ID)
    effects = robbed.effects(BOB, CLAIM)
    claimed = structs.replace(
        before,
        owner=BOB.address,
        claimed_height=robbed.height,
        model_id=MODEL,
        model_version=1,
        superseded_by_entry_id=b"",
    )
    number = before.admission.number
    assert effects == {ENTRIES.key(WORK_ID): encode(claimed), SUPERSESSIONS.key(number): None}
    # Blocks since: Eve's supersession, and this claim.
    assert VERSIONS.get(robbed.store, MODEL, 1) == ModelVersion(number, "v1", robbed.height - 2)
    assert robbed.violations() == []


def test_a_claim_is_an_event_that_the_former_owner_finds(robbed: Ledger) -> None:
    assert robbed.involved(BOB, CLAIM) == [BOB.address, EVE.address]
    assert robbed.accept(ALICE, CreateModel("later", "")) != []
    assert robbed.refuse(BOB, CLAIM)[0] == ModelsCode.ALREADY_CLAIMED


def test_the_claim_of_an_entry_names_entry_and_owner(robbed: Ledger) -> None:
    event = ("entry_claimed", {"entry_id": WORK_ID.hex(), "owner": BOB.address.hex()})
    assert robbed.accept(BOB, CLAIM) == [event]


def test_after_the_claim_its_owner_alone_supersedes_the_entry(robbed: Ledger) -> None:
    robbed.accept(BOB, CLAIM)
    (right,) = record(robbed, entry("right"))
    assert robbed.refuse(EVE, SupersedeEntry(WORK_ID, right, "")) == (
        ModelsCode.NOT_OWNER,
        f"only its owner {BOBS} supersedes an entry",
    )
    robbed.accept(BOB, SupersedeEntry(WORK_ID, right, "mine"))
    number = stored_entry(robbed, WORK_ID).admission.number
    assert SUPERSESSIONS.get(robbed.store, number) == Supersession(right, "mine", BOB.address, robbed.height)
    assert robbed.violations() == []


def test_run_and_claim_go_into_one_transaction(robbed: Ledger) -> None:
    again = RecordRuns((run_of(entry("next"), model_id=MODEL), run_of(WORK, model_id=MODEL)))
    robbed.accept(BOB, again, structs.replace(CLAIM, model_version=3))
    assert stored_entry(robbed, WORK_ID).model_version == 3
    assert robbed.violations() == []


def test_an_entry_claimed_without_a_model_is_shown_with_the_next_that_its_owner_names(robbed: Ledger) -> None:
    robbed.accept(BOB, make_claim(MANIFEST, WORK_ID))
    assert stored_entry(robbed, WORK_ID).model_id == b""
    record_for_eve = RecordRuns((run_of(WORK, model_id=EVIL_MODEL),))
    robbed.accept(EVE, record_for_eve)
    assert stored_entry(robbed, WORK_ID).model_id == b""
    robbed.accept(BOB, CreateModel("second-bot", ""))
    second = new_id("model", BOB.address, robbed.next_sequence(BOB) - 1)
    robbed.accept(BOB, RecordRuns((run_of(WORK, model_id=second),)))
    stored = stored_entry(robbed, WORK_ID)
    assert (stored.model_id, stored.model_version) == (second, 1)
    assert robbed.violations() == []


def test_an_entry_without_a_model_is_not_shown_with_that_of_somebody_else_who_ran_it(ledger: Ledger) -> None:
    record(ledger, WORK)
    ledger.accept(EVE, CreateModel("eve-bot", ""))
    ledger.accept(EVE, RecordRuns((run_of(WORK, model_id=EVIL_MODEL),)))
    assert VERSIONS.get(ledger.store, EVIL_MODEL, 1) is not None
    assert stored_entry(ledger, WORK_ID).model_id == b""
    assert ledger.violations() == []


def test_who_is_not_named_cannot_claim_whatever_path_is_shown(ledger: Ledger) -> None:
    record(ledger, WORK)
    hers = Manifest({**MANIFEST.parts, "owner": owner_part(EVE.address)})
    for path in (CLAIM.path, make_claim(hers, WORK_ID).path, (), CLAIM.path[:-1], CLAIM.path[::-1]):
        code, log = ledger.refuse(EVE, ClaimEntry(WORK_ID, path, b"", 0))
        shown = encode_id("open", EVE.address)
        assert code == ModelsCode.BAD_CLAIM
        assert log.startswith(f"the path does not show that the entry's manifest names {shown} as its owner: only")


def test_nobody_becomes_owner_of_an_entry_without_a_signature_of_its_own(ledger: Ledger) -> None:
    """Eve records rubbish in Bob's name: he is named as its owner only if he claims it himself."""
    slander = entry("slander", manifest_root=MANIFEST.root)
    (entry_id,) = record(ledger, slander, signer=EVE)
    assert ledger.refuse(EVE, make_claim(MANIFEST, entry_id))[0] == ModelsCode.ALREADY_CLAIMED
    assert ledger.refuse(CARL, make_claim(MANIFEST, entry_id))[0] == ModelsCode.BAD_CLAIM
    assert stored_entry(ledger, entry_id).owner == EVE.address


def test_a_manifest_built_to_name_two_owners_is_claimed_once(ledger: Ledger) -> None:
    """No honest tree has a name twice, but a path to a made-up root may."""
    carls = root_of_owner(CARL.address, ())
    root = root_of_owner(BOB.address, [PathStep(Side.RIGHT, carls)])
    (entry_id,) = record(ledger, entry("two owners", manifest_root=root), signer=EVE)
    bobs = root_of_owner(BOB.address, ())
    ledger.accept(BOB, ClaimEntry(entry_id, (PathStep(Side.RIGHT, carls),), b"", 0))
    claimed_height = ledger.height
    assert ledger.refuse(CARL, ClaimEntry(entry_id, (PathStep(Side.LEFT, bobs),), b"", 0)) == (
        ModelsCode.ALREADY_CLAIMED,
        f"{BOBS} claimed this entry at height {claimed_height}: only once",
    )
    assert ledger.violations() == []


def test_what_a_claim_names_must_be_the_owners(robbed: Ledger) -> None:
    nobody = digest("nothing has this id")
    for changes, code, log in (
        ({"entry_id": nobody}, ModelsCode.UNKNOWN_ENTRY, f"there is no entry {encode_id('olrun', nobody)}"),
        ({"model_id": nobody}, ModelsCode.UNKNOWN_MODEL, f"there is no model {encode_id('olmodel', nobody)}"),
        ({"model_id": EVIL_MODEL}, ModelsCode.NOT_OWNER, "model 'eve-bot' is not yours: name one of your own"),
        (
            {"model_version": 2},
            ModelsCode.BAD_CLAIM,
            "the entry is not version 2 of 'support-bot': record the run for it first",
        ),
        (
            {"model_version": 0},
            ModelsCode.BAD_CLAIM,
            "name a model by its id and the version that the entry is, or neither",
        ),
    ):
        assert robbed.refuse(BOB, structs.replace(CLAIM, **changes)) == (code, log)
    long_path = (PathStep(Side.LEFT, nobody),) * (MAX_PATH + 1)
    assert robbed.refuse(BOB, structs.replace(CLAIM, path=long_path))[0] == Code.MALFORMED


@pytest.mark.parametrize("names", [("owner",), ("about", "owner"), ("owner", "p"), ("own", "owner0", "ozone")])
def test_the_chain_and_the_manifest_agree_on_the_tree_of_any_parts(names: tuple[str, ...]) -> None:
    parts = {name: b"x" for name in names if not "owner".startswith(name) and not name.startswith("owner")}
    manifest = Manifest(parts | {"owner": owner_part(BOB.address)})
    claim = make_claim(manifest, WORK_ID)
    assert root_of_owner(BOB.address, claim.path) == manifest.root == named_parts_root(manifest.parts)
