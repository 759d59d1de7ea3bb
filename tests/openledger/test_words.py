"""Numbers of enumerated fields as words."""

import pytest

from openledger.errors import UsageError
from openledger.words import enumerations, number_of, word_of, words_of


def test_every_word_comes_back() -> None:
    for field, kind in enumerations().items():
        assert [number_of(field, word) for word in words_of(field)] == [int(member) for member in kind]
        assert [word_of(field, int(member)) for member in kind] == words_of(field)


def test_numbers_stay_numbers_and_unknown_words_are_refused() -> None:
    assert (number_of("decision", "1"), number_of("row_count", "many")) == (None, None)
    assert (word_of("decision", 9), word_of("row_count", 3)) == ("9", "3")
    assert number_of("use_class", "Non-Commercial") == 2
    with pytest.raises(UsageError, match="'maybe' is not one of accept, reject"):
        number_of("decision", "maybe")
