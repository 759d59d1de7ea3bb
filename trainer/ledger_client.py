"""The methods of a client that records of runs need, so that tests can put another one in its place."""

from typing import Any, Protocol

from abci_app.module import Message
from openledger.client.core import SigningParty
from openledger.client.results import Answer, Committed, Sent


class PendingRecord(Protocol):
    """A transaction on its way."""

    @property
    def sent(self) -> Sent:
        """The transaction that was handed over."""

    def wait(self) -> Committed:
        """Wait until the transaction is in a block; raise when it failed."""


class LedgerClient(Protocol):
    """The methods of a client that publishing needs: `openledger.Client` has them."""

    @property
    def chain_id(self) -> str:
        """Id of the chain that answers."""

    def query(self, module: str, name: str, args: Any, *, height: int = 0, prove: bool = True) -> Answer[Any]:
        """A module's query."""

    def send(self, signer: SigningParty, *messages: Message, memo_digest: bytes = b"") -> PendingRecord:
        """Build, sign and hand over."""
