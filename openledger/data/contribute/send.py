"""Transactions of prepared parts, and what became of them.

Up to 15 parts go in one transaction: all of them are registered or none. A part's note says `sent` before its
transaction leaves, and its rows go to the content store when the chain has it: who copies a transaction from the
mempool gets no rows with it (front_running.py). After a lost answer, a stop, or a second transaction with the same
part, the chain has the part once, for it knows rows by their root; and the next command asks it which parts it has
before it sends any.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Protocol

from msgspec import structs

from abci_app.bech32 import encode_id
from abci_app.chain.transaction import MAX_MESSAGES
from abci_app.errors import Code
from abci_app.module import Message
from abci_app.modules.datanets.queries import ContributionQuery, ContributionsPage, ContributionsQuery
from abci_app.modules.datanets.records import DatanetsCode, StoredContribution
from openledger.client.client import Client
from openledger.client.core import SendOptions, SigningParty
from openledger.content.store import ContentStore, file_digest
from openledger.data.contribute.chain import Destination
from openledger.data.contribute.front_running import Rival, as_its_file_says, find_rivals, with_new_salts
from openledger.data.contribute.journal import Journal, Note
from openledger.errors import Denied, OpenLedgerError, QueryFailed, TimedOut, TransactionFailed, UsageError

# A proof of a block's state can be had two blocks later.
_PROOF_SECONDS = 30.0
_PAUSE_SECONDS = 0.3
# Of one transaction: earlier ones of ours that come late, and others who register its parts first.
_ATTEMPTS = 6


@dataclass(frozen=True, slots=True)
class Target:
    """Where parts go and who sends them."""

    client: Client
    datanet: Destination
    store: ContentStore
    journal: Journal
    # The contributor, and the sponsor where there is one.
    signers: Sequence[SigningParty]
    options: SendOptions
    # How long a transaction may wait for its block.
    wait_seconds: float

    def ask_page(self, question: ContributionsQuery) -> ContributionsPage:
        """A page of submissions, proven where the client can prove."""
        proven = self.client.light is not None
        page = self.client.query("datanets", "contributions", question, prove=proven).value
        assert isinstance(page, ContributionsPage)
        return page


class Told(Protocol):
    """Hears what becomes of each part: registered, stored; and what people should know."""

    def sent(self, note: Note) -> None:
        """Hear of a part that is in a block."""

    def stored(self, note: Note) -> None:
        """Hear of a part whose rows are in the content store."""

    def copied(self, note: Note, rival: Rival) -> None:
        """Hear of a part that somebody else registered first."""


def find_stored(target: Target, note: Note, *, proven: bool) -> StoredContribution | None:
    """The chain's record of a part; None where the node says, or proves, that there is none."""
    question = ContributionQuery(note.id_in(target.datanet.datanet_id))
    try:
        answer = target.client.query("datanets", "contribution", question, prove=proven)
    except (Denied, QueryFailed) as error:
        if error.code == Code.NOT_FOUND:
            return None
        raise
    stored = answer.value.stored
    assert isinstance(stored, StoredContribution)
    return stored


def settled(target: Target, note: Note, payee: bytes, terms_id: bytes) -> Note:
    """The note as it is to be sent: done where the chain has it, else with the payee and terms of this command.

    A chain that was started anew under its old name has nothing of what was done on the one before.
    """
    if note.state == "sent" and find_stored(target, note, proven=False) is not None:
        return _finish(target, note)
    if note.state == "done":
        if find_stored(target, note, proven=target.client.light is not None) is not None:
            return note
        return structs.replace(note, state="sent", number=0, contribution_id="")
    return structs.replace(note, payee=payee.hex(), terms_id=terms_id.hex())


def send_parts(target: Target, notes: Sequence[Note], told: Told) -> list[Note]:
    """Have the chain register every part that it has not; returns the notes in their order, all done.

    Raises what sending raises; the notes say then what was done, and the same call goes on from there.
    """
    done: list[Note] = []
    waiting = list(notes)
    # One message may be the registration of the terms.
    at_once = MAX_MESSAGES - 1
    while waiting:
        group, waiting = [_with_rows(target, note) for note in waiting[:at_once]], waiting[at_once:]
        for note in _register(target, group, told, is_first=not done):
            told.sent(note)
            done.append(_finish(target, note))
            told.stored(done[-1])
    return done


