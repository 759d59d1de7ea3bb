"""Freezes: DataNets, models and entries of which nothing more is made for a while, decided by governance.

    freezes/freeze/ | kind U8 | object ID -> Freeze(kind, object, since, until, committee, committee_height)

A freeze is judged when the object is used and queues nothing: it ends by itself at its height. A frozen DataNet takes
no contributions, makes no versions and is no input of new runs; a frozen model gets no versions; nothing is built on a
frozen entry or on a version of a frozen model. What exists stays as it is.

Two may freeze. The chain (a proposal of gOPEN) freezes until a height or for good, and lifts any freeze. The committee
(the validators) freezes for a limited number of blocks, and the same object again only four times that many blocks
after it last did: a stop for emergencies that cannot be made to last. It lifts none but its own.
"""

from enum import IntEnum
from typing import Annotated

from msgspec import Meta, Struct, structs

from abci_app.errors import Rejected
from abci_app.module import Event, Module, Query
from abci_app.state.codec import Record
from abci_app.state.store import StateView
from abci_app.state.table import ID, Map, MutableState
from abci_app.state.table import U8 as U8_PART
from abci_app.types import MAX_INTEGER, U8, Bytes32, Flag, Height, OptionalBytes32, words

# No height comes after it: frozen until somebody lifts it.
FOREVER = MAX_INTEGER
# A committee freezes an object again only so many times its own limit after it last did.
COMMITTEE_PAUSE = 4
MAX_PAGE = 200


class Freezable(IntEnum):
    """Kinds of objects that can be frozen."""

    DATANET = 1
    MODEL = 2
    ENTRY = 3


FreezableNumber = Annotated[int, words(Freezable)]
STOPPED = {
    Freezable.DATANET: "it takes no contributions, versions or runs",
    Freezable.MODEL: "it gets no versions and nothing is built on them",
    Freezable.ENTRY: "it becomes no version and nothing is built on it",
}


class Freeze(Record, frozen=True, array_like=True, tag=1, gc=False):
    """The last freeze of an object, in force from `since_height` to the block before `until_height`."""

    object_kind: FreezableNumber
    object_id: Bytes32
    since_height: Height
    until_height: Height
    # 1: the committee froze it, not the chain.
    committee: Flag
    # When the committee last froze it; 0: never.
    committee_height: Height

    def holds(self, height: int) -> bool:
        """Whether it is in force in a block."""
        return self.since_height <= height < self.until_height


FREEZES = Map("freezes/freeze/", (U8_PART, ID), Freeze)


class FreezesCode(IntEnum):
    """Codes of freezes."""

    FROZEN = 1500
    NOT_FROZEN = 1501
    FROZEN_BY_CHAIN = 1502
    TOO_SOON_AGAIN = 1503
    ALREADY_PAST = 1504


class FreezeChanged(Event, frozen=True, gc=False):
    """An object is frozen until a height, or no more (0)."""

    object: bytes
    kind: int
    until_height: int


def is_frozen(view: StateView, kind: Freezable, object_id: bytes, height: int) -> bool:
    """Whether an object is frozen in a block."""
    freeze = FREEZES.get(view, kind, object_id)
    return freeze is not None and freeze.holds(height)


def require_not_frozen(view: StateView, kind: Freezable, object_id: bytes, height: int, name: str) -> None:
    """Raises `Rejected` while an object is frozen; `name` is how people call it."""
    freeze = FREEZES.get(view, kind, object_id)
    if freeze is not None and freeze.holds(height):
        raise Rejected(
            FreezesCode.FROZEN, f"{name} is frozen {until_words(freeze.until_height)}: {STOPPED[Freezable(kind)]}"
        )


def until_words(until_height: int) -> str:
    """How long a freeze lasts, in words."""
    return "for good" if until_height == FOREVER else f"until height {until_height}"


