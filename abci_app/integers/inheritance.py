"""Fine-tunes on fine-tunes: how an answer's shares go down the layers: this run's DataNets, ancestor adapters, base.

The index of a run speaks of that run's parameters only. Contributors of an ancestor are therefore credited by the
ancestor's own index (its checkpoints, its query codes for the same prompt and output), and how much goes from layer
to layer is not measured but agreed: it is the inheritance schedule that the chain wrote into the entry's admission.

    kept(age) = max(floor, ancestors >> (age // half_life)), never above ancestors
    an entry's amount t:   parent p gets t * share_p * kept(age_p),   the entry's own data the rest

`age` counts versions of the child's model: for a parent that is an earlier version of the same model, the versions
between the two; for any other parent, the versions before the child. So a first version owes its base the whole
ancestors' part, and a model that goes on improving owes it less and less, down to the floor.
An entry without data of its own (a merge, a quantised copy) passes everything on. What belongs to an entry without
index (an import) is nobody's that we know: it goes to the pool.

Amounts are integers at every layer, each split by largest remainder, so that all together are PPB exactly; a share is
off by less than one part for each layer above it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from abci_app.integers import NumbersRefused, check_integer
from abci_app.integers.shares import POOL_KEY, Shares, largest_remainder
from abci_app.types import PPB

# One page of a lineage; whoever has more ancestors asks for the layers that a share reaches.
MAX_LAYERS = 4_096
# The models module admits as many (a test compares them).
MAX_PARENTS = 16


class Schedule(Protocol):
    """What ancestors keep of a model's share: a part, halved every so many versions (0: never), never below a floor."""

    @property
    def ancestors_ppb(self) -> int:
        """Part of the whole at age 0."""

    @property
    def half_life_versions(self) -> int:
        """Versions after which the part is halved; 0 for never."""

    @property
    def floor_ppb(self) -> int:
        """The least that stays, at any age."""


@dataclass(frozen=True, slots=True)
class ParentPart:
    """A parent as the entry lists it, and the part of its share that it keeps (`kept_ppb`)."""

    entry_id: bytes
    share_ppb: int
    kept_ppb: int


@dataclass(frozen=True, slots=True)
class Layer:
    """One entry: its number on the chain, parents, whether it was trained on data, and its own data's shares.

    `own` is None where no index says who shaped the output.
    """

    entry_id: bytes
    number: int
    parents: tuple[ParentPart, ...]
    has_data: bool
    own: Shares | None


@dataclass(frozen=True, slots=True)
class LayerAmount:
    """What one layer's own data got of the whole, its owners' parts and what its index left to the pool."""

    entry_id: bytes
    own_ppb: int
    by_owner: tuple[tuple[bytes, int], ...]
    unexplained_ppb: int


@dataclass(frozen=True, slots=True)
class LayeredShares:
    """Shares over all layers: owners by key and the pool, together PPB; `layers` from the entry down."""

    by_owner: tuple[tuple[bytes, int], ...]
    unexplained_ppb: int
    layers: tuple[LayerAmount, ...]


def kept_part(schedule: Schedule, age_versions: int) -> int:
    """Part that ancestors keep after `age_versions` versions, in parts per billion; half-life 0 never halves."""
    check_integer("age_versions", age_versions, 0, 2**32 - 1)
    halvings = age_versions // schedule.half_life_versions if schedule.half_life_versions else 0
    # 2**30 exceeds PPB: after 30 halvings nothing is left.
    return min(schedule.ancestors_ppb, max(schedule.floor_ppb, schedule.ancestors_ppb >> min(halvings, 30)))


def layered_shares(entry_id: bytes, layers: Mapping[bytes, Layer]) -> LayeredShares:
    """Shares of everybody behind an entry's output; `layers` holds the entry and all its ancestors, by entry id.

    Raises `NumbersRefused` when one is missing, or numbers or shares contradict each other.
    """
    amounts: dict[bytes, int] = {entry_id: PPB}
    _check_layers(entry_id, layers)
    parts: list[LayerAmount] = []
    # A parent's number is smaller than its child's: by falling number, an amount is complete when it is split.
    for layer in sorted(layers.values(), key=lambda layer: -layer.number):
        if layer.entry_id not in amounts:
            continue
        own, inherited = _split(layer, amounts[layer.entry_id])
        for parent, part in inherited:
            amounts[parent] = amounts.get(parent, 0) + part
        parts.append(_own_part(layer, own))
    totals: dict[bytes, int] = {}
    for part_of_layer in parts:
        for owner, part in part_of_layer.by_owner:
            totals[owner] = totals.get(owner, 0) + part
    return LayeredShares(tuple(sorted(totals.items())), sum(part.unexplained_ppb for part in parts), tuple(parts))


def _split(layer: Layer, amount: int) -> tuple[int, list[tuple[bytes, int]]]:
    """The amount over the layer's own data and its parents."""
    if not layer.parents:
        return amount, []
    if layer.has_data:
        weights = [parent.share_ppb * parent.kept_ppb for parent in layer.parents]
        weights.append(PPB * PPB - sum(weights))
    else:
        weights = [*(parent.share_ppb for parent in layer.parents), 0]
    keys = [*(parent.entry_id for parent in layer.parents), layer.entry_id]
    *inherited, own = largest_remainder(weights, keys, amount)
    return own, list(zip(keys, inherited, strict=False))


def _own_part(layer: Layer, amount: int) -> LayerAmount:
    """The own data's amount over its owners; what they do not get is unexplained."""
    if layer.own is None:
        return LayerAmount(layer.entry_id, amount, (), amount)
    owners = [owner for owner, _ in layer.own.by_owner]
    weights = [part for _, part in layer.own.by_owner]
    *split, unexplained = largest_remainder([*weights, layer.own.unexplained_ppb], [*owners, POOL_KEY], amount)
    return LayerAmount(layer.entry_id, amount, tuple(zip(owners, split, strict=True)), unexplained)


def _check_layers(entry_id: bytes, layers: Mapping[bytes, Layer]) -> None:
    if len(layers) > MAX_LAYERS:
        raise NumbersRefused("layers", f"{len(layers)} are more than {MAX_LAYERS}")
    if entry_id not in layers:
        raise NumbersRefused("layers", f"entry {entry_id.hex()} is missing")
    for key, layer in layers.items():
        place = f"layers.{key.hex()}"
        if key != layer.entry_id or len(layer.parents) > MAX_PARENTS:
            raise NumbersRefused(place, f"holds another entry, or more than {MAX_PARENTS} parents")
        for parent in layer.parents:
            check_integer(f"{place}.share_ppb", parent.share_ppb, 0, PPB)
            check_integer(f"{place}.kept_ppb", parent.kept_ppb, 0, PPB)
            if parent.entry_id not in layers:
                raise NumbersRefused("layers", f"parent {parent.entry_id.hex()} of {key.hex()} is missing")
            if layers[parent.entry_id].number >= layer.number:
                raise NumbersRefused(f"{place}.number", "a parent was recorded later than its child")
        if layer.parents and sum(parent.share_ppb for parent in layer.parents) != PPB:
            raise NumbersRefused(f"{place}.share_ppb", f"the parents' shares do not sum to {PPB}")
        if layer.own is not None:
            for _, part in (*layer.own.by_owner, (b"", layer.own.unexplained_ppb)):
                check_integer(f"{place}.own", part, 0, PPB)
            if sum(part for _, part in layer.own.by_owner) + layer.own.unexplained_ppb != PPB:
                raise NumbersRefused(f"{place}.own", f"the shares do not sum to {PPB}")
