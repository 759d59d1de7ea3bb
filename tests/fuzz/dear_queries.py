"""Questions that try to cost a node more than their budget: the time of every question is bounded."""

import hashlib
import random
import time

from abci_app.accounts import ACCOUNTS
from abci_app.errors import Code
from abci_app.modules.bank import Transfer
from abci_app.modules.datanets.records import ROWS
from abci_app.pb import abci_pb2 as pb
from abci_app.state import proof
from abci_app.state.codec import encode
from node.leveldb.store import LevelDBStore
from tests.fuzz.corpus import Corpus
from tests.fuzz.target import SMALL_MEMORY, Target, Violation, code_name, own_folder
from tests.kit.chain import Chain
from tests.kit.signing import Signer

ACCOUNTS_COUNT = 20_000
GONE = 10_000
# Budgets stand for 100 ms together on the reference machine; this is CPU time of one thread, on slower ones too.
MAX_SECONDS = 0.6
# Verifying costs more than proving: one answer in so many.
VERIFIED_ONE_IN = 16
NET = hashlib.sha256(b"net").digest()
_KEPT = "dear queries"


class Ledger:
    """Many accounts, rows that came and went in heights that are kept, and some heights after them."""

    def __init__(self) -> None:
        store = LevelDBStore.open(own_folder() / "db", memory=SMALL_MEMORY)
        self.addresses = [hashlib.sha256(b"%d" % number).digest() for number in range(ACCOUNTS_COUNT)]
        self.chain = Chain.start(dict.fromkeys(self.addresses, 10), store=store)
        self.chain.block()
        keys = sorted([ROWS.key(NET, address) for address in self.addresses[:GONE]])
        for value in (b"\x92\x01\xc4\x20" + NET, None):
            store.commit(store.stage(store.height + 1, [(key, value) for key in keys]))
        for _ in range(7):
            store.commit(store.stage(store.height + 1, []))


def _ledger(corpus: Corpus) -> Ledger:
    ledger: Ledger = corpus.kept.get(_KEPT) or corpus.kept.setdefault(_KEPT, Ledger())
    return ledger


def make_dear(rng: random.Random, corpus: Corpus) -> bytes:
    """Many keys, many ranges, large ranges, ranges of what is gone, at heights new and old."""
    ledger = _ledger(corpus)
    back = rng.choice((0, 0, 1, 3, 6, 7, 8))
    height = ledger.chain.height - back if back else 0
    prove = rng.random() < 0.7
    if rng.random() < 0.15:
        transfers = [Transfer(rng.choice(ledger.addresses), 1) for _ in range(16)]
        raw = Signer.named("nobody").transaction(*transfers, sequence=0)
        return pb.RequestQuery(path="/simulate", data=raw, height=height).SerializeToString()
    keys = [_key(rng, ledger) for _ in range(rng.choice((0, 1, 64, 1_000, 3_500)))]
    data = encode((tuple(keys), tuple(_ranges(rng, ledger))))
    return pb.RequestQuery(path="/store/openledger/multi", data=data, height=height, prove=prove).SerializeToString()


def _key(rng: random.Random, ledger: Ledger) -> bytes:
    chance = rng.random()
    if chance < 0.5:
        return ACCOUNTS.key(rng.choice(ledger.addresses))
    if chance < 0.8:
        return ROWS.key(NET, rng.choice(ledger.addresses))
    return rng.randbytes(rng.choice((1, 32, 128)))


def _ranges(rng: random.Random, ledger: Ledger) -> list[tuple[bytes, bytes]]:
    count = rng.choice((0, 0, 1, 2, 64))
    chance = rng.random()
    if chance < 0.3:
        start, end = rng.choice((ACCOUNTS.range(), ROWS.range(NET), (b"\x00", b"\xff" * 8)))
        return [(start, end)] * min(count, 1 if rng.random() < 0.9 else count)
    if chance < 0.7:
        start = rng.choice((ACCOUNTS.range()[0], ROWS.range(NET)[0]))
        cuts = [start + bytes((at,)) for at in range(0, 256, 2)]
        return list(zip(cuts[0::2], cuts[1::2], strict=True))[:count]
    cuts = sorted({_key(rng, ledger) for _ in range(2 * count)})
    return list(zip(cuts[0::2], cuts[1::2], strict=False))


def judge_dear(corpus: Corpus, encoded: bytes) -> str:
    """Answered or refused with a code, in time; what is answered with a proof is proven."""
    chain = _ledger(corpus).chain
    request = pb.RequestQuery.FromString(encoded)
    hurried = encoded[-1] % 4 == 0
    started = time.thread_time()
    answer = chain.application.query(request, hurried=hurried)
    seconds = time.thread_time() - started
    if seconds > MAX_SECONDS:
        raise Violation(f"{len(request.data)} bytes of question took {seconds:.2f} s of CPU time")
    if answer.code:
        name = code_name(answer.code, answer.log, answer.codespace)
        if hurried and answer.code == Code.QUERY_TOO_LARGE:
            raise Violation("a hurried question was called too large, which a quiet node may not find")
        return name
    if request.path == "/store/openledger/multi" and len(encoded) % VERIFIED_ONE_IN == 0:
        with chain.application.store.version(answer.height) as version:
            proof.verify(answer.value, version.app_hash)
        return "answered, verified"
    return "answered"


TARGETS = (Target("dear-query", 0.5, make_dear, judge_dear),)
