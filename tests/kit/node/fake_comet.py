"""A fake CometBFT for tests of the socket server: opens connections, sends requests, reads answers in order."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from abci_app.pb import abci_pb2 as pb
from node.framing import FrameDecoder, frame


def request(kind: str, **fields: object) -> pb.Request:
    """A Request whose `kind` is set with these fields."""
    message = pb.Request()
    part = getattr(message, kind)
    part.SetInParent()
    for name, value in fields.items():
        setattr(part, name, value)
    return message


def encode(*requests: pb.Request) -> bytes:
    """The frames of some requests, one after the other."""
    return b"".join(frame(message.SerializeToString()) for message in requests)


class FakeConnection:
    """One connection to the server, as CometBFT's socket client has it."""

    def __init__(self, path: Path, timeout_seconds: float = 10.0) -> None:
        self.stream = socket.socket(socket.AF_UNIX)
        self.stream.settimeout(timeout_seconds)
        self.stream.connect(str(path))
        self._decoder = FrameDecoder()

    def send(self, *requests: pb.Request) -> None:
        self.stream.sendall(encode(*requests))

    def receive(self) -> pb.Response | None:
        """The next answer, or None at the end of the stream."""
        while (payload := self._decoder.next()) is None:
            data = self.stream.recv(65536)
            if not data:
                return None
            self._decoder.feed(data)
        return pb.Response.FromString(payload)

    def call(self, message: pb.Request) -> pb.Response:
        """Call as CometBFT's synchronous calls do: the request, then Flush; the answer, then Flush's."""
        self.send(message, request("flush"))
        answer, flush = self.receive(), self.receive()
        assert answer is not None
        assert flush is not None
        assert flush.WhichOneof("value") == "flush"
        return answer

    def close(self) -> None:
        self.stream.close()

    def __del__(self) -> None:
        self.stream.close()


def wait_until(condition: object, seconds: float = 10.0) -> None:
    """Poll a callable until it is true; fails the test after `seconds`."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "condition not met in time"
        time.sleep(0.01)
