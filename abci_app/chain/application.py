"""The ABCI verbs: CometBFT's requests on one side, the state machine on the other.

The server calls from one thread per connection, and none of them keeps another one silent: RPC `check_tx` sends a
CheckTx on the mempool connection while Commit runs on the consensus connection. Consensus owns everything here except
the books of pending transactions, which the mempool connection owns; between them stands one `CommittedState`, which
Commit replaces as a whole (committed.py). Nothing is durable before Commit, and everything uncommitted is forgotten
when CometBFT connects anew (`discard_uncommitted`), so every replay of cometbft.md 3.2 starts from the last commit.
"""

from collections.abc import Mapping
from dataclasses import replace

from abci_app.chain import genesis, wire
from abci_app.chain.block import (
    BlockExecution,
    BlockResult,
    TransactionFailure,
    UnpaidTransaction,
    codespace_of,
    execute_block,
)
from abci_app.chain.committed import CommittedState
from abci_app.chain.mempool import Mempool
from abci_app.chain.queries import LocalNode, answer_query
from abci_app.chain.registry import parameters_of
from abci_app.chain.signature_cases import SIGNATURE_CASES
from abci_app.chain.snapshots import NoSnapshots, Snapshots, announcement_of, message_of
from abci_app.chain.transaction_cache import TransactionCache
from abci_app.chain.weight import LIGHTEST, MAX_BLOCK_WEIGHT
from abci_app.errors import MACHINE_ERRORS, Code, InvariantBroken, Rejected
from abci_app.mechanisms import beacon
from abci_app.module import BlockContext
from abci_app.parameters import CHAIN, ChainInfo
from abci_app.pb import abci_pb2 as pb
from abci_app.policy import check_signature_edge_cases
from abci_app.state.overlay import Overlay
from abci_app.state.store import StagedBlock, Store
from abci_app.state.views import EmptyView
from abci_app.versions import UnknownVersion, app_version_at

SOFTWARE_VERSION = "0.1.0"
# Rounds of one height that are worth remembering.
MAX_CANDIDATES = 4
# Transactions that were too heavy for the rest of a block, after which a proposer looks for no lighter ones: CometBFT
# offers up to 4 MiB, and what is left of a block that is nearly full is not worth decoding all of it.
MAX_TOO_HEAVY = 100


