"""People by the names that those who read know: own keys, then the register of members, then their address."""

from types import SimpleNamespace
from typing import Any

import pytest

from abci_app.bech32 import encode_id
from abci_app.modules.members import Member, MembersPage
from openledger_cli import tasks

DANA, ERIK, NOBODY = bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32


def short(address: bytes) -> str:
    return f"{encode_id('open', address)[:14]}…"


class Register:
    """A chain whose register of members has a page for each member."""

    def query(self, module: str, name: str, args: Any, *, height: int, prove: bool) -> object:
        assert (module, name, height, prove) == ("members", "list", 7, True)
        place = args.after_key[0] if args.after_key else 0
        members = (Member(DANA, 1, "Dana", 0, b""), Member(ERIK, 1, "Erik", 0, b""), Member(NOBODY, 1, "", 0, b""))
        return SimpleNamespace(value=MembersPage(members[place : place + 1], bytes([place + 1]) if place < 2 else b""))


def test_people_go_by_the_best_name_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openledger.connection.known_people", lambda settings: {ERIK: "my-erik"})
    client: Any = Register()
    members = tasks.members_of(client, 7, prove=True)
    assert members == {DANA: "Dana", ERIK: "Erik"}
    context: Any = SimpleNamespace(settings=None)
    name_of = tasks.naming(context, members)
    assert [name_of(each) for each in (DANA, ERIK, NOBODY)] == [f"Dana ({short(DANA)})", "my-erik", short(NOBODY)]
    assert tasks.naming(context)(DANA) == short(DANA)
