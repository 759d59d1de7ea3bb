"""All connections at once on a real socket: CheckTx, RPC `check_tx`, blocks and queries in threads of their own."""

import random
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from abci_app.accounts import ACCOUNTS
from abci_app.chain.mempool import Mempool
from abci_app.errors import Code
from abci_app.module import Message
from abci_app.modules.accounts import SetDelegation
from abci_app.modules.bank import AccountQuery, Burn, Transfer
from abci_app.pb import abci_pb2 as pb
from abci_app.state import proof
from abci_app.state.codec import encode
from node.abci_server import AbciServer, Address, Halt
from node.leveldb.store import LevelDBStore
from tests.fuzz.corpus import CACHE_BYTES, Corpus
from tests.fuzz.mutation import damage_bytes
from tests.fuzz.target import SMALL_MEMORY, Target, Violation, code_name, own_folder
from tests.kit.chain import GENESIS_SECONDS, Chain, accounts_with
from tests.kit.node.fake_comet import FakeConnection, request
from tests.kit.signing import Key, Signer

SIGNERS = 24
FUNDS = 10**15
BURST = 24
BLOCKS = 4
# Threads take turns a hundred times as often as they do in a node: more happens in between.
SWITCH_SECONDS = 5e-5
AGENT = Key.named("threads agent")
_KEPT = "threads"
_TIMEOUT_SECONDS = 30.0


@dataclass
class Node:
    """A served chain of its own, since its blocks go on; what was sent and may still be held by CometBFT."""

    folder: Path
    chain: Chain
    server: AbciServer
    halts: list[Halt]
    query: FakeConnection
    mempool: FakeConnection
    consensus: FakeConnection
    # Stays open, as CometBFT's does.
    snapshot: FakeConnection
    signers: list[Signer]
    sent: list[bytes] = field(default_factory=list)

    @classmethod
    def start(cls) -> "Node":
        """Genesis, one block, and CometBFT's connections in its order."""
        folder = own_folder()
        signers = [Signer.named(f"threads {number}") for number in range(SIGNERS)]
        chain = Chain.start(accounts_with(FUNDS, signers), store=LevelDBStore.open(folder / "db", memory=SMALL_MEMORY))
        chain.application._cache._max_generation_bytes = CACHE_BYTES
        chain.block()
        halts: list[Halt] = []
        path = folder / "socket"
        server = AbciServer(chain.application, Address(path), on_halt=halts.append)
        server.start()
        opened = [FakeConnection(path, _TIMEOUT_SECONDS) for _ in range(4)]
        for connection in opened:
            connection.call(request("echo", message="here"))
        query, snapshot, mempool, consensus = opened
        return cls(
            folder=folder,
            chain=chain,
            server=server,
            halts=halts,
            query=query,
            mempool=mempool,
            consensus=consensus,
            snapshot=snapshot,
            signers=signers,
        )

    def stop(self) -> None:
        """End it all."""
        self.server.stop()


def make_burst(rng: random.Random, corpus: Corpus) -> bytes:
    """Make the seed of a burst: the threads decide the rest between them."""
    return rng.randbytes(16)


def judge_burst(corpus: Corpus, data: bytes) -> str:
    """Nothing halts, every answer is of its kind, every proof holds, and the books agree with themselves."""
    node: Node = corpus.kept.get(_KEPT) or corpus.kept.setdefault(_KEPT, Node.start())
    rng = random.Random(data)
    checks, blocks, questions = _checks(node, rng), _transactions(node, rng), _questions(node, rng)
    failures: list[Exception] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - what comes out of a thread is what is looked for
            failures.append(error)

    jobs = (lambda: _ask(node, checks), lambda: _make_blocks(node, blocks), lambda: _query(node, questions))
    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(before)
    if node.halts or failures:
        corpus.kept.pop(_KEPT).stop()
        raise Violation(f"halts {[str(halt) for halt in node.halts]}, failures {failures!r}")
    _check_books(node)
    return "went on"


def _checks(node: Node, rng: random.Random) -> list[pb.Request]:
    """New ones, known ones again, rechecks, damaged ones, as CometBFT and its RPC callers send them."""
    requests = []
    for _ in range(BURST):
        chance = rng.random()
        if chance < 0.6 or not node.sent:
            raw = _transaction(node, rng)
            node.sent.append(raw)
        else:
            raw = rng.choice(node.sent[-60:])
        if chance > 0.92:
            raw = damage_bytes(rng, raw, [])
        kind = pb.CHECK_TX_TYPE_RECHECK if 0.75 < chance < 0.9 else pb.CHECK_TX_TYPE_NEW
        requests.append(request("check_tx", tx=raw, type=kind))
    del node.sent[:-200]
    return requests


