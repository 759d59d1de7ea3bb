"""Both builders give the one suffix array."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydivsufsort import divsufsort

from attribution.spans.suffix_array import Builder, by_prefix_doubling, by_sorted_bytes, suffix_array

BUILDERS = [by_sorted_bytes, by_prefix_doubling]


def texts() -> st.SearchStrategy[list[int]]:
    """Few numbers, so that suffixes have long beginnings in common, or numbers of any width."""
    few = st.lists(st.integers(0, 2), max_size=40)
    repeated = st.tuples(few, st.integers(1, 6)).map(lambda pair: pair[0] * pair[1])
    return repeated | st.lists(st.integers(0, 2**32 - 1), max_size=30) | st.lists(st.integers(250, 260), max_size=30)


@pytest.mark.parametrize("builder", BUILDERS)
@given(text=texts())
def test_suffixes_are_sorted_token_by_token_and_a_beginning_comes_first(builder: Builder, text: list[int]) -> None:
    array = builder(np.array(text, np.uint32))
    assert array.dtype == np.dtype(np.uint32)
    assert array.tolist() == sorted(range(len(text)), key=lambda start: text[start:])


@pytest.mark.parametrize("top", [255, 256, 65_535, 65_536, 2**24, 2**32 - 1])
def test_every_width_of_numbers_sorts_like_the_numbers(top: int) -> None:
    text = np.random.default_rng(top).integers(max(0, top - 300), top + 1, 2_000).astype(np.uint32)
    text[7] = top
    assert by_sorted_bytes(text).tolist() == by_prefix_doubling(text).tolist()


def test_one_number_repeated_is_the_deepest_text() -> None:
    text = np.full(5_000, 3, np.uint32)
    expected = list(range(4_999, -1, -1))
    assert [builder(text).tolist() for builder in BUILDERS] == [expected, expected]


@given(text=texts())
def test_texts_of_more_than_two_gigabytes_take_the_librarys_other_function(text: list[int]) -> None:
    """It chooses that one by the length of the bytes; here it is made to at any length."""
    types: list[np.dtype[np.signedinteger[Any]]] = []

    def with_64_bits(encoded: Any) -> Any:
        starts = divsufsort(encoded, force64=True)
        types.append(starts.dtype)
        return starts

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pydivsufsort.divsufsort", with_64_bits)
        array = by_sorted_bytes(np.array(text, np.uint32))
    assert array.dtype == np.dtype(np.uint32)
    assert array.tolist() == by_prefix_doubling(np.array(text, np.uint32)).tolist()
    assert types == ([np.dtype(np.int64)] if text else [])


def test_without_the_library_numpy_sorts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydivsufsort", None)
    with pytest.raises(ImportError):
        by_sorted_bytes(np.array([1], np.uint32))
    assert suffix_array(np.array([2, 1, 2, 1], np.uint32)).tolist() == [3, 1, 2, 0]