class Application:
    """One chain's state machine over a `Store`."""

    def __init__(self, store: Store, local: LocalNode | None = None, snapshots: Snapshots | None = None) -> None:
        check_signature_edge_cases(SIGNATURE_CASES)  # refuses to start on a library that judges otherwise
        self.store = store
        self.local = local or LocalNode()
        self.snapshots = snapshots or NoSnapshots()
        self._cache = TransactionCache()
        self._decode = self._cache.decode
        self._books = Mempool(self._decode, lambda: self._committed)
        self._candidates: list[tuple[list[bytes], BlockResult]] = []
        self._genesis: Overlay | None = None
        self._ahead: tuple[BlockResult, StagedBlock] | None = None
        self._decided: tuple[BlockResult, StagedBlock] | None = None
        self._committed = self._last_commit(0, {})

    # --- Handshake

    def info(self, request: pb.RequestInfo) -> pb.ResponseInfo:
        """Exactly the last successful Commit: height and hash of one version, since Commit may run beside this."""
        with self.store.latest() as version:
            return pb.ResponseInfo(
                data="openledger",
                version=SOFTWARE_VERSION,
                app_version=app_version_at(version, version.height + 1),
                last_block_height=version.height,
                last_block_app_hash=version.app_hash if version.height else b"",
            )

    def init_chain(self, request: pb.RequestInitChain) -> pb.ResponseInitChain:
        """Build the genesis state; may be repeated until the first Commit. Raises `GenesisError` naming the field."""
        document = genesis.decode_genesis(request.app_state_bytes)
        context = genesis.genesis_context(
            chain_id=request.chain_id,
            initial_height=request.initial_height or 1,
            time_seconds=max(request.time.seconds, 0),
            app_version=request.consensus_params.version.app,
            validators=wire.validators_of(request),
            document=document,
        )
        self.discard_uncommitted()
        overlay = Overlay(EmptyView())  # nothing of an earlier InitChain may show through
        genesis.write_genesis(overlay, document, context)
        staged = self.store.stage_genesis(context.block.height, overlay.changes())
        self._committed = self._last_commit(0, {})
        return pb.ResponseInitChain(app_hash=staged)

    def discard_uncommitted(self) -> None:
        """Forget candidate blocks, executed but uncommitted blocks and what was pending in CometBFT's mempool."""
        self._candidates.clear()
        self._ahead = self._decided = None
        self._books = Mempool(self._decode, lambda: self._committed)
        self._committed = self._last_commit(self._committed.last_block_seconds, {})

    # --- Mempool connection

    @property
    def waiting_transactions(self) -> int:
        """How many transactions wait for a block; any thread may ask."""
        return self._books.waiting

    @property
    def mempool(self) -> Mempool:
        """The books of pending transactions, brought up to the last commit; for the thread that calls `check_tx`."""
        self._books.follow()
        return self._books

    def check_tx(self, tx: bytes, recheck: bool) -> tuple[int, str, str]:
        """(code, log, codespace); code 0 admits the transaction.

        An exception comes out as it is, and the transaction that led to it is not taken again.
        """
        books = self._books
        committed = books.follow()
        next_block = committed.next_block
        judged = False
        try:
            if next_block is None:
                why = "this node waits for the next release" if committed.height else "the chain has not started yet"
                raise Rejected(Code.HEIGHT_UNAVAILABLE, f"{why}: try again")
            if recheck:
                books.recheck(tx, next_block)
            else:
                books.admit(tx, next_block)
            judged = True
        except Rejected as rejection:
            judged = True
            return rejection.code, rejection.text, codespace_of(rejection.code)
        finally:
            if not judged:
                books.exclude(tx)
        return 0, "", ""

    # --- Consensus connection

    def prepare_proposal(self, request: pb.RequestPrepareProposal) -> pb.ResponsePrepareProposal:
        """Execute the candidates on scratch state; leave out what cannot pay, what raises, and what is too much.

        Bytes and weight bound a block. What is too heavy for the rest of this one waits; it comes early in the next.
        """
        execution = BlockExecution(self.store, self._block_context(request), self._decode)
        chosen = self._own_reveal(execution, request.max_tx_bytes)
        room_bytes, too_heavy = request.max_tx_bytes - sum([wire.repeated_bytes_size(len(raw)) for raw in chosen]), 0
        for raw in request.txs:
            size_bytes = wire.repeated_bytes_size(len(raw))
            if execution.weight + LIGHTEST > MAX_BLOCK_WEIGHT or too_heavy >= MAX_TOO_HEAVY:
                break
            if size_bytes > room_bytes or self._books.is_excluded(raw):
                continue
            try:
                result = execution.execute(raw, only_if_paid=True, proposed=True)
            except MACHINE_ERRORS:
                raise
            except Exception:  # determinism: local to this proposer; the transaction is left out and remembered
                self._books.exclude(raw)
                continue
            too_heavy += result.code == Code.TOO_HEAVY
            if result.paid:
                chosen.append(raw)
                room_bytes -= size_bytes
        self._remember(chosen, execution.finish())
        return pb.ResponsePrepareProposal(txs=chosen)

    def _own_reveal(self, execution: BlockExecution, room_bytes: int) -> list[bytes]:
        """Put this node's beacon reveal first; nothing where it owes none, or knows none that the others would take."""
        onion = execution.due_onion()
        reveal = None if onion is None else self.local.reveal(onion.onion, onion.used)
        if onion is None or reveal is None or beacon.next_onion(reveal) != onion.onion:
            return []
        raw = beacon.reveal_transaction(reveal)
        if wire.repeated_bytes_size(len(raw)) > room_bytes:
            return []
        execution.show(raw)
        return [raw]

    def process_proposal(self, request: pb.RequestProcessProposal) -> pb.ResponseProcessProposal:
        """Reject what no honest proposer produces: what does not pay, what raises, more than fits, a wrong reveal."""
        try:
            self._execute(self._block_context(request), list(request.txs), all_pay=True)
        except TransactionFailure as failure:
            self._books.exclude(failure.raw)
            return pb.ResponseProcessProposal(status=pb.ResponseProcessProposal.REJECT)
        except UnpaidTransaction:
            return pb.ResponseProcessProposal(status=pb.ResponseProcessProposal.REJECT)
        return pb.ResponseProcessProposal(status=pb.ResponseProcessProposal.ACCEPT)

    def work_ahead(self) -> None:
        """While validators vote on the block that was just accepted: compute its tree, which FinalizeBlock will need.

        Nothing becomes visible; another block being decided costs this work and nothing else.
        """
        if not self._candidates or self._decided is not None:
            return
        result = self._candidates[-1][1]
        height = result.context.height
        if height == self._expected_height() and (self._ahead is None or self._ahead[0] is not result):
            self._ahead = (result, self.store.stage(height, result.changes))

    def finalize_block(self, request: pb.RequestFinalizeBlock) -> pb.ResponseFinalizeBlock:
        """Execute the decided block (or take the result of the same one) and compute its app hash."""
        if request.height != self._expected_height():
            raise InvariantBroken(f"asked to execute height {request.height}, expected {self._expected_height()}")
        result = self._execute(self._block_context(request), list(request.txs))
        if self._ahead is None or self._ahead[0] is not result:
            self._ahead = (result, self.store.stage(request.height, result.changes))
        self._decided = self._ahead
        staged = self._decided[1]
        return wire.finalize_block_response(result, staged.app_hash)

    def commit(self, request: pb.RequestCommit) -> pb.ResponseCommit:
        """One synced write, then published: CheckTx and queries read it from now on."""
        if self._decided is None:
            raise InvariantBroken("asked to commit although no block was executed")
        result, staged = self._decided
        self.store.commit(staged)
        for transactions, executed in self._candidates:
            if executed is result:
                self._cache.forget(transactions)
        self._ahead = self._decided = None
        self._candidates.clear()
        seconds, writes = result.context.time_seconds, dict(result.changes)
        try:
            self._committed = self._last_commit(seconds, writes)
        except UnknownVersion as error:
            # This block counts, and CometBFT hears so. What it asks for next would raise the same.
            self._committed = self._last_commit(seconds, writes, has_next=False)
            self.local.outdated(str(error))
        self.local.committed(result)
        for alarm in result.alarms:
            self.local.alarm(alarm)
        retain_height = self.snapshots.committed(staged.height, result.context.time_seconds)
        return pb.ResponseCommit(retain_height=retain_height)

    def extend_vote(self, request: pb.RequestExtendVote) -> pb.ResponseExtendVote:
        """Vote extensions are not used: empty."""
        return pb.ResponseExtendVote()

    def verify_vote_extension(self, request: pb.RequestVerifyVoteExtension) -> pb.ResponseVerifyVoteExtension:
        """Vote extensions are not used: only the empty one is honest."""
        accept = not request.vote_extension
        statuses = pb.ResponseVerifyVoteExtension
        return pb.ResponseVerifyVoteExtension(status=statuses.ACCEPT if accept else statuses.REJECT)

    # --- Query connection

    def query(self, request: pb.RequestQuery, *, hurried: bool = False) -> pb.ResponseQuery:
        """Answer from committed state; never raises for a bad query. Hurried: only what costs little."""
        return answer_query(self.store, self.local, self._books, request, self._committed, hurried)

    # --- Snapshot connection

    def list_snapshots(self, request: pb.RequestListSnapshots) -> pb.ResponseListSnapshots:
        """Snapshots that other nodes may fetch here."""
        return pb.ResponseListSnapshots(snapshots=[message_of(each) for each in self.snapshots.announced()])

    def offer_snapshot(self, request: pb.RequestOfferSnapshot) -> pb.ResponseOfferSnapshot:
        """Begin with a snapshot whose map leads to the app hash that CometBFT verified."""
        offered = self.snapshots.offer(announcement_of(request.snapshot), request.app_hash)
        return pb.ResponseOfferSnapshot(result=int(offered))  # type: ignore[arg-type]

    def load_snapshot_chunk(self, request: pb.RequestLoadSnapshotChunk) -> pb.ResponseLoadSnapshotChunk:
        """One chunk of one of our snapshots."""
        return pb.ResponseLoadSnapshotChunk(chunk=self.snapshots.chunk(request.height, request.format, request.chunk))

    def apply_snapshot_chunk(self, request: pb.RequestApplySnapshotChunk) -> pb.ResponseApplySnapshotChunk:
        """Check and write one chunk; after the last one the snapshot's state is ours."""
        taken = self.snapshots.take(request.index, request.chunk, request.sender)
        if taken.complete:
            self._candidates.clear()
            self._ahead = self._decided = None
            self._committed = self._last_commit(0, {})
        return pb.ResponseApplySnapshotChunk(
            result=int(taken.verdict),  # type: ignore[arg-type]
            refetch_chunks=taken.refetch,
            reject_senders=taken.reject_senders,
        )

    # --- Inside

    def _expected_height(self) -> int:
        if self.store.height:
            return self.store.height + 1
        return self._chain().initial_height

    def _chain(self) -> ChainInfo:
        chain = CHAIN.get(self.store)
        if chain is None:
            raise InvariantBroken("the state names no chain: InitChain has not run")
        return chain

    def _context(self, height: int, time_seconds: int) -> BlockContext:
        parameters = parameters_of(self.store)
        if parameters is None:
            raise InvariantBroken("the state has no chain parameters: InitChain has not run")
        app_version = app_version_at(self.store, height)
        return BlockContext(
            chain_id=self._chain().chain_id,
            height=height,
            time_seconds=time_seconds,
            parameters=parameters,
            app_version=app_version,
        )

    def _block_context(
        self, request: pb.RequestPrepareProposal | pb.RequestProcessProposal | pb.RequestFinalizeBlock
    ) -> BlockContext:
        """Give the facts about a proposed or decided block that rules may know."""
        proposer, last_commit, misbehaviour = wire.block_context_parts(request)
        return replace(
            self._context(request.height, request.time.seconds),
            proposer=proposer,
            last_commit=last_commit,
            misbehaviour=misbehaviour,
        )

    def _last_commit(
        self, last_block_seconds: int, writes: Mapping[bytes, bytes | None], *, has_next: bool = True
    ) -> CommittedState:
        """The record to publish of what the store holds now; without `has_next` this program cannot go on from it."""
        height = self.store.height
        next_block = None
        if has_next and CHAIN.get(self.store) is not None:
            next_block = self._context(self._expected_height(), last_block_seconds)
        view = self.store.latest() if height else self.store
        return CommittedState(
            height=height, view=view, next_block=next_block, last_block_seconds=last_block_seconds, writes=writes
        )

    def _execute(self, context: BlockContext, transactions: list[bytes], *, all_pay: bool = False) -> BlockResult:
        """A remembered result is the result: execution sees committed state, context and transactions, all compared."""
        for known_transactions, result in self._candidates:
            if result.context == context and known_transactions == transactions:
                if all_pay and (result.weight > MAX_BLOCK_WEIGHT or not all(one.paid for one in result.results)):
                    raise UnpaidTransaction
                return result
        result = execute_block(self.store, context, transactions, self._decode, all_pay=all_pay)
        self._remember(transactions, result)
        return result

    def _remember(self, transactions: list[bytes], result: BlockResult) -> None:
        self._candidates.append((transactions, result))
        del self._candidates[:-MAX_CANDIDATES]
