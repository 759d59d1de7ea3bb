"""The cost of a question on a real store is bounded: at old heights as at new ones, with any answer."""

import hashlib
import time
from collections.abc import Iterator

import pytest

from abci_app.accounts import ACCOUNTS
from abci_app.chain import queries
from abci_app.errors import Code
from abci_app.modules.datanets.records import ROWS
from abci_app.state.codec import encode
from abci_app.state.work import GET_UNITS, HISTORY_GET_UNITS, HISTORY_ROW_UNITS, OPEN_UNITS, ROW_UNITS, Work
from node.leveldb.store import LevelDBStore
from tests.kit.chain import Chain

GONE = 20_000
ACCOUNTS_COUNT = 30_000
# The budgets of a question are 50 ms and 50 ms on the reference machine; other machines and other tests are slower.
SLOWEST_SECONDS = 1.0
NET = hashlib.sha256(b"net").digest()


def digest(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """Many accounts, and rows that came and went in heights that are kept."""
    store = LevelDBStore.open(tmp_path_factory.mktemp("work") / "db")
    chain = Chain.start({digest(number): 10 for number in range(ACCOUNTS_COUNT)}, store=store)
    chain.block()
    keys = sorted([ROWS.key(NET, digest(number)) for number in range(GONE)])
    for change in (b"\x92\x01\xc4\x20" + digest(0), None):
        store.commit(store.stage(store.height + 1, [(key, change) for key in keys]))
    for _ in range(6):
        store.commit(store.stage(store.height + 1, []))
    yield chain
    store.close()


def multi(keys: tuple[bytes, ...], *ranges: tuple[bytes, bytes]) -> bytes:
    return encode((keys, ranges))


def row_key(first_byte: int) -> bytes:
    """Below all keys of rows whose hash begins with this byte."""
    return ROWS.range(NET)[0] + bytes((first_byte,))


ALL_ROWS = ROWS.range(NET)
ALL_ACCOUNTS = ACCOUNTS.range()
DEAR = {
    "rows that are gone": multi((), ALL_ROWS),
    "the same rows in pieces": multi((), *[(row_key(at), row_key(at + 3)) for at in range(0, 250, 4)]),
    "all accounts": multi((), ALL_ACCOUNTS),
    "as many keys as a question holds": multi(tuple([digest(number) for number in range(3_800)])),
    "as many accounts as a question holds": multi(tuple([ACCOUNTS.key(digest(number)) for number in range(2_500)])),
    "a piece above each of 64 keys": multi(
        (), *[(key, key + b"\x00") for key in sorted([digest(number) for number in range(64)])]
    ),
}


@pytest.mark.parametrize("name", DEAR)
@pytest.mark.parametrize("back", [0, 1, 6])
def test_the_dearest_questions_are_answered_or_refused_in_time(chain: Chain, name: str, back: int) -> None:
    started = time.thread_time()
    answer = chain.query("/store/openledger/multi", DEAR[name], height=chain.height - back)
    assert time.thread_time() - started < SLOWEST_SECONDS
    assert (answer.code in (0, Code.QUERY_TOO_LARGE), answer.log) == (True, answer.log.strip())


def test_rows_of_the_history_count_although_the_answer_is_empty(chain: Chain) -> None:
    """A hundred bytes of question passed over 80,000 rows of the history, for nothing."""
    (code, log) = (Code.QUERY_TOO_LARGE, "the query costs more than 50000 units of work: ask for less")
    assert GONE * 2 * HISTORY_ROW_UNITS > queries.QUERY_BUDGET_UNITS
    answer = chain.query("/store/openledger/multi", DEAR["rows that are gone"], height=chain.height - 6)
    assert (answer.code, answer.log, answer.value) == (code, log, b"")
    assert chain.query("/store/openledger/multi", DEAR["rows that are gone"]).code == 0


def test_a_version_counts_what_its_caller_cannot_see(chain: Chain) -> None:
    store, key = chain.application.store, ACCOUNTS.key(digest(1))
    costs = []
    for back in (0, 6):
        work = Work(10**6)
        with store.version(chain.height - back, work.spend) as version:
            version.get(key)
            assert list(version.iterate(*ALL_ROWS)) == []
        costs.append(work.spent_units)
    assert costs == [0, HISTORY_GET_UNITS + 2 * GONE * HISTORY_ROW_UNITS]


def test_a_proof_counts_the_keys_pages_and_leaves_that_it_shows(chain: Chain) -> None:
    store = chain.application.store
    few, many = [[ACCOUNTS.key(digest(number)) for number in range(count)] for count in (10, 100)]
    costs = []
    for keys in (few, many):
        work = Work(10**6)
        with store.version(chain.height, work.spend) as version:
            version.prove(keys, [])
            version.prove(keys, [])
        costs.append(work.spent_units)
    assert costs[0] > 10 * 2 * GET_UNITS
    assert costs[1] > 5 * costs[0]


def test_units_are_in_proportion() -> None:
    """A walk of one row costs more than reading its key, or walks would be the cheap way to read."""
    assert OPEN_UNITS + ROW_UNITS > GET_UNITS


def test_queries_leave_no_trace_in_the_caches_of_consensus(chain: Chain) -> None:
    """Else a caller who reads all accounts pushes out those that the next block needs."""
    store = chain.application.store
    assert isinstance(store, LevelDBStore)

    def kept() -> tuple[list[bytes], list[int]]:
        return list(store._values._values), list(store._cache._pages)

    before = kept()
    for back in (0, 1, 6):
        for data in DEAR.values():
            chain.query("/store/openledger/multi", data, height=chain.height - back, prove=True)
        chain.query("/store/openledger/key", ACCOUNTS.key(digest(77)), height=chain.height - back, prove=True)
        chain.query("/store/openledger/key", b"absent" * 20, height=chain.height - back)
    assert kept() == before
    assert len(store._cache.for_queries._pages) > 0
