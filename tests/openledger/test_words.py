"""Numbers of enumerated fields as words."""

import pytest
from msgspec import inspect

from openledger.errors import UsageError
from openledger.words import all_fields, enumerations, number_of, word_of, words_of, words_of_type


def test_every_word_comes_back() -> None:
    for field, kind in enumerations().items():
        assert [number_of(field, word) for word in words_of(field)] == [int(member) for member in kind]
        assert [word_of(field, int(member)) for member in kind] == words_of(field)


def test_a_field_with_words_takes_no_number_without_a_word() -> None:
    marked = [(name, info, kind) for name, info in all_fields() if (kind := words_of_type(info)) is not None]
    assert {name for name, _, _ in marked} >= {"scope", "choice", "standing", "purpose", "status", "decision", "kind"}
    for name, info, kind in marked:
        while not isinstance(info, inspect.IntType):
            info = info.type if isinstance(info, inspect.Metadata) else info.item_type
        assert info.ge is not None
        assert info.le is not None
        # Purposes are given out in stretches; what asks for a lock of any number is answered that there is none.
        assert name == "purpose" or set(range(info.ge, info.le + 1)) <= set(kind), f"{name}: {info} for {list(kind)}"


def test_numbers_stay_numbers_and_unknown_words_are_refused() -> None:
    assert (number_of("decision", "1"), number_of("row_count", "many")) == (None, None)
    assert (word_of("decision", 9), word_of("row_count", 3)) == ("9", "3")
    assert number_of("use_class", "Non-Commercial") == 2
    with pytest.raises(UsageError, match="'maybe' is not one of accept, reject"):
        number_of("decision", "maybe")
