"""Draws: asked for, made from the value once enough reveals have counted, and taken by who asked."""

from collections.abc import Iterable

from msgspec import structs

from abci_app.errors import InvariantBroken, Rejected
from abci_app.mechanisms.beacon.parameters import DRAW_DELAY, DRAW_LIMIT
from abci_app.mechanisms.beacon.records import (
    BEACON,
    DRAWS,
    REQUESTS,
    BeaconCode,
    Draw,
    DrawRequest,
    beacon_of,
    place_of,
)
from abci_app.module import BlockContext, DeadlineKind
from abci_app.state.store import StateView
from abci_app.state.table import MutableState
from abci_app.types import MAX_INTEGER

# As many reveals must have counted since the request, or one a validator where they are fewer.
MIN_REVEALS = 4
# Draws of one block: each costs a handful of reads and writes here, and is used within its lane's budget.
MAX_DRAWS = 64


def request_draw(
    state: MutableState, block: BlockContext, kind: DeadlineKind, object_id: bytes, number: int, at_stake_nopen: int
) -> None:
    """Ask for a draw for work of a deadline's kind; `at_stake_nopen` is what it decides about.

    Until it is made, `drawn_height` gives None; then the work is due at that height, and takes the draw. Raises
    `Rejected` where all that waits would be worth more than money there is.
    """
    beacon = beacon_of(state)
    at_stake = beacon.at_stake_nopen + at_stake_nopen
    if at_stake > MAX_INTEGER:
        raise Rejected(
            BeaconCode.STAKE_TOO_LARGE,
            f"draws that wait would decide about {at_stake} nopen, at most {MAX_INTEGER} can be counted: try again "
            "when some are made",
        )
    request = DrawRequest(
        kind=kind.number,
        object=object_id,
        number=number,
        height=block.height,
        reveals=beacon.reveals,
        at_stake_nopen=at_stake_nopen,
    )
    REQUESTS.set(state, beacon.first_request + beacon.waiting, request)
    BEACON.set(state, structs.replace(beacon, waiting=beacon.waiting + 1, at_stake_nopen=at_stake))


def drawn_height(view: StateView, kind: int, object_id: bytes, number: int) -> int | None:
    """The height at which the work of a draw that was made is due (`DeadlineKind.due_height`), None while it waits."""
    draw = DRAWS.get(view, kind, object_id, number)
    return None if draw is None else draw.height + 1


def take_draw(state: MutableState, kind: int, object_id: bytes, number: int) -> Draw:
    """The draw of work that is due, once: it is forgotten here."""
    draw = DRAWS.get(state, kind, object_id, number)
    if draw is None:
        raise InvariantBroken(f"no draw was made for deadline kind {kind} of {object_id.hex()} ({number})")
    DRAWS.delete(state, kind, object_id, number)
    return draw


def ranked(value: bytes, object_id: bytes, candidates: Iterable[bytes]) -> list[bytes]:
    """Candidates in the order in which a draw takes them, which is not the order in which they are given."""
    return sorted(candidates, key=lambda candidate: place_of(value, object_id, candidate))


def make_draws(state: MutableState, block: BlockContext) -> list[tuple[DrawRequest, Draw]]:
    """Make the draws that are due, oldest first; returns them with their requests."""
    made: list[tuple[DrawRequest, Draw]] = []
    beacon = beacon_of(state)
    while beacon.waiting and len(made) < MAX_DRAWS:
        request = REQUESTS.get(state, beacon.first_request)
        if request is None:
            raise InvariantBroken(f"request {beacon.first_request} of a draw is counted and not there")
        earliest = request.height + block.parameters[DRAW_DELAY]
        enough = beacon.reveals - request.reveals >= min(MIN_REVEALS, max(len(block.last_commit.votes), 1))
        if block.height < earliest or not (enough or block.height >= earliest + block.parameters[DRAW_LIMIT]):
            break
        REQUESTS.delete(state, beacon.first_request)
        beacon = structs.replace(
            beacon,
            first_request=beacon.first_request + 1,
            waiting=beacon.waiting - 1,
            at_stake_nopen=beacon.at_stake_nopen - request.at_stake_nopen,
        )
        draw = Draw(value=beacon.value, height=block.height, weak=0 if enough else 1)
        DRAWS.set(state, request.kind, request.object, request.number, draw)
        made.append((request, draw))
    if made:
        BEACON.set(state, beacon)
    return made
