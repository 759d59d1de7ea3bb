"""The method of a recipe: low-rank adapters beside frozen numbers, or all numbers of the base trained further."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from trainer.recipe_fields import RecipeSection

ALL_LINEAR: Literal["all-linear"] = "all-linear"
ModuleNames = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(min_length=1, max_length=64)
]  # fmt: skip


class Lora(RecipeSection, frozen=True, tag_field="kind", tag="lora"):
    """Low-rank adapters (Hu et al. 2021) on some linear layers.

    `rslora` scales them by alpha / sqrt(rank) (Kalajdzievski 2023) in place of alpha / rank.
    """

    rank: Annotated[int, Meta(ge=1, le=256)] = 8
    alpha: Annotated[int, Meta(ge=1, le=1024)] = 16
    dropout: Decimal = Decimal(0)
    target_modules: ModuleNames | Literal["all-linear"] = msgspec.field(default_factory=lambda: ["q_proj", "v_proj"])
    rslora: bool = False

    bounds: ClassVar[Mapping[str, tuple[Decimal, Decimal]]] = {"dropout": (Decimal(0), Decimal("0.999999999"))}

    @property
    def kind(self) -> Literal["lora"]:
        """The kind of entry that a run records."""
        return "lora"

    @property
    def scaling(self) -> float:
        """The factor of B A, in the operations in which peft works it out."""
        return self.alpha / (self.rank**0.5 if self.rslora else self.rank)

    @classmethod
    def problems(cls, given: Mapping[str, Any]) -> list[str]:
        """See base."""
        modules = given.get("target_modules", ())
        if modules == ALL_LINEAR:
            return super().problems(given)
        twice = ["target_modules names a layer twice"] if len(set(modules)) != len(modules) else []
        return super().problems(given) + twice


class Full(RecipeSection, frozen=True, tag_field="kind", tag="full"):
    """All numbers of the base are trained further; the result is a whole model."""

    @property
    def kind(self) -> Literal["full"]:
        """The kind of entry that a run records."""
        return "full"


Method = Lora | Full
