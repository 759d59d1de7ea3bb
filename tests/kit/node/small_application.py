"""A counting ABCI application for tests of the server and the supervisor: no state tree, no modules."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable

from abci_app.pb import abci_pb2 as pb


class SmallApplication:
    """Its app hash is the hash of all transactions so far; transactions that begin with `bad` are refused."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.threads: dict[str, str] = {}
        self.discarded = 0
        self.height = 0
        self.app_hash = hashlib.sha256(b"").digest()
        self.pending: tuple[int, bytes] | None = None
        # What a query does before it is answered: takes its time.
        self.before_query: Callable[[pb.RequestQuery], object] = lambda request: None

    def _note(self, call: str) -> None:
        self.calls.append(call)
        self.threads[call] = threading.current_thread().name

    def info(self, request: pb.RequestInfo) -> pb.ResponseInfo:
        self._note("info")
        return pb.ResponseInfo(
            data="small", app_version=1, last_block_height=self.height,
            last_block_app_hash=self.app_hash if self.height else b"",
        )  # fmt: skip

    def query(self, request: pb.RequestQuery, *, hurried: bool = False) -> pb.ResponseQuery:
        self._note("query")
        self.before_query(request)
        if hurried and not request.path.startswith("/small"):
            return pb.ResponseQuery(code=27, log="come again")
        if request.path == "/raise":
            raise ValueError("a bug in a query")
        if request.path == "/memory":
            raise MemoryError("no memory")
        return pb.ResponseQuery(code=0, value=request.data, height=self.height)

    def list_snapshots(self, request: pb.RequestListSnapshots) -> pb.ResponseListSnapshots:
        return pb.ResponseListSnapshots()

    def offer_snapshot(self, request: pb.RequestOfferSnapshot) -> pb.ResponseOfferSnapshot:
        return pb.ResponseOfferSnapshot(result=pb.ResponseOfferSnapshot.REJECT)

    def load_snapshot_chunk(self, request: pb.RequestLoadSnapshotChunk) -> pb.ResponseLoadSnapshotChunk:
        return pb.ResponseLoadSnapshotChunk()

    def apply_snapshot_chunk(self, request: pb.RequestApplySnapshotChunk) -> pb.ResponseApplySnapshotChunk:
        return pb.ResponseApplySnapshotChunk(result=pb.ResponseApplySnapshotChunk.ABORT)

    def check_tx(self, tx: bytes, recheck: bool) -> tuple[int, str, str]:
        if tx.startswith(b"raise"):
            raise ValueError("a bug in CheckTx")
        if tx.startswith(b"memory"):
            raise MemoryError("no memory")
        if tx.startswith(b"disk"):
            raise OSError("the disk is gone")
        return (7, "refused: begins with bad", "small") if tx.startswith(b"bad") else (0, "", "")

    def init_chain(self, request: pb.RequestInitChain) -> pb.ResponseInitChain:
        self._note("init_chain")
        self.pending = None
        return pb.ResponseInitChain(app_hash=self.app_hash)

    def prepare_proposal(self, request: pb.RequestPrepareProposal) -> pb.ResponsePrepareProposal:
        return pb.ResponsePrepareProposal(txs=list(request.txs))

    def process_proposal(self, request: pb.RequestProcessProposal) -> pb.ResponseProcessProposal:
        return pb.ResponseProcessProposal(status=pb.ResponseProcessProposal.ACCEPT)

    def work_ahead(self) -> None:
        self._note("work_ahead")

    def extend_vote(self, request: pb.RequestExtendVote) -> pb.ResponseExtendVote:
        return pb.ResponseExtendVote()

    def verify_vote_extension(self, request: pb.RequestVerifyVoteExtension) -> pb.ResponseVerifyVoteExtension:
        return pb.ResponseVerifyVoteExtension(status=pb.ResponseVerifyVoteExtension.ACCEPT)

    def finalize_block(self, request: pb.RequestFinalizeBlock) -> pb.ResponseFinalizeBlock:
        self._note("finalize_block")
        if any(tx.startswith(b"poison") for tx in request.txs):
            error = ValueError("a bug in a handler")
            error.add_note("transaction 0")
            raise error
        app_hash = hashlib.sha256(self.app_hash + b"".join(request.txs)).digest() if request.txs else self.app_hash
        self.pending = (request.height, app_hash)
        return pb.ResponseFinalizeBlock(tx_results=[pb.ExecTxResult() for _ in request.txs], app_hash=app_hash)

    def commit(self, request: pb.RequestCommit) -> pb.ResponseCommit:
        self._note("commit")
        assert self.pending is not None
        self.height, self.app_hash = self.pending
        self.pending = None
        return pb.ResponseCommit()

    def discard_uncommitted(self) -> None:
        self._note("discard_uncommitted")
        self.discarded += 1
        self.pending = None