def _register(target: Target, group: list[Note], told: Told, *, is_first: bool) -> list[Note]:
    """One transaction for these parts, or for those of them that the chain turns out to lack; as they are registered.

    A part that somebody else registered first goes under new salts.
    """
    notes = {note.key: note for note in group}
    waiting = group
    for attempt in range(_ATTEMPTS):
        waiting = [target.journal.put(structs.replace(note, state="sent")) for note in waiting]
        notes |= {note.key: note for note in waiting}
        messages: list[Message] = [note.message(target.datanet.datanet_id) for note in waiting]
        if is_first and target.datanet.registration is not None:
            messages.insert(0, target.datanet.registration)
        try:
            target.client.send(target.signers, *messages, **target.options).wait(target.wait_seconds)
            break
        except TransactionFailed as failure:
            if failure.code != DatanetsCode.DUPLICATE:
                raise
            if attempt + 1 == _ATTEMPTS:
                raise _taken(waiting[0], f"after {_ATTEMPTS} attempts, too: give the same command again") from None
        # An earlier transaction with some of them came into a block in the meantime; or one of somebody else.
        lacking = [note for note in waiting if find_stored(target, note, proven=False) is None]
        if not lacking:
            break
        waiting = _salted_anew(target, lacking, told) if len(lacking) == len(waiting) else lacking
    return list(notes.values())


def _salted_anew(target: Target, notes: list[Note], told: Told) -> list[Note]:
    """The parts, those under new salts that are proven to be registered by somebody else; raises where none is."""
    deadline = monotonic() + _PROOF_SECONDS
    while not (rivals := find_rivals(target.ask_page, target.datanet.datanet_id, notes)):
        if monotonic() > deadline or target.client.light is None:
            raise _taken(notes[0], "under other terms or another payee")
        sleep(_PAUSE_SECONDS)
    found = []
    for note in notes:
        rival = rivals.get(note.key)
        fresh = with_new_salts(target.journal, note) if rival else note
        if rival is not None and fresh is None:
            raise _taken(note, f"from {encode_id('open', rival.contributor)}, as {target.datanet.name}#{rival.number}")
        if rival is not None:
            told.copied(note, rival)
        found.append(fresh or note)
    return found


def _taken(note: Note, how: str) -> TransactionFailed:
    """The chain has these rows under this very root, and not as what was sent."""
    return TransactionFailed(
        DatanetsCode.DUPLICATE, "datanets", f"{note.first}: the DataNet has this very batch of rows {how}"
    )


def _with_rows(target: Target, note: Note) -> Note:
    """The part, whose batch file is here or in the content store, so that its registration can be kept."""
    path, digest = target.journal.rows_path(note.key), bytes.fromhex(note.content_digest)
    if path.exists():
        if file_digest(path) == digest:
            return note
        # Salts were changed, and a stop came before the note was.
        found = as_its_file_says(target.journal, note)
        if found is not None:
            return found
        target.journal.forget(note.key)
        raise OpenLedgerError(f"{path} was changed since it was written: give the same command again to write it anew")
    if not target.store.has(digest):
        raise UsageError(
            f"the rows of {note.first} were to be sent and are neither in {path} nor in the content store: name the "
            f"content store that has them, or remove {target.journal.folder / note.key}.json and contribute them anew"
        )
    return note


def _finish(target: Target, note: Note) -> Note:
    """Store the rows of a part that is registered, and note the number that the chain gave it.

    That it is registered is proven, where the client can prove.
    """
    proven = target.client.light is not None
    deadline = monotonic() + _PROOF_SECONDS
    while (stored := find_stored(target, note, proven=proven)) is None:
        if monotonic() > deadline:
            raise TimedOut(
                f"{note.first}: the transaction is in a block, and no proof of it could be had for "
                f"{_PROOF_SECONDS:g} s: give the same command again, it goes on from here"
            )
        sleep(_PAUSE_SECONDS)
    # Nobody else may see the rows before this point: they would be registered as somebody else's.
    path = target.journal.rows_path(note.key)
    if path.exists() and target.store.put_file(path).hex() != note.content_digest:
        raise OpenLedgerError(
            f"{path} was changed after {note.first} was registered as {target.datanet.name}#{stored.submitted_number}: "
            "nobody can see these rows; revoke it, and contribute them again with --again"
        )
    contribution_id = note.id_in(target.datanet.datanet_id).hex()
    finished = structs.replace(note, state="done", number=stored.submitted_number, contribution_id=contribution_id)
    target.journal.put(finished)
    target.journal.drop_rows(note.key)
    return finished
