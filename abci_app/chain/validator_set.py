"""The validators that CometBFT was told of: by InitChain, then by hooks.

    chain/validators/value -> ValidatorPowers([(public_key, power)])

CometBFT names the first validators to InitChain; they are checked and recorded, so that a node which starts from the
state knows who signed first. Whose they are says the genesis section of `modules/validators`; from then on its end hook
moves powers, and what would stop CometBFT is put aside here, from any hook.
"""

from typing import Annotated

from msgspec import Meta

from abci_app.errors import GenesisError, InvariantBroken
from abci_app.mechanisms.hooks import list_as_failing, list_as_working
from abci_app.module import CONSENSUS_KEY_BYTES, MAX_VALIDATOR_POWER, Event, GenesisContext, HookContext
from abci_app.modules.validators import live_keys
from abci_app.state.codec import Record
from abci_app.state.store import StateView
from abci_app.state.table import Item, MutableState
from abci_app.types import Bytes32, Integer

# Each signs every block: a commit grows by some 110 bytes a validator (cometbft.md 7.12).
MAX_VALIDATORS = 100


class ValidatorPower(Record, frozen=True, array_like=True, gc=False):
    """One validator: its consensus key and its power."""

    public_key: Bytes32
    power: Integer


class ValidatorPowers(Record, frozen=True, array_like=True, tag=1, gc=False):
    """The validators that CometBFT was told of, by key."""

    validators: Annotated[tuple[ValidatorPower, ...], Meta(max_length=MAX_VALIDATORS)]


VALIDATORS = Item("chain/validators/", ValidatorPowers)


def record_validators(state: MutableState, context: GenesisContext) -> None:
    """Check and record the validators that InitChain names."""
    named = context.validators
    if len(named) > MAX_VALIDATORS:
        raise GenesisError(f"validators: InitChain names {len(named)}, at most {MAX_VALIDATORS} can sign a block")
    for place, (public_key, power) in enumerate(named):
        if len(public_key) != CONSENSUS_KEY_BYTES:
            raise GenesisError("validators: InitChain names a key that is not an Ed25519 key: this chain has no others")
        if not 1 <= power <= MAX_VALIDATOR_POWER:
            raise GenesisError(f"validators: {public_key.hex()} has power {power}, must be 1 to {MAX_VALIDATOR_POWER}")
        if place and named[place - 1][0] == public_key:
            raise GenesisError(f"validators: InitChain names key {public_key.hex()} twice")
    records = [ValidatorPower(public_key, power) for public_key, power in named]
    VALIDATORS.set(state, ValidatorPowers(tuple(records)))


# Updates that were put aside are listed among the hooks that fail, until some are passed on again.
UPDATES_NAME = "chain.validator_updates"


class ValidatorsQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """No arguments."""


class ValidatorUpdatesRefused(Event, frozen=True, gc=False):
    """Powers that hooks handed out would have stopped CometBFT: none of them was passed on."""

    reason: str


def query_validators(view: StateView, args: ValidatorsQuery) -> ValidatorPowers:
    """Who validates: keys and powers as CometBFT was last told; they sign from the second block after that."""
    return VALIDATORS.get(view) or ValidatorPowers(())


def cometbft_knows_the_live_powers(view: StateView) -> list[str]:
    """CometBFT was told exactly the powers that validators have."""
    told = {each.public_key: each.power for each in (VALIDATORS.get(view) or ValidatorPowers(())).validators}
    live = live_keys(view)
    return [
        f"consensus key {key.hex()} has power {live.get(key, 0)}, CometBFT was told {told.get(key, 0)}"
        for key in sorted({**told, **live})
        if told.get(key, 0) != live.get(key, 0)
    ]


def take_powers(state: MutableState, context: HookContext) -> list[tuple[bytes, int]]:
    """The updates to pass on to CometBFT, by key; the record follows.

    CometBFT stops for good at an update that removes an absent key or leaves nobody, so such updates are a bug of the
    hook that made them: what changes nothing is left out, what would leave a set that cannot be is put aside whole.
    """
    if not context.powers:
        return []
    before = {each.public_key: each.power for each in (VALIDATORS.get(state) or ValidatorPowers(())).validators}
    updates = [(key, power) for key, power in sorted(context.powers.items()) if before.get(key, 0) != power]
    after = {key: power for key, power in {**before, **dict(updates)}.items() if power}
    if not after or len(after) > MAX_VALIDATORS:
        reason = f"{len(after)} validators would be left, must be 1 to {MAX_VALIDATORS}"
        context.emit(ValidatorUpdatesRefused(reason))
        list_as_failing(state, context, UPDATES_NAME, InvariantBroken(reason))
        return []
    list_as_working(state, UPDATES_NAME)
    if updates:
        VALIDATORS.set(state, ValidatorPowers(tuple([ValidatorPower(key, after[key]) for key in sorted(after)])))
    return updates
