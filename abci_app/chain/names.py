"""Names inside a question: who asks writes a name, node and light client look it up where they answer.

Arguments hold, in place of an id, the stand-in of a name: H('openledger/name/v1', [kind, text]), where the kind is the
prefix of such ids (`oldata`, `olrun`, `olmodel`, `olterms`). Names travel beside the arguments. Before the query runs,
each name is looked up on the very view that the query reads, and its id takes the place of the stand-in. So an answer
is about what the name stands for at the answer's height, and the look-up is proven with it.

A question has one form: names are sorted and unique, and each stands somewhere in the arguments.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

from msgspec import Meta, msgpack

from abci_app.chain.registry import NAME_KINDS
from abci_app.errors import Code, Rejected
from abci_app.hashing import TAGS, tagged_hash
from abci_app.module import Query
from abci_app.state.codec import CodecError, Record, decode, encode
from abci_app.state.store import StateView
from abci_app.state.work import Spend, free
from abci_app.types import MAX_TEXT_LENGTH, PRINTABLE, Label
from abci_app.versions import app_version_of

# The widest draft has some hundred inputs and parents; each name costs one or two reads.
MAX_NAMES = 256


class Name(Record, frozen=True, array_like=True, gc=False):
    """A name of one kind of object: `oldata` and `my-datanet`, `olrun` and `my-model@2`."""

    kind: Label
    text: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT_LENGTH, pattern=PRINTABLE)]

    def stand_in(self) -> bytes:
        """The 32 bytes that hold the place of its id in arguments."""
        return tagged_hash(TAGS["name"], encode(self))


class NamedArguments(Record, frozen=True, array_like=True, gc=False):
    """Input of the path `/named/<module>/<query>`: encoded arguments with stand-ins, and the names."""

    args: bytes
    names: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=MAX_NAMES)]


@dataclass(frozen=True, slots=True)
class Named:
    """Typed arguments that hold stand-ins, with the names that they stand for: what a client passes as `args`."""

    args: Any
    names: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class ResolvedName:
    """The object that a name stands for at the height of an answer."""

    kind: str
    text: str
    id: bytes


def run_query(
    view: StateView, query: Query, args: bytes, names: Sequence[Name] = (), spend: Spend = free
) -> tuple[Any, tuple[ResolvedName, ...]]:
    """Look the names up on `view` and run the query there, by the rules of the version that the state names.

    Raises `Rejected`, `CodecError`, and `UnknownVersion` for a state of rules that this program does not have. What it
    costs to read the question itself is told to `spend`.
    """
    query = query.at(app_version_of(view))
    if not names:
        return query.function(view, decode(query.args_type, args)), ()
    require_one_form(args, names, spend)
    found = [ResolvedName(name.kind, name.text, object_of_name(view, name)) for name in names]
    ids = {name.stand_in(): item.id for name, item in zip(names, found, strict=True)}
    try:
        bound = encode(_replaced(_tree(args), ids))
    except RecursionError as error:  # readable, but no arguments of any query are as deep
        raise CodecError("arguments are nested too deeply") from error
    return query.function(view, decode(query.args_type, bound)), tuple(found)


def object_of_name(view: StateView, name: Name) -> bytes:
    """Id of the object that has this name; raises `Rejected`."""
    find = NAME_KINDS.get(name.kind)
    if find is None:
        raise Rejected(Code.BAD_QUERY, f"there are no names of kind {name.kind!r}; kinds: {', '.join(NAME_KINDS)}")
    return find(view, name.text)


def require_one_form(args: bytes, names: Sequence[Name], spend: Spend = free) -> None:
    """Names sorted, unique and each needed; raises `Rejected`."""
    if any((one.kind, one.text) >= (next_.kind, next_.text) for one, next_ in pairwise(names)):
        raise Rejected(Code.BAD_QUERY, "the names of a question must be sorted and unique")
    held = _byte_strings(_tree(args), spend)
    for name in names:
        if name.stand_in() not in held:
            raise Rejected(Code.BAD_QUERY, f"the name {name.text!r} holds no place in the arguments: leave it out")


def _tree(args: bytes) -> Any:
    try:
        return msgpack.decode(args)
    except (ValueError, RecursionError) as error:
        raise CodecError(str(error) or type(error).__name__) from error


def _byte_strings(tree: Any, spend: Spend) -> frozenset[bytes]:
    """Every byte string in a tree of lists; each item is walked over twice and costs a unit."""
    found: list[bytes] = []
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            spend(len(item))
            waiting += item
        elif isinstance(item, bytes):
            found.append(item)
    return frozenset(found)


def _replaced(tree: Any, ids: dict[bytes, bytes]) -> Any:
    """The tree with ids in place of stand-ins; arguments are typed and therefore shallow."""
    if isinstance(tree, list):
        return [_replaced(item, ids) for item in tree]
    return ids.get(tree, tree) if isinstance(tree, bytes) else tree
