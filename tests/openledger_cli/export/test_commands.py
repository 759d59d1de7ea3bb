"""`openledger export` and `openledger verify` of what it wrote, on a chain of simulated validators."""

import json
from pathlib import Path

import pytest

from openledger.exit_codes import ExitCode
from openledger.exports import ENDINGS, LIMITS
from tests.kit.openledger.local_node import Run

# The story's manifests list no files.
FORMS = [form for form in LIMITS if form not in ("oms", "croissant")]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_written_with_its_proof_and_verified_from_it(run: Run, form: str) -> None:
    code, out, error = run("export", "tutor@2", "--form", form)
    name = f"tutor-2{ENDINGS[form]}"
    assert code == 0
    assert sorted(path.name for path in Path.cwd().iterdir()) == sorted([name, f"{name}.bundle.json"])
    assert out.startswith(f"{name}: tutor@2 as {form}, from the state after block 4")
    assert "unknown: base@1" in error
    assert LIMITS[form][0] in error
    assert f"next: openledger verify {name}" in error
    code, out, _ = run("verify", name)
    assert (code, "what its proof proves" in out) == (ExitCode.OK, True)
    assert run("export", "tutor@2", "--form", form)[0] == ExitCode.USAGE
    assert run("export", "tutor@2", "--form", form, "--overwrite")[0] == ExitCode.OK


def test_a_datanet_version_is_exported_and_verified(run: Run) -> None:
    code, out, _ = run("export", "questions", "--form", "croissant", "--output", "json")
    document = json.loads(out)
    assert (code, document["of"], document["verified"], document["height"]) == (0, "questions@1", True, 4)
    assert document["file"] == "questions-1.croissant.json"
    assert run("verify", "questions-1.croissant.json")[0] == ExitCode.OK


def test_a_changed_export_is_told_with_the_field(run: Run) -> None:
    run("export", "tutor", "--form", "cyclonedx")
    path = Path("tutor-2.cdx.json")
    path.write_text(path.read_text().replace('"version": "2"', '"version": "3"', 1))
    code, out, error = run("verify", str(path))
    assert code == ExitCode.NOT_VERIFIED
    assert "metadata.component.version says '3', proven is '2'" in out
    assert [line.split() for line in out.splitlines() if "erified" in line.lower()] == [
        ["outcome", "NOT", "VERIFIED:", "this", "file", "does", "not", "say", "what", "its", "proof", "proves"]
    ]
    assert "do not rely on it\nnext: openledger verify tutor-2.cdx.json.bundle.json" in error
    code, out, _ = run("verify", str(path), "--output", "json")
    assert (code, json.loads(out)) == (
        ExitCode.NOT_VERIFIED,
        {
            "outcome": "NOT VERIFIED: this file does not say what its proof proves",
            "export": "tutor-2.cdx.json",
            "form": "cyclonedx",
            "of": "tutor@2",
            "differs": ["metadata.component.version says '3', proven is '2'"],
            "bundles": ["tutor-2.cdx.json.bundle.json"],
        },
    )


def test_without_its_bundle_or_with_another_one_nothing_is_proven(run: Run) -> None:
    run("export", "tutor", "--form", "prov")
    bundle = Path("tutor-2.prov.json.bundle.json")
    run("export", "base", "--form", "prov", "--to", "base.json")
    whole = bundle.read_bytes()
    bundle.write_bytes(Path("base.json.bundle.json").read_bytes())
    assert run("verify", "tutor-2.prov.json")[0] == ExitCode.NOT_VERIFIED
    bundle.write_bytes(whole[:-40] + whole[-39:])
    assert run("verify", "tutor-2.prov.json")[0] == ExitCode.NOT_VERIFIED
    bundle.unlink()
    code, _, error = run("verify", "tutor-2.prov.json")
    assert (code, str(bundle) in error) == (ExitCode.USAGE, True)


def test_an_answer_of_several_pages_has_a_bundle_for_each(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openledger.client.provenance.models_lineage.MAX_PAGE", 2)
    monkeypatch.setattr("openledger.exports.evidence.MAX_FULL_PAGE", 1)
    for words, name in (
        (("tutor", "--form", "prov"), "tutor-2.prov"),
        (("questions", "--form", "croissant"), "questions-1.croissant"),
    ):
        assert run("export", *words)[0] == ExitCode.OK
        further = Path(f"{name}.json.bundle.2.json")
        assert further.exists()
        assert run("verify", f"{name}.json")[0] == ExitCode.OK
        further.write_bytes(Path(f"{name}.json.bundle.json").read_bytes())
        assert run("verify", f"{name}.json")[0] == ExitCode.NOT_VERIFIED
        assert run("verify", f"{name}.json", f"{name}.json.bundle.json")[0] == ExitCode.USAGE


def test_nothing_trusted_means_not_anchored(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run("export", "tutor", "--form", "slsa")
    monkeypatch.setenv("OPENLEDGER_HOME", str(tmp_path / "stranger"))
    monkeypatch.delenv("OPENLEDGER_GENESIS")
    assert run("verify", "tutor-2.intoto.json")[0] == ExitCode.NOT_ANCHORED
    assert run("verify", "tutor-2.intoto.json", "--genesis", str(tmp_path / "genesis.json"))[0] == ExitCode.OK


def test_folders_files_and_pages_are_named_by_the_person(run: Run) -> None:
    assert run("export", "tutor", "--form", "model-card", "--to", "card/")[0] == 0
    assert sorted(path.name for path in Path("card").iterdir()) == ["README.md", "README.md.bundle.json"]
    assert run("export", "tutor", "--form", "eu-summary", "--to", "page.html", "--bundle", "proof.json")[0] == 0
    assert Path("page.html").read_text().startswith("<!doctype html>")
    assert run("verify", "page.html")[0] == 0
    assert (
        run("export", "tutor", "--form", "prov", "--to", "x.json", "--bundle", "/tmp/proof.json")[0] == ExitCode.USAGE
    )
    assert not Path("x.json").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("tutor@9", "--form", "prov"), ExitCode.NOT_FOUND, ""),
        (("nobody", "--form", "croissant"), ExitCode.NOT_FOUND, ""),
        (("tutor", "--form", "prov", "--unverified"), ExitCode.USAGE, "leave --unverified out"),
        (("tutor", "--form", "prov", "--key", "k.pem"), ExitCode.USAGE, "--key signs the form oms"),
        (("tutor", "--form", "oms", "--key", "none.pem"), ExitCode.USAGE, "the key none.pem cannot be read"),
        (("tutor", "--form", "oms"), ExitCode.USAGE, "the files of tutor@2 are not listed"),
    ],
)
def test_what_cannot_be_exported_says_why_and_writes_nothing(
    run: Run, words: tuple[str, ...], code: int, said: str
) -> None:
    found, _, error = run("export", *words)
    assert (found, said in error) == (code, True)
    assert list(Path.cwd().iterdir()) == []
