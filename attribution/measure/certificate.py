"""A measurement as a document that can be recorded with a model: integers, protocol, digests.

Canonical JSON. LDS values are in parts per billion of one (they may be negative). The chain holds its digest and the
measures as evaluations of the entry; everybody who has the task can measure again by the protocol and compare.
"""

import hashlib
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta, Struct

from abci_app.types import PPB
from attribution.errors import AttributionError
from attribution.measure.lds import BOOTSTRAP_DRAWS, BOOTSTRAP_SEED, Estimate, Floats
from attribution.measure.measurement import Protocol, Truth, ceiling, quality
from attribution.measure.retrain import RetrainTask, canonical_json
from attribution.measure.subsets import MAX_SUBSETS
from openledger.data.manifest import to_json

MAX_CERTIFICATE_BYTES = 256 * 1024
MAX_METHODS = 64
FORMAT = "openledger/attribution-quality/v1"

Hex = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Correlation = Annotated[int, Meta(ge=-PPB, le=PPB)]
Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\A[ -~]+\Z")]
Count = Annotated[int, Meta(ge=1, le=2**40)]
Subsets = Annotated[int, Meta(ge=1, le=MAX_SUBSETS)]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Interval(Struct, frozen=True, forbid_unknown_fields=True):
    """A mean over queries and its 95 % interval, parts per billion."""

    value_ppb: Correlation
    low_ppb: Correlation
    high_ppb: Correlation

    @property
    def half_ppb(self) -> int:
        """Half of the interval, the longer one."""
        return max(self.high_ppb - self.value_ppb, self.value_ppb - self.low_ppb)


class CertifiedMethod(Struct, frozen=True, forbid_unknown_fields=True):
    """LDS of one method by halves of examples and of contributors; digest of the scores [rows, queries]."""

    method: Name
    scores_digest: Hex
    examples: Interval
    contributors: Interval


class Ceiling(Struct, frozen=True, forbid_unknown_fields=True):
    """Agreement of the truth's two seeds."""

    examples: Interval
    contributors: Interval


class Certificate(Struct, frozen=True, forbid_unknown_fields=True):
    """One measurement; the first method is the one that the entry commits to."""

    format: Literal["openledger/attribution-quality/v1"]
    task: Name
    # SHA-256 of the recipe of the retrains, and of all losses after them.
    recipe_digest: Hex
    truth_digest: Hex
    rows: Count
    owners: Count
    queries: Count
    example_subsets: Subsets
    contributor_subsets: Subsets
    seeds: Annotated[tuple[Seed, ...], Meta(min_length=2, max_length=16)]
    bootstrap_draws: Count
    bootstrap_seed: Seed
    ceiling: Ceiling
    methods: Annotated[tuple[CertifiedMethod, ...], Meta(min_length=1, max_length=MAX_METHODS)]

    def encode(self) -> bytes:
        """Canonical JSON."""
        return to_json(msgspec.to_builtins(self))

    @property
    def digest(self) -> bytes:
        """SHA-256 of the canonical JSON, 32 bytes."""
        return hashlib.sha256(self.encode()).digest()

    def evaluations(self) -> tuple[tuple[str, int, int, int], ...]:
        """(metric, value, sample size, half of the interval) of the first method, as the chain records them.

        Values in parts per billion; the sample size is the number of retrains behind it.
        """
        first, seeds = self.methods[0], len(self.seeds)
        kinds = (
            ("attribution/lds-contributors", first.contributors, self.contributor_subsets),
            ("attribution/lds-examples", first.examples, self.example_subsets),
        )
        return tuple((name, found.value_ppb, subsets * seeds, found.half_ppb) for name, found, subsets in kinds)


