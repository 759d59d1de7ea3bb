"""Answers from proven state: the registered query function is run again on what the proof shows.

Names in a question are looked up on the same proven state (`abci_app.chain.names`), and a refusal of the query function
is an answer too (`Denial`): that there is no such model follows from the proof, not from what the node says.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from abci_app import versions
from abci_app.chain.block import codespace_of
from abci_app.chain.names import Name, Named, NamedArguments, ResolvedName, require_one_form, run_query
from abci_app.chain.registry import query_named
from abci_app.errors import InvariantBroken, Rejected
from abci_app.state import proof as state_proof
from abci_app.state.codec import CodecError, decode, encode
from abci_app.state.proof_build import merge_ranges
from abci_app.state.store import StateView
from abci_app.state.views import RecordingView
from abci_app.versions import UnknownVersion, app_version_of
from openledger.errors import UsageError
from openledger.light.errors import BadStateProof, MalformedAnswer

MULTI_PATH = "/store/openledger/multi"
# As the node's limit (abci_app/chain/queries.py).
MAX_PROOF_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Denial:
    """The query function's own refusal, come to on proven state: there is no such model, DataNet, entry, terms."""

    code: int
    codespace: str
    text: str


@dataclass(frozen=True, slots=True)
class QueryQuestion:
    """A module's query; `args` is its canonical MessagePack, with a stand-in where one of `names` is meant.

    `app_version` says by which rules it is meant; 0 leaves that to the state that answers, and the proven answer's
    question has the version that it was.
    """

    module: str
    name: str
    args: bytes
    names: tuple[Name, ...] = ()
    app_version: int = 0

    @property
    def path(self) -> str:
        """ABCI query path."""
        return f"/{'named' if self.names else 'query'}/{self.module}/{self.name}"

    @property
    def data(self) -> bytes:
        """ABCI query data."""
        return encode(NamedArguments(self.args, self.names)) if self.names else self.args

    def __str__(self) -> str:
        return f"{self.module}/{self.name} {self.arguments()!r}"

    def arguments(self) -> Any:
        """The arguments, typed; ids that are named still have their stand-ins."""
        try:
            query = query_named(self.module, self.name).at(self.app_version or versions.RULES.newest)
            return decode(query.args_type, self.args)
        except CodecError as error:
            raise BadStateProof(f"the arguments of {self.module}/{self.name} are malformed: {error}") from error
        except Rejected as rejection:
            raise MalformedAnswer(f"{rejection.text}; its maker may have another version") from rejection

    def check(self) -> None:
        """Raises `MalformedAnswer` for a question that has another form than the one that asks the same."""
        self.arguments()
        try:
            require_one_form(self.args, self.names)
        except Rejected as rejection:
            raise MalformedAnswer(rejection.text) from rejection

    def answer(self, view: StateView) -> tuple[Any, tuple[ResolvedName, ...]]:
        """Look the names up and run the query; what they stand for comes with the result."""
        proven_version = app_version_of(view)
        if self.app_version not in (0, proven_version):
            raise MalformedAnswer(
                f"the question is meant by rules of version {self.app_version}, the proven state has {proven_version}"
            )
        try:
            return run_query(view, query_named(self.module, self.name), self.args, self.names)
        except Rejected as rejection:
            return Denial(int(rejection.code), codespace_of(rejection.code), rejection.text), ()
        except CodecError as error:
            raise BadStateProof(f"the arguments of {self.module}/{self.name} are malformed: {error}") from error


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

    def check(self) -> None:
        """Raises `MalformedAnswer` for a question about nothing, or a range that cannot hold anything."""
        if not self.keys and not self.ranges:
            raise MalformedAnswer("the question names no key and no range, so that any answer would fit: name one")
        if any(start >= end for start, end in self.ranges) or b"" in self.keys:
            raise MalformedAnswer("a range must end above its start, and a key must not be empty")

    def answer(self, view: StateView) -> tuple[ReadAnswer, tuple[ResolvedName, ...]]:
        """Read them."""
        values = tuple([view.get(key) for key in self.keys])
        return ReadAnswer(values, tuple([tuple(view.iterate(start, end)) for start, end in self.ranges])), ()


