"""Bytes that reach the node's socket: frames whole, cut and damaged, handled as the server handles a connection."""

import random
from typing import cast

from google.protobuf.message import DecodeError

from abci_app.chain.application import Application
from abci_app.pb import abci_pb2 as pb
from node.abci_connection import Connection
from node.abci_server import AbciServer, Address, Halt
from node.framing import FrameDecoder, frame, uvarint
from tests.fuzz.corpus import Corpus
from tests.fuzz.mutation import damage_bytes
from tests.fuzz.target import Target, Violation, code_name

# Lengths that announce more than comes, or more than is allowed.
LENGTHS = (0, 1, 127, 128, 2**14, 2**20, 2**29, 2**29 + 1, 2**31, 2**35, 2**63, 2**64)

# Tag of a Request that is a query.
QUERY_FIELD = b"\x32"


class Front:
    """The application as the server sees it. What only CometBFT may order is taken and answered, not executed."""

    def __init__(self, application: Application) -> None:
        self._application = application
        for kind, answer in (
            ("init_chain", pb.ResponseInitChain), ("prepare_proposal", pb.ResponsePrepareProposal),
            ("process_proposal", pb.ResponseProcessProposal), ("finalize_block", pb.ResponseFinalizeBlock),
            ("commit", pb.ResponseCommit),
        ):  # fmt: skip
            setattr(self, kind, lambda request, answer=answer: answer())

    def __getattr__(self, name: str) -> object:
        return getattr(self._application, name)


class Stream:
    """The bytes of a connection, handed out in the pieces that a length of each piece says."""

    def __init__(self, data: bytes, piece_bytes: int) -> None:
        self.sent = bytearray()
        self._data = data
        self._place = 0
        self._piece_bytes = piece_bytes

    def recv(self, size: int, flags: int = 0) -> bytes:
        """The next piece; nothing at the end."""
        piece = self._data[self._place : self._place + min(size, self._piece_bytes)]
        self._place += len(piece)
        return piece

    def sendall(self, data: bytes) -> None:
        """Collect the bytes that the server answers."""
        self.sent += data

    def close(self) -> None:
        """The connection's end."""


def make_stream(rng: random.Random, corpus: Corpus) -> bytes:
    """Some frames, mostly one of them damaged in its content or its length; the first byte says how it is cut."""
    payloads = [rng.choice(corpus.frames) for _ in range(rng.choice((1, 1, 2, 4)))]
    place = rng.randrange(len(payloads))
    kind = rng.random()
    if kind < 0.65:
        payloads[place] = damage_bytes(rng, payloads[place], corpus.frames)
    frames = [frame(payload) for payload in payloads]
    if kind > 0.9:
        frames[place] = uvarint(rng.choice(LENGTHS)) + payloads[place]
    stream = b"".join(frames)
    if 0.6 < kind < 0.85:
        stream = damage_bytes(rng, stream, frames)
    return bytes((rng.choice((0, 1, 7, 64, 255)),)) + stream


def judge_stream(corpus: Corpus, data: bytes) -> str:
    """Answers in the order of the requests and of their kinds; damage ends the connection with an exception."""
    halts: list[Halt] = []
    front = cast("Application", Front(corpus.application))
    server = AbciServer(front, Address(None), on_halt=halts.append)
    piece_bytes = (data[0] if data else 0) or 2**16
    stream = Stream(data[1:], piece_bytes)
    Connection(server, stream, 1)._run()  # type: ignore[arg-type]
    if halts:
        raise Violation(f"the application failed: {halts[0]}")
    if len(corpus.application.mempool):
        corpus.application.discard_uncommitted()
    kinds = _requested_kinds(data[1:])
    answers = _answers(bytes(stream.sent))
    refused = bool(answers) and answers[-1].WhichOneof("value") == "exception"
    answered = [answer.WhichOneof("value") for answer in (answers[:-1] if refused else answers)]
    if answered != kinds[: len(answered)] or (not refused and len(answered) != len(kinds)):
        raise Violation(f"asked for {kinds}, answered {answered}")
    for answer in answers:
        _check_answer(answer)
    return "connection refused" if refused else "answered" if answers else "incomplete"


def _requested_kinds(stream: bytes) -> list[str]:
    """The kinds of the requests that the stream holds, read in one piece, up to the first damage."""
    kinds, place = list[str](), 0
    while place < len(stream):
        length = shift = 0
        while place < len(stream) and stream[place] >= 0x80:
            length |= (stream[place] & 0x7F) << shift
            place, shift = place + 1, shift + 7
        if place >= len(stream) or shift > 28:
            break
        length |= stream[place] << shift
        place += 1
        if place + length > len(stream):
            break
        kind = _kind(stream[place : place + length])
        if kind is None:
            break
        kinds.append(kind)
        place += length
    return kinds


def _kind(payload: bytes) -> str | None:
    """Name a request's kind; None where it ends a connection. Anybody can send queries: a damaged one ends nothing."""
    try:
        return pb.Request.FromString(payload).WhichOneof("value")
    except DecodeError:
        return "query" if payload.startswith(QUERY_FIELD) else None


def _answers(sent: bytes) -> list[pb.Response]:
    decoder = FrameDecoder()
    decoder.feed(sent)
    answers = []
    while (payload := decoder.next()) is not None:
        answers.append(pb.Response.FromString(payload))
    if decoder.pending_bytes:
        raise Violation(f"{decoder.pending_bytes} bytes after the last answer")
    return answers


def _check_answer(answer: pb.Response) -> None:
    if answer.WhichOneof("value") == "query" and answer.query.log.startswith("internal error"):
        raise Violation("a query raised")
    if answer.WhichOneof("value") == "check_tx" and answer.check_tx.code:
        code_name(answer.check_tx.code, answer.check_tx.log, answer.check_tx.codespace)


TARGETS = (Target("abci-stream", 14, make_stream, judge_stream),)
