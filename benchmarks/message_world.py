"""A full state for benchmarks of messages, and blocks of one kind of transaction over it, executed cold.

Accounts, terms, DataNets and entries are written as their messages would have left them, straight into the state: a
DataNet of a thousand contributions takes thousands of transactions otherwise.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from abci_app.accounts import ACCOUNTS, Account
from abci_app.chain.application import Application
from abci_app.chain.genesis import GenesisState, encode_genesis
from abci_app.chain.registry import HANDLERS
from abci_app.chain.transaction import decode_transaction
from abci_app.chain.weight import MAX_BLOCK_WEIGHT
from abci_app.module import FEES_ACCOUNT, BlockContext, Context, Message
from abci_app.modules.licences import expression, facts, judgement, view
from abci_app.modules.licences import join as licence_join
from abci_app.modules.members import Role
from abci_app.parameters import Parameters
from abci_app.pb import abci_pb2 as pb
from abci_app.state.memory_store import MemoryStore
from abci_app.state.overlay import Overlay
from abci_app.state.table import hash_key_part
from abci_app.types import Address
from benchmarks.load import LoadAccount, accounts
from node.leveldb.store import LevelDBStore

CHAIN_ID = "openledger-dev-benchmark"
GENESIS_TIME_SECONDS = 1_790_000_000
BALANCE_NOPEN = 10**13
FEE_LIMIT_NOPEN = 10**12
SENDERS = 3_500
UNIT_SECONDS = 10e-6
# The block is executed so often, and the quickest counts: other programs only ever add to it.
REPETITIONS = 3


def digest(*what: object) -> bytes:
    """32 bytes that depend on some values."""
    return hashlib.sha256(repr(what).encode()).digest()


def delegated_key(place: int) -> LoadAccount:
    """The key that acts for the sender of a transaction."""
    return LoadAccount.numbered(2 * 10**6 + place)


def sponsor(place: int) -> LoadAccount:
    """Who pays for a transaction."""
    return LoadAccount.numbered(3 * 10**6 + place)


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of transaction: what must stand in the state for `count` of them, and the messages of one.

    `prepare` gets the state, the senders, and the count; `make` the sender's address and the number of the transaction.
    """

    name: str
    make: Callable[[bytes, int], tuple[Message, ...]]
    prepare: Callable[[Overlay, Sequence[LoadAccount], int], None] = lambda state, senders, count: None
    # What every transaction gives; 0 is success.
    code: int = 0
    # One sender for all: who has a role.
    from_registrar: bool = False
    # Signed by a delegated key of its sender's, paid by a sponsor.
    delegated: bool = False


@dataclass(slots=True)
class Measured:
    """A block filled with one case."""

    name: str
    transactions: int
    weight: int
    fee_nopen: int
    # Processor time of everything between the bytes and the app hash, and of the synced write after it.
    execution_seconds: float
    commit_seconds: float
    # Bytes of keys and values that the state grew by; nodes of the tree and LevelDB's own come on top.
    state_bytes: int

    @property
    def factor(self) -> float:
        """Cost as a multiple of weight."""
        return self.execution_seconds / (self.weight * UNIT_SECONDS)

    @property
    def open_per_gigabyte(self) -> float:
        """Fees that fill a gigabyte of state with this."""
        return self.fee_nopen / self.state_bytes if self.state_bytes > 0 else float("inf")


