"""The README's tour with one's own files, word for word: a new chain, own data, own base, a proven lineage."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from openledger.exit_codes import ExitCode
from openledger_cli.main import main
from tests.kit.readme import own_file_commands, python_example
from tests.kit.trainer.chat_templates import CHATML, CHATML_TOKENS
from tests.kit.trainer.chats import chat_tokenizer
from tests.kit.trainer.tiny import byte_base

pytestmark = [pytest.mark.integration, pytest.mark.ml]
_LONGEST_START_SECONDS = 120


def write_files(folder: Path) -> None:
    """The files that the tour speaks of."""
    chats = [
        {"messages": [{"role": "user", "content": f"What do I do on day {day}?"},
                      {"role": "assistant", "content": f"On day {day} water bed {day * 7 % 60} with {day % 4 + 2} l."}]}
        for day in range(60)
    ]  # fmt: skip
    (folder / "chat.jsonl").write_text("".join(json.dumps(chat) + "\n" for chat in chats))
    rows = [f"How deep does bulb {number} go?,{number % 9 + 4} cm into the soil {number}\n" for number in range(20)]
    (folder / "faq.csv").write_text("prompt,completion\n" + "".join(rows))
    (folder / "notes").mkdir()
    for number in range(3):
        (folder / "notes" / f"{number}.txt").write_text(f"Note {number}: the roof of shed {number} leaks.\n")
    tokenizer = chat_tokenizer(CHATML, CHATML_TOKENS)
    byte_base(folder / "tiny-llama", tokenizer, rows=len(tokenizer))


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The first command of the tour, running; its settings as a terminal takes them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_files(tmp_path)
    words = shlex.split(own_file_commands()[0])[1:]
    command = [sys.executable, "-m", "openledger_cli.main", *words, "--base-port", "43656"]
    settings = tmp_path / "net" / "settings.sh"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            deadline = time.monotonic() + _LONGEST_START_SECONDS
            while not settings.exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.2)
            assert settings.exists(), process.stdout.read() if process.stdout and process.poll() is not None else ""
            for name, value in re.findall(r"^export (\w+)=(.*)$", settings.read_text(), re.MULTILINE):
                monkeypatch.setenv(name, shlex.split(value)[0])
            yield tmp_path
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def test_the_tour_with_ones_own_files_works_word_for_word(chain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    started, *lines = own_file_commands()
    assert started.startswith("openledger devnet ")
    told = {}
    for line in lines:
        code = main(shlex.split(line)[1:])
        said = capsys.readouterr()
        assert code == ExitCode.OK, f"{line}: {said.err}"
        told[line] = said.out
    assert "garden#3  notes/" in told["openledger data add garden chat.jsonl faq.csv notes/ --from dana"]
    lineage = told["openledger query lineage gardener"]
    assert ("key dana" in lineage, "complete: " in lineage) == (True, True)
    told_may = told["openledger model may gardener --sell"]
    assert told_may.startswith("Yes, as far as it is declared. Credit: tiny-llama@1 (Apache-2.0), dana (CC-BY-4.0).")
    assert Path("answer.html").stat().st_size > 0
    assert sorted(path.name for path in (chain / "card").iterdir()) == ["README.md", "README.md.bundle.json"]

    exec(compile(python_example(), "README.md", "exec"), {})
    assert "Yes, as far as it is declared." in capsys.readouterr().out
