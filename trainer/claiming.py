"""Entries that somebody else recorded first, taken over by the account that their manifests name (ADR 29)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from abci_app.module import Message
from abci_app.modules.models.records import StoredEntry
from openledger.data.manifest import Manifest
from openledger.data.ownership import find_owner, make_claim
from openledger.errors import OpenLedgerError


class ClaimLedger(Protocol):
    """The part of the chain that claiming needs; `trainer.publish.ClientLedger` fulfils it."""

    @property
    def signer_address(self) -> bytes:
        """Address of the account that would claim."""

    def stored_entry(self, entry_id: bytes) -> StoredEntry:
        """An entry with what the chain wrote beside it."""

    def versions_of(self, model_id: bytes) -> Sequence[tuple[int, bytes]]:
        """Versions of a model with the ids of their entries, oldest first."""

    def send(self, message: Message) -> int:
        """One message of the signer's; returns the height."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An entry that was taken over: at which height, and who had recorded it first."""

    height: int
    first_recorder: bytes


class NotClaimed(OpenLedgerError):
    """A run stands on the chain as the entry named, but whether it is its author's is not settled."""

    def __init__(self, entry: str, model: str, cause: OpenLedgerError) -> None:
        super().__init__(
            f"the run is recorded as {entry}, but whose it is could not be settled: {cause}; then run "
            f"`openledger record --claim {entry} --model {model} --from KEY`, which claims it where it is not yours"
        )
        self.entry = entry
        self.exit_code = cause.exit_code


def claim_if_taken(ledger: ClaimLedger, entry_id: bytes, manifest: Manifest, model_id: bytes = b"") -> Claim | None:
    """Claim an entry that is another's although its manifest names the signer; None where there is nothing to claim.

    It is shown as the latest version that it is of the model. Raises `TransactionFailed` when the chain refuses.
    """
    if find_owner(manifest) != ledger.signer_address:
        return None
    stored = ledger.stored_entry(entry_id)
    if stored.owner == ledger.signer_address:
        return None
    versions = ledger.versions_of(model_id) if model_id else ()
    version = max([version for version, found in versions if found == entry_id], default=0)
    height = ledger.send(make_claim(manifest, entry_id, model_id if version else b"", version))
    return Claim(height, bytes(stored.owner))
