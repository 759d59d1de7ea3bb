"""Which files are read, in which order, and what is said about the others."""

import os
from pathlib import Path

import pytest

from abci_app.modules.datanets import Form
from openledger.data.intake import sources
from openledger.data.intake.kinds import KNOWN
from openledger.data.intake.problems import FilesRefused
from openledger.data.intake.reading import ReadOptions, by_form
from openledger.data.intake.sources import sources_at


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text('{"text":"a"}\n')


def names(folder: Path, *paths: Path) -> list[list[str]]:
    """Names of the files of each source, below the folder."""
    return [[str(file.path.relative_to(folder)) for file in source.files] for source in sources_at(list(paths)).sources]


def test_files_of_a_folder_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    make(tmp_path, "d/b.jsonl", "d/a/z.jsonl", "d/a.jsonl", "d/B.jsonl", "d/ä.jsonl", "d/a/y.CSV", "d/x.jsonl.GZ")
    (found,) = names(tmp_path / "d", tmp_path / "d")
    assert found == ["B.jsonl", "a.jsonl", "a/y.CSV", "a/z.jsonl", "b.jsonl", "x.jsonl.GZ", "ä.jsonl"]


def test_what_is_left_out_of_a_folder_is_said(tmp_path: Path) -> None:
    make(tmp_path, "d/a.jsonl", "d/README.md", "d/LICENSE", "d/license.txt", "d/dataset_info.json", "d/.git/x.jsonl")
    make(tmp_path, "d/.hidden.jsonl", "d/model.bin", "outside/secret.jsonl", "d/notes.txt~")
    (tmp_path / "d" / "linked.jsonl").symlink_to(tmp_path / "outside" / "secret.jsonl")
    (tmp_path / "d" / "linked").symlink_to(tmp_path / "outside")
    os.mkfifo(tmp_path / "d" / "pipe.jsonl")
    found = sources_at([tmp_path / "d"])
    assert [file.path.name for file in found.sources[0].files] == ["a.jsonl"]
    text = "\n".join(found.notes)
    for reason, name in (
        ("hidden", ".git"), ("hidden", ".hidden.jsonl"), ("a link", "linked.jsonl"), ("a link", "linked"),
        ("no regular file", "pipe.jsonl"), ("of no known kind", "model.bin"), ("about the data", "README.md"),
    ):  # fmt: skip
        assert any(f"left out, {reason}: " in note and name in note for note in found.notes), (reason, name, text)
    assert "secret" not in text


def test_a_file_is_read_once_however_often_it_is_named(tmp_path: Path) -> None:
    make(tmp_path, "d/a.jsonl", "d/b.jsonl")
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "d" / "a.jsonl")
    again = [
        tmp_path / "d" / "a.jsonl",
        tmp_path / "d" / ".." / "d" / "a.jsonl",
        tmp_path / "link.jsonl",
        tmp_path / "d",
    ]
    found = sources_at(again)
    assert [[file.path.name for file in source.files] for source in found.sources] == [["a.jsonl"], ["b.jsonl"]]
    assert len([note for note in found.notes if "is named twice, read once" in note]) == 2


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.xlsx", "save the sheet as CSV"),
        ("a.zip", "unpack it and name the folder"),
        ("a.jsonl.zst", "decompress it, or compress it with gzip"),
        ("a.pdf", "save its text as .txt"),
        ("a.arrow", "save the table as Parquet"),
        ("a.dat", "give it an end that says what is in it: .jsonl, .ndjson, .json, .csv,"),
        ("rows", "a file with no end in its name has no rows that are known here"),
        ("a.gz", "give it an end that says what is in it"),
        (".jsonl", "a file with no end in its name"),
    ],
)
def test_a_named_file_of_no_known_kind_is_refused_with_what_to_do(tmp_path: Path, name: str, reason: str) -> None:
    make(tmp_path, name, "good.jsonl")
    with pytest.raises(FilesRefused) as caught:
        sources_at([tmp_path / "good.jsonl", tmp_path / name])
    assert len(caught.value.problems) == 1
    assert reason in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    make(tmp_path, "empty/README.md", "many/a.txt", "many/b.txt")
    monkeypatch.setattr(sources, "MAX_FILES", 1)
    with pytest.raises(FilesRefused) as caught:
        sources_at([tmp_path / name for name in ("pipe.jsonl", "missing.jsonl", "empty", "many")])
    assert [problem.removeprefix(f"{tmp_path}/") for problem in caught.value.problems] == [
        "pipe.jsonl: is no regular file: write its content to a file first",
        "missing.jsonl: there is no such file",
        f"empty/: has no file that ends with {KNOWN} (there are .md)",
        "many/: has more than 1 files: put their rows into fewer files",
    ]


def test_a_folder_is_parted_by_the_forms_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("prompt,completion\n1,2\n")
    (tmp_path / "b.txt").write_text("text")
    (tmp_path / "c.jsonl").write_text('{"prompt":"1","completion":"2"}\n')
    (tmp_path / "d.jsonl").write_text('{"broken"\n')
    (tmp_path / "e.jsonl").write_text("")
    found = sources_at([tmp_path])
    parted = by_form(found, ReadOptions())
    assert [[file.path.name for file in source.files] for source in parted] == [
        ["a.csv", "c.jsonl"],
        ["b.txt"],
        ["d.jsonl", "e.jsonl"],
    ]
    assert by_form(found, ReadOptions(form=Form.OTHER)) == found.sources