@dataclass(slots=True)
class World:
    """The chain over a LevelDB store."""

    store: LevelDBStore | MemoryStore
    senders: list[LoadAccount] = field(default_factory=lambda: accounts(SENDERS))

    @property
    def registrar(self) -> LoadAccount:
        """Who may send what needs a role."""
        return self.senders[0]

    def start(self, filler: int) -> None:
        """Genesis, and `filler` accounts that nobody uses."""
        balances = tuple([(sender.address.hex(), BALANCE_NOPEN) for sender in self.senders])
        document = encode_genesis(GenesisState(balances=balances))
        request = pb.RequestInitChain(chain_id=CHAIN_ID, app_state_bytes=document, initial_height=1)
        request.time.seconds = GENESIS_TIME_SECONDS
        Application(self.store).init_chain(request)
        state = Overlay(self.store)
        for number in range(filler):
            ACCOUNTS.set(state, digest("filler", number), Account(0, 1, b""))
        perform_genesis_role(state, self.registrar.address)
        # Every sender has a policy stored, as accounts that transact have.
        for sender in self.senders:
            ACCOUNTS.set(state, sender.address, Account(0, BALANCE_NOPEN, sender.policy))
            sender.policy_is_stored = True
        self.write(state)

    def write(self, state: Overlay) -> None:
        """Commit what a case needs, without a block."""
        height = self.store.height + 1
        self.store.commit(self.store.stage(height, state.changes()))

    def fill_block(self, case: Case, limit: int = MAX_BLOCK_WEIGHT) -> Measured:
        """Write what the case needs, fill a block with it, and execute that on a node that has seen nothing of it."""
        raws: list[bytes] = []
        weight = 0
        while len(raws) < SENDERS - 1:
            sender = self.registrar if case.from_registrar else self.senders[len(raws) + 1]
            raw, each = transaction_of(case, sender, len(raws))
            if weight + each > limit:
                sender.sequence -= 1
                break
            raws.append(raw)
            weight += each
        state = Overlay(self.store)
        case.prepare(state, self.senders[1:], len(raws))
        self.write(state)
        return self._measure(case, raws, weight)

    def _measure(self, case: Case, raws: list[bytes], weight: int) -> Measured:
        height = self.store.height + 1
        proposal = pb.RequestProcessProposal(height=height, txs=raws)
        decided = pb.RequestFinalizeBlock(height=height, txs=raws)
        for request in (proposal, decided):
            request.time.seconds = GENESIS_TIME_SECONDS + height
        runs = [_execute(self.store, proposal, decided) for _ in range(REPETITIONS)]
        application, accepted, response = runs[-1][1:]
        codes = sorted({result.code for result in response.tx_results})
        if not accepted or codes != [case.code]:
            raise RuntimeError(f"{case.name}: accepted {accepted}, codes {codes}: {response.tx_results[0].log}")
        grown = sum([len(key) + len(value or b"") - _held(self.store, key) for key, value in _changes(application)])
        before = ACCOUNTS.get(self.store, FEES_ACCOUNT) or Account(0, 0, b"")
        began = time.process_time()
        application.commit(pb.RequestCommit())
        commit_seconds = time.process_time() - began
        after = ACCOUNTS.get(self.store, FEES_ACCOUNT) or before
        return Measured(
            name=case.name,
            transactions=len(raws),
            weight=weight,
            fee_nopen=after.balance_nopen - before.balance_nopen,
            execution_seconds=min([run[0] for run in runs]),
            commit_seconds=commit_seconds,
            state_bytes=grown,
        )


def transaction_of(case: Case, sender: LoadAccount, place: int) -> tuple[bytes, int]:
    """One signed transaction of a case, and its weight."""
    messages = case.make(sender.address, place)
    if case.delegated:
        raw = sender.sign_delegated(CHAIN_ID, messages, delegated_key(place), sponsor(place))
    else:
        raw = sender.sign(CHAIN_ID, messages, FEE_LIMIT_NOPEN)
    return raw, decode_transaction(raw).weight


def _execute(
    store: LevelDBStore | MemoryStore, proposal: pb.RequestProcessProposal, decided: pb.RequestFinalizeBlock
) -> tuple[float, Application, bool, pb.ResponseFinalizeBlock]:
    """Processor time of a block on a node that has seen nothing of it, the node, and what it answered."""
    application = Application(store)
    forget_what_was_seen()
    began = time.process_time()
    accepted = application.process_proposal(proposal).status == pb.ResponseProcessProposal.ACCEPT
    application.work_ahead()
    response = application.finalize_block(decided)
    return time.process_time() - began, application, accepted, response


def forget_what_was_seen() -> None:
    """Empty what the process remembers across blocks, beside what the application does."""
    licences = (view._decode_joined, licence_join.lift, expression.parse, facts.answers_of, judgement.common_outbound)
    for remembered in (*licences, hash_key_part):
        remembered.cache_clear()


def _changes(application: Application) -> list[tuple[bytes, bytes | None]]:
    """Keys and values that the block executed last writes."""
    return application._candidates[-1][1].changes


def _held(store: LevelDBStore | MemoryStore, key: bytes) -> int:
    """Bytes that a key takes before the block."""
    value = store.get(key)
    return len(key) + len(value) if value is not None else 0


def perform_genesis_role(state: Overlay, address: bytes) -> None:
    """Make an account a registrar, as the genesis document would."""
    from abci_app.modules.members import MEMBERS, Member

    MEMBERS.set(state, address, Member(address, int(Role.REGISTRAR), "registrar", 0, b""))


def perform(state: Overlay, sender: bytes, message: Message, sequence: int = 0) -> None:
    """One message straight on the state."""
    context = BlockContext(CHAIN_ID, 1, GENESIS_TIME_SECONDS, Parameters())
    HANDLERS[type(message)][1](Context(state, context, Address(sender), sequence), message)
