"""Suffix array over token numbers: the start of every suffix, in the order of the suffixes.

Suffixes compare number by number, and one that is the beginning of another comes first. That makes the array a
function of the text alone: every builder gets the same bytes, by any algorithm.

Two builders, equal results. libdivsufsort sorts bytes: numbers become big-endian bytes of one width (the least that
holds the largest number), which compare like the numbers, and the suffixes that start inside a number are dropped
again. Without that library, numpy sorts by prefixes of doubling length.
10**7 tokens of repetitive text take 1.2 s and 7 s on one core (`python -m benchmarks.attribution.spans --builders`).
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Uint32Array = npt.NDArray[np.uint32]
Builder = Callable[[Uint32Array], Uint32Array]

# Positions are stored in 32 bits.
MAX_TEXT_TOKENS = 2**32 - 1
_KEY_BITS = 62


def suffix_array(text: Uint32Array) -> Uint32Array:
    """Suffix array of `text`, uint32 [n]; raises `ValueError` for more than MAX_TEXT_TOKENS numbers."""
    if len(text) > MAX_TEXT_TOKENS:
        raise ValueError(f"{len(text)} tokens, more than {MAX_TEXT_TOKENS}")
    try:
        return by_sorted_bytes(text)
    except ImportError:
        return by_prefix_doubling(text)


def by_sorted_bytes(text: Uint32Array) -> Uint32Array:
    """Suffix array through libdivsufsort; raises `ImportError` where pydivsufsort is not installed.

    Peak memory: about 10 bytes for every byte of the encoded text (20 a token with up to 65,535 different ids).
    """
    from pydivsufsort import divsufsort

    if len(text) == 0:
        return np.zeros(0, np.uint32)
    width = max(1, (int(text.max()).bit_length() + 7) // 8)
    encoded = np.ascontiguousarray(text.astype(">u4").view(np.uint8).reshape(-1, 4)[:, 4 - width :]).reshape(-1)
    starts = divsufsort(encoded)
    aligned: Uint32Array = (starts[starts % width == 0] // width).astype(np.uint32)
    return aligned


def by_prefix_doubling(text: Uint32Array) -> Uint32Array:
    """Suffix array by prefix doubling in numpy (Manber and Myers 1990); only suffixes not yet alone are sorted again.

    Peak memory: about 80 bytes a token.
    """
    count = len(text)
    if count == 0:
        return np.zeros(0, np.uint32)
    keys, compared = _packed(text)
    order = np.argsort(keys, kind="stable")
    rank = np.empty(count, np.int64)
    starts_group = _group_starts(keys[order])
    rank[order] = np.maximum.accumulate(np.where(starts_group, np.arange(count), 0))
    while True:
        # Places whose group has more than one suffix; a rank is the first place of its group.
        open_places = np.flatnonzero(~(starts_group & np.append(starts_group[1:], True)))
        if len(open_places) == 0:
            return order.astype(np.uint32)
        suffixes = order[open_places]
        following = np.zeros(len(suffixes), np.int64)
        inside = suffixes + compared < count
        following[inside] = rank[suffixes[inside] + compared] + 1
        group = rank[suffixes]
        # Within an open place's group only the rank of what follows decides; groups stay where they are.
        sorting = np.lexsort((following, group))
        suffixes, following, group = suffixes[sorting], following[sorting], group[sorting]
        order[open_places] = suffixes
        starts_group[open_places] = _group_starts(group) | _group_starts(following)
        firsts = np.maximum.accumulate(np.where(starts_group[open_places], open_places, 0))
        rank[suffixes] = firsts
        compared *= 2


def _packed(text: Uint32Array) -> tuple[npt.NDArray[np.int64], int]:
    """Keys of as many numbers from each position as fit into 62 bits, and how many those are."""
    bits = (int(text.max()) + 1).bit_length()
    compared = max(1, _KEY_BITS // bits)
    keys = np.zeros(len(text), np.int64)
    for offset in range(compared):
        keys <<= bits
        if offset < len(text):
            # One more than the number: zero stands for the end of the text, which comes before everything.
            keys[: len(text) - offset] += text[offset:].astype(np.int64) + 1
    return keys, compared


def _group_starts(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Where a value differs from the one before; the first one does."""
    starts = np.ones(len(keys), np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=starts[1:])
    return starts
