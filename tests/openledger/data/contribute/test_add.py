"""`add`: files become contributions, once, whatever happens in between."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from abci_app.modules.datanets.queries import ContributionsPage, ContributionsQuery
from abci_app.modules.datanets.records import Decision, Form, Reason, ReviewContribution, RevokeContribution, Status
from abci_app.modules.licences import terms_id_of
from openledger.data.contribute import cut, send
from openledger.data.contribute.add import AddOptions, add
from openledger.data.contribute.journal import Journal
from openledger.data.contribute.overlap import EqualRows, fetch_others
from openledger.data.intake.problems import FilesRefused
from openledger.data.intake.reading import ReadOptions
from openledger.data.row_json import RowError
from openledger.data.sketch import similarity_sketch
from openledger.errors import OpenLedgerError, QueryFailed, TimedOut, TransactionFailed, UsageError
from tests.kit.modules.drafts import FREE
from tests.kit.openledger.contributing import DANA, REMY, Garden, chats, failing_once


@pytest.fixture
def garden(tmp_path: Path) -> Garden:
    return Garden(tmp_path)


def test_files_of_every_kind_become_contributions_with_their_forms(garden: Garden) -> None:
    paths = [
        garden.write("chat.jsonl", chats(150)),
        garden.write("faq.csv", 'prompt,completion\n"What, exactly?","a ""quoted"" answer\nwith a line"\n'),
        garden.write("notes/b.txt", "second note\n"),
        garden.write("notes/a.md", "# first note\n"),
        garden.write("notes/deep/c.json", '[{"instruction":"Add 1 and 2","output":"3"}]'),
        garden.write("notes/picture.png", b"\x89PNG"),
    ]
    added = garden.add(*paths[:2], garden.folder / "notes")
    assert [(one.number, Path(one.source).name, one.row_count, one.form) for one in added.items] == [
        (1, "chat.jsonl", 150, "messages"),
        (2, "faq.csv", 1, "completion"),
        (3, "notes", 1, "instruction"),
        (4, "notes", 2, "text"),
    ]
    stored = garden.submissions()
    assert [one.contribution.form for one in stored] == [Form.MESSAGES, Form.COMPLETION, Form.INSTRUCTION, Form.TEXT]
    assert {one.contribution.terms_id for one in stored} == {terms_id_of(FREE)}
    assert {one.contribution.contributor for one in stored} == {DANA.address}
    rows = garden.rows()
    assert stored[0].contribution.sketch == similarity_sketch(rows[:150])
    assert [json.loads(row) for row in rows[:150]] == chats(150)
    assert rows[-2:] == [b'{"text":"# first note"}', b'{"text":"second note"}']
    assert [note for note in added.notes if "picture.png" in note]


def test_the_same_command_given_again_contributes_nothing(garden: Garden) -> None:
    path = garden.write("chat.jsonl", chats(3))
    first = garden.add(path)
    renamed = garden.write("other name.jsonl", path.read_bytes())
    again = garden.add(path, renamed)
    assert [(one.number, one.is_new, one.status) for one in again.items] == [(1, False, "pending")]
    assert again.items[0].contribution_id == first.items[0].contribution_id
    assert "these rows were read before" in again.notes[-1]
    assert len(garden.submissions()) == 1


def test_a_dry_run_shows_the_same_and_leaves_nothing_behind(garden: Garden) -> None:
    path = garden.write("chat.jsonl", [*chats(20), *chats(2)])
    planned = garden.add(path, options=AddOptions(dry_run=True))
    assert not garden.home.exists()
    assert not (garden.folder / "content").exists()
    assert garden.submissions() == []
    (made,), (plan,) = garden.add(path).items, planned.items
    assert (plan.number, plan.row_count, plan.form, plan.equal_rows) == (1, 22, "messages", 2)
    assert (made.number, made.row_count, made.form, made.equal_rows) == (1, 22, "messages", 2)
    assert made.byte_count == plan.byte_count


@pytest.mark.parametrize("after", [False, True])
def test_a_stop_around_every_step_doubles_no_row(garden: Garden, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    """Each step of the way is stopped once, before or after its work; the command is given until it ends."""
    monkeypatch.setattr(cut, "MAX_ROWS", 10)
    path = garden.write("chat.jsonl", chats(200))
    stop = KeyboardInterrupt()
    steps = [
        (Journal, "put"), (Journal, "rows_path"), (Journal, "drop_rows"), (send, "_register"), (send, "_finish"),
        (send, "find_stored"),
    ]  # fmt: skip
    for owner, name in steps:
        monkeypatch.setattr(owner, name, failing_once(getattr(owner, name), stop, after=after))
    added = None
    for _ in range(len(steps) + 1):
        try:
            added = garden.add(path)
        except KeyboardInterrupt:
            continue
        break
    assert added is not None
    assert [one.number for one in added.items] == list(range(1, 21))
    assert [json.loads(row) for row in garden.rows()] == chats(200)
    assert not list(garden.home.rglob("*.rows"))


def test_processes_make_of_the_rows_what_one_process_makes(garden: Garden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut, "_CHUNK_ROWS", 50)
    rows = [*chats(500), {"messages": [{"role": "user", "content": "mail dana.meyer@uni-bonn.de"}]}]
    path = garden.write("chat.jsonl", rows)
    alone = garden.add(path, options=AddOptions(dry_run=True, processes=0)).items
    together = garden.add(path, options=AddOptions(processes=2)).items
    assert [replace(one, contribution_id=b"") for one in together] == list(alone)
    assert together[0].findings.in_words() == "e-mail address in 1 row"
    assert [json.loads(row) for row in garden.rows()] == rows


def test_a_process_that_dies_is_told_and_the_command_goes_on(garden: Garden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut, "MAX_ROWS", 100)
    path = garden.write("chat.jsonl", chats(300))
    with monkeypatch.context() as patched:
        patched.setattr("sys.executable", shutil.which("false"))
        with pytest.raises(OpenLedgerError, match="a process that works on rows ended"):
            garden.add(path, options=AddOptions(processes=2))
    assert len(garden.add(path, options=AddOptions(processes=2)).items) == 3
    assert [json.loads(row) for row in garden.rows()] == chats(300)


def test_an_answer_that_was_lost_doubles_no_row(garden: Garden, monkeypatch: pytest.MonkeyPatch) -> None:
    path = garden.write("chat.jsonl", chats(5))
    monkeypatch.setattr(garden.client, "send", failing_once(garden.client.send, TimedOut("no answer"), after=True))
    with pytest.raises(TimedOut):
        garden.add(path)
    assert [one.number for one in garden.add(path).items] == [1]
    assert len(garden.rows()) == 5


def test_a_transaction_that_still_waits_when_the_command_comes_again_doubles_no_row(garden: Garden) -> None:
    path = garden.write("chat.jsonl", chats(5))
    garden.node.make_blocks_after = 0
    with pytest.raises(TimedOut):
        garden.add(path, options=AddOptions(wait_seconds=0.1))
    garden.node.make_blocks_after = 2
    assert [one.number for one in garden.add(path).items] == [1]
    assert len(garden.rows()) == 5


def test_one_bad_row_and_nothing_is_contributed(garden: Garden) -> None:
    good = garden.write("good.jsonl", chats(2))
    bad = garden.write("bad.jsonl", '{"text":"a"}\n\n{"text":"b" "c"}\n{"text":"d"}\n{"text":NaN}\n')
    table = garden.write("bad.csv", "q,a\n1\n")
    with pytest.raises(FilesRefused) as caught:
        garden.add(good, bad, table)
    assert caught.value.problems[-2].startswith(f"{bad}: line 3 is not JSON: Expecting ',' delimiter")
    assert caught.value.problems[-1].startswith(f"{bad}: line 5 holds NaN")
    assert [one for one in caught.value.problems if one.startswith(f"{table}: line 2 has 1 cells")]
    assert str(caught.value).endswith("nothing was contributed: mend this, and give the same command again")
    assert garden.submissions() == []
    assert not list(garden.home.rglob("*.rows"))
    assert not list(garden.home.rglob("*.json"))
    bad.write_text('{"text":"a"}\n')
    assert len(garden.add(good, bad).items) == 2


def test_another_encoding_is_told_with_the_command_that_mends_it(garden: Garden) -> None:
    path = garden.write("latin.jsonl", b'{"text":"caf\xe9"}\n')
    with pytest.raises(FilesRefused) as caught:
        garden.add(path)
    (problem,) = caught.value.problems
    assert problem == (
        f"{path}: line 1 byte 13 is not UTF-8; save it as UTF-8 (in a spreadsheet: CSV UTF-8), or convert it: "
        f"iconv -f WINDOWS-1252 -t UTF-8 {path} > /tmp/latin.jsonl and put that in its place"
    )


def test_a_mixed_file_says_where_it_changes(garden: Garden) -> None:
    path = garden.write("mixed.jsonl", [*chats(2), {"text": "a"}, *chats(1), {"prompt": "a", "completion": "b"}])
    with pytest.raises(FilesRefused) as caught:
        garden.add(path)
    remedy = "the rows before it messages: put rows of one form into one file, or pass --form other"
    assert caught.value.problems == (
        f"{path}: line 3 has the form text, {remedy}",
        f"{path}: line 5 has the form completion, {remedy}",
    )
    added = garden.add(path, options=AddOptions(ReadOptions(form=Form.OTHER)))
    assert [one.form for one in added.items] == ["other"]


def test_a_row_that_does_not_keep_its_form_is_named(garden: Garden) -> None:
    path = garden.write("chat.jsonl", [*chats(1), {"messages": [{"role": "human", "content": "a"}]}])
    with pytest.raises(
        FilesRefused, match=r"line 2 has the role 'human' in messages\[0\]; .*; mend it, or pass --form"
    ):
        garden.add(path)
    with pytest.raises(FilesRefused, match="line 1 has no prompt; its fields are 'messages'"):
        garden.add(path, options=AddOptions(ReadOptions(form=Form.COMPLETION)))


def test_a_large_file_is_cut_by_rows_and_bytes(garden: Garden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut, "MAX_BATCH_BYTES", 1_000)
    monkeypatch.setattr(cut, "_CHUNK_ROWS", 3)
    rows = [json.dumps({"text": f"{number} " + "x" * (number % 7 * 40)}).encode() for number in range(60)]
    expected, size = [0], 0
    for row in rows:
        if size + len(row) > 1_000:
            expected.append(0)
            size = 0
        expected[-1] += 1
        size += len(row)
    added = garden.add(garden.write("texts.jsonl", b"\n".join(rows)))
    assert [one.row_count for one in added.items] == expected
    assert garden.rows() == rows
    assert added.items[1].first.endswith(f"texts.jsonl: line {expected[0] + 1}")
    assert max(one.byte_count for one in added.items) <= 1_000


def test_what_the_datanet_has_already_is_told_in_parts_of_its_words(garden: Garden) -> None:
    garden.add(garden.write("a.jsonl", chats(40)))
    added = garden.add(
        garden.write("b.jsonl", chats(40, first=20)), garden.write("c.jsonl", [{"text": "quite another"}])
    )
    near = [one.nearest for one in added.items]
    assert near[0] is not None
    assert near[1] is not None
    assert near[0].number == near[1].number == 1
    assert 200_000_000 < near[0].overlap_ppb < 600_000_000
    assert near[1].overlap_ppb == 0


def test_a_copy_from_another_home_is_refused_unless_it_is_wanted(garden: Garden, tmp_path: Path) -> None:
    path = garden.write("a.jsonl", [{"text": "one and the same text", "label": 1}])
    garden.add(path)
    other = Garden.__new__(Garden)
    other.folder, other.node, other.client = tmp_path / "other", garden.node, garden.client
    for options in (AddOptions(dry_run=True), AddOptions()):
        with pytest.raises(FilesRefused, match=r"a.jsonl: line 1: these rows are in the DataNet already, as garden#1"):
            other.add(path, signer=REMY, options=options)
    relabelled = other.write("b.jsonl", [{"text": "one and the same text", "label": 2}])
    added = other.add(relabelled, signer=REMY, options=AddOptions(allow_copies=True))
    assert [one.number for one in added.items] == [2]


def test_rejected_and_revoked_rows_come_again_only_where_that_is_said(garden: Garden) -> None:
    path, other = garden.write("a.jsonl", chats(3)), garden.write("b.jsonl", chats(3, first=10))
    first, second = garden.add(path, other).items
    garden.client.send(REMY, ReviewContribution(first.contribution_id, Decision.REJECT, Reason.SPAM)).wait()
    garden.client.send(DANA, RevokeContribution(second.contribution_id, Reason.QUALITY)).wait()
    assert [(one.number, one.status, one.is_new) for one in garden.add(path, other).items] == [
        (1, "rejected", False),
        (2, "revoked", False),
    ]
    again = garden.add(path, other, options=AddOptions(again=True)).items
    assert [(one.number, one.status, one.is_new) for one in again] == [(3, "pending", True), (4, "pending", True)]
    assert [one.number for one in garden.add(path, other, options=AddOptions(again=True)).items] == [3, 4]
    assert [one.status for one in garden.submissions()] == [
        Status.REJECTED,
        Status.REVOKED,
        Status.PENDING,
        Status.PENDING,
    ]


def test_who_may_not_contribute_hears_it_before_anything_is_read(garden: Garden) -> None:
    missing = garden.folder / "missing.jsonl"
    with pytest.raises(FilesRefused, match="there is no such file"):
        garden.add(missing)
    path = garden.write("a.jsonl", '{"text":')
    from openledger.keys.signer import Signer

    with pytest.raises(QueryFailed, match="there is no DataNet named 'meadow'"):
        add(garden.client, DANA, "meadow", [path], store=garden.store, home=garden.home)
    with pytest.raises(UsageError, match="rows are added to a DataNet, not to a version or submission: write 'garden'"):
        add(garden.client, DANA, "garden@1", [path], store=garden.store, home=garden.home)
    with pytest.raises(TransactionFailed, match=r"fee|fund|balance"):
        garden.add(path, signer=Signer.from_seed(b"\x09" * 32))


def test_two_commands_at_once_do_not_give_the_same_rows_two_salts(garden: Garden) -> None:
    path = garden.write("a.jsonl", chats(1))
    garden.add(path)
    (folder,) = [one.parent for one in garden.home.rglob("lock")]
    with Journal(folder).locked(), pytest.raises(UsageError, match="another command of this home contributes"):
        garden.add(path)


def test_home_and_content_store_are_those_of_the_settings(garden: Garden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLEDGER_HOME", str(garden.folder / "own home"))
    monkeypatch.setenv("OPENLEDGER_CONTENT", str(garden.folder / "own content"))
    add(garden.client, DANA, "garden", [garden.write("a.jsonl", chats(1))])
    assert list((garden.folder / "own home").rglob("*.json"))
    assert list((garden.folder / "own content").rglob("sha256/*"))


def test_which_file_a_submission_came_from_is_known_here_and_nowhere_else(
    garden: Garden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cut, "MAX_ROWS", 2)
    path = garden.write("a.jsonl", chats(3))
    added = garden.add(path)
    journal = Journal.of(garden.home, garden.client.chain_id, added.datanet_id)
    assert [journal.source_of(number) for number in (1, 2, 3)] == [
        f"{path}: line 1 to line 2",
        f"{path}: line 3 to line 3",
        "",
    ]
    assert b"a.jsonl" not in b"".join([raw for _, _, raw, _ in garden.node.index.values()])


def test_a_damaged_note_stops_instead_of_doubling(garden: Garden) -> None:
    path = garden.write("a.jsonl", chats(1))
    garden.add(path)
    (note,) = garden.home.rglob("*.json")
    note.write_text(note.read_text()[:-20])
    with pytest.raises(UsageError, match=r"is damaged .*: without it the same rows could be sent twice"):
        garden.add(path)


def test_terms_by_licence_name_are_registered_with_the_first_contribution(garden: Garden) -> None:
    path = garden.write("a.jsonl", chats(1))
    garden.add(path, options=AddOptions(terms="cc-by-4.0"))
    (stored,) = garden.submissions()
    assert stored.contribution.terms_id != terms_id_of(FREE)


def test_a_field_that_no_row_has_is_told_instead_of_left_in(garden: Garden) -> None:
    """A slip in the name of a field that was to be left out would put what it holds on view."""
    path = garden.write("a.csv", "mail,text\ndana@uni-bonn.de,hello\n")
    for read in (ReadOptions(without=frozenset({"mial"})), ReadOptions(rename={"Text": "prompt"})):
        with pytest.raises(FilesRefused, match=r"no row has a field '(mial|Text)'"):
            garden.add(path, options=AddOptions(read))
    assert garden.submissions() == []
    table = garden.folder / "b.parquet"
    pq.write_table(pa.table({"mail": ["dana@uni-bonn.de"], "text": ["good evening"]}), table)
    garden.add(path, table, options=AddOptions(ReadOptions(without=frozenset({"mail"}))))
    assert garden.rows() == [b'{"text":"hello"}', b'{"text":"good evening"}']


def test_a_chain_that_was_started_anew_gets_what_the_one_before_had(garden: Garden, tmp_path: Path) -> None:
    """A development chain under its old name, with the same accounts: its DataNet has the same id and nothing in it."""
    path = garden.write("a.jsonl", chats(3))
    garden.add(path)
    anew = Garden(garden.folder)
    assert [(one.number, one.is_new) for one in anew.add(path, options=AddOptions(dry_run=True)).items] == [(1, True)]
    assert [(one.number, one.is_new) for one in anew.add(path).items] == [(1, True)]
    assert [json.loads(row) for row in anew.rows()] == chats(3)


def test_a_node_that_pages_in_circles_is_not_asked_for_ever() -> None:
    asked: list[int] = []

    def ask(question: ContributionsQuery) -> ContributionsPage:
        asked.append(question.after_number)
        return ContributionsPage(question.datanet_id, (), 1)

    fetch_others(ask, bytes(32), 1_000, ())
    assert asked == [0, 1]


def test_names_of_files_cannot_command_the_terminal(garden: Garden) -> None:
    path = garden.folder / os.fsdecode(b"a\xff\x1b[31m.jsonl")
    path.write_text("nope")
    with pytest.raises(FilesRefused) as caught:
        garden.add(path)
    assert caught.value.problems[0].startswith(f"{garden.folder}/a\ufffd\ufffd[31m.jsonl: line 1 is not JSON")
    path.write_text('{"text":"a"}')
    assert garden.add(path).items[0].source == f"{garden.folder}/a\ufffd\ufffd[31m.jsonl"


def test_equal_rows_are_counted_and_estimated_in_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = EqualRows()
    digests = b"".join([number.to_bytes(8, "big") for number in (1, 2, 1, 1)])
    assert rows.count(digests) == 2
    assert rows.count(digests) == 4
    monkeypatch.setattr("openledger.data.contribute.overlap._MOST_DIGESTS", 1_000)
    many = EqualRows()
    values = [number * 2654435761 % 2**64 for number in range(20_000)]
    total = many.count(b"".join([value.to_bytes(8, "big") for value in values * 2]))
    assert not many.is_exact
    assert 15_000 < total < 25_000


def test_files_refused_are_row_errors(garden: Garden) -> None:
    """Programs that catch the errors of rows catch those of their files."""
    with pytest.raises(RowError):
        garden.add(garden.write("a.jsonl", "[1]"))
