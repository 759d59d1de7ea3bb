"""The ABCI socket server against a fake CometBFT."""

from __future__ import annotations

import hashlib
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_app.pb import abci_pb2 as pb
from node.abci_server import AbciServer, Address, Halt
from node.framing import uvarint
from tests.kit.node.fake_comet import FakeConnection, encode, request, wait_until
from tests.kit.node.small_application import SmallApplication


class Served:
    """A server, its application, the halts it reported, and connections to it."""

    def __init__(self, folder: Path) -> None:
        self.application = SmallApplication()
        self.halts: list[Halt] = []
        self.answered: list[str] = []
        self.path = folder / "abci.sock"
        self.server = AbciServer(
            self.application, Address(self.path), on_halt=self.halts.append, after_answer=self.answered.append,
            max_frame_bytes=1 << 20,
        )  # fmt: skip
        self.server.start()

    def connect(self) -> FakeConnection:
        """A connection that the server has accepted."""
        connection = FakeConnection(self.path)
        connection.call(request("echo", message="accepted?"))
        return connection

    def connect_all(self) -> tuple[FakeConnection, FakeConnection, FakeConnection, FakeConnection]:
        """Query, snapshot, mempool, consensus."""
        return self.connect(), self.connect(), self.connect(), self.connect()


@pytest.fixture
def served() -> Iterator[Served]:
    with tempfile.TemporaryDirectory() as folder:
        served = Served(Path(folder))
        yield served
        served.server.stop()


EVERY_KIND: list[tuple[str, dict[str, object]]] = [
    ("echo", {"message": "hello"}), ("flush", {}), ("info", {"version": "0.38.25"}), ("init_chain", {"chain_id": "c"}),
    ("query", {"path": "/x", "data": b"d"}), ("check_tx", {"tx": b"t"}), ("list_snapshots", {}), ("offer_snapshot", {}),
    ("load_snapshot_chunk", {}), ("apply_snapshot_chunk", {}), ("prepare_proposal", {"height": 1}),
    ("process_proposal", {"height": 1}), ("extend_vote", {}), ("verify_vote_extension", {}),
    ("finalize_block", {"height": 1}), ("commit", {}),
]  # fmt: skip


def test_every_method_is_answered_with_its_own_kind_in_order(served: Served) -> None:
    connection = served.connect()
    connection.send(*(request(kind, **fields) for kind, fields in EVERY_KIND))
    answers = [connection.receive() for _ in EVERY_KIND]
    assert [answer.WhichOneof("value") for answer in answers if answer] == [kind for kind, _ in EVERY_KIND]


def test_requests_split_at_every_byte_are_answered(served: Served) -> None:
    connection = served.connect()
    for byte in encode(*(request(kind, **fields) for kind, fields in EVERY_KIND)):
        connection.stream.sendall(bytes((byte,)))
    kinds = [(connection.receive() or pb.Response()).WhichOneof("value") for _ in EVERY_KIND]
    assert kinds == [kind for kind, _ in EVERY_KIND]


def test_flush_is_answered_with_flush(served: Served) -> None:
    connection = served.connect()
    connection.send(request("flush"))
    assert connection.stream.recv(100).hex() == "021a00"


def test_echo_comes_back(served: Served) -> None:
    answer = served.connect().call(request("echo", message="hello"))
    assert answer == pb.Response(echo=pb.ResponseEcho(message="hello"))


def test_thousands_of_pipelined_check_txs_are_answered_in_order(served: Served) -> None:
    connection = served.connect()
    transactions = [b"bad %d" % n if n % 3 == 0 else b"good %d" % n for n in range(5000)]
    data = encode(*(request("check_tx", tx=tx) for tx in transactions), request("flush"))
    writer = threading.Thread(target=connection.stream.sendall, args=(data,))
    writer.start()
    answers = [connection.receive() for _ in transactions]
    writer.join()
    refused = pb.Response(check_tx=pb.ResponseCheckTx(code=7, log="refused: begins with bad", codespace="small"))
    accepted = pb.Response(check_tx=pb.ResponseCheckTx())
    assert answers == [refused if tx.startswith(b"bad") else accepted for tx in transactions]
    assert (connection.receive() or pb.Response()).WhichOneof("value") == "flush"


