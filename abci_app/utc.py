"""Unix seconds as a date that people read, in integers only."""

_SECONDS_PER_DAY = 86_400
# Days from 0000-03-01 to 1970-01-01 in the proleptic Gregorian calendar; years begin in March, so that a leap day is
# the last day of its year. Four hundred years have 146,097 days.
_EPOCH_DAYS = 719_468
_CYCLE_DAYS = 146_097


def utc_text(seconds: int) -> str:
    """For example 2026-11-21 13:57:22 UTC; `seconds` from 0 on."""
    days, rest = divmod(seconds, _SECONDS_PER_DAY)
    cycle, day = divmod(days + _EPOCH_DAYS, _CYCLE_DAYS)
    year_of_cycle = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    day_of_year = day - (365 * year_of_cycle + year_of_cycle // 4 - year_of_cycle // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    day_of_month = day_of_year - (153 * month_from_march + 2) // 5 + 1
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    year = 400 * cycle + year_of_cycle + (month <= 2)
    hours, rest = divmod(rest, 3_600)
    return f"{year:04}-{month:02}-{day_of_month:02} {hours:02}:{rest // 60:02}:{rest % 60:02} UTC"
