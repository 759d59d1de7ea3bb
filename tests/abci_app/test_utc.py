"""Dates in integers are those of the standard library."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as some

from abci_app.types import MAX_INTEGER
from abci_app.utc import utc_text

LAST_SECONDS = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())


@given(some.integers(0, LAST_SECONDS))
def test_every_second_reads_as_its_date(seconds: int) -> None:
    assert utc_text(seconds) == datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC").zfill(23)


def test_leap_days_and_ends_of_years_are_right_and_no_number_is_too_large() -> None:
    assert utc_text(0) == "1970-01-01 00:00:00 UTC"
    assert utc_text(951_782_400) == "2000-02-29 00:00:00 UTC"
    assert utc_text(4_107_542_399) == "2100-02-28 23:59:59 UTC"
    assert utc_text(4_107_542_400) == "2100-03-01 00:00:00 UTC"
    assert utc_text(MAX_INTEGER) == "292277026596-12-04 15:30:07 UTC"