def test_a_query_is_answered_while_the_mempool_connection_is_idle_mid_frame(served: Served) -> None:
    query, _, mempool, _ = served.connect_all()
    mempool.stream.sendall(encode(request("check_tx", tx=b"half"))[:3])
    assert query.call(request("query", data=b"asked")).query.value == b"asked"


@pytest.mark.parametrize("bad", [uvarint(1 << 21), b"\x80" * 6, b"\x00", b"\x03\x7a\x00\x00", b"\x02\xff\xff"])
def test_a_stream_that_is_not_abci_gets_an_exception_and_is_closed(served: Served, bad: bytes) -> None:
    connection = served.connect()
    connection.stream.sendall(bad)
    answer = connection.receive()
    assert answer is not None
    assert answer.WhichOneof("value") == "exception"
    assert connection.receive() is None
    assert served.halts == []


def test_answers_before_a_bad_frame_are_still_given(served: Served) -> None:
    connection = served.connect()
    connection.stream.sendall(encode(request("echo", message="first")) + b"\x00")
    kinds = [(connection.receive() or pb.Response()).WhichOneof("value") for _ in range(2)]
    assert kinds == ["echo", "exception"]


def test_an_exception_in_finalize_block_halts_and_names_height_and_transaction(served: Served) -> None:
    *_, consensus = served.connect_all()
    block = pb.Request(finalize_block=pb.RequestFinalizeBlock(height=12, txs=[b"poison"]))
    consensus.send(block, request("flush"))
    answer = consensus.receive()
    text = "the application failed in finalize_block at height 12: ValueError: a bug in a handler; transaction 0"
    assert answer == pb.Response(exception=pb.ResponseException(error=text))
    assert consensus.receive() is None
    assert [str(halt) for halt in served.halts] == [text]


def test_an_exception_in_commit_names_the_height_of_the_block_before_it(served: Served) -> None:
    *_, consensus = served.connect_all()
    consensus.call(request("finalize_block", height=3))
    consensus.call(request("commit"))
    consensus.send(request("commit"))
    assert (consensus.receive() or pb.Response()).WhichOneof("value") == "exception"
    assert [(halt.method, halt.height) for halt in served.halts] == [("commit", 3)]


