"""One measurement from end to end: retrains on halves of examples and of contributors, then any number of methods."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from attribution.measure.lds import Estimate, Floats, linear_datamodelling_score, seed_ceiling
from attribution.measure.retrain import Outputs, Progress, RetrainCache
from attribution.measure.subsets import Mask, contributor_subsets, half_subsets

MAX_SEEDS = 16

Named = Callable[[str], Progress]
"""Makes the progress function of a named part of the work."""


@dataclass(frozen=True)
class Protocol:
    """How often is retrained. 50 and 30 halves give intervals of about +-.04; releases take 100 and 60.

    `seeds` are those of the retrains; their outputs are averaged, and the first two give the ceiling.
    """

    example_subsets: int = 50
    contributor_subsets: int = 30
    seeds: tuple[int, ...] = (1, 2)

    def __post_init__(self) -> None:
        """Raises `ValueError`; counts of subsets are checked where they are drawn."""
        if not 2 <= len(self.seeds) <= MAX_SEEDS or len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds: {list(self.seeds)}; give 2 to {MAX_SEEDS} different ones")

    @property
    def retrains(self) -> int:
        """How many retrains that is."""
        return (self.example_subsets + self.contributor_subsets) * len(self.seeds)

    def as_json(self) -> dict[str, object]:
        """For a certificate."""
        return {
            "subset_part": "1/2",
            "example_subsets": self.example_subsets,
            "contributor_subsets": self.contributor_subsets,
            "seeds": list(self.seeds),
        }


@dataclass(frozen=True)
class Truth:
    """Subsets [subsets, rows] of both kinds, and the queries' losses after each [subsets, seeds, queries]."""

    examples: Mask
    example_losses: Outputs
    contributors: Mask
    contributor_losses: Outputs


@dataclass(frozen=True)
class Quality:
    """LDS over subsets of examples and over subsets of contributors."""

    examples: Estimate
    contributors: Estimate


def ground_truth(cache: RetrainCache, owners: Sequence[int], protocol: Protocol, progress: Named) -> Truth:
    """Retrain wherever the cache has no result; `owners[i]` owns row i."""
    examples = half_subsets(len(owners), protocol.example_subsets)
    contributors = contributor_subsets(owners, protocol.contributor_subsets)
    return Truth(
        examples=examples,
        example_losses=cache.outputs(examples, protocol.seeds, progress("halves of the examples")),
        contributors=contributors,
        contributor_losses=cache.outputs(contributors, protocol.seeds, progress("halves of the contributors")),
    )


def quality(scores: Floats, truth: Truth) -> Quality:
    """LDS of scores [rows, queries], above 0 where a row lowers the loss."""
    return Quality(
        linear_datamodelling_score(scores, truth.examples, truth.example_losses),
        linear_datamodelling_score(scores, truth.contributors, truth.contributor_losses),
    )


def ceiling(truth: Truth) -> Quality:
    """How well one seed of the truth agrees with the other."""
    return Quality(seed_ceiling(truth.example_losses), seed_ceiling(truth.contributor_losses))
