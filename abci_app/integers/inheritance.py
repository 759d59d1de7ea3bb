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
index (an import) is nobody's that we know: it goes to the pool. So does the part of parents and inputs that an entry
says it does not declare: such parents keep what ancestors of age 0 keep, the most there is, so that silence never pays.

Amounts are integers at every layer, each split by largest remainder, so that all together are PPB exactly; a share is
off by less than one part for each layer above it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from abci_app.integers import NumbersRefused, check_integer
from abci_app.integers.shares import POOL_KEY, Shares, largest_remainder
from abci_app.types import PPB

# One page of a lineage; a caller with more ancestors asks for the layers that a share reaches.
MAX_LAYERS = 4_096
# The models module admits as many (a test compares them).
MAX_PARENTS = 16


class Schedule(Protocol):
    """Rule for the part of a share that ancestors keep, halved every so many versions (0: never), never below a
    floor."""

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

    `own` is None where no index says who shaped the output. Undeclared parents have the share that the listed ones
    leave, and keep `undeclared_kept_ppb` of it; undeclared inputs have `undeclared_inputs_ppb` of the own data's part.
    """

    entry_id: bytes
    number: int
    parents: tuple[ParentPart, ...]
    has_data: bool
    own: Shares | None
    undeclared_parents: bool = False
    undeclared_kept_ppb: int = 0
    undeclared_inputs_ppb: int = 0

    @property
    def is_undeclared(self) -> bool:
        """Whether a part of the entry's amount belongs to what it does not declare."""
        return self.undeclared_parents or self.undeclared_inputs_ppb > 0

    @property
    def undeclared_parents_ppb(self) -> int:
        """The share that the listed parents leave to undeclared ones."""
        return PPB - sum(parent.share_ppb for parent in self.parents) if self.undeclared_parents else 0


@dataclass(frozen=True, slots=True)
class LayerAmount:
    """Part of the whole that one layer's own data got, the parts of its owners, and the part left to the pool.

    `undeclared_ppb`: what went to the pool for parents and inputs that the entry does not declare.
    """

    entry_id: bytes
    own_ppb: int
    by_owner: tuple[tuple[bytes, int], ...]
    unexplained_ppb: int
    undeclared_ppb: int = 0


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
        own, undeclared, inherited = _split(layer, amounts[layer.entry_id])
        for parent, part in inherited:
            amounts[parent] = amounts.get(parent, 0) + part
        parts.append(replace(_own_part(layer, own), undeclared_ppb=undeclared))
    totals: dict[bytes, int] = {}
    for part_of_layer in parts:
        for owner, part in part_of_layer.by_owner:
            totals[owner] = totals.get(owner, 0) + part
    unexplained_ppb = sum(part.unexplained_ppb + part.undeclared_ppb for part in parts)
    return LayeredShares(tuple(sorted(totals.items())), unexplained_ppb, tuple(parts))


def _split(layer: Layer, amount: int) -> tuple[int, int, list[tuple[bytes, int]]]:
    """The amount over the layer's own data, what it does not declare, and its parents."""
    if not layer.parents and not layer.is_undeclared:
        return amount, 0, []
    if layer.has_data:
        weights = [parent.share_ppb * parent.kept_ppb for parent in layer.parents]
        not_declared = layer.undeclared_parents_ppb * layer.undeclared_kept_ppb
        own_weight = PPB * PPB - sum(weights) - not_declared
    else:
        weights = [parent.share_ppb for parent in layer.parents]
        not_declared, own_weight = layer.undeclared_parents_ppb, 0
    keys = [parent.entry_id for parent in layer.parents]
    if not layer.is_undeclared:
        *inherited, own = largest_remainder([*weights, own_weight], [*keys, layer.entry_id], amount)
        return own, 0, list(zip(keys, inherited, strict=True))
    # Times PPB: then the undeclared inputs' part of the own data is a whole number, too.
    own_undeclared = own_weight * layer.undeclared_inputs_ppb
    weights = [weight * PPB for weight in weights]
    weights += [not_declared * PPB + own_undeclared, own_weight * PPB - own_undeclared]
    *inherited, undeclared, own = largest_remainder(weights, [*keys, POOL_KEY, layer.entry_id], amount)
    return own, undeclared, list(zip(keys, inherited, strict=True))


def _own_part(layer: Layer, amount: int) -> LayerAmount:
    """The own data's amount over its owners; what they do not get is unexplained."""
    if layer.own is None:
        return LayerAmount(entry_id=layer.entry_id, own_ppb=amount, by_owner=(), unexplained_ppb=amount)
    owners = [owner for owner, _ in layer.own.by_owner]
    weights = [part for _, part in layer.own.by_owner]
    *split, unexplained = largest_remainder([*weights, layer.own.unexplained_ppb], [*owners, POOL_KEY], amount)
    return LayerAmount(
        entry_id=layer.entry_id,
        own_ppb=amount,
        by_owner=tuple(zip(owners, split, strict=True)),
        unexplained_ppb=unexplained,
    )


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
        _check_sums(place, layer)


def _check_sums(place: str, layer: Layer) -> None:
    shares_ppb = sum(parent.share_ppb for parent in layer.parents)
    if layer.undeclared_parents and shares_ppb >= PPB:
        raise NumbersRefused(f"{place}.share_ppb", "the parents' shares leave no part for the undeclared ones")
    if layer.parents and not layer.undeclared_parents and shares_ppb != PPB:
        raise NumbersRefused(f"{place}.share_ppb", f"the parents' shares do not sum to {PPB}")
    check_integer(f"{place}.undeclared_kept_ppb", layer.undeclared_kept_ppb, 0, PPB)
    check_integer(f"{place}.undeclared_inputs_ppb", layer.undeclared_inputs_ppb, 0, PPB)
    if layer.own is not None:
        for _, part in (*layer.own.by_owner, (b"", layer.own.unexplained_ppb)):
            check_integer(f"{place}.own", part, 0, PPB)
        if sum(part for _, part in layer.own.by_owner) + layer.own.unexplained_ppb != PPB:
            raise NumbersRefused(f"{place}.own", f"the shares do not sum to {PPB}")
