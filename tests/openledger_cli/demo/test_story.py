"""How a run of the demo ends: its exit code, what it prints, and what it refuses to overwrite."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from openledger.errors import UsageError
from openledger.exit_codes import ExitCode
from openledger_cli.demo import stage, story
from openledger_cli.demo.report import Report
from openledger_cli.main import main


class FakeStage:
    """The stage that the parts of a fake story see."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def environment(self) -> dict[str, str]:
        return {"OPENLEDGER_HOME": "a folder with blanks"}


@pytest.fixture(autouse=True)
def _no_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def open_fake(report: Report, *_: object) -> Iterator[FakeStage]:
        yield FakeStage(report)

    monkeypatch.setattr(story, "open_stage", open_fake)
    monkeypatch.setattr("openledger_cli.demo.data.show_chain", lambda each: each.report.check("it runs", True))


def _fails(each: FakeStage) -> None:
    each.report.check("two is three", False)


def _stops(_: FakeStage) -> None:
    raise UsageError("nothing to train on")


def _holds(each: FakeStage) -> None:
    each.report.check("two is two", True)


@pytest.mark.parametrize(
    ("step", "code", "said"),
    [
        (_holds, ExitCode.OK, "All 2 checks held."),
        (_fails, ExitCode.FAILURE, "FAILED  two is three"),
        (_stops, ExitCode.FAILURE, "STOPPED in last: nothing to train on"),
    ],
)
def test_the_exit_code_says_whether_every_check_held(
    step: story.Step,
    code: ExitCode,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(story, "PARTS", (("last", (step,)),))
    assert main(["demo", "--folder", str(tmp_path / "demo")]) == code
    assert said in capsys.readouterr().out
    settings = (tmp_path / "demo" / story.SETTINGS_FILE).read_text()
    assert settings == "export OPENLEDGER_HOME='a folder with blanks'\n"


@pytest.mark.parametrize("validators", ["0", "17"])
def test_a_number_of_validators_that_makes_no_sense_is_refused(
    validators: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--validators", validators, "--folder", str(tmp_path)]) == ExitCode.USAGE
    assert "one machine takes 1 to 16" in capsys.readouterr().err


def test_an_earlier_demo_is_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    stage.make_folder(folder)
    (folder / "leftover").write_text("old")
    stage.make_folder(folder)
    assert [path.name for path in folder.iterdir()] == [stage.MARK]
    with pytest.raises(UsageError, match="not a demo's: give another --folder"):
        stage.make_folder(tmp_path)


def test_a_demo_whose_nodes_still_run_is_left_alone(tmp_path: Path) -> None:
    from node.home import Home

    stage.make_folder(tmp_path / "demo")
    with (
        Home(tmp_path / "demo" / "net" / "node0").lock(),
        pytest.raises(UsageError, match=r"still runs: stop it with `kill \$\(cat "),
    ):
        stage.make_folder(tmp_path / "demo")


def test_a_command_that_must_succeed_and_does_not_is_named_with_its_last_line() -> None:
    with pytest.raises(stage.CommandFailed, match="openledger train ended with exit code 4: terms clash"):
        stage.must(stage.Said(4, "", "first\nterms clash\n"), "openledger train")