Question = QueryQuestion | ReadQuestion


@dataclass(frozen=True, slots=True)
class Proven:
    """An answer on proven state: the result or `Denial`, what names stand for, and every row that was read.

    The question is the one that was answered: with the version of the rules that the state names.
    """

    question: Question
    value: Any
    names: tuple[ResolvedName, ...]
    rows: tuple[tuple[bytes, bytes], ...] = field(repr=False)


def query_question(module: str, name: str, args: Any) -> QueryQuestion:
    """The question with typed arguments: an instance of the query's `args_type`, or a sequence of its fields.

    `Named` arguments hold stand-ins of names. Raises `UsageError` for a query that this version does not know.
    """
    names: tuple[Name, ...] = ()
    if isinstance(args, Named):
        args, names = args.args, args.names
    try:
        args_type = query_named(module, name).args_type
    except Rejected as rejection:
        raise UsageError(rejection.text) from rejection
    if not isinstance(args, args_type):
        args = args_type(*args)
    return QueryQuestion(module=module, name=name, args=encode(args), names=names)


def prove_answer(question: Question, proof: bytes, app_hash: bytes, height: int) -> Proven:
    """The answer on state that `proof` shows under `app_hash`.

    Raises `BadStateProof` for a proof that does not fit or does not cover what the question reads, and
    `MalformedAnswer` for a question that asks nothing or has a second form.
    """
    question.check()
    if len(proof) > MAX_PROOF_BYTES:
        raise BadStateProof(f"the state proof has {len(proof)} bytes, at most {MAX_PROOF_BYTES} are read")
    try:
        proven = state_proof.verify(proof, app_hash)
    except state_proof.ProofError as error:
        raise BadStateProof(f"the state proof does not hold: {error}") from error
    if proven.height != height:
        raise BadStateProof(f"the state proof says height {proven.height}, the answer {height}")
    recorded = RecordingView(proven)
    try:
        value, names = question.answer(recorded)
        if isinstance(question, QueryQuestion):
            question = replace(question, app_version=app_version_of(proven))
    except UnknownVersion as error:
        raise MalformedAnswer(str(error)) from error
    except state_proof.UnprovenRead as error:
        raise BadStateProof(f"the state proof leaves out what the question reads: {error}") from error
    except (InvariantBroken, msgspec.MsgspecError, ArithmeticError, LookupError, ValueError) as error:
        # Nobody but validators of that chain vouches for its state: it may hold anything.
        raise BadStateProof(f"the proven state is not one that this version can read: {error}") from error
    _require_exact_claims(proven, recorded)
    return Proven(question=question, value=value, names=names, rows=tuple(recorded.values.items()))


def _require_exact_claims(proven: state_proof.ProvenState, recorded: RecordingView) -> None:
    """Raises unless the proof shows exactly what the question read and its neighbours: an answer has one form."""
    absent = [(key, key + b"\x00") for key in recorded.keys if key not in recorded.values]
    if proven.ranges != merge_ranges([*recorded.ranges, *absent]):
        raise BadStateProof("the state proof claims other ranges than the question reads")
    shown, needed = proven.keys, set(recorded.values)
    for start, end in proven.ranges:
        # With the last key below and the first one above, or the ends of the tree where there is none.
        first, last = max(bisect_left(shown, start) - 1, 0), bisect_left(shown, end)
        needed.update(shown[first : last + 1])
    if len(needed) != len(shown):
        raise BadStateProof("the state proof shows more than the question reads")


def naming_key(rows: Sequence[tuple[bytes, bytes]], digest: bytes) -> bytes:
    """Key of the first row whose value holds a 32-byte digest; empty when none does."""
    return next((key for key, value in rows if digest in value), b"")
