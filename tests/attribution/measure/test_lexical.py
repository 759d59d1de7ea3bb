"""Term weights and BM25 against numbers worked out by hand."""

import math

import numpy as np
import pytest

from attribution.measure.lexical import bm25, character_grams, tf_idf

pytestmark = pytest.mark.ml


TRAINING = ["red fox", "red red hen", "blue sky"]


def test_grams_are_all_runs_of_three_to_five_characters() -> None:
    assert character_grams("abcde") == ["abc", "bcd", "cde", "abcd", "bcde", "abcde"]
    assert character_grams("ab") == []


def test_tf_idf_is_the_cosine_of_counts_weighted_by_rarity() -> None:
    scores = tf_idf(TRAINING, ["red sky unknown"], str.split)

    red, rare = math.log(4 / 3) + 1, math.log(4 / 2) + 1
    query = math.hypot(red, rare)
    expected = [red * red / math.hypot(red, rare), 2 * red * red / math.hypot(2 * red, rare), rare / math.sqrt(2)]
    assert scores[:, 0] == pytest.approx(np.array(expected) / query)


def test_a_text_is_most_like_itself_and_not_at_all_like_foreign_ones() -> None:
    scores = tf_idf(TRAINING, TRAINING)

    assert np.diag(scores) == pytest.approx(np.ones(3))
    assert scores.argmax(axis=0).tolist() == [0, 1, 2]
    assert scores[2, 0] == 0


def test_bm25_follows_the_formula() -> None:
    scores = bm25(TRAINING, ["red red unknown"], str.split)

    rarity = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    mean_length = (2 + 3 + 2) / 3

    def gain(count: int, length: int) -> float:
        return count * 2.2 / (count + 1.2 * (0.25 + 0.75 * length / mean_length))

    assert scores[:, 0] == pytest.approx([2 * rarity * gain(1, 2), 2 * rarity * gain(2, 3), 0])


def test_texts_without_terms_score_nothing() -> None:
    assert np.array_equal(bm25(["", "ab"], ["abc"]), np.zeros((2, 1)))
    assert np.array_equal(tf_idf(["", "ab"], ["abc"]), np.zeros((2, 1)))