def freeze_by_chain(state: MutableState, kind: Freezable, object_id: bytes, until_height: int, height: int) -> Freeze:
    """Freeze an object until a height that is to come, or `FOREVER`; raises `Rejected`."""
    if until_height <= height + 1:
        raise Rejected(
            FreezesCode.ALREADY_PAST, f"a freeze until height {until_height} would have ended: name a height to come"
        )
    known = FREEZES.get(state, kind, object_id)
    freeze = Freeze(
        object_kind=int(kind),
        object_id=object_id,
        since_height=height + 1,
        until_height=until_height,
        committee=0,
        committee_height=known.committee_height if known else 0,
    )
    FREEZES.set(state, kind, object_id, freeze)
    return freeze


def freeze_by_committee(
    state: MutableState, kind: Freezable, object_id: bytes, until_height: int, height: int, longest_blocks: int
) -> Freeze:
    """Freeze an object until a height, for at most `longest_blocks`; raises `Rejected`, also when it comes too soon."""
    known = FREEZES.get(state, kind, object_id)
    _require_not_of_chain(known, height, "the committee's freeze would end it")
    if known is not None and known.committee_height:
        free_from = known.committee_height + COMMITTEE_PAUSE * longest_blocks
        if height < free_from:
            raise Rejected(
                FreezesCode.TOO_SOON_AGAIN,
                f"the committee froze it at height {known.committee_height}, and can again from height {free_from}: "
                "ask for a proposal of the chain",
            )
    freeze = freeze_by_chain(state, kind, object_id, min(until_height, height + 1 + longest_blocks), height)
    of_committee = structs.replace(freeze, committee=1, committee_height=height)
    FREEZES.set(state, kind, object_id, of_committee)
    return of_committee


def lift(state: MutableState, kind: Freezable, object_id: bytes, height: int, by_committee: bool) -> None:
    """End a freeze that is in force; raises `Rejected`. When the committee froze it stays known."""
    known = FREEZES.get(state, kind, object_id)
    if known is None or not known.holds(height + 1):
        raise Rejected(FreezesCode.NOT_FROZEN, "it is not frozen: there is nothing to lift")
    if by_committee:
        _require_not_of_chain(known, height, "only the chain lifts that")
    FREEZES.set(state, kind, object_id, structs.replace(known, until_height=height + 1))


def _require_not_of_chain(known: Freeze | None, height: int, why: str) -> None:
    if known is not None and not known.committee and known.holds(height + 1):
        raise Rejected(FreezesCode.FROZEN_BY_CHAIN, f"the chain froze it {until_words(known.until_height)}, and {why}")


class FreezesQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One page of freezes in the order of their objects, after one of them (kind 0 and empty: from the start)."""

    after_kind: U8
    after_object_id: OptionalBytes32
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)]


class FreezesPage(Struct, frozen=True):
    """One page, ended freezes among them; `more` 1: there are further ones after the last."""

    freezes: tuple[Freeze, ...]
    more: Flag


def query_freezes(view: StateView, args: FreezesQuery) -> FreezesPage:
    """List what was ever frozen: who froze it last, since when and until when."""
    after = (args.after_kind, args.after_object_id) if len(args.after_object_id) == 32 else None
    page: list[Freeze] = []
    for _, freeze in FREEZES.iterate(view, after=after):
        if len(page) == args.limit:
            return FreezesPage(tuple(page), 1)
        page.append(freeze)
    return FreezesPage(tuple(page), 0)


def freezes_are_sound(view: StateView) -> list[str]:
    """Each stands under its own key and ends after it begins; a committee's says when."""
    return [
        f"freeze of {object_id.hex()} contradicts itself: {freeze}"
        for (kind, object_id), freeze in FREEZES.iterate(view)
        if (freeze.object_kind, freeze.object_id) != (kind, object_id)
        or freeze.until_height < freeze.since_height
        or (freeze.committee and not freeze.committee_height)
    ]


MODULE = Module(
    name="freezes",
    tables=(FREEZES,),
    errors=FreezesCode,
    events=(FreezeChanged,),
    queries=(Query("list", FreezesQuery, FreezesPage, query_freezes, "what is or was frozen, paged"),),
    invariants=(freezes_are_sound,),
)
