"""A ledger with a DataNet of two versions and a model without any: where tests of the provenance log begin."""

from abci_app.modules.datanets.records import CreateDatanet, CreateVersion, Decision, ReviewContribution
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.models.records import ENTRIES as ENTRIES_TABLE
from abci_app.modules.models.records import CreateModel, Entry, RecordRuns, StoredEntry, entry_id_of
from tests.kit.modules.drafts import FREE, contribute, contribution_id, new_id, run_of
from tests.kit.modules.ledger import ALICE, BOB, DORA, Ledger
from tests.kit.signing import Signer

FREE_ID = terms_id_of(FREE)
# Alice's DataNet.
TICKETS = new_id("datanet", ALICE.address, 0, 1)
# Bob's model.
MODEL = new_id("model", BOB.address, 0)
BATCHES = [contribute(TICKETS, name) for name in "ab"]
BATCH_IDS = [contribution_id(batch, DORA.address, FREE_ID) for batch in BATCHES]


def start_with_data(**app_state: str) -> Ledger:
    """After five blocks: version 1 holds one contribution, version 2 both."""
    ledger = Ledger.start(**app_state)
    ledger.accept(ALICE, RegisterTerms(FREE), CreateDatanet("support/tickets", "", FREE_ID, (), 1))
    ledger.accept(DORA, *BATCHES)
    for batch_id in BATCH_IDS:
        ledger.accept(ALICE, ReviewContribution(batch_id, Decision.ACCEPT, 0), CreateVersion(TICKETS, ""))
    ledger.accept(BOB, CreateModel("support-bot", "Answers tickets"))
    return ledger


def record(ledger: Ledger, *entries: Entry, signer: Signer = BOB) -> list[bytes]:
    """Record runs of several entries in one message; their ids."""
    ledger.accept(signer, RecordRuns(tuple([run_of(each) for each in entries])))
    return [entry_id_of(each) for each in entries]


def stored_entry(ledger: Ledger, entry_id: bytes) -> StoredEntry:
    """The entry, which must exist."""
    found = ENTRIES_TABLE.get(ledger.store, entry_id)
    assert found is not None
    return found
