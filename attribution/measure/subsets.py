"""Random halves of the training rows, or of the contributors, the same on every machine for ever."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
"""[subsets, rows]: the row was trained on."""

MAX_SUBSETS = 10_000
"""A measurement retrains once per subset and seed: more than this is a mistake."""


def _rank(tag: str, seed: int, subset: int, item: int) -> bytes:
    # Hashes rather than a generator of a library: their streams may change from release to release.
    return hashlib.sha256(f"openledger/measure/{tag}/v1/{seed}/{subset}/{item}".encode()).digest()


def half_subsets(items: int, subsets: int, *, seed: int = 0, tag: str = "examples") -> Mask:
    """Bool [subsets, items], floor(items / 2) true in every line: the items whose hashes are smallest.

    `tag` keeps draws for different purposes apart. Raises `ValueError` for fewer than two items or no subset.
    """
    if items < 2:
        raise ValueError(f"items: {items} cannot be halved; give at least 2")
    if not 1 <= subsets <= MAX_SUBSETS:
        raise ValueError(f"subsets: {subsets}; give 1 to {MAX_SUBSETS}")
    drawn = np.zeros((subsets, items), dtype=np.bool_)
    for subset in range(subsets):
        order = sorted(range(items), key=lambda item, subset=subset: _rank(tag, seed, subset, item))  # type: ignore[misc]
        drawn[subset, order[: items // 2]] = True
    return drawn


def contributor_subsets(owners: Sequence[int], subsets: int, *, seed: int = 0) -> Mask:
    """Bool [subsets, rows]: random halves of the contributors, with all rows of each; `owners[i]` owns row i."""
    names = sorted(set(owners))
    chosen = half_subsets(len(names), subsets, seed=seed, tag="contributors")
    place = {name: index for index, name in enumerate(names)}
    columns = np.array([place[owner] for owner in owners], dtype=np.int64)
    return chosen[:, columns]
