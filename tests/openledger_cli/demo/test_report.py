"""The demo's report: good only if the whole story was told and every check held."""

import io

import pytest

from openledger.errors import NotVerified, UsageError
from openledger_cli.demo.report import Check, Report


def _report(parts: int = 1) -> Report:
    return Report(parts, io.StringIO())


def _printed(report: Report) -> str:
    assert isinstance(report.stream, io.StringIO)
    return report.stream.getvalue()


def test_a_story_told_to_its_end_with_all_checks_held_is_good() -> None:
    report = _report(2)
    for title in ("one", "two"):
        with report.part(title):
            report.check(f"claim {title}", True)
    report.fact("bundle", "30 KiB")
    report.summary()
    assert report.good
    assert report.checks == [Check("one", "claim one", True), Check("two", "claim two", True)]
    assert "== 1/2  one" in _printed(report)
    assert "  bundle  30 KiB\n" in _printed(report)
    assert _printed(report).endswith("\nAll 2 checks held.\n")


def test_one_check_that_fails_is_named_and_spoils_it() -> None:
    report = _report()
    with report.part("one"):
        report.check("this holds", True)
        report.check("this does not", False, "it was 4")
    report.summary()
    assert not report.good
    assert "  FAILED  this does not: it was 4\n" in _printed(report)
    assert "1 checks held, 1 FAILED\n" in _printed(report)
    assert _printed(report).endswith("The demo FAILED: see above.\n")


def test_an_error_stops_the_story_and_is_named() -> None:
    report = _report()
    with pytest.raises(UsageError), report.part("one"):
        report.check("this holds", True)
        raise UsageError("no such\nfolder")
    report.summary()
    assert not report.good
    assert "  STOPPED in one: no such folder\n" in _printed(report)


def test_a_story_without_its_last_part_is_not_good() -> None:
    report = _report(2)
    with report.part("one"):
        report.check("this holds", True)
    assert not report.good


def test_a_story_that_checks_nothing_is_not_good() -> None:
    report = _report()
    with report.part("one"):
        pass
    assert not report.good


@pytest.mark.parametrize(
    ("error", "named", "held"),
    [
        (NotVerified("the proof is about alice"), (), True),
        (NotVerified("the proof is about alice"), ("alice",), True),
        (NotVerified("the proof is about alice"), ("bob",), False),
        (None, (), False),
    ],
)
def test_what_must_be_refused_is_refused_in_the_words_that_it_must_use(
    error: NotVerified | None, named: tuple[str, ...], held: bool
) -> None:
    report = _report()
    with report.refused("it is refused", NotVerified, named=named):
        if error is not None:
            raise error
    assert report.checks == [Check("", "it is refused", held)]


def test_a_refusal_of_another_kind_is_no_refusal() -> None:
    report = _report()
    with pytest.raises(UsageError), report.refused("it is refused", NotVerified):
        raise UsageError("something else")
    assert report.checks == []
