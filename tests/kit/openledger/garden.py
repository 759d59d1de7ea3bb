"""A DataNet `garden` with real rows: two contributions in version 1, a third one in version 2, one that waits.

    garden#1  bob   3 rows of messages        garden#3  dora  2 rows of text, in version 2 alone
    garden#2  carl  2 rows of prompts         garden#4  eve   2 rows, waiting; one is a copy, one nearly

Owner is Alice, who decides alone.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from abci_app.modules.datanets.records import CreateDatanet, CreateVersion, Decision, ReviewContribution
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.handlers import RegisterTerms
from openledger.client.results import Answer
from openledger.content.store import ContentStore
from openledger.data.forms import common_form
from openledger.data.rows import RowBatch, put_batch
from openledger.errors import QueryFailed
from tests.kit.modules import drafts
from tests.kit.modules.ledger import ALICE, BOB, CARL, DORA, EVE, Ledger
from tests.kit.signing import Signer

LONG = "Water the roses in the morning, before the sun burns, and never on the leaves of the plant"
ROWS: tuple[list[dict[str, Any]], ...] = (
    [{"messages": [{"role": "user", "content": f"How often is bed {number} watered by Jane Example of Elm Street?"},
                   {"role": "assistant", "content": f"Every {number} days."}]} for number in range(3)],
    [{"prompt": f"Which soil suits plant number {number} best of all?", "completion": "Sandy, with compost."}
     for number in range(2)],
    [{"text": LONG}, {"text": "Mulch keeps the soil of a bed wet for days in summer."}],
    [{"text": LONG.upper()}, {"text": LONG.replace("never on the leaves of the plant", "not on its leaves at noon")}],
)  # fmt: skip


@dataclass
class Garden:
    """The ledger, the rows by submission, and what the chain calls each."""

    ledger: Ledger
    store: ContentStore
    datanet_id: bytes = b""
    batches: list[RowBatch] = field(default_factory=list)
    contributions: list[bytes] = field(default_factory=list)

    @classmethod
    def grow(cls, store: ContentStore) -> "Garden":
        """All of it."""
        garden = cls(Ledger.start(), store)
        garden.ledger.accept(ALICE, RegisterTerms(drafts.FREE))
        garden.datanet_id = drafts.new_id("datanet", ALICE.address, garden.ledger.next_sequence(ALICE))
        garden.ledger.accept(ALICE, CreateDatanet("garden", "what gardeners ask", terms_id_of(drafts.FREE), (), 1))
        for person, rows in zip((BOB, CARL), ROWS[:2], strict=True):
            garden.contribute(person, rows)
        garden.ledger.accept(ALICE, CreateVersion(garden.datanet_id, "first"))
        garden.contribute(DORA, ROWS[2])
        garden.ledger.accept(ALICE, CreateVersion(garden.datanet_id, "second"))
        garden.contribute(EVE, ROWS[3], accept=False)
        return garden

    def contribute(self, person: Signer, rows: list[dict[str, Any]], *, accept: bool = True) -> None:
        """One submission; its rows lie in the store."""
        salts = [(len(self.batches) << 32 | number).to_bytes(16) for number in range(len(rows))]
        batch = RowBatch.from_objects(rows, salts)
        commitment = put_batch(self.store, batch)
        message = drafts.contribute(
            self.datanet_id,
            "",
            rows_root=commitment.rows_root,
            row_count=commitment.row_count,
            byte_count=commitment.byte_count,
            content_digest=commitment.content_digest,
            sketch=commitment.sketch,
            form=common_form(json.loads(row) for row in batch.rows),
        )
        self.ledger.accept(person, message)
        self.batches.append(batch)
        self.contributions.append(drafts.contribution_id(message, person.address, terms_id_of(drafts.FREE)))
        if accept:
            self.ledger.accept(ALICE, ReviewContribution(self.contributions[-1], Decision.ACCEPT, 0))

    def query(self, module: str, name: str, args: Any, *, height: int = 0, prove: bool = True) -> Answer[Any]:
        """The answer of the chain's newest state, as a client gives it."""
        value = self.ledger.ask(module, name, args)
        if isinstance(value, tuple):
            raise QueryFailed(value[0], "openledger", value[1])
        return Answer(value=value, height=self.ledger.height, verified=prove, note="by the test")
