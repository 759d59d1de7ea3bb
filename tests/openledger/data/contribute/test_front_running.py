"""Whoever copies a registration from the mempool and comes first gets no rows, and the author registers them anew."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from abci_app.bech32 import encode_id
from abci_app.modules.datanets.records import Contribute, Decision, Reason, ReviewContribution, contribution_id_of
from openledger.content.store import ContentError, ContentMissing, ContentStore
from openledger.data.contribute import cut, front_running, send
from openledger.data.contribute.add import AddOptions
from openledger.data.contribute.journal import Journal
from openledger.errors import TransactionFailed
from tests.kit.openledger.contributing import DANA, OLGA, REMY, Garden, chats, failing_once

MALLORY = REMY


@pytest.fixture
def garden(tmp_path: Path) -> Garden:
    return Garden(tmp_path)


def run_ahead(garden: Garden, monkeypatch: pytest.MonkeyPatch, *, times: int, of_group: int = 1_000) -> None:
    """Mallory sees transactions on their way and has the contributions in them registered as her own, first."""
    own_send, left = garden.client.send, [times]

    def send_second(signers: Any, *messages: Any, **options: Any) -> Any:
        if left[0]:
            left[0] -= 1
            copied = [message for message in messages if isinstance(message, Contribute)][:of_group]
            own_send(MALLORY, *copied).wait()
        return own_send(signers, *messages, **options)

    monkeypatch.setattr(garden.client, "send", send_second)


def owners(garden: Garden) -> list[bytes]:
    return [one.contribution.contributor for one in garden.submissions()]


def test_the_author_registers_the_rows_again_under_salts_that_nobody_saw(
    garden: Garden, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = garden.write("chat.jsonl", chats(5))
    run_ahead(garden, monkeypatch, times=1)
    added = garden.add(path)
    assert [(one.number, one.is_new) for one in added.items] == [(2, True)]
    assert owners(garden) == [MALLORY.address, DANA.address]
    stolen, own = [one.contribution for one in garden.submissions()]
    assert (stolen.rows_root == own.rows_root, stolen.content_digest == own.content_digest) == (False, False)
    assert stolen.sketch == own.sketch
    with pytest.raises(ContentMissing):
        garden.store.get(stolen.content_digest)
    assert [json.loads(row) for row in own_rows(garden)] == chats(5)
    assert added.notes[0] == (
        f"{path}: line 1: {encode_id('open', MALLORY.address)} copied the registration of these rows while it was on "
        "its way, as garden#1, and does not have the rows; they were registered again under new salts: tell the "
        "reviewers"
    )


def own_rows(garden: Garden) -> list[bytes]:
    """Rows of Dana's contributions, from the content store."""
    from openledger.data.rows import RowBatch

    own = [one.contribution for one in garden.submissions() if one.contribution.contributor == DANA.address]
    return [row for one in own for row in RowBatch.decode(garden.store.get(one.content_digest)).rows]


