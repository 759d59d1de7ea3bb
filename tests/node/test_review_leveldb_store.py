"""A damaged store is the machine's fault: it must halt the node and not be taken for a bad transaction."""

from pathlib import Path
from typing import Any

import plyvel
import pytest

from abci_app.modules.bank import Burn
from node.leveldb.store import LevelDBStore
from tests.kit.chain import Chain, accounts_with
from tests.kit.signing import Signer


class Damaged:
    """A database in which the checksum over the accounts is wrong."""

    def __init__(self, database: Any) -> None:
        self._database = database

    def get(self, key: bytes, **options: bool) -> bytes | None:
        if key.startswith(b"kaccount/"):
            raise plyvel.CorruptionError(b"block checksum mismatch")
        value: bytes | None = self._database.get(key, **options)
        return value

    def iterator(self, *_: object, **__: object) -> Any:
        raise plyvel.CorruptionError(b"block checksum mismatch")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


def test_damage_found_while_a_proposal_is_executed_halts_and_blames_no_transaction(tmp_path: Path) -> None:
    alice = Signer.named("alice")
    with LevelDBStore.open(tmp_path / "state") as store:
        chain = Chain.start(accounts_with(10**9, [alice]), store=store)
        chain.block()
        raw = alice.transaction(Burn(1))
        real, store._database = store._database, Damaged(store._database)
        for judge in (chain.accepts, chain.propose):
            with pytest.raises(OSError, match=r"the state store is damaged: .*; restore a backup"):
                judge(raw)
        with pytest.raises(OSError, match="the state store is damaged"):
            list(store.iterate(b"a", b"z"))
        store._database = real
        assert not chain.application.mempool.is_excluded(raw)
        assert chain.codes(raw) == [0]
