"""What an earlier command left: told, taken up, or removed."""

from pathlib import Path

import pytest

from openledger.data.contribute import send
from tests.kit.openledger.contributing import Garden, chats, failing_once


@pytest.fixture
def garden(tmp_path: Path) -> Garden:
    return Garden(tmp_path)


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (False, "1 prepared and not sent by an earlier command; give that command again, or remove what waits in "),
        (True, "1 prepared by an earlier command, and perhaps registered, but not stored, so that nobody can see the"),
    ],
    ids=["before sending", "before storing"],
)
def test_what_an_earlier_command_left_is_not_forgotten(
    garden: Garden, monkeypatch: pytest.MonkeyPatch, after: bool, said: str
) -> None:
    first, other = garden.write("a.jsonl", chats(3)), garden.write("b.jsonl", chats(3, first=10))
    with monkeypatch.context() as patched:
        patched.setattr(send, "_register", failing_once(send._register, KeyboardInterrupt(), after=after))
        with pytest.raises(KeyboardInterrupt):
            garden.add(first)
    (note,) = garden.add(other).notes
    assert note.startswith(f"{first}: {said}")
    assert garden.add(first).notes == ()
    assert len(garden.rows()) == 6


def test_what_a_kill_left_half_written_is_removed(garden: Garden) -> None:
    path = garden.write("a.jsonl", chats(1))
    garden.add(path)
    (folder,) = [one.parent for one in garden.home.rglob("lock")]
    (folder / ".incoming-left").write_text("rows of somebody")
    garden.add(path)
    assert not list(folder.glob(".incoming-*"))
