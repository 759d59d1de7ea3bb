"""`openledger model` on a chain of simulated validators: what reads is proven, what refuses says why."""

import json

import pytest

from openledger.exit_codes import ExitCode
from tests.kit.openledger.local_node import Run


def test_models_are_listed_with_versions_and_proof(run: Run) -> None:
    code, out, error = run("model", "list")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines() if "open1" in line] == [["base", "1"], ["tutor", "2"]]
    assert "verified: state after block 4" in error
    document = json.loads(run("model", "list", "--match", "TUT", "--output", "json")[1])
    assert [item["model"]["name"] for item in document["models"]] == ["tutor"]


def test_a_yes_names_whom_to_credit_and_what_nobody_knows(run: Run) -> None:
    code, out, error = run("model", "may", "tutor@2", "--sell")
    assert code == ExitCode.OK
    first = out.splitlines()[0]
    assert first.startswith("Yes, as far as it is declared. Credit: ")
    assert first.endswith("Unknown: below the imported base base@1.")
    assert "pass it on under CC-BY-SA-4.0" in out
    assert "verified: state after block 4" in error
    document = json.loads(run("model", "may", "tutor@2", "--sell", "--output", "json")[1])
    assert (document["may"]["answer"], document["exit_code"], document["verified"]) == ("yes", 0, True)
    assert document["may"]["use"] == "sell"


def test_strict_takes_no_yes_about_a_part(run: Run) -> None:
    code, out, _ = run("model", "may", "tutor", "--share", "--strict")
    assert (code, out.startswith("Ask, since --strict takes no yes about a part. Yes")) == (ExitCode.ASK_FIRST, True)


def test_terms_that_end_are_judged_at_the_time_that_is_asked_about(run: Run) -> None:
    assert run("model", "may", "tutor", "--sell", "--at", "-1")[0] == ExitCode.USAGE
    assert run("model", "may", "tutor", "--sell", "--at", "1")[0] == ExitCode.OK


def test_a_model_that_does_not_exist_is_a_proven_no(run: Run) -> None:
    for words in (("may", "nobody", "--sell"), ("may", "tutor@9", "--sell")):
        code, out, error = run("model", *words)
        assert (code, out) == (ExitCode.NOT_FOUND, "")
        assert "verified: state after block 4" in error


def test_a_use_must_be_named(run: Run) -> None:
    with pytest.raises(SystemExit) as stopped:
        run("model", "may", "tutor")
    assert stopped.value.code == ExitCode.USAGE


def test_a_version_is_shown_on_a_page(run: Run) -> None:
    code, out, error = run("model", "show", "tutor@2")
    assert code == 0
    assert out.startswith("tutor@2: lora, ")
    for said in (
        "2 versions: @1 first, @2 second",
        "made from base@1 as base",
        "trained on reference@1, 100% of the mix, 3 of 21 rows, 2 contributors",
        "accuracy 812 ± 15, 40 rows",
        "base@1: UNKNOWN BELOW: it came from outside",
    ):
        assert said in out
    assert "verified: state after block 4" in error
    document = json.loads(run("model", "show", "tutor@1", "--output", "json")[1])
    assert (document["complete"], [item["label"] for item in document["versions"]]) == (True, ["first", "second"])


def test_two_versions_are_compared_and_nothing_is_made_up(run: Run) -> None:
    code, out, error = run("model", "compare", "tutor@1", "tutor@2")
    assert code == 0
    assert out.startswith("tutor@1 and tutor@2: No evaluation of both on the same rows is recorded")
    for said in (
        "changed, made from",
        "adapter: new (tutor@1 (50%))",
        "questions: no longer",
        "only tutor@2 was measured",
    ):
        assert said in out
    assert "verified: state after block 4" in error
    assert run("model", "compare", "tutor@2", "tutor")[0] == ExitCode.USAGE