def test_an_exception_in_check_tx_is_answered_with_a_code_and_logged_as_critical(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    connection = served.connect()
    answer = connection.call(request("check_tx", tx=b"raise it"))
    log = "this transaction made a rule of the node fail: it is not taken again; the node's log has the details"
    assert answer == pb.Response(check_tx=pb.ResponseCheckTx(code=14, log=log, codespace="openledger"))
    assert connection.call(request("check_tx", tx=b"next")) == pb.Response(check_tx=pb.ResponseCheckTx())
    digest = hashlib.sha256(b"raise it").hexdigest().upper()
    (record,) = [record for record in caplog.records if record.levelname == "CRITICAL"]
    assert record.message == f"CheckTx failed: transaction {digest}, 8 bytes, is not taken again"
    assert served.halts == []


@pytest.mark.parametrize(
    ("tx", "detail"), [(b"memory", "MemoryError: no memory"), (b"disk", "OSError: the disk is gone")]
)
def test_an_error_of_the_machine_in_check_tx_halts_and_names_the_transaction(
    served: Served, tx: bytes, detail: str
) -> None:
    connection = served.connect()
    connection.send(request("check_tx", tx=tx))
    digest = hashlib.sha256(tx).hexdigest().upper()
    text = f"the application failed in check_tx: {detail}; transaction {digest}"
    assert connection.receive() == pb.Response(exception=pb.ResponseException(error=text))
    assert [str(halt) for halt in served.halts] == [text]


def test_only_the_first_of_several_exceptions_is_reported(served: Served) -> None:
    _, _, mempool, consensus = served.connect_all()
    mempool.send(request("check_tx", tx=b"memory"))
    mempool.receive()
    consensus.send(request("commit"))
    consensus.receive()
    assert [halt.method for halt in served.halts] == ["check_tx"]


@pytest.mark.parametrize(
    ("kind", "part"), [("check_tx", "mempool"), ("commit", "consensus"), ("finalize_block", "consensus")]
)
def test_a_second_connection_cannot_change_what_another_one_owns(served: Served, kind: str, part: str) -> None:
    query, _, mempool, consensus = served.connect_all()
    assert consensus.call(request("finalize_block", height=1)).WhichOneof("value") == "finalize_block"
    assert mempool.call(request("check_tx", tx=b"t")).WhichOneof("value") == "check_tx"
    query.send(request(kind))
    text = f"a request of the {part} connection: another connection is that one"
    assert query.receive() == pb.Response(exception=pb.ResponseException(error=text))
    assert query.receive() is None
    assert served.application.calls.count("commit") == 0
    assert served.halts == []


def test_what_a_connection_owned_is_free_for_the_next_generation(served: Served) -> None:
    first = served.connect_all()
    first[3].call(request("finalize_block", height=1))
    for connection in first:
        connection.close()
    second = served.connect_all()
    assert second[0].call(request("finalize_block", height=1)).WhichOneof("value") == "finalize_block"


def test_a_query_that_raises_is_answered_with_a_code_and_the_node_goes_on(served: Served) -> None:
    connection = served.connect()
    answer = connection.call(request("query", path="/raise"))
    expected = pb.ResponseQuery(code=1, codespace="node", log="internal error; the node's log has the details")
    assert answer == pb.Response(query=expected)
    assert connection.call(request("query", data=b"next")).query.value == b"next"
    assert served.halts == []


def test_a_query_whose_path_is_not_text_is_answered_with_a_code_and_the_node_goes_on(served: Served) -> None:
    connection = served.connect()
    connection.stream.sendall(bytes.fromhex("05 3203 1201ff") + bytes.fromhex("02 1200"))
    answer, flush = connection.receive(), connection.receive()
    refusal = pb.ResponseQuery(code=1, codespace="node", log="the query's path is not UTF-8 text")
    assert answer == pb.Response(query=refusal)
    assert flush == pb.Response(flush=pb.ResponseFlush())
    assert connection.call(request("query", data=b"next")).query.value == b"next"
    assert served.halts == []


def test_a_query_without_memory_halts(served: Served) -> None:
    connection = served.connect()
    connection.send(request("query", path="/memory"))
    assert (connection.receive() or pb.Response()).WhichOneof("value") == "exception"
    assert [halt.method for halt in served.halts] == ["query"]


def test_connections_of_one_generation_discard_once_and_info_discards_nothing(served: Served) -> None:
    query, _, _, _ = served.connect_all()
    query.call(request("info"))
    query.call(request("info"))
    assert served.application.calls == ["discard_uncommitted", "info", "info"]


def test_new_connections_after_old_ones_are_gone_discard_before_anything_is_served(served: Served) -> None:
    first = served.connect_all()
    first[3].call(request("finalize_block", height=1))
    for connection in first:
        connection.close()
    second = served.connect_all()
    second[0].call(request("info"))
    assert served.application.calls == [
        "discard_uncommitted",
        "finalize_block",
        "discard_uncommitted",
        "info",
    ]


def test_one_lost_connection_of_four_is_enough_for_a_new_generation(served: Served) -> None:
    old = served.connect_all()
    old[0].call(request("info"))
    old[2].close()
    new = served.connect()
    new.call(request("info"))
    assert served.application.calls == ["discard_uncommitted", "info", "discard_uncommitted", "info"]
    assert old[3].receive() is None


def test_a_new_generation_waits_for_the_block_that_the_old_one_is_executing(served: Served) -> None:
    entered, release = threading.Event(), threading.Event()
    real = served.application.finalize_block

    def slow(message: pb.RequestFinalizeBlock) -> pb.ResponseFinalizeBlock:
        entered.set()
        release.wait(10)
        return real(message)

    served.application.finalize_block = slow  # type: ignore[assignment,method-assign]
    old = served.connect_all()
    old[3].send(request("finalize_block", height=1))
    assert entered.wait(10)
    for connection in old:
        connection.close()
    new = FakeConnection(served.path)
    new.send(request("info"))
    threading.Timer(0.3, release.set).start()
    assert (new.receive() or pb.Response()).WhichOneof("value") == "info"
    assert served.application.calls == [
        "discard_uncommitted",
        "finalize_block",
        "discard_uncommitted",
        "info",
    ]
    assert served.application.pending is None


def test_a_fifth_connection_is_refused_and_the_four_go_on(served: Served) -> None:
    connections = served.connect_all()
    connections[0].call(request("info"))
    stranger = FakeConnection(served.path)
    assert stranger.receive() is None
    assert connections[3].call(request("finalize_block", height=1)).WhichOneof("value") == "finalize_block"
    assert served.application.discarded == 1


def test_the_four_connections_are_served_by_four_threads(served: Served) -> None:
    query, _, _, consensus = served.connect_all()
    query.call(request("info"))
    consensus.call(request("finalize_block", height=1))
    assert served.application.threads["info"] != served.application.threads["finalize_block"]


def test_the_hook_hears_of_answers_after_they_were_written(served: Served) -> None:
    *_, consensus = served.connect_all()
    consensus.call(request("finalize_block", height=1))
    consensus.call(request("commit"))
    wait_until(lambda: served.answered == [*["echo"] * 4, "finalize_block", "commit"])


def test_stop_closes_all_connections_and_removes_the_socket(served: Served) -> None:
    connections = served.connect_all()
    connections[0].call(request("info"))
    served.server.stop()
    assert [connection.receive() for connection in connections] == [None] * 4
    assert not served.path.exists()


def test_a_socket_left_by_a_killed_node_is_replaced(served: Served) -> None:
    served.server.stop()
    served.path.touch()
    server = AbciServer(served.application, Address(served.path), on_halt=served.halts.append)
    server.start()
    assert FakeConnection(served.path).call(request("echo", message="x")).echo.message == "x"
    server.stop()


def test_the_socket_is_only_for_its_owner(served: Served) -> None:
    assert served.path.stat().st_mode & 0o777 == 0o600


def test_tcp_listens_on_loopback_with_a_free_port() -> None:
    server = AbciServer(SmallApplication(), Address(None), on_halt=lambda halt: None)
    server.start()
    assert str(server.address).startswith("tcp://127.0.0.1:")
    assert server.address.port > 0
    server.stop()


def asked(path: str) -> pb.Request:
    return request("query", path=path)


def test_queries_behind_a_dear_one_are_hurried_and_small_ones_answered(served: Served) -> None:
    """All callers share one connection: eight dear queries would be eight times the wait of the next caller."""
    connection = served.connect()
    served.application.before_query = lambda query: time.sleep(0.05 if query.path == "/dear" else 0)
    connection.send(asked("/dear"), asked("/any"), asked("/small"), request("flush"))
    answers = [(connection.receive() or pb.Response()).query.code for _ in range(3)]
    assert answers == [0, 27, 0]
    assert connection.receive() == pb.Response(flush=pb.ResponseFlush())


def test_a_query_that_arrives_while_a_dear_one_runs_is_late_by_its_own_wait(served: Served) -> None:
    connection = served.connect()
    started = threading.Event()

    def take_time(query: pb.RequestQuery) -> None:
        started.set()
        time.sleep(0.1 if query.path == "/dear" else 0)

    served.application.before_query = take_time
    connection.send(asked("/dear"))
    assert started.wait(5)
    connection.send(asked("/any"))
    assert [(connection.receive() or pb.Response()).query.code for _ in range(2)] == [0, 0]


def test_the_answer_of_a_dear_query_does_not_wait_for_those_behind_it(served: Served) -> None:
    connection = served.connect()
    release = threading.Event()

    def take_time(query: pb.RequestQuery) -> None:
        if query.path == "/small/last":
            release.wait(5)
        elif query.path == "/dear":
            time.sleep(0.02)

    served.application.before_query = take_time
    connection.send(asked("/dear"), asked("/small/last"))
    assert (connection.receive() or pb.Response()).WhichOneof("value") == "query"
    release.set()
    assert (connection.receive() or pb.Response()).WhichOneof("value") == "query"


def test_a_node_without_others_waiting_hurries_nobody(served: Served) -> None:
    connection = served.connect()
    served.application.before_query = lambda query: time.sleep(0.03)
    assert [connection.call(asked("/any")).query.code for _ in range(3)] == [0, 0, 0]
