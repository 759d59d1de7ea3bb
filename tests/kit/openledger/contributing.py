"""A DataNet of one owner on a fake node, a contributor with a home and a content store, and files to contribute."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from abci_app.modules.datanets.queries import ContributionsQuery
from abci_app.modules.datanets.records import CreateDatanet, StoredContribution
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.handlers import RegisterTerms
from openledger.client.client import Client
from openledger.content.store import ContentStore
from openledger.data.contribute.add import Added, AddOptions, add
from openledger.data.rows import RowBatch
from openledger.keys.signer import Signer
from openledger.keys.wallet import Wallet
from tests.kit.chain import Chain
from tests.kit.modules.drafts import FREE
from tests.kit.openledger.fake_node import FakeNode

DANA_SEED = b"\2" * 32
OLGA, DANA, REMY = [Signer.from_seed(seed) for seed in (b"\1" * 32, DANA_SEED, b"\3" * 32)]
FUNDS = 10**15


@dataclass
class Garden:
    """Everything that contributing needs, in one folder."""

    folder: Path
    node: FakeNode = field(init=False)
    client: Client = field(init=False)

    def __post_init__(self) -> None:
        balances: dict[bytes, int] = {one.address: FUNDS for one in (OLGA, DANA, REMY)}
        self.node = FakeNode(Chain.start(balances, chain_id="dev-garden"), make_blocks_after=1)
        self.client = self.node.client()
        terms_id = terms_id_of(FREE)
        self.client.send(
            OLGA, RegisterTerms(FREE), CreateDatanet("garden", "", terms_id, tuple(sorted([REMY.address])), 1)
        ).wait()

    def keep_key(self) -> None:
        """Put Dana's key into her home, for commands."""
        Wallet.open(self.home, "test", "dev-garden").import_seed("dana", DANA_SEED)

    @property
    def home(self) -> Path:
        """Dana's home."""
        return self.folder / "home"

    @property
    def store(self) -> ContentStore:
        """Dana's content store."""
        return ContentStore.open(self.folder / "content")

    def write(self, name: str, content: bytes | str | list[Any]) -> Path:
        """A file; a list becomes a JSON Lines file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list):
            content = "".join([json.dumps(item, ensure_ascii=False) + "\n" for item in content])
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def add(self, *paths: Path, options: AddOptions | None = None, **more: Any) -> Added:
        """Contribute as Dana."""
        return add(
            self.client, more.pop("signer", DANA), "garden", paths, options, store=self.store, home=self.home, **more
        )

    def submissions(self) -> list[StoredContribution]:
        """What the chain has."""
        page = self.client.query("datanets", "contributions", ContributionsQuery(b"", "garden", 0, 200), prove=False)
        return [item.stored for item in page.value.contributions]

    def rows(self) -> list[bytes]:
        """Every row of every submission, from the content store."""
        found: list[bytes] = []
        for stored in self.submissions():
            batch = RowBatch.decode(self.store.get(stored.contribution.content_digest))
            assert batch.commitment().rows_root == stored.contribution.rows_root
            found += batch.rows
        return found


def chats(count: int, first: int = 0) -> list[dict[str, Any]]:
    """Chats that nobody else has."""
    return [
        {
            "messages": [
                {"role": "user", "content": f"What grows in bed {number}?"},
                {"role": "assistant", "content": f"In bed {number} grow plants number {number * 7} and {number * 11}."},
            ]
        }
        for number in range(first, first + count)
    ]


def failing_once(call: Callable[..., Any], error: BaseException, *, after: bool) -> Callable[..., Any]:
    """The call, which raises before or after its work the first time, and does it as ever from then on."""
    raised: list[bool] = []

    def once(*arguments: Any, **keywords: Any) -> Any:
        if raised:
            return call(*arguments, **keywords)
        raised.append(True)
        if after:
            call(*arguments, **keywords)
        raise error

    return once
