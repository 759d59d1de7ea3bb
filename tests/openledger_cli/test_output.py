"""Printing results: fields, tables, JSON; what comes from elsewhere cannot steer the terminal."""

import json

import pytest

from openledger_cli.main import main
from openledger_cli.output import Printer
from openledger_cli.text import note

HOSTILE = "name\x1b[2Joutcome  verified\r\nnext"
SHOWN = "name?[2Joutcome  verified??next"


def test_fields_are_aligned_and_nested(capsys: pytest.CaptureFixture[str]) -> None:
    Printer().show({"a": 1, "long_name": [1, 2], "inner": {"x": "y"}, "list": [{"k": "v"}]})
    assert capsys.readouterr().out.splitlines() == [
        "a          1",
        "long_name  1, 2",
        "inner",
        "  x  y",
        "list",
        "  -",
        "    k  v",
    ]


def test_control_characters_never_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Printer().show({"name": HOSTILE, "list": [HOSTILE]})
    Printer().rows("", ("name",), [(HOSTILE,)], None)
    note(HOSTILE)
    printed = capsys.readouterr()
    assert printed.out.count(SHOWN) == 3
    assert "\x1b" not in printed.out + printed.err
    assert "\r" not in printed.out + printed.err


def test_an_error_text_is_one_harmless_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", f"/nowhere/{HOSTILE}"]) == 2
    error = capsys.readouterr().err
    assert (error.count("\n"), "\x1b" in error) == (1, False)


def test_json_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    Printer(as_json=True).rows("", ("a",), [("x",)], {"a": HOSTILE, "b": [1]})
    assert json.loads(capsys.readouterr().out) == {"a": HOSTILE, "b": [1]}


def test_an_empty_list_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    Printer().rows("", ("a",), [], [])
    assert capsys.readouterr().out == "none\n"


def test_amounts_are_shown_in_open_and_shares_in_per_cent(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"spend_limit_nopen": 1_500_000_000, "share_ppb": 125_000_000, "inner": {"spent_nopen": "7"}, "rows": 3}
    Printer().show(document)
    assert capsys.readouterr().out.splitlines() == [
        "spend_limit_nopen  1.5 OPEN (1500000000 nopen)",
        "share_ppb          12.5%",
        "inner",
        "  spent_nopen  0.000000007 OPEN (7 nopen)",
        "rows               3",
    ]
