"""How much of a submission is there already: rows that say the same as an accepted one, and rows that nearly do.

Texts are compared in normal form (openledger.data.normalised). A row is an exact copy when all of its text is that of
another row. It is a near copy when at least `NEAR_PERCENT` of its word 5-grams stand in one row that was there before.
Of each row the 5-grams are sampled by a hash of their own, so that a version of a million rows is gone through in
minutes and the submission alone is in memory. Advisory: people decide.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

from openledger.data.normalised import normalised_text
from openledger.data.row_json import read_row, texts_of

NEAR_PERCENT = 80
_WORDS = 5
# Short rows are compared by all their 5-grams, longer ones by one in so many.
_SAMPLED = 8
_ALL_BELOW = 64
_WORD = re.compile(r"\w+")
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Resemblance:
    """A row of the submission (from 0), the row that it is like, in words (`garden#1 row 4`), and whether exactly."""

    index: int
    like: str
    exact: bool


@dataclass
class Likeness:
    """The rows of one submission, to which rows that are there are shown one after the other."""

    exact: dict[bytes, list[int]] = field(default_factory=dict)
    grams: dict[int, list[int]] = field(default_factory=dict)
    gram_counts: list[int] = field(default_factory=list)
    found: dict[int, Resemblance] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[bytes]) -> "Likeness":
        """Take the submission's rows in; a row that repeats an earlier one of it counts as its copy."""
        own = cls()
        for index, row in enumerate(rows):
            text = text_of(row)
            digest = _digest(text)
            if digest in own.exact:
                own.found[index] = Resemblance(index, f"row {own.exact[digest][0] + 1} of this submission", exact=True)
            own.exact.setdefault(digest, []).append(index)
            sampled = _grams(text)
            own.gram_counts.append(len(sampled))
            for gram in sampled:
                own.grams.setdefault(gram, []).append(index)
        return own

    def see(self, row: bytes, place: str) -> None:
        """A row that was there before; `place` is what it is called."""
        text = text_of(row)
        for index in self.exact.get(_digest(text), ()):
            if index not in self.found or not self.found[index].exact or "this submission" in self.found[index].like:
                self.found[index] = Resemblance(index, place, exact=True)
        common: Counter[int] = Counter()
        for gram in _grams(text, sample=1):
            common.update(self.grams.get(gram, ()))
        for index, shared in common.items():
            if index not in self.found and 100 * shared >= NEAR_PERCENT * self.gram_counts[index]:
                self.found[index] = Resemblance(index, place, exact=False)

    @property
    def copies(self) -> tuple[Resemblance, ...]:
        """Rows of the submission that are like another one, in order."""
        return tuple([self.found[index] for index in sorted(self.found)])


def text_of(row: bytes) -> str:
    """All strings of a row in normal form, in order."""
    return normalised_text("\n".join(texts_of(read_row(row))))


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()


def _grams(text: str, sample: int = 0) -> set[int]:
    """Hashes of the word 5-grams, those of this process; `sample` 1 takes all, 0 a part of a long text."""
    words = _WORD.findall(text)
    found = {hash(tuple(words[at : at + _WORDS])) for at in range(max(1, len(words) - _WORDS + 1))} if words else set()
    if sample or len(found) < _ALL_BELOW:
        return found
    return {gram for gram in found if gram % _SAMPLED == 0} or found
