"""The command `explain`: what people see, what is written, and how a forgery ends."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from openledger.content.store import file_digest
from openledger.data.versions import VersionRecord
from openledger.data.written import read_written
from openledger.exit_codes import ExitCode
from openledger_cli.main import main
from tests.kit.openledger.fake_ledger import use_recorded_runs
from tests.kit.trainer.explained import World, prose

pytestmark = pytest.mark.ml


@pytest.fixture(autouse=True)
def ledger(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_recorded_runs(world, tmp_path, world.records, monkeypatch)


def test_people_see_contributors_layers_rows_spans_and_what_was_verified(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["explain", "--model", "second", "--prompt", "", "--answer", prose(7), "--html", "made/page.html"]
    assert main(words) == ExitCode.OK
    shown = capsys.readouterr().out
    for text in ("Contributors", "unexplained (pool)", "Layers", "Contributions", "Rows that support it best", "Spans"):
        assert text in shown
    assert prose(7) in shown
    assert "verified: commitments, sums, scores, spans and shares: recomputed, every integer equal" in shown
    page = Path("made/page.html").read_text(encoding="utf-8")
    assert f">{prose(7)}</mark>" in page
    assert "every integer equal" in page


def test_an_output_given_as_the_form_of_answers_is_told_where_to_go(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--model", "second", "--prompt", "a", "--output", "They did it."]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert said == "error: output 'They did it.': use table or json; an output to explain goes with --answer\n"


def test_a_written_explanation_verifies_and_a_forged_one_names_the_field(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "explain",
        "--model",
        "second",
        "--prompt",
        world.answered_prompt(),
        "--max-tokens",
        "6",
        "--write",
        "e.json",
    ]
    assert main([*words, "--output", "json"]) == ExitCode.OK
    said = json.loads(capsys.readouterr().out)
    assert said["explanation"] == json.loads(Path("e.json").read_text())
    assert [layer["model"] for layer in said["layers"]] == ["tiny version 3", "tiny version 2", "tiny version 1"]
    assert sum(line["share_ppb"] for line in said["contributors"]) + said["unexplained_ppb"] == 10**9
    assert main(["explain", "--verify", "e.json"]) == ExitCode.OK
    shown = capsys.readouterr().out
    assert shown.count("repeated: distance") == 2
    assert "best rows and contributions: recomputed from the codes of all rows" in shown
    assert re.search(
        r"verified: rows that are copies by their codes, \d+: found again, each registered after the row", shown
    )
    assert main(["explain", "--verify", "e.json", "--integers-only"]) == ExitCode.OK
    said = capsys.readouterr()
    assert "not checked without the model: whether the codes are those of prompt and output" in said.out
    assert "loading the model" not in said.err
    forged = json.loads(Path("e.json").read_text())
    forged["by_owner"][0]["share_ppb"] += 1
    forged["unexplained_ppb"] -= 1
    Path("forged.json").write_text(json.dumps(forged, sort_keys=True, separators=(",", ":")))
    assert main(["explain", "--verify", "forged.json"]) == ExitCode.NOT_VERIFIED
    assert "by_owner[0].share_ppb: the document says" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--model", "second"], "what was asked? give --prompt TEXT or --prompt-file FILE"),
        (["--model", "second", "--prompt", "", "--answer", ""], "there is no output to explain: the answer is empty"),
        (["--model", "second", "--prompt", "x", "--rows", "65"], "--rows is 0 to 64, --max-tokens 1 to 4096"),
        (["--model", "second", "--prompt-file", "absent"], "absent cannot be read: No such file or directory"),
        (["--model", "base", "--prompt", "x"], "committed to no attribution: only a run whose recipe has"),
        (
            ["--model", "second", "--prompt", "x", "--answer", "node", "--write", "/proc/e.json"],
            "/proc/e.json cannot be",
        ),
        (["--verify", "absent.json"], "absent.json cannot be read: No such file or directory"),
        (["--model", "second", "--prompt-file", "latin.txt"], "latin.txt: byte 4 is not UTF-8; convert the text"),
        (["--model", "second", "--prompt", "\udcff"], "--prompt: byte 1 is not UTF-8; convert the text"),
        (["--model", "second", "--prompt", "x", "--integers-only"], "--integers-only goes with --verify"),
        (["--verify", "e.json", "--rows", "3"], "--rows goes with --model: leave it out with --verify"),
        (["--verify", "e.json", "--prompt", "x"], "--prompt goes with --model: leave it out with --verify"),
    ],
)
def test_mistakes_give_one_line(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("latin.txt").write_bytes(b"caf\xe9")
    assert main(["explain", *words]) == ExitCode.USAGE
    error = capsys.readouterr().err
    assert text in error


def test_a_file_that_is_no_explanation_is_refused_by_its_field(capsys: pytest.CaptureFixture[str]) -> None:
    Path("e.json").write_text('{"format":"something else"}')
    assert main(["explain", "--verify", "e.json"]) != ExitCode.OK
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "Traceback" not in error


def test_a_span_index_whose_suffix_array_is_not_sorted_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proofs show what the committed lists say; that the lists are those of the text, only who has them can tell."""
    words = ["explain", "--model", "second", "--prompt", "", "--answer", prose(7), "--write", "e.json"]
    assert main(words) == ExitCode.OK
    assert main(["explain", "--verify", "e.json"]) == ExitCode.OK
    lists = "suffix array, counts and documents of the span index follow from its text"
    assert f"verified: {lists}: made again" in capsys.readouterr().out
    monkeypatch.setattr("attribution.spans.build.suffix_array", lambda text: np.arange(len(text), dtype=np.uint32))
    assert main(["explain", "--verify", "e.json", "--integers-only"]) == ExitCode.OK
    assert f"not checked without the span index: {lists}" in capsys.readouterr().out
    assert main(["explain", "--verify", "e.json"]) == ExitCode.NOT_VERIFIED
    wanted = "layers[0].spans: the committed index does not hold: suffixes: the suffix array is not that of the text"
    assert wanted in capsys.readouterr().err


