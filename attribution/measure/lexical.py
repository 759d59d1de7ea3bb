"""Scores from the text alone, without any model: a floor that every gradient method has to beat."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from attribution.measure.lds import Floats

Terms = Callable[[str], list[str]]

BM25_SATURATION, BM25_LENGTH = 1.2, 0.75
"""k1 and b of Robertson and Zaragoza 2009: the usual middle values."""


def character_grams(text: str, shortest: int = 3, longest: int = 5) -> list[str]:
    """Every run of 3 to 5 characters."""
    return [text[at : at + size] for size in range(shortest, longest + 1) for at in range(len(text) - size + 1)]


def tf_idf(training: Sequence[str], queries: Sequence[str], terms: Terms = character_grams) -> Floats:
    """Cosine of term counts weighted by rarity, [training rows, queries]."""
    counted = [Counter(terms(text)) for text in training]
    weights = _rarity(counted, smooth=True)
    place = {term: index for index, term in enumerate(sorted(weights))}
    rows = _vectors(counted, weights, place)
    asked = _vectors([Counter(terms(text)) for text in queries], weights, place)
    return rows @ asked.T


def bm25(training: Sequence[str], queries: Sequence[str], terms: Terms = character_grams) -> Floats:
    """Okapi BM25 of every training text for every query, [training rows, queries]."""
    counted = [Counter(terms(text)) for text in training]
    weights = _rarity(counted, smooth=False)
    lengths = np.array([sum(counts.values()) for counts in counted], dtype=np.float64)
    penalty = BM25_SATURATION * (1 - BM25_LENGTH + BM25_LENGTH * lengths / max(1.0, lengths.mean()))
    scores = np.zeros((len(training), len(queries)))
    where: dict[str, list[tuple[int, int]]] = {}
    for row, counts in enumerate(counted):
        for term, count in counts.items():
            where.setdefault(term, []).append((row, count))
    for column, query in enumerate(queries):
        for term, asked in sorted(Counter(terms(query)).items()):
            for row, count in where.get(term, ()):
                gain = count * (BM25_SATURATION + 1) / (count + penalty[row])
                scores[row, column] += asked * weights[term] * gain
    return scores


def _rarity(counted: Sequence[Counter[str]], *, smooth: bool) -> dict[str, float]:
    """Inverse document frequency of every term that is in a training text."""
    found = Counter(term for counts in counted for term in counts)
    total = len(counted)
    if smooth:
        return {term: math.log((1 + total) / (1 + count)) + 1 for term, count in found.items()}
    return {term: math.log(1 + (total - count + 0.5) / (count + 0.5)) for term, count in found.items()}


def _vectors(counted: Sequence[Counter[str]], weights: dict[str, float], place: dict[str, int]) -> Floats:
    """[texts, terms], each of length one; terms that no training text has are left out."""
    vectors = np.zeros((len(counted), len(place)))
    for row, counts in enumerate(counted):
        for term, count in counts.items():
            if term in place:
                vectors[row, place[term]] = count * weights[term]
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return unit
