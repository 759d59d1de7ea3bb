"""A builder on a real chain: own base, own chats, five commands to a verified lineage, and no id in any of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from openledger.exit_codes import ExitCode
from tests.kit.integration.office import Office, open_office
from tests.kit.trainer.chat_templates import CHATML, CHATML_TOKENS
from tests.kit.trainer.chats import chat_tokenizer
from tests.kit.trainer.tiny import byte_base

pytestmark = [pytest.mark.integration, pytest.mark.ml]

FLOWERS = ("rose", "iris", "lily", "aster", "tulip", "dahlia", "peony", "poppy", "violet", "daisy", "lupin", "phlox")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "October", "November")


def write_files(folder: Path) -> None:
    """Chats of one and two rounds, a table of questions, and a base with a chat template of its own."""
    chats = []
    for number, flower in enumerate(FLOWERS):
        month = MONTHS[number % len(MONTHS)]
        said = [
            {"role": "system", "content": "You are a gardener."},
            {"role": "user", "content": f"When is the {flower} of bed {number * 7} cut?"},
            {"role": "assistant", "content": f"In {month}, {number + 2} cm above the soil."},
        ]
        if number % 2:
            said += [
                {"role": "user", "content": f"And watered {flower}?"},
                {"role": "assistant", "content": f"{number} l"},
            ]
        chats.append({"messages": said})
    (folder / "chat.jsonl").write_text("".join([json.dumps(chat) + "\n" for chat in chats]), encoding="utf-8")
    rows = [f'"Name flower {number}.","","It is the {flower} by the wall."\n' for number, flower in enumerate(FLOWERS)]
    (folder / "faq.csv").write_text("instruction,input,output\n" + "".join(rows), encoding="utf-8")
    tokenizer = chat_tokenizer(CHATML, CHATML_TOKENS)
    byte_base(folder / "tiny-llama", tokenizer, rows=len(tokenizer))


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Office]:
    with open_office(tmp_path, monkeypatch, capsys) as opened:
        write_files(tmp_path)
        yield opened


def test_a_builder_comes_from_files_to_a_verified_lineage_in_five_commands(office: Office) -> None:
    def run(line: str, expect: ExitCode = ExitCode.OK) -> str:
        return office.told(*line.split(), expect=expect)

    published = run("data publish garden chat.jsonl faq.csv --terms CC-BY-4.0 --from alice")
    assert "garden@1: 24 rows; it never changes" in published
    run("model add tiny-llama tiny-llama --terms Apache-2.0 --from alice")
    run("train --init sft.yaml --base tiny-llama --data garden@1")
    checked = run("train sft.yaml --check")
    assert "forms: 12 instruction, 12 messages" in checked
    assert "conversations: written by the base's chat template" in checked
    assert re.search(r"read +<\|im_start\|>·s·y·s·t·e·m·↵·Y·o·u· ·a·r·e", checked)
    run("train sft.yaml --from alice")
    lineage = run("query lineage sft")
    assert "written by the base's chat template" in lineage
    assert "tiny-llama" in lineage
    # Given again, everything that is there stays, and nothing is sent twice.
    again = run("data publish garden chat.jsonl faq.csv --from alice")
    assert "garden@1: 24 rows; nothing is new since then" in again
    refused = run("data publish garden faq.csv --from bob", expect=ExitCode.USAGE)
    assert "garden is not decided by bob alone: contribute to it with `openledger data add garden ...`" in refused
    assert "say under which licence" in run("data publish weeds faq.csv --from bob", expect=ExitCode.USAGE)
