"""CheckTx: which transactions may wait for a block. Local to a node: nothing here enters consensus.

The overlay follows, for each account, its pending transactions in sequence order and what they may cost, so that one
account can pipeline hundreds of them and none enters that will not pay. It survives Commit: a commit only drops what
was included, and what CometBFT does not hold. Recheck looks a transaction up by its hash and never verifies a
signature again.

Who calls CheckTx owns these books; nobody else changes them. Commit publishes (committed.py), and the next CheckTx
follows it first. Other threads may call `exclude`, `is_excluded` and `next_sequence`, which read or replace one value.
"""

from collections.abc import Callable, Mapping

from abci_app.accounts import ACCOUNTS, DELEGATIONS, POLICY_CHANGES, Delegation, get_account, show_address
from abci_app.chain.authentication import authenticate, check_chain_and_expiry, fee_nopen
from abci_app.chain.block import Decoder
from abci_app.chain.committed import CommittedState
from abci_app.chain.pending import (
    Pending,
    PendingAccount,
    PendingKey,
    bounds_after,
    costs_of,
    first_policies,
    key_change_waits,
    keys_changed,
    loses_place,
    pending_of,
)
from abci_app.chain.transaction import Transaction
from abci_app.chain.weight import require_fits_a_block
from abci_app.errors import Code, Rejected
from abci_app.hashing import sha256
from abci_app.module import BlockContext
from abci_app.state.store import StateView
from abci_app.state.views import EmptyView

MAX_PENDING_PER_ACCOUNT = 512
# CometBFT asks again about all that it holds right after each commit, before the next one. What was admitted before the
# last commit but one and not asked about since is not held by it: its RPC `check_tx` asks here and keeps nothing.
FORGOTTEN_AFTER_BLOCKS = 2
# Twice what CometBFT holds (node/cometbft.py): bounds what RPC `check_tx` can leave here until the second commit.
MAX_PENDING = 100_000
# Transactions that made a handler raise on this node: kept out of its proposals and its mempool.
MAX_EXCLUDED = 4_096
# Accounts whose committed record is remembered until the next commit: CheckTx asks for the sender's four times.
MAX_READ = 20_000


