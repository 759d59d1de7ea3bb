"""Which texts hold a text of others, whole or a long stretch of it: by fingerprints of their letters.

A text is read as its letters alone (openledger.data.normalised.letters_of). Every run of 20 letters has a number; of
every 13 runs in a row the smallest number is kept (winnowing, Schleimer, Wilkerson and Aiken 2003). Texts that share
32 letters in a row so share a fingerprint wherever these stand, and a text that holds another whole has all its
fingerprints. Integers only; about one number for seven letters.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from abci_app.types import PPB
from openledger.data.normalised import letters_of

Fingerprints = npt.NDArray[np.uint64]

_RUN_LETTERS = 20
_WINDOW_RUNS = 13
# Letters from which on a text has a fingerprint: some six words. Shorter texts stand in longer ones by chance.
LEAST_LETTERS = _RUN_LETTERS + _WINDOW_RUNS - 1
# Part of the letters of one text that the other has when it counts as inside it, and of its fingerprints when its
# letters are looked at: a word that differs takes with it all fingerprints that it is a part of.
INSIDE_PPB = 800_000_000
_LOOKED_AT_PPB = 300_000_000
# Fingerprints from which on they decide alone: one or two may be of a number beside a template.
_LEAST_SURE = 3
# Fingerprints that two texts share when they share a long stretch: some 220 letters or 45 words.
LONG_STRETCH = 32
# Texts of which an index keeps one and the same fingerprint: bounds what one question costs.
_TEXTS_EACH = 64
# Odd constants of a polynomial and of a mixer (splitmix64), for numbers that lie evenly.
_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def fingerprints_of(normal: str) -> Fingerprints:
    """The different fingerprints of a text in normal form, sorted; none of a text of fewer than 32 letters."""
    letters = letters_of(normal)
    if len(letters) < LEAST_LETTERS:
        return np.zeros(0, np.uint64)
    codes = np.frombuffer(letters.encode("utf-32-le"), "<u4").astype(np.uint64)
    count = len(codes) - _RUN_LETTERS + 1
    runs = np.zeros(count, np.uint64)
    for at in range(_RUN_LETTERS):
        # Wraps at 2^64, and is meant to.
        runs = runs * _BASE + codes[at : at + count]
    runs = (runs ^ (runs >> np.uint64(30))) * _MIX[0]
    runs = (runs ^ (runs >> np.uint64(27))) * _MIX[1]
    return np.unique(np.lib.stride_tricks.sliding_window_view(runs, _WINDOW_RUNS).min(axis=1))


@dataclass(frozen=True, slots=True)
class StretchIndex:
    """Fingerprints of some texts, sorted, each with the number of its text, and how many each text has here."""

    fingerprints: Fingerprints
    texts: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[Fingerprints]) -> "StretchIndex":
        """Index these texts."""
        joined = np.concatenate([*texts, np.zeros(0, np.uint64)])
        numbers = np.repeat(np.arange(len(texts)), [len(each) for each in texts])
        # Stable: of equal fingerprints the first texts come first.
        order = np.argsort(joined, kind="stable")
        joined, numbers = joined[order], numbers[order]
        place = np.arange(len(joined)) - np.searchsorted(joined, joined, "left")
        joined, numbers = joined[place < _TEXTS_EACH], numbers[place < _TEXTS_EACH]
        return cls(joined, numbers, np.bincount(numbers, minlength=len(texts)))

    def find(self, of_text: Fingerprints) -> tuple[list[int], list[int], bool]:
        """Texts of which this one may be a part, or the other way round; those by their fingerprints alone; and whether
        it shares a long stretch with one."""
        first = np.searchsorted(self.fingerprints, of_text, "left")
        last = np.searchsorted(self.fingerprints, of_text, "right")
        found = [self.texts[low:high] for low, high in zip(first, last, strict=True) if low < high]
        if not found:
            return [], [], False
        texts, shared = np.unique(np.concatenate(found), return_counts=True)
        of_shorter = np.minimum(self.counts[texts], len(of_text))
        possible = texts[shared * PPB >= of_shorter * _LOOKED_AT_PPB]
        sure = texts[(shared * PPB >= of_shorter * INSIDE_PPB) & (of_shorter >= _LEAST_SURE)]
        return possible.tolist(), sure.tolist(), bool(np.any(shared >= LONG_STRETCH))


def stands_in(one: str, other: str) -> bool:
    """Whether the shorter of two texts of letters stands in the other but for a word here and there."""
    short, long = sorted([one, other], key=len)
    known = {long[at : at + _RUN_LETTERS] for at in range(len(long) - _RUN_LETTERS + 1)}
    covered = reached = 0
    for at in range(len(short) - _RUN_LETTERS + 1):
        if short[at : at + _RUN_LETTERS] in known:
            covered += at + _RUN_LETTERS - max(at, reached)
            reached = at + _RUN_LETTERS
    return covered * PPB >= INSIDE_PPB * len(short)


def shared_by_many(held_out: Sequence[Fingerprints], training: Iterable[Fingerprints]) -> Fingerprints:
    """The fingerprints of a template or a system prompt: in more than a quarter of a dataset's examples for training
    (three at least), or in more than a sixteenth of these and of the held-out ones (two of those at least)."""
    values, counts = np.unique(np.concatenate([*held_out, np.zeros(0, np.uint64)]), return_counts=True)
    if not len(values):
        return values
    found, total = np.zeros(len(values), np.int64), 0
    for each in training:
        places = np.minimum(np.searchsorted(values, each), len(values) - 1)
        found[places[values[places] == each]] += 1
        total += 1
    of_both = (found * 16 > total) & (counts * 16 > len(held_out)) & (counts >= 2)
    return values[((found * 4 > total) | of_both) & (found >= 3)]


def without(fingerprints: Fingerprints, others: Fingerprints) -> Fingerprints:
    """The fingerprints that are not among the others."""
    return np.setdiff1d(fingerprints, others) if len(others) else fingerprints
