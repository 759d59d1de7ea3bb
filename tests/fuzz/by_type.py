"""Values drawn from a type: of the right form, with bounds, known ids and known names in them. Rarely out of bounds."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

from msgspec import inspect

from tests.fuzz.mutation import INTEGERS, TEXTS, Tree

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
NODE_ID_PATTERN = r"\A[0-9a-f]{40}\Z"
OUT_OF_BOUNDS = 0.004


@dataclass(frozen=True, slots=True)
class Known:
    """The objects that exist on the chain: values that lead further than random ones."""

    ids: tuple[bytes, ...]
    names: tuple[str, ...]


@cache
def type_of(type_: Any) -> inspect.Type:
    """The description of a type, made once."""
    return inspect.type_info(type_)


def draw(rng: random.Random, type_: Any, known: Known) -> Tree:
    """A tree that mostly decodes as `type_`."""
    return _draw(rng, type_of(type_), known)


def _draw(rng: random.Random, info: inspect.Type, known: Known) -> Tree:
    if rng.random() < OUT_OF_BOUNDS:
        return rng.choice((rng.choice(INTEGERS), rng.choice(TEXTS), rng.randbytes(33), [], None))
    return _BY_KIND[type(info)](rng, info, known)


def _struct(rng: random.Random, info: inspect.StructType, known: Known) -> Tree:
    values = [_draw(rng, field.type, known) for field in info.fields]
    return values if info.tag is None else [info.tag, *values]


def _integer(rng: random.Random, info: inspect.IntType, known: Known) -> Tree:
    low = -(2**63) if info.ge is None else info.ge
    high = 2**64 - 1 if info.le is None else info.le
    chance = rng.random()
    if chance < 0.6:
        return max(low, min(high, rng.randrange(8)))
    if chance < 0.8:
        return max(low, min(high, rng.choice(INTEGERS)))
    return rng.randint(low, high) if chance < 0.9 else rng.choice((low, high))


def _bytes(rng: random.Random, info: inspect.BytesType, known: Known) -> Tree:
    low, high = info.min_length or 0, min(info.max_length or 64, 4_096)
    if low <= 32 <= high and rng.random() < 0.8:
        return rng.choice(known.ids)
    return rng.randbytes(rng.choice((low, low, high, rng.randint(low, high))))


def _text(rng: random.Random, info: inspect.StrType, known: Known) -> Tree:
    low, high = info.min_length or 0, info.max_length or 64
    if info.pattern == NODE_ID_PATTERN:
        return f"{rng.getrandbits(160):040x}"
    if rng.random() < 0.6:
        return rng.choice(known.names)[:high]
    return "".join(rng.choices(LETTERS, k=rng.choice((low, low, high, rng.randint(low, high)))))


def _sequence(rng: random.Random, info: inspect.VarTupleType, known: Known) -> Tree:
    low, high = info.min_length or 0, 64 if info.max_length is None else min(info.max_length, 64)
    count = high if rng.random() < 0.01 else min(high, low + rng.choice((0, 0, 1, 1, 2, 3)))
    return [_draw(rng, info.item_type, known) for _ in range(count)]


def _fixed(rng: random.Random, info: inspect.TupleType, known: Known) -> Tree:
    return [_draw(rng, item, known) for item in info.item_types]


def _enum(rng: random.Random, info: inspect.EnumType, known: Known) -> Tree:
    members: list[Enum] = list(info.cls)
    return rng.choice(members).value


def _literal(rng: random.Random, info: inspect.LiteralType, known: Known) -> Tree:
    return rng.choice(info.values)


def _union(rng: random.Random, info: inspect.UnionType, known: Known) -> Tree:
    return _draw(rng, rng.choice(info.types), known)


def _marked(rng: random.Random, info: inspect.Metadata, known: Known) -> Tree:
    return _draw(rng, info.type, known)


_BY_KIND: dict[type[inspect.Type], Callable[[random.Random, Any, Known], Tree]] = {
    inspect.StructType: _struct,
    inspect.IntType: _integer,
    inspect.BytesType: _bytes,
    inspect.StrType: _text,
    inspect.VarTupleType: _sequence,
    inspect.TupleType: _fixed,
    inspect.EnumType: _enum,
    inspect.LiteralType: _literal,
    inspect.UnionType: _union,
    inspect.Metadata: _marked,
}