class Mempool:
    """The pending overlay over the last committed state."""

    def __init__(self, decode: Decoder, last_commit: Callable[[], CommittedState]) -> None:
        self._decode = decode
        self._last_commit = last_commit
        self._view: StateView = EmptyView()
        self._committed: CommittedState | None = None
        self._accounts: dict[bytes, PendingAccount] = {}
        # Accounts read since the last commit; those without pending transactions are not kept beyond it.
        self._read: dict[bytes, PendingAccount] = {}
        self._by_digest: dict[bytes, Pending] = {}
        self._delegated: dict[tuple[bytes, bytes], PendingKey] = {}
        # True while the books change: an exception in between leaves them wrong, and they begin anew.
        self._torn = False
        # Replaced as a whole by any thread, never changed; losing one to a race costs one more exception.
        self._excluded: dict[bytes, None] = {}

    def follow(self) -> CommittedState:
        """Take over what was committed since the last call, and say what that is; for the owner."""
        committed = self._last_commit()
        before = self._committed
        if committed is before and not self._torn:
            return committed
        follows = before is not None and committed.height == before.height + 1 and not self._torn
        self._view, self._committed, self._torn = committed.view, committed, True
        if follows:
            self._after_commit(committed.height, committed.writes)
        else:
            # Two commits and no question in between: CometBFT holds nothing. Or the books are not right.
            self._accounts, self._by_digest, self._delegated = {}, {}, {}
            self._read.clear()
        self._torn = False
        return committed

    def admit(self, raw: bytes, block: BlockContext) -> None:
        """CheckTx of a new transaction for the block after `block.height - 1`; raises `Rejected`."""
        digest = sha256(raw)
        if digest in self._excluded:
            raise Rejected(Code.EXCLUDED, "this transaction made a rule of the node fail: it is not taken again")
        if digest in self._by_digest:
            return  # says nothing about whether CometBFT holds it: only a recheck does
        transaction = self._decode(raw)
        if len(self._by_digest) >= MAX_PENDING:
            raise Rejected(Code.TOO_MANY_PENDING, f"{MAX_PENDING} transactions are pending here: try again later")
        check_chain_and_expiry(transaction, block.chain_id, block.height)
        require_fits_a_block(transaction.weight)
        fee = fee_nopen(transaction, block)
        pending = self._plan(transaction, digest, fee, block)
        self._require_no_first_policy_of_another(transaction)
        agreed = authenticate(
            self._view, transaction, block.height, lambda _, address: self._account(address).as_next_seen()
        )
        if agreed.delegation is not None:
            self._plan_delegated(pending, agreed.delegation)
        transaction.check_keys()
        pending.brings_policies = first_policies(transaction)
        self._insert(pending, agreed.delegation)

    def recheck(self, raw: bytes, block: BlockContext) -> None:
        """CheckTx of a waiting transaction after a commit; raises `Rejected` and forgets it if it can no longer pay."""
        pending = self._by_digest.get(sha256(raw))
        if pending is None:
            self.admit(raw, block)
            return
        try:
            if pending.expiry_height and block.height > pending.expiry_height:
                raise Rejected(Code.EXPIRED, f"transaction expired at height {pending.expiry_height}")
            if pending.sequence < self._accounts[pending.sender].account.sequence:
                raise Rejected(Code.WRONG_SEQUENCE, f"sequence {pending.sequence} was used by another transaction")
            if pending.parameters != block.parameters:
                self._reprice(pending, self._decode(raw), block)
            for payer, _ in pending.costs:
                account = self._accounts[payer]
                if account.reserved_nopen > account.account.balance_nopen:
                    raise Rejected(Code.INSUFFICIENT_FUNDS, f"{show_address(payer)} can no longer pay for this")
            if pending.delegated_key:
                self._recheck_delegated(self._delegated[pending.sender, pending.delegated_key])
        except Rejected:
            self._torn = True
            self._drop_from(pending.sender, pending.sequence)
            self._torn = False
            raise
        pending.seen_height = block.height

    def _reprice(self, pending: Pending, transaction: Transaction, block: BlockContext) -> None:
        """Fees changed: a transaction whose limit no longer suffices would be left out of every block and stay here."""
        costs = costs_of(transaction, fee_nopen(transaction, block))
        own_nopen = pending.own_cost_nopen()
        for payer, cost in pending.costs:
            self._accounts[payer].reserved_nopen -= cost
        pending.costs, pending.parameters = costs, block.parameters
        for payer, cost in costs:
            self._accounts[payer].reserved_nopen += cost
        if pending.delegated_key:
            self._delegated[pending.sender, pending.delegated_key].reserved_nopen += (
                pending.own_cost_nopen() - own_nopen
            )

    def _recheck_delegated(self, key: PendingKey) -> None:
        """Another transaction of the key, never seen here, can have spent what waits: it would wait for ever."""
        spent_nopen, limit_nopen = key.delegation.spent_nopen + key.reserved_nopen, key.delegation.spend_limit_nopen
        if spent_nopen > limit_nopen:
            raise Rejected(
                Code.DELEGATION,
                f"the delegated key may spend {limit_nopen} nopen in total, with what waits {spent_nopen} nopen",
            )

    def _after_commit(self, height: int, writes: Mapping[bytes, bytes | None]) -> None:
        """Drop what the committed block included or outdated, and what CometBFT was free to ask about and did not.

        What still waits keeps its place. `writes` are the block's changes: accounts that it did not touch need no
        reading.
        """
        rekeyed: dict[bytes, None] = {}
        oldest = _oldest_held(height)
        for address, entry in list(self._accounts.items()):
            written = writes.get(entry.key)
            if written is not None:
                account = ACCOUNTS.decode_value(written)
                if keys_changed(address, entry.account.policy, account.policy):
                    rekeyed[address] = None
                entry.account = account
            for sequence in list(entry.pending):
                if sequence >= entry.account.sequence:
                    break
                self._remove(entry.pending[sequence])
            for pending in entry.pending.values():
                if pending.seen_height < oldest:
                    self._drop_from(address, pending.sequence)
                    break
        for digest in self._excluded:
            if digest in self._by_digest:
                self._drop_from(self._by_digest[digest].sender, self._by_digest[digest].sequence)
        for entry in list(self._accounts.values()):
            # Stored by a transaction that was not seen here: what brings it again would be left out for ever.
            if entry.bringer is not None and entry.account.policy:
                self._drop_from(entry.bringer.sender, entry.bringer.sequence)
        self._drop_signed_by_former_keys(rekeyed, writes)
        self._accounts = {address: entry for address, entry in self._accounts.items() if entry.waiting}
        self._read.clear()

    def _drop_signed_by_former_keys(self, rekeyed: Mapping[bytes, None], writes: Mapping[bytes, bytes | None]) -> None:
        """Drop what lost its permission: recheck would keep it for ever, and its place in the sender's queue."""
        if rekeyed:  # one pass for all of them: a block can change the keys of thousands of accounts
            for pending in list(self._by_digest.values()):
                if any(payer in rekeyed for payer, _ in pending.costs) and pending.digest in self._by_digest:
                    self._drop_from(pending.sender, pending.sequence)
        for (sender, public_key), entry in list(self._delegated.items()):
            if not entry.waiting:
                continue
            after = bounds_after(entry, writes)
            if after is not None:
                entry.delegation = after
                continue
            sent = [
                item.sequence for item in self._accounts[sender].pending.values() if item.delegated_key == public_key
            ]
            self._drop_from(sender, sent[0])

    def exclude(self, raw: bytes) -> None:
        """Remember a transaction that made a rule raise; the next commit drops it and what its sender built on it.

        Any thread may call this.
        """
        excluded = {**self._excluded, sha256(raw): None}
        while len(excluded) > MAX_EXCLUDED:
            del excluded[next(iter(excluded))]
        self._excluded = excluded

    def is_excluded(self, raw: bytes) -> bool:
        """Whether this transaction made a rule raise on this node; any thread may ask."""
        excluded = self._excluded
        return bool(excluded) and sha256(raw) in excluded

    def next_sequence(self, address: bytes) -> int:
        """The sequence that an account's next transaction must have, pending ones counted; any thread may ask.

        The owner may not have followed the last commit yet: this says what it will find when it does.
        """
        now, followed, entry = self._last_commit(), self._committed, self._accounts.get(address)
        sequence = get_account(now.view, address).sequence
        if entry is None or followed is None or now.height > followed.height + 1:
            return sequence
        if now.height <= followed.height:
            return max(sequence, entry.next_pending)
        for pending in list(entry.pending.values()):  # copied in one step: the owner may change it meanwhile
            if pending.sequence >= sequence:
                if not self._stays(pending, now):
                    break
                sequence = pending.sequence + 1
        return sequence

    def _stays(self, pending: Pending, committed: CommittedState) -> bool:
        """Whether `follow` of this commit, the next one, will keep a transaction that the commit did not include."""
        if pending.seen_height < _oldest_held(committed.height) or pending.digest in self._excluded:
            return False
        for payer, _ in pending.costs:
            entry = self._accounts.get(payer)
            written = committed.writes.get(entry.key) if entry else None
            if entry is None or (written is not None and loses_place(pending, payer, entry.account, written)):
                return False
        key = self._delegated.get((pending.sender, pending.delegated_key)) if pending.delegated_key else None
        return key is None or bounds_after(key, committed.writes) is not None

    @property
    def waiting(self) -> int:
        """How many transactions waited when the owner was last here; any thread may ask."""
        return len(self._by_digest)

    def __len__(self) -> int:
        self.follow()
        return len(self._by_digest)

    def _plan(self, transaction: Transaction, digest: bytes, fee: int, block: BlockContext) -> Pending:
        """Check sequence and funds against everything that is pending."""
        body = transaction.body
        sender = self._account(body.sender)
        expected = sender.next_sequence()
        if body.sequence != expected:
            raise Rejected(
                Code.WRONG_SEQUENCE,
                f"sequence is {body.sequence}, expected {expected} (pending ones counted): use the expected one",
            )
        if len(sender.pending) >= MAX_PENDING_PER_ACCOUNT:
            raise Rejected(
                Code.TOO_MANY_PENDING, f"{MAX_PENDING_PER_ACCOUNT} transactions are pending: wait for the next block"
            )
        costs = costs_of(transaction, fee)
        for payer, cost in costs:
            entry = self._account(payer)
            if key_change_waits(entry):
                raise Rejected(
                    Code.PENDING_POLICY_CHANGE,
                    f"a change of keys is pending for {show_address(payer)}: wait until it is committed",
                )
            available = entry.account.balance_nopen - entry.reserved_nopen
            if cost > available:
                raise Rejected(
                    Code.INSUFFICIENT_FUNDS,
                    f"{show_address(payer)} has {max(available, 0)} nopen left beside its pending transactions, "
                    f"needs {cost} nopen: fund the account first",
                )
        return pending_of(transaction, digest, costs, block)

    def _require_no_first_policy_of_another(self, transaction: Transaction) -> None:
        """A first policy is brought exactly once, and only one sender's own transactions come in a known order."""
        for auth in transaction.auths:
            bringer = self._account(auth.account).bringer
            if bringer is not None and not bringer.sender == auth.account == transaction.body.sender:
                raise Rejected(
                    Code.PENDING_POLICY_CHANGE,
                    f"the first transaction that {show_address(auth.account)} agreed to is pending: wait until it is "
                    "committed",
                )

    def _plan_delegated(self, pending: Pending, delegation: Delegation) -> None:
        entry = self._delegated.get((pending.sender, delegation.public_key))
        reserved_nopen = entry.reserved_nopen if entry else 0
        spent = delegation.spent_nopen + reserved_nopen + pending.own_cost_nopen()
        if spent > delegation.spend_limit_nopen:
            raise Rejected(
                Code.DELEGATION,
                f"the delegated key may spend {delegation.spend_limit_nopen} nopen in total, with this it would "
                f"spend {spent} nopen (pending ones counted)",
            )
        pending.delegated_key = delegation.public_key
        # The delegation's last height is the transaction's too.
        pending.expiry_height = min(pending.expiry_height or delegation.expiry_height, delegation.expiry_height)

    def _account(self, address: bytes) -> PendingAccount:
        entry = self._accounts.get(address)
        if entry is None:
            entry = self._read.get(address)
        if entry is None:
            if len(self._read) >= MAX_READ:
                self._read.clear()
            entry = self._read[address] = PendingAccount(ACCOUNTS.key(address), get_account(self._view, address))
        return entry

    def _insert(self, pending: Pending, delegation: Delegation | None) -> None:
        self._torn = True
        for payer, cost in pending.costs:
            entry = self._accounts.setdefault(payer, self._account(payer))
            entry.reserved_nopen += cost
            entry.waiting += 1
        sender = self._accounts[pending.sender]
        sender.pending[pending.sequence] = pending
        sender.next_pending = pending.sequence + 1
        self._by_digest[pending.digest] = pending
        for address, policy in pending.brings_policies:
            self._accounts[address].bringer, self._accounts[address].first_policy = pending, policy
        if delegation is not None:
            place = (pending.sender, delegation.public_key)
            keys = DELEGATIONS.key(*place), POLICY_CHANGES.key(pending.sender)
            key = self._delegated.setdefault(place, PendingKey(*keys, delegation))
            key.reserved_nopen += pending.own_cost_nopen()
            key.waiting += 1
        self._torn = False

    def _remove(self, pending: Pending) -> None:
        del self._accounts[pending.sender].pending[pending.sequence]
        del self._by_digest[pending.digest]
        for payer, cost in pending.costs:
            self._accounts[payer].reserved_nopen -= cost
            self._accounts[payer].waiting -= 1
        for address, _ in pending.brings_policies:
            self._accounts[address].bringer, self._accounts[address].first_policy = None, b""
        if pending.delegated_key:
            key = self._delegated[pending.sender, pending.delegated_key]
            key.reserved_nopen -= pending.own_cost_nopen()
            key.waiting -= 1
            if not key.waiting:
                del self._delegated[pending.sender, pending.delegated_key]

    def _drop_from(self, sender: bytes, sequence: int) -> None:
        """Forget a transaction and all later ones of its sender, which can no longer come in order."""
        entry = self._accounts[sender]
        for later in [number for number in entry.pending if number >= sequence]:
            self._remove(entry.pending[later])
        entry.next_pending = min(entry.next_pending, sequence)


def _oldest_held(height: int) -> int:
    """The block for which a transaction was last asked about, at the least, if CometBFT holds it at this commit."""
    return height + 2 - FORGOTTEN_AFTER_BLOCKS