def _transaction(node: Node, rng: random.Random) -> bytes:
    signer, other = rng.sample(node.signers, 2)
    committed = node.chain.account(signer.address).sequence
    signer.sequence = committed + rng.choice((0, 0, 0, 1, 1, 2))
    message: Message = rng.choice((Burn(1), Transfer(other.address, 1), Transfer(bytes(32), 1)))
    if rng.random() < 0.1:
        message = SetDelegation(AGENT.public, (0x0101,), 10**6, node.chain.height + rng.randrange(50))
    sponsor = other if rng.random() < 0.2 else None
    return signer.transaction(message, sponsor=sponsor, expiry_height=node.chain.height + 9 if sponsor else 0)


def _transactions(node: Node, rng: random.Random) -> list[list[bytes]]:
    """Candidates of each block, some of which CheckTx sees meanwhile."""
    return [
        [_transaction(node, rng) if rng.random() < 0.5 else rng.choice(node.sent) for _ in range(rng.randrange(5))]
        for _ in range(BLOCKS)
    ]


def _questions(node: Node, rng: random.Random) -> list[pb.Request]:
    requests = []
    for _ in range(BURST):
        address = rng.choice(node.signers).address
        path, data = rng.choice((
            ("/local/next-sequence", address), ("/p2p/filter/id/" + "ab" * 20, b""),
            ("/query/bank/account", encode(AccountQuery(address))), ("/store/openledger/key", ACCOUNTS.key(address)),
            ("/store/openledger/multi", encode(((), (ACCOUNTS.range(),)))), ("/simulate", rng.choice(node.sent)),
        ))  # fmt: skip
        back = rng.choice((0, 0, 1, 7))
        height = max(node.chain.height - back, 1) if back else 0
        requests.append(request("query", path=path, data=data, height=height, prove=rng.random() < 0.5))
    return requests


def _ask(node: Node, checks: list[pb.Request]) -> None:
    for number in range(0, len(checks), 6):
        part = checks[number : number + 6]
        node.mempool.send(*part, request("flush"))
        answers = [node.mempool.receive() for _ in (*part, None)]
        kinds = [answer.WhichOneof("value") if answer else None for answer in answers]
        if kinds != [*["check_tx"] * len(part), "flush"]:
            raise Violation(f"CheckTx was answered with {kinds}")
        for answer in answers[:-1]:
            if answer and answer.check_tx.code == Code.EXCLUDED:
                raise Violation("a transaction made CheckTx raise")
            if answer and answer.check_tx.code:
                code_name(answer.check_tx.code, answer.check_tx.log, answer.check_tx.codespace)


def _make_blocks(node: Node, blocks: list[list[bytes]]) -> None:
    for candidates in blocks:
        height = node.chain.height + 1
        prepare, process, finalize = pb.Request(), pb.Request(), pb.Request()
        prepare.prepare_proposal.max_tx_bytes = 2**20
        for part in (prepare.prepare_proposal, process.process_proposal, finalize.finalize_block):
            part.height = height
            part.time.seconds = GENESIS_SECONDS + height
        prepare.prepare_proposal.txs.extend(candidates)
        chosen = list(node.consensus.call(prepare).prepare_proposal.txs)
        process.process_proposal.txs.extend(chosen)
        finalize.finalize_block.txs.extend(chosen)
        answers = [node.consensus.call(each) for each in (process, finalize, request("commit"))]
        kinds = [answer.WhichOneof("value") for answer in answers]
        if kinds != ["process_proposal", "finalize_block", "commit"] or node.chain.height != height:
            raise Violation(f"block {height} was answered with {kinds}, then the height is {node.chain.height}")
        if answers[0].process_proposal.status != pb.ResponseProcessProposal.ACCEPT:
            raise Violation(f"an own proposal was refused at height {height}")


def _query(node: Node, questions: list[pb.Request]) -> None:
    for question in questions:
        answer = node.query.call(question).query
        if answer.code:
            code_name(answer.code, answer.log, answer.codespace)
        elif question.query.prove and question.query.path.startswith(("/query/", "/store/openledger/multi")):
            with node.chain.application.store.version(answer.height) as version:
                proof.verify(answer.value, version.app_hash)


def _check_books(node: Node) -> None:
    """The connections are silent now, so this thread may look."""
    read = [node.chain.query("/local/next-sequence", signer.address).value for signer in node.signers]
    books: Mempool = node.chain.application.mempool
    found = [books.next_sequence(signer.address).to_bytes(8, "big") for signer in node.signers]
    listed = sorted([item.digest for entry in books._accounts.values() for item in entry.pending.values()])
    if read != found or listed != sorted(books._by_digest):
        raise Violation("the books of pending transactions do not agree with themselves")


TARGETS = (Target("threads", 0.5, make_burst, judge_burst),)
