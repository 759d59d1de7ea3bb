"""beacon: numbers that nobody chose, for draws. Validators make them together; who asks a draw imports no module.

    beacon/state/value -> Beacon(value, reveals, shown, shown_by, first_request, waiting, at_stake_nopen)
    beacon/onion/ | H(owner) -> Onion(owner, onion, used, next_onion, next_from_height)
    beacon/request/ | number U64 -> DrawRequest(kind, object, number, height, reveals, at_stake_nopen)
    beacon/draw/ | kind U8 | object | number U64 -> Draw(value, height, weak)

**Onions.** An owner (a validator's operator) commits to a chain of hashes x[n+1] = H('openledger/onion/v1', x[n]) by
its last link, the onion. `set_onion`: the first one is in force at once, a later one two epochs after it was set, for
who chooses an onion when the draw is near chooses the draw. Keys that propose belong to owners (`Revealers.owner_of`),
so a rotated key changes nothing here.

**Reveals.** The first transaction of a block may be `[2, reveal]`, canonical MessagePack, free. It is valid iff, after
the begin hooks, H('openledger/onion/v1', reveal) is the onion in force of the owner of the block's proposer, the one
that the header names. PrepareProposal makes it from what the node knows (`LocalNode.reveal`); CheckTx refuses it, any
other place refuses it, and a proposal with one that is not valid is rejected. A block without it is allowed.

A reveal is `shown` by its block and **counts in the begin hook of the next one, if that block's last commit is of
round 0**: value := H('openledger/beacon/v1', value || shown), onion := shown, `used` and `reveals` grow by one. Of any
other round it is forgotten, and the onion stays, so that who fails a round has the same reveal to show next time. So
every proposer has one reveal: a thousand variants of a block have one outcome, and k colluding proposers in a row
choose among 2^k, by withholding or by failing their rounds.

**Draws.** `request_draw` puts a piece of scheduled work (a kind of deadline, an object, a number) into a queue. In the
end hook of the first block that is `draw_delay` or more after the request, when at least min(4, validators) reveals
have counted since the request, the draw gets the value, and the work is due in the next block: it asks `take_draw`.
After `draw_limit` blocks more the draw is made anyway and marked weak. The queue is in order, at most 64 draws a
block. `ranked` puts candidates in the order of H('openledger/draw/v1', value || object || candidate).

**Price of silence.** While a draw waits, the owner whose block shows no reveal though an onion is in force is fined
max(`silent_penalty`, at_stake // 100), at most a tenth of its bond. To withhold a reveal breaks even below 1 % of what
is drawn for. Every such block is told by an event, and `is_silent` says it to who counts. To fail one's round has no
price: it costs all one timeout, and a proposer that came late looks the same.

Without onions nothing is revealed and nobody is silent; draws are then weak.
"""

from abci_app.mechanisms.beacon.draws import drawn_height, ranked, request_draw, take_draw
from abci_app.mechanisms.beacon.module import MODULE, BeaconQuery, OnionQuery, OnionView, WaitingQuery
from abci_app.mechanisms.beacon.onions import ONION_EPOCHS, OnionInForce, onion_in_force, remove_onion, set_onion
from abci_app.mechanisms.beacon.parameters import DRAW_DELAY, DRAW_LIMIT, SILENT_PENALTY
from abci_app.mechanisms.beacon.records import REVEAL_IN_WORDS, BeaconCode, Draw, next_onion
from abci_app.mechanisms.beacon.reveals import (
    due_onion,
    is_reveal,
    is_silent,
    require_no_reveal,
    reveal_transaction,
    show,
)
from abci_app.mechanisms.beacon.steps import END_HOOKS

__all__ = [
    "DRAW_DELAY",
    "DRAW_LIMIT",
    "END_HOOKS",
    "MODULE",
    "ONION_EPOCHS",
    "REVEAL_IN_WORDS",
    "SILENT_PENALTY",
    "BeaconCode",
    "BeaconQuery",
    "Draw",
    "OnionInForce",
    "OnionQuery",
    "OnionView",
    "WaitingQuery",
    "drawn_height",
    "due_onion",
    "is_reveal",
    "is_silent",
    "next_onion",
    "onion_in_force",
    "ranked",
    "remove_onion",
    "request_draw",
    "require_no_reveal",
    "reveal_transaction",
    "set_onion",
    "show",
    "take_draw",
]
