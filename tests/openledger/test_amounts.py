"""Amounts and shares as people write them, exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.types import MAX_INTEGER, NOPEN_PER_OPEN, PPB
from openledger.amounts import in_open, parse_amount, parse_share, show_amount, show_share
from openledger.errors import UsageError


@pytest.mark.parametrize(
    ("text", "amount_nopen"),
    [
        ("0", 0),
        ("12", 12),
        ("12nopen", 12),
        ("1_000 nopen", 1000),
        ("1.5OPEN", 1_500_000_000),
        ("1.5 open", 1_500_000_000),
        ("0.000000001OPEN", 1),
        ("9223372036.854775807OPEN", MAX_INTEGER),
    ],
)
def test_amount_reads_as(text: str, amount_nopen: int) -> None:
    assert parse_amount(text) == amount_nopen


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "write 1.5OPEN, or a whole number of nopen"),
        ("-1", "write 1.5OPEN"),
        ("1e9", "write 1.5OPEN"),
        ("1,5OPEN", "write 1.5OPEN"),
        ("1.5", "nopen has no decimals, 1 OPEN = 1000000000 nopen"),
        ("0.0000000001OPEN", "OPEN has at most 9 decimals"),
        ("9223372036.854775808OPEN", "is more than there can be"),
        ("9" * 500, "is more than there can be"),
        ("١OPEN", "write 1.5OPEN"),
    ],
)
def test_a_bad_amount_says_what_to_write(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_amount(text)


@given(st.integers(0, MAX_INTEGER))
def test_every_amount_comes_back(amount_nopen: int) -> None:
    assert parse_amount(show_amount(amount_nopen)) == amount_nopen
    assert parse_amount(str(amount_nopen)) == amount_nopen


@given(st.integers(0, PPB))
def test_every_share_comes_back(share_ppb: int) -> None:
    assert parse_share(show_share(share_ppb)) == share_ppb
    assert parse_share(str(share_ppb)) == share_ppb


@pytest.mark.parametrize("text", ["", "half", "-5%", "100.0000001%", "101%", "1000000001", "1.12345678%"])
def test_a_bad_share_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="share"):
        parse_share(text)


def test_the_chains_words_are_told_in_open() -> None:
    said = "open1abc has 3000 nopen left, needs 1,500,000,000 nopen: fund the account first"
    assert in_open(said) == "open1abc has 0.000003 OPEN left, needs 1.5 OPEN: fund the account first"
    assert show_amount(NOPEN_PER_OPEN) == "1 OPEN"
    assert in_open("fee limit 12nopen, x3000 nopen, a nopen") == "fee limit 12nopen, x3000 nopen, a nopen"
