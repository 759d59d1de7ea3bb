"""The beacon as a module of the registry: tables, parameters, queries, invariants. It has no messages."""

from typing import Annotated

from msgspec import Meta, Struct

from abci_app.errors import Code, Rejected
from abci_app.mechanisms.beacon.parameters import PARAMETERS
from abci_app.mechanisms.beacon.records import (
    BEACON,
    DRAWS,
    ONIONS,
    REQUESTS,
    Beacon,
    BeaconCode,
    DrawMade,
    DrawRequest,
    Onion,
    ProposerSilent,
    beacon_of,
)
from abci_app.mechanisms.beacon.reveals import count_shown
from abci_app.module import Module, Query
from abci_app.state.codec import Record
from abci_app.state.store import StateView
from abci_app.types import Bytes32, Integer

# One page of a listing.
MAX_PAGE = 200
Limit = Annotated[int, Meta(ge=1, le=MAX_PAGE)]


class BeaconQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """No arguments."""


class OnionQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Whose onion: the operator's address."""

    owner: Bytes32


class WaitingQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One page of the draws that wait, after request `after_number` (0 = from the oldest)."""

    after_number: Integer
    limit: Limit


class OnionView(Struct, frozen=True):
    """An owner's onion: how many reveals it gave, and the onion that follows from a height on (empty and 0: none)."""

    onion: bytes
    used: int
    next_onion: bytes
    next_from_height: int


class WaitingPage(Struct, frozen=True):
    """One page; `next_number` is 0 on the last one."""

    requests: tuple[DrawRequest, ...]
    next_number: int


def query_beacon(view: StateView, args: BeaconQuery) -> Beacon:
    """The value, how many reveals went into it, what the last block showed, and what waits for a draw."""
    return beacon_of(view)


def query_onion(view: StateView, args: OnionQuery) -> OnionView:
    """The onion of one owner as it is stored: from `next_from_height` on the next one is in force."""
    found = ONIONS.get(view, args.owner)
    if found is None:
        raise Rejected(Code.NOT_FOUND, f"{args.owner.hex()} has no onion: its validator reveals nothing")
    return _view(found)


def _view(found: Onion) -> OnionView:
    return OnionView(
        onion=found.onion,
        used=found.used,
        next_onion=found.next_onion,
        next_from_height=found.next_from_height,
    )


def query_waiting(view: StateView, args: WaitingQuery) -> WaitingPage:
    """Draws that wait, oldest first."""
    page: list[DrawRequest] = []
    last = 0
    after = (args.after_number,) if args.after_number else None
    for (number,), request in REQUESTS.iterate(view, after=after):
        if len(page) == args.limit:
            return WaitingPage(tuple(page), last)
        page.append(request)
        last = number
    return WaitingPage(tuple(page), 0)


def draws_that_wait_are_counted(view: StateView) -> list[str]:
    """The numbers of all requests follow on each other, and the beacon has their count and sum."""
    beacon = beacon_of(view)
    requests = [(number, request) for (number,), request in REQUESTS.iterate(view)]
    faults = []
    if [number for number, _ in requests] != list(range(beacon.first_request, beacon.first_request + beacon.waiting)):
        faults.append(
            f"{beacon.waiting} requests from {beacon.first_request} on are counted, {len(requests)} are there"
        )
    at_stake_nopen = sum([request.at_stake_nopen for _, request in requests])
    if at_stake_nopen != beacon.at_stake_nopen:
        faults.append(f"{beacon.at_stake_nopen} nopen are at stake, requests add up to {at_stake_nopen}")
    return faults


def what_is_shown_has_an_owner(view: StateView) -> list[str]:
    """A reveal that was shown and does not count yet says whose it is."""
    beacon = beacon_of(view)
    return ["a reveal is shown by nobody"] if bool(beacon.shown) != bool(beacon.shown_by) else []


def onions_are_their_owners(view: StateView) -> list[str]:
    """Each onion lies under its owner, and one that follows has its height."""
    faults = []
    for _, found in ONIONS.iterate(view):
        if ONIONS.get(view, found.owner) != found:
            faults.append(f"the onion of {found.owner.hex()} lies under another key")
        if bool(found.next_onion) != bool(found.next_from_height):
            faults.append(f"the next onion of {found.owner.hex()} has no height, or the height no onion")
    return faults


MODULE = Module(
    name="beacon",
    tables=(BEACON, ONIONS, REQUESTS, DRAWS),
    errors=BeaconCode,
    events=(ProposerSilent, DrawMade),
    queries=(
        Query("state", BeaconQuery, Beacon, query_beacon, "the value, and what waits for a draw"),
        Query("onion", OnionQuery, OnionView, query_onion, "a validator's commitment, and how much of it is used"),
        Query("waiting", WaitingQuery, WaitingPage, query_waiting, "draws that wait, paged"),
    ),
    parameters=(PARAMETERS,),
    begin_block=count_shown,
    invariants=(draws_that_wait_are_counted, what_is_shown_has_an_owner, onions_are_their_owners),
)
