"""A steady load of transfers for tests with real nodes, and the count of what must have come of it."""

from __future__ import annotations

import base64
import threading
from dataclasses import dataclass, field

from abci_app.chain.genesis import GenesisState
from abci_app.modules.bank import AccountQuery, Transfer
from node import rpc
from node.errors import NodeError
from openledger.client.client import Client
from tests.kit.signing import Signer

START_NOPEN = 10**12
AMOUNT_NOPEN = 7
SINK = Signer.named("sink")
# Between two transactions: enough for several in every block, little work for a small machine.
_PAUSE_SECONDS = 0.02


@dataclass
class Load:
    """Senders that pay the sink through one node's RPC until stopped; `sent` are the admitted transactions."""

    chain_id: str
    senders: list[Signer] = field(default_factory=lambda: [Signer.named(f"sender {n}") for n in range(8)])
    sent: list[bytes] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def genesis(self) -> GenesisState:
        """The senders have money, the sink has one nopen."""
        balances = [(sender.address.hex(), START_NOPEN) for sender in self.senders]
        return GenesisState(balances=(*balances, (SINK.address.hex(), 1)))

    def follow(self, rpc_url: str) -> None:
        """Go on from committed sequences: a CometBFT that was killed has forgotten what was pending."""
        with Client(rpc_url) as client:
            for sender in self.senders:
                sender.sequence = client.query(
                    "bank", "account", AccountQuery(sender.address), prove=False
                ).value.sequence

    def start(self, rpc_url: str) -> None:
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, args=(rpc_url,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(30)

    def send_one(self, rpc_url: str) -> None:
        """One transfer of the next sender. An error of the RPC leaves the sequence as it was."""
        sender = self.senders[len(self.sent) % len(self.senders)]
        raw = sender.transaction(Transfer(SINK.address, AMOUNT_NOPEN), sequence=sender.sequence, chain_id=self.chain_id)
        answer = rpc.call(rpc_url, "broadcast_tx_sync", tx=base64.b64encode(raw).decode())
        if answer["code"]:
            self.refusals.append(answer["log"])
            return
        sender.sequence += 1
        self.sent.append(raw)

    def _run(self, rpc_url: str) -> None:
        while not self._stopping.wait(_PAUSE_SECONDS):
            try:
                self.send_one(rpc_url)
            except NodeError as error:
                self.refusals.append(str(error))
