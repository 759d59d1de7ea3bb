"""Transactions of prepared parts, and what became of them.

Up to 15 parts go in one transaction: all of them are registered or none. A part's batch file is in the
content store before its transaction leaves, and its note says `sent`. After a lost answer, a stop, or a
second transaction with the same part, the chain has the part once, for it knows rows by their root; and the next
command asks it which parts it has before it sends any.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic, sleep

from msgspec import structs

from abci_app.chain.transaction import MAX_MESSAGES
from abci_app.errors import Code
from abci_app.module import Message
from abci_app.modules.datanets.queries import ContributionQuery
from abci_app.modules.datanets.records import DatanetsCode, StoredContribution
from openledger.client.client import Client
from openledger.client.core import SendOptions, SigningParty
from openledger.content.store import ContentStore
from openledger.data.contribute.chain import Destination
from openledger.data.contribute.journal import Journal, Note
from openledger.errors import Denied, OpenLedgerError, QueryFailed, TimedOut, TransactionFailed, UsageError

# A proof of a block's state can be had two blocks later.
_PROOF_SECONDS = 30.0
_PAUSE_SECONDS = 0.3
_ATTEMPTS = 3


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


def send_parts(
    target: Target, notes: Sequence[Note], stored: Callable[[Note], None], sent: Callable[[Note], None]
) -> list[Note]:
    """Have the chain register every part that it has not; returns the notes in their order, all done.

    Raises what sending raises; the notes say then what was done, and the same call goes on from there.
    """
    done: list[Note] = []
    waiting = list(notes)
    # One message may be the registration of the terms.
    at_once = MAX_MESSAGES - 1
    while waiting:
        group, waiting = waiting[:at_once], waiting[at_once:]
        for note in group:
            _store(target, note)
            stored(note)
        _send_group(target, group, is_first=not done)
        for note in group:
            done.append(_finish(target, note))
            sent(done[-1])
    return done


def _send_group(target: Target, group: list[Note], *, is_first: bool) -> None:
    """One transaction for these parts, or for those of them that the chain turns out to lack."""
    for attempt in range(_ATTEMPTS):
        for note in group:
            target.journal.put(structs.replace(note, state="sent"))
        messages: list[Message] = [note.message(target.datanet.datanet_id) for note in group]
        if is_first and target.datanet.registration is not None:
            messages.insert(0, target.datanet.registration)
        try:
            target.client.send(target.signers, *messages, **target.options).wait(target.wait_seconds)
            return
        except TransactionFailed as failure:
            if failure.code != DatanetsCode.DUPLICATE or attempt + 1 == _ATTEMPTS:
                raise
        # An earlier transaction with some of them came into a block in the meantime.
        there = [note for note in group if find_stored(target, note, proven=False) is not None]
        if not there:
            raise _taken(group[0])
        group = [note for note in group if note not in there]
        if not group:
            return


def _store(target: Target, note: Note) -> None:
    """Have the batch file in the content store; putting one that is there already only reads it."""
    path, digest = target.journal.rows_path(note.key), bytes.fromhex(note.content_digest)
    if path.exists():
        if target.store.put_file(path) == digest:
            return
        target.journal.forget(note.key)
        raise OpenLedgerError(f"{path} was changed since it was written: give the same command again to write it anew")
    if not target.store.has(digest):
        raise UsageError(
            f"the rows of {note.first} were to be sent and are neither in {path} nor in the content store: name the "
            f"content store that has them, or remove {target.journal.folder / note.key}.json and contribute them anew"
        )


def _taken(note: Note) -> TransactionFailed:
    """The chain says that it has these rows, and not as what was sent: somebody else registered the very same file."""
    return TransactionFailed(
        DatanetsCode.DUPLICATE,
        "datanets",
        f"{note.first}: the DataNet has this very batch of rows under other terms or another contributor",
    )


def _finish(target: Target, note: Note) -> Note:
    """Note the number that the chain gave a part; proven, where the client can prove."""
    proven = target.client.light is not None
    deadline = monotonic() + _PROOF_SECONDS
    while (stored := find_stored(target, note, proven=proven)) is None:
        if monotonic() > deadline:
            raise TimedOut(
                f"{note.first}: the transaction is in a block, and no proof of it could be had for "
                f"{_PROOF_SECONDS:g} s: give the same command again, it goes on from here"
            )
        sleep(_PAUSE_SECONDS)
    contribution_id = note.id_in(target.datanet.datanet_id).hex()
    finished = structs.replace(note, state="done", number=stored.submitted_number, contribution_id=contribution_id)
    target.journal.put(finished)
    target.journal.drop_rows(note.key)
    return finished
