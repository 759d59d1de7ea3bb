"""`openledger data add` as people call it: in a process of its own, which may be killed at any moment."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.openledger.contributing import Garden, chats
from tests.kit.openledger.served_node import served
from tests.kit.repository import ROOT


class Command:
    """The command of a home, against a node."""

    def __init__(self, garden: Garden, url: str) -> None:
        self.garden = garden
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OPENLEDGER_HOME": str(garden.home),
            "OPENLEDGER_NODE": url,
            "OPENLEDGER_CHAIN_ID": "dev-garden",
            "OPENLEDGER_KEYS": "test",
            "OPENLEDGER_CONTENT": str(garden.folder / "content"),
        }

    def start(self, *words: str | Path) -> "subprocess.Popen[str]":
        line = [sys.executable, "-m", "openledger_cli.main", "data", "add", "garden", *map(str, words)]
        return subprocess.Popen(
            [*line, "--from", "dana", "--unverified"],
            env=self._environment,
            cwd=self.garden.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str | Path) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        process = self.start(*words)
        out, err = process.communicate(timeout=100)
        return process.returncode, out, err


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    garden = Garden(tmp_path)
    garden.keep_key()
    with served(garden.node) as url:
        yield Command(garden, url)


def test_fields_that_no_form_has_are_named_with_what_to_do(command: Command) -> None:
    command.garden.write("excel.csv", "Frage;Antwort\nWann?;Morgen\n")
    code, planned, remarks = command.run("excel.csv", "--dry-run")
    assert (code, planned.split()[2:5]) == (0, ["1", "row", "other"])
    assert "garden#1 has fields of its own (Frage, Antwort), so its form is other" in remarks
    assert "give them the names of a form with --rename OLD=NEW: prompt and completion" in remarks
    names = ("--rename", "Frage=prompt", "--rename", "Antwort=completion")
    code, planned, remarks = command.run("excel.csv", "--dry-run", *names)
    assert (code, planned.split()[4], "of its own" in remarks) == (0, "completion", False)


def test_a_newcomer_sees_a_line_for_each_contribution_and_what_to_do_next(command: Command) -> None:
    garden = command.garden
    garden.write("chat.jsonl", chats(150))
    garden.write("faq.csv", "question,answer\nHow?,write to dana.meyer@uni-bonn.de\n")
    garden.write("notes/a.txt", "a note")
    garden.write("notes/README.md", "about the notes")
    code, planned, remarks = command.run("chat.jsonl", "faq.csv", "notes/", "--dry-run")
    assert (code, planned.splitlines()) == (
        0,
        [
            "garden#1  chat.jsonl  150 rows  messages    22 KiB  nothing to compare with",
            "garden#2  faq.csv        1 row  other     62 bytes  nothing to compare with",
            "garden#3  notes/         1 row  text      17 bytes  nothing to compare with",
        ],
    )
    assert "notes/: left out, about the data: notes/README.md" in remarks
    assert "garden#2 looks like it holds personal data or secrets: e-mail address in 1 row, of 1 looked at" in remarks
    assert "with --rename question=prompt --rename answer=completion its form is completion" in remarks
    assert remarks.endswith("dry run: nothing was sent\nnext: the same command without --dry-run\n")
    assert garden.submissions() == []
    code, made, remarks = command.run("chat.jsonl", "faq.csv", "notes/")
    assert (code, made) == (0, planned)
    assert "next: openledger data review garden " in remarks
    code, again, remarks = command.run("notes/", "--output", "json")
    (known,) = json.loads(again)["contributions"]
    assert (known["submission"], known["new"], known["status"], known["form"]) == ("garden#3", False, "pending", "text")


def test_faults_of_files_are_named_one_a_line_and_nothing_is_sent(command: Command) -> None:
    """An export of Windows with a byte order mark, an empty line, and a quotation mark too many."""
    garden = command.garden
    garden.write("export.jsonl", '\ufeff{"text":"first row"}\r\n{"text":"second"}\r\n\r\n{"text":"bad "quote"}\r\n')
    garden.write("data.csv", 'question,answer\n"What, exactly?","a ""quoted"" answer\nwith a line"\n')
    code, out, err = command.run("export.jsonl", "data.csv", "nothing.xlsx")
    assert (code, out, err) == (2, "", "error: nothing.xlsx: there is no such file\n")
    code, out, err = command.run("export.jsonl", "data.csv")
    assert (code, out) == (2, "")
    assert err.startswith("error: export.jsonl: line 4 is not JSON: Expecting ',' delimiter")
    assert "nothing was contributed: mend this, and give the same command again" in err
    assert garden.submissions() == []
    garden.write("export.jsonl", '\ufeff{"text":"first row"}\r\n{"text":"second"}\r\n\r\n{"text":"mended"}\r\n')
    assert command.run("export.jsonl", "data.csv")[0] == 0
    assert [json.loads(row) for row in garden.rows()] == [
        {"text": "first row"},
        {"text": "second"},
        {"text": "mended"},
        {"question": "What, exactly?", "answer": 'a "quoted" answer\nwith a line'},
    ]


def test_a_command_that_is_killed_again_and_again_doubles_no_row(command: Command) -> None:
    """Twenty files are twenty contributions in two transactions; each kill comes a little later than the one before."""
    garden = command.garden
    files = [garden.write(f"part-{number:02}.jsonl", chats(40, first=40 * number)) for number in range(20)]
    started = time.monotonic()
    assert command.run(*files, "--dry-run")[0] == 0
    whole = time.monotonic() - started
    for part in (0.7, 0.85, 1.0, 1.1, 1.2, 1.3):
        process = command.start(*files)
        try:
            process.communicate(timeout=whole * part)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
    assert command.run(*files)[0] == 0
    assert [stored.contribution.row_count for stored in garden.submissions()] == [40] * 20
    assert [json.loads(row) for row in garden.rows()] == chats(800)
    assert not list(garden.home.rglob("*.rows"))