def certify(
    name: str, task: RetrainTask, owners: int, protocol: Protocol, truth: Truth, scores: dict[str, Floats]
) -> Certificate:
    """The certificate of methods measured on a task; the first of `scores` is the one that counts."""
    top = ceiling(truth)
    losses = hashlib.sha256()
    for part in (truth.example_losses, truth.contributor_losses):
        losses.update(np.ascontiguousarray(part, dtype="<f8").tobytes())
    return Certificate(
        format="openledger/attribution-quality/v1",
        task=name,
        recipe_digest=hashlib.sha256(canonical_json(task.recipe())).hexdigest(),
        truth_digest=losses.hexdigest(),
        rows=truth.examples.shape[1],
        owners=owners,
        queries=truth.example_losses.shape[2],
        example_subsets=protocol.example_subsets,
        contributor_subsets=protocol.contributor_subsets,
        seeds=protocol.seeds,
        bootstrap_draws=BOOTSTRAP_DRAWS,
        bootstrap_seed=BOOTSTRAP_SEED,
        ceiling=Ceiling(_interval(top.examples), _interval(top.contributors)),
        methods=tuple(_measured(method, value, truth) for method, value in scores.items()),
    )


def decode(data: bytes) -> Certificate:
    """Read a certificate; raises `AttributionError` that names the field unless it is what `encode` would write."""
    if len(data) > MAX_CERTIFICATE_BYTES:
        raise AttributionError("certificate", f"has {len(data)} bytes, more than {MAX_CERTIFICATE_BYTES}")
    try:
        found = msgspec.json.decode(data, type=Certificate)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        reason, _, place = str(error).partition(" - at `$")
        raise AttributionError("certificate" + place.rstrip("`"), reason) from error
    if found.encode() != data:
        raise AttributionError("certificate", "is not in canonical form: keys sorted, no spaces, no second writing")
    parts: list[tuple[str, Ceiling | CertifiedMethod]] = [("ceiling", found.ceiling)]
    parts += [(f"methods[{number}]", measured) for number, measured in enumerate(found.methods)]
    for place, part in parts:
        for kind, interval in (("examples", part.examples), ("contributors", part.contributors)):
            if not interval.low_ppb <= interval.value_ppb <= interval.high_ppb:
                raise AttributionError(f"certificate.{place}.{kind}", "the value is outside its own interval")
    return found


def difference(first: Certificate, second: Certificate) -> str | None:
    """Why two measurements of one model do not agree, or None: same task and protocol, values in each other's interval.

    Retrains on other hardware end a little elsewhere, so digests of losses and scores may differ.
    """
    for name in (
        "task",
        "recipe_digest",
        "rows",
        "owners",
        "queries",
        "example_subsets",
        "contributor_subsets",
        "seeds",
    ):
        if getattr(first, name) != getattr(second, name):
            return f"{name} differs: {getattr(first, name)} and {getattr(second, name)}"
    theirs = {measured.method: measured for measured in second.methods}
    for ours in first.methods:
        if ours.method not in theirs:
            return f"{ours.method} was measured only once"
        for kind in ("examples", "contributors"):
            one, other = getattr(ours, kind), getattr(theirs[ours.method], kind)
            if not (
                one.low_ppb <= other.value_ppb <= one.high_ppb and other.low_ppb <= one.value_ppb <= other.high_ppb
            ):
                return f"{ours.method}, {kind}: {one.value_ppb} and {other.value_ppb} parts per billion"
    return None


def _measured(method: str, scores: Floats, truth: Truth) -> CertifiedMethod:
    found = quality(scores, truth)
    digest = hashlib.sha256(np.ascontiguousarray(scores, dtype="<f8").tobytes()).hexdigest()
    return CertifiedMethod(
        method=method,
        scores_digest=digest,
        examples=_interval(found.examples),
        contributors=_interval(found.contributors),
    )


def _interval(estimate: Estimate) -> Interval:
    value, low, high = (round(number * PPB) for number in (estimate.value, estimate.low, estimate.high))
    # Percentiles of draws may miss the value by a rounding where nothing varies.
    return Interval(value, min(low, value), max(high, value))
