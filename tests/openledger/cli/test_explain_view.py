"""What people are told about rows that are not credited."""

import pytest

from openledger.cli.explain_view import View
from openledger.cli.output import Output
from tests.attribution.test_explanation_copies import BOB, EVE, explained, honest, inputs_of, query_near, with_eve


def test_whose_rows_are_copies_is_said_once_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    index = with_eve(1)
    view = View(explained(inputs_of(index, query_near(index, 0, 2))), {BOB: "bob", EVE: "eve"}, (), ())
    sentence = "eve: 5 of 5 rows are like rows that were registered before: not credited"
    assert view.copies() == [sentence]
    view.print(Output(as_json=False))
    assert capsys.readouterr().out.count(sentence) == 1
    assert view.page(["checked"]).copies == [sentence]


def test_nothing_is_said_where_nobody_copied() -> None:
    index = honest(1)
    assert View(explained(inputs_of(index, query_near(index, 0, 2))), {}, (), ()).copies() == []
