"""Decoded transactions by their bytes, so that CheckTx, proposal and execution decode and verify each one once.

Decoding is a pure function of the bytes and `Transaction.verified` holds pure facts, so a hit and a miss give the same
result: a cold cache only costs time. Two generations bound the memory: when the young one is full it becomes the old
one, and what is still wanted moves over.
"""

from abci_app.chain.transaction import Transaction, decode_transaction

# A decoded transaction takes a few times its bytes; two generations of 16 MiB of raw bytes take some 240 MiB at most.
MAX_GENERATION_BYTES = 16 * 1024 * 1024


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
        transaction = self._old.get(raw)
        if transaction is None:
            transaction = decode_transaction(raw)
        self._young[raw] = transaction
        self._young_bytes += len(raw)
        if self._young_bytes > self._max_generation_bytes:
            self._old, self._young, self._young_bytes = self._young, {}, 0
        return transaction
