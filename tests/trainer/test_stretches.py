"""Texts that stand in others are found by fingerprints of their letters."""

import random

import numpy as np

from openledger.data.normalised import letters_of
from trainer.stretches import (
    LEAST_LETTERS,
    LONG_STRETCH,
    StretchIndex,
    fingerprints_of,
    shared_by_many,
    stands_in,
    without,
)


def prose(seed: int, words: int) -> str:
    chosen = random.Random(seed)
    return " ".join("".join(chosen.choices("abcdefghklmnopqrstuvwxyz", k=chosen.randint(2, 8))) for _ in range(words))


def test_a_text_inside_another_has_all_its_fingerprints_wherever_it_stands() -> None:
    for seed in range(60):
        text = prose(seed, 8 + seed % 40)
        own = fingerprints_of(text)
        assert len(own) > 0
        for before, after in ((0, 5), (3, 0), (11, 200)):
            longer = f"{prose(seed + 900, before)} {text}{prose(seed + 901, after)}"
            assert set(own.tolist()) <= set(fingerprints_of(longer).tolist())


def test_a_short_text_has_no_fingerprint_and_one_number_stands_for_seven_letters() -> None:
    assert len(fingerprints_of("a" * (LEAST_LETTERS - 1))) == 0
    assert len(fingerprints_of("a" * LEAST_LETTERS)) == 1
    text = prose(1, 4_000)
    assert 6 < len(letters_of(text)) / len(fingerprints_of(text)) < 8


def test_fingerprints_are_the_same_on_every_machine() -> None:
    text = "the quick brown fox jumps over the lazy dog near the river"
    assert [f"{number:016x}" for number in fingerprints_of(text).tolist()] == EXPECTED


EXPECTED = ["0090771311bed76f", "10e3af31e641f31c", "19d0b98d62de856e", "2fb22ea4c5d7bc8e"]


def test_a_fingerprint_counts_for_the_first_texts_that_have_it() -> None:
    text = fingerprints_of(prose(1, 30))
    index = StretchIndex.of([text] * 100)
    assert index.find(text) == (list(range(64)), list(range(64)), False)
    assert index.counts.tolist() == [len(text)] * 64 + [0] * 36
    assert StretchIndex.of([]).find(text) == ([], [], False)


def test_a_long_stretch_is_told_from_a_text_inside() -> None:
    book = fingerprints_of(prose(1, 2_000))
    page = fingerprints_of(f"{prose(2, 400)} {' '.join(prose(1, 2_000).split()[500:700])} {prose(3, 400)}")
    assert StretchIndex.of([book]).find(page) == ([], [], True)
    assert len(np.intersect1d(book, page)) >= LONG_STRETCH
    few = fingerprints_of(f"{prose(2, 400)} {' '.join(prose(1, 2_000).split()[500:520])} {prose(3, 400)}")
    assert StretchIndex.of([book]).find(few) == ([], [], False)


def test_a_text_stands_in_another_with_a_word_changed_but_not_by_a_few_words() -> None:
    words = prose(5, 30).split()
    changed = " ".join([*words[:15], "other", *words[16:]])
    longer = letters_of(f"{prose(6, 60)} {changed} {prose(7, 60)}")
    assert stands_in(letters_of(" ".join(words)), longer)
    assert not stands_in(letters_of(" ".join([*words[:10], *prose(8, 20).split()])), longer)


def test_what_many_texts_of_both_sides_share_is_their_template() -> None:
    system = prose(9, 60)
    held_out = [fingerprints_of(f"{system} {prose(seed, 20)}") for seed in range(20, 24)]
    training = [fingerprints_of(f"{system} {prose(seed, 20)}") for seed in range(40, 60)]
    shared = shared_by_many(held_out, training)
    assert set(fingerprints_of(system).tolist()) <= set(shared.tolist())
    assert all(0 < len(without(each, shared)) < len(each) for each in held_out)
    # One held-out text that a few others hold is no template; one that everything for training holds is.
    assert len(shared_by_many(held_out[:1], training[:1])) == 0
    others = [fingerprints_of(prose(seed, 50)) for seed in range(70, 90)]
    assert len(shared_by_many([held_out[0], *others[:3]], [*training[:5], *others])) == 0
    assert len(shared_by_many([held_out[0], *others[:3]], training)) > 0
    assert len(shared_by_many([], training)) == 0
