"""Decoded transactions by their bytes, so that CheckTx, proposal and execution decode and verify each one once.

Decoding is a pure function of the bytes and `Transaction.verified` holds pure facts, so a hit and a miss give the same
result: a cold cache only costs time. Two generations bound the memory: when the young one is full it becomes the old
one, and what is still wanted moves over. A commit forgets what its block held, so an idle node holds nothing.
"""

from collections.abc import Iterable

from abci_app.chain.transaction import Transaction, decode_transaction

# Memory of one decoded transaction, never less than what CPython takes (tests/abci_app/chain/test_transaction_cache.py
# measures every message type): its objects, and for each byte what short fields in records and tuples take.
_TRANSACTION_BYTES = 1_000
_BYTES_FOR_EACH = 10
# By that measure 18,000 transfers, more than a block holds; the two generations take 128 MiB at most, about 70 of them
# in transfers.
MAX_GENERATION_BYTES = 64 * 1024 * 1024


def memory_bytes(raw: bytes) -> int:
    """At most so much memory does a transaction of these bytes take, decoded and with its signatures verified."""
    return _TRANSACTION_BYTES + _BYTES_FOR_EACH * len(raw)


class TransactionCache:
    """Safe for several threads: every step is one dict operation, and losing a race only costs a decoding."""

    def __init__(self, max_generation_bytes: int = MAX_GENERATION_BYTES) -> None:
        self._max_generation_bytes = max_generation_bytes
        self._young: dict[bytes, Transaction] = {}
        self._old: dict[bytes, Transaction] = {}
        self._young_bytes = 0

    def decode(self, raw: bytes) -> Transaction:
        """The decoded transaction; raises `Rejected` (which is not remembered)."""
        transaction = self._young.get(raw)
        if transaction is not None:
            return transaction
        transaction = self._old.pop(raw, None)
        if transaction is None:
            transaction = decode_transaction(raw)
        self._young[raw] = transaction
        self._young_bytes += memory_bytes(raw)
        if self._young_bytes > self._max_generation_bytes:
            self._old, self._young, self._young_bytes = self._young, {}, 0
        return transaction

    def forget(self, transactions: Iterable[bytes]) -> None:
        """Let go of what a committed block held: nobody asks for it again."""
        for raw in transactions:
            if self._young.pop(raw, None) is not None:
                self._young_bytes -= memory_bytes(raw)
            else:
                self._old.pop(raw, None)
