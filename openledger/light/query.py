"""Answers from proven state: the registered query function is run again on what the proof shows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from abci_app.chain.registry import find_query
from abci_app.errors import Rejected
from abci_app.state import proof as state_proof
from abci_app.state.codec import CodecError, decode, encode
from abci_app.state.store import StateView
from openledger.light.errors import BadStateProof, MalformedAnswer, QueryRejected

MULTI_PATH = "/store/openledger/multi"
# As the node's limit (abci_app/chain/queries.py).
MAX_PROOF_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class QueryQuestion:
    """A module's query; `args` is its canonical MessagePack."""

    module: str
    name: str
    args: bytes

    @property
    def path(self) -> str:
        """ABCI query path."""
        return f"/query/{self.module}/{self.name}"

    @property
    def data(self) -> bytes:
        """ABCI query data."""
        return self.args

    def __str__(self) -> str:
        return f"{self.module}/{self.name} {self.arguments()!r}"

    def arguments(self) -> Any:
        """The arguments, typed."""
        try:
            return decode(find_query(self.module, self.name).args_type, self.args)
        except CodecError as error:
            raise BadStateProof(f"the arguments of {self.module}/{self.name} are malformed: {error}") from error
        except Rejected as rejection:
            raise QueryRejected(int(rejection.code), "openledger", rejection.text) from rejection

    def answer(self, view: StateView) -> Any:
        """Run the query."""
        arguments = self.arguments()
        try:
            return find_query(self.module, self.name).function(view, arguments)
        except Rejected as rejection:
            raise QueryRejected(int(rejection.code), "openledger", rejection.text) from rejection


@dataclass(frozen=True, slots=True)
class ReadAnswer:
    """Raw state: the value of each key (None: proven absent) and all rows of each range (proven complete)."""

    values: tuple[bytes | None, ...]
    rows: tuple[tuple[tuple[bytes, bytes], ...], ...]


@dataclass(frozen=True, slots=True)
class ReadQuestion:
    """Raw keys and ranges [start, end)."""

    keys: tuple[bytes, ...] = ()
    ranges: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def path(self) -> str:
        """ABCI query path."""
        return MULTI_PATH

    @property
    def data(self) -> bytes:
        """ABCI query data."""
        return encode((self.keys, self.ranges))

    def __str__(self) -> str:
        return f"{len(self.keys)} keys and {len(self.ranges)} ranges of raw state"

    def answer(self, view: StateView) -> ReadAnswer:
        """Read them; raises `MalformedAnswer` for a range that cannot hold anything."""
        if any(start >= end for start, end in self.ranges) or b"" in self.keys:
            raise MalformedAnswer("a range must end above its start, and a key must not be empty")
        values = tuple([view.get(key) for key in self.keys])
        return ReadAnswer(values, tuple([tuple(view.iterate(start, end)) for start, end in self.ranges]))


Question = QueryQuestion | ReadQuestion


def query_question(module: str, name: str, args: Any) -> QueryQuestion:
    """The question with typed arguments: an instance of the query's `args_type`, or a sequence of its fields."""
    try:
        args_type = find_query(module, name).args_type
    except Rejected as rejection:
        raise QueryRejected(int(rejection.code), "openledger", rejection.text) from rejection
    if not isinstance(args, args_type):
        args = args_type(*args)
    return QueryQuestion(module, name, encode(args))


def prove_answer(question: Question, proof: bytes, app_hash: bytes, height: int) -> tuple[Any, tuple[bytes, ...]]:
    """The answer on state that `proof` shows under `app_hash`, and every state value that it read.

    Raises `BadStateProof` for a proof that does not fit or does not cover what the question reads.
    """
    if len(proof) > MAX_PROOF_BYTES:
        raise BadStateProof(f"the state proof has {len(proof)} bytes, at most {MAX_PROOF_BYTES} are read")
    try:
        proven = state_proof.verify(proof, app_hash)
    except state_proof.ProofError as error:
        raise BadStateProof(f"the state proof does not hold: {error}") from error
    if proven.height != height:
        raise BadStateProof(f"the state proof says height {proven.height}, the answer {height}")
    view = _Reading(proven)
    try:
        return question.answer(view), tuple(view.values)
    except state_proof.UnprovenRead as error:
        raise BadStateProof(f"the state proof leaves out what the question reads: {error}") from error


class _Reading:
    """Passes reads through and keeps the values."""

    def __init__(self, view: StateView) -> None:
        self._view = view
        self.values: list[bytes] = []

    def get(self, key: bytes) -> bytes | None:
        value = self._view.get(key)
        if value is not None:
            self.values.append(value)
        return value

    def iterate(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        for key, value in self._view.iterate(start, end, reverse=reverse):
            self.values.append(value)
            yield key, value


def values_name(values: Sequence[bytes], digest: bytes) -> bool:
    """Whether a 32-byte digest stands in one of the state values."""
    return any(digest in value for value in values)