@pytest.mark.parametrize("choice", [[], ["--integers-only"]])
def test_an_index_that_gives_rows_to_somebody_else_is_refused(
    world: World, choice: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["explain", "--model", "second", "--prompt", "", "--answer", prose(7), "--write", "e.json"]
    assert main(words) == ExitCode.OK
    of_rows = "rows and spans: of the inputs that the entries record, and of the contributors that the chain names"
    assert of_rows in capsys.readouterr().out
    version = world.chain.versions["facts", 1]
    others = tuple(replace(record, contributor=b"\x55" * 32) for record in version.contributions)
    other = VersionRecord.of(version.datanet_id, version.version, others)
    monkeypatch.setattr(world.records, "versions", dict.fromkeys(world.chain.versions, other))
    assert main(["explain", "--verify", "e.json", *choice]) == ExitCode.NOT_VERIFIED
    error = capsys.readouterr().err
    assert re.search(r"layers\[0\].\S+ is said to be of [0-9a-f]+; contribution [0-9a-f]+ is of 5555", error)


@pytest.mark.parametrize("choice", [[], ["--integers-only"]])
def test_an_explanation_of_an_index_too_large_to_embed_is_made_and_verified_from_the_store(
    choice: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attribution.explanation.parts.MAX_EMBEDDED_BYTES", 0)
    words = ["explain", "--model", "second", "--prompt", "", "--answer", prose(7), "--write", "large.json"]
    assert main(words) == ExitCode.OK
    assert "evidence" not in json.loads(Path("large.json").read_text())["layers"][0]["gradients"]
    capsys.readouterr()
    assert main(["explain", "--verify", "large.json", *choice]) == ExitCode.OK
    said = capsys.readouterr()
    assert "every integer equal" in said.out
    assert "best rows and contributions: recomputed from the codes of all rows" in said.out
    assert "reading the indexes that the explanation was too small for" in said.err


def test_written_explanations_are_noted_so_that_an_erasure_of_what_they_quote_knows_of_them(
    world: World, tmp_path: Path
) -> None:
    words = [
        "explain",
        "--model",
        "second",
        "--prompt",
        "",
        "--answer",
        prose(7),
        "--html",
        "e.html",
        "--write",
        "e.json",
    ]
    assert main(words) == ExitCode.OK
    noted = read_written(tmp_path / "home")
    assert [(item.path, item.what) for item in noted] == [
        (str(tmp_path / name), "explanation of tiny") for name in ("e.json", "e.html")
    ]
    assert all(set(item.holds) == set(world.records.contributions) for item in noted)
    assert dict(noted[0].files) == {str(tmp_path / "e.json"): file_digest(tmp_path / "e.json")}