def test_the_same_command_after_that_contributes_nothing_and_takes_the_copy_for_none(
    garden: Garden, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = garden.write("chat.jsonl", chats(5))
    run_ahead(garden, monkeypatch, times=1)
    garden.add(path)
    assert [(one.number, one.is_new) for one in garden.add(path).items] == [(2, False)]
    assert len(garden.submissions()) == 2


def test_of_several_parts_only_those_that_were_copied_get_new_salts(
    garden: Garden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cut, "MAX_ROWS", 10)
    path = garden.write("chat.jsonl", chats(40))
    run_ahead(garden, monkeypatch, times=1, of_group=2)
    added = garden.add(path)
    assert [one.number for one in added.items] == [3, 4, 5, 6]
    assert len([line for line in added.notes if "copied the registration" in line]) == 2
    assert [json.loads(row) for row in own_rows(garden)] == chats(40)


def test_who_is_copied_again_and_again_is_told_and_goes_on_with_the_same_command(
    garden: Garden, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = garden.write("chat.jsonl", chats(5))
    run_ahead(garden, monkeypatch, times=send._ATTEMPTS)
    with pytest.raises(TransactionFailed, match=f"after {send._ATTEMPTS} attempts, too: give the same command again"):
        garden.add(path)
    assert DANA.address not in owners(garden)
    assert [one.is_new for one in garden.add(path).items] == [True]
    assert owners(garden) == [MALLORY.address] * send._ATTEMPTS + [DANA.address]
    assert [json.loads(row) for row in own_rows(garden)] == chats(5)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("owner", "name"),
    [(front_running, "_salted_as"), (Journal, "put"), (send, "find_rivals"), (send, "with_new_salts"),
     (send, "_finish"), (ContentStore, "put_file")],
    ids=["salting", "noting", "finding", "salted", "finishing", "storing"],
)  # fmt: skip
def test_a_stop_around_every_step_doubles_no_row(
    garden: Garden, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, after: bool
) -> None:
    path = garden.write("chat.jsonl", chats(5))
    run_ahead(garden, monkeypatch, times=1)
    monkeypatch.setattr(owner, name, failing_once(getattr(owner, name), KeyboardInterrupt(), after=after))
    with pytest.raises(KeyboardInterrupt):
        garden.add(path)
    garden.add(path)
    assert [json.loads(row) for row in own_rows(garden)] == chats(5)
    assert owners(garden) == [MALLORY.address, DANA.address]
    assert not list(garden.home.rglob("*.rows"))


def test_no_row_lies_in_the_store_before_its_registration_is_in_a_block(
    garden: Garden, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def watching(call: Callable[..., Any]) -> Callable[..., Any]:
        def send_watched(*arguments: Any, **options: Any) -> Any:
            seen.append(len(list(garden.store.files())))
            return call(*arguments, **options)

        return send_watched

    monkeypatch.setattr(cut, "MAX_ROWS", 10)
    monkeypatch.setattr(garden.client, "send", watching(garden.client.send))
    garden.add(garden.write("chat.jsonl", chats(160)))
    # Two transactions: fifteen parts, then one.
    assert (seen, len(list(garden.store.files()))) == ([0, 15], 16)


def test_rows_that_others_can_see_already_are_not_salted_anew(
    garden: Garden, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A chain that was started anew has nothing of what was uploaded for the one before, which others may have."""
    path = garden.write("chat.jsonl", chats(5))
    garden.add(path)
    new = Garden.__new__(Garden)
    Garden.__init__(new, tmp_path / "anew")
    garden.node, garden.client = new.node, new.client
    run_ahead(garden, monkeypatch, times=1)
    with pytest.raises(TransactionFailed) as caught:
        garden.add(path)
    who = encode_id("open", MALLORY.address)
    assert caught.value.text == f"{path}: line 1: the DataNet has this very batch of rows from {who}, as garden#1"
    assert owners(garden) == [MALLORY.address]


def test_ones_own_registration_under_another_payee_is_no_copy(garden: Garden, monkeypatch: pytest.MonkeyPatch) -> None:
    path = garden.write("chat.jsonl", chats(5))
    own_send = garden.client.send
    monkeypatch.setattr(
        garden.client,
        "send",
        lambda signers, message, **options: (
            own_send(DANA, Contribute(**{**_fields(message), "payee": MALLORY.address})).wait(),
            own_send(signers, message, **options),
        )[1],
    )
    with pytest.raises(TransactionFailed, match="under other terms or another payee"):
        garden.add(path)
    assert len(garden.submissions()) == 1


def _fields(message: Contribute) -> dict[str, Any]:
    return {name: getattr(message, name) for name in message.__struct_fields__}


def test_a_copy_that_was_rejected_keeps_nobody_out(garden: Garden, monkeypatch: pytest.MonkeyPatch) -> None:
    path = garden.write("chat.jsonl", chats(5))
    run_ahead(garden, monkeypatch, times=send._ATTEMPTS)
    with pytest.raises(TransactionFailed):
        garden.add(path)
    copied = contribution_id_of(garden.submissions()[-1].contribution)
    garden.client.send(OLGA, ReviewContribution(copied, Decision.REJECT, Reason.PLAGIARISM)).wait()
    assert [one.is_new for one in garden.add(path).items] == [True]


def test_a_store_without_room_is_told_before_anything_is_registered(
    garden: Garden, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = garden.write("chat.jsonl", chats(5))
    usage = type("Usage", (), {"free": 10})()
    monkeypatch.setattr("openledger.content.files.shutil.disk_usage", lambda _path: usage)
    with pytest.raises(ContentError, match=r"has room for 10 bytes, and .* are to be stored: free space on that disk"):
        garden.add(path)
    assert garden.submissions() == []
    monkeypatch.undo()
    assert [one.number for one in garden.add(path, options=AddOptions()).items] == [1]
