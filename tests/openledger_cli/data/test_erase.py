"""`openledger data erase`: every place that holds the text, nothing of anybody else, and a second look."""

import json
import struct
from pathlib import Path

import pytest

from attribution.spans.build import SpanDocument, build_span_index
from attribution.spans.commitment import SpanSettings
from attribution.stored import put_index
from openledger.content.store import ContentErased, ContentStore
from openledger.content.tombstone import Erased, Tombstone
from openledger.data.row_json import read_row, texts_of
from openledger.exit_codes import ExitCode
from tests.kit.openledger.garden import Garden
from tests.kit.openledger.local_node import Run

# A byte is a token here.
VOCABULARY = 256


def tokens_of(row: bytes) -> list[int]:
    return list(" ".join(texts_of(read_row(row))).encode())


def index_rows(garden: Garden, folder: Path, *numbers: int) -> bytes:
    """A span index over rows of these submissions, in the store and in the cache; its root."""
    documents = [
        SpanDocument(
            owner=bytes([number]) * 32,
            contribution_id=garden.contributions[number - 1],
            row_leaf=leaf,
            token_ids=tokens_of(row),
        )
        for number in numbers
        for row, leaf in zip(garden.batches[number - 1].rows, garden.batches[number - 1].leaves, strict=True)
    ]
    with build_span_index(documents, folder, SpanSettings(vocabulary_size=VOCABULARY)) as index:
        root = index.commitment.root
    put_index(garden.store, folder, root)
    return root


def files_with(folder: Path, *needles: bytes) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and any(needle in path.read_bytes() for needle in needles)
    }


def in_every_form(garden: Garden, number: int) -> list[bytes]:
    """Text and tokens of a submission's first row as anything here would hold them."""
    row = garden.batches[number - 1].rows[0]
    text = max(texts_of(read_row(row)), key=len)
    tokens = list(text.encode())[:8]
    forms = [b"".join([struct.pack(code, each + more) for each in tokens]) for code, more in ((">I", 1), ("<i", 0))]
    return [text.encode(), *forms]


def leave_rests(garden: Garden, tmp_path: Path) -> bytes:
    """Put copies of garden#1 where kills and other programs leave them; the digest of its rows under another salt."""
    cache, content = tmp_path / "cache" / "openledger", tmp_path / "content"
    batch = garden.batches[0].encode()
    (content / "sha256" / ".incoming-abc").write_bytes(batch[: len(batch) // 2])
    (content / "sha256" / "download.part").write_bytes(batch)
    (content / "index").mkdir(exist_ok=True)
    (content / "index" / "x.sqlite").write_bytes(b"SQLite format 3\0" + batch)
    salted_again: bytes = garden.store.put(batch.replace(garden.batches[0].salts[1].hex().encode(), b"ab" * 16))
    (cache / "left.part").write_bytes(batch)
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "contributions").mkdir()
    (tmp_path / "home" / "contributions" / "x.rows").write_bytes(garden.batches[0].rows[0])
    return salted_again


def test_nothing_of_the_text_is_left_anywhere_and_everybody_elses_is(run: Run, garden: Garden, tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "openledger"
    index_rows(garden, cache / "indexes" / "1", 1, 2)
    index_rows(garden, cache / "runs" / "r" / "indexes-x" / "tsa-1", 2, 3)
    (cache / "runs" / "r" / "indexes-x" / "tsa-1" / "commitment").unlink()
    for form in ("jsonl", "parquet", "csv"):
        run("data", "export", "garden@1", "--to", f"out.{form}")
    run("data", "export", "garden@2", "--to", "folder", "--form", "hf")
    run("data", "prove", "garden@1", "--row", "2", "--bundle", "row.json")
    run("data", "prove", "garden@1", "--row", "4", "--bundle", "carls.json")
    salted_again = leave_rests(garden, tmp_path)
    kept = files_with(tmp_path, *in_every_form(garden, 2)) | files_with(tmp_path, *in_every_form(garden, 3))

    code, out, _ = run("data", "erase", "garden#1", "--dry-run")
    assert (code, files_with(tmp_path, *in_every_form(garden, 1)) != set()) == (ExitCode.OK, True)
    assert "nothing was removed: leave --dry-run out to do it" in out
    code, _, err = run("data", "erase", "garden#1")
    assert (code, "Nobody is here to answer: add --yes to do it" in err) == (ExitCode.USAGE, True)
    code, out, err = run("data", "erase", "garden#1", "--yes", "--reason", "personal-data")
    assert code == ExitCode.OK
    for what in (
        "garden#1: 3 rows by",
        "copy of a span index in a cache",
        "tokens, suffix array and counts of a span index (6 files)",
        "export of garden@1",
        "export of garden@2",
        "proof of row 2 of garden@1",
        "rest of a put that was interrupted",
        "rows that no contribution registers",
        "file that a command left here",
        "its rows with their salts",
        "not reached: other content stores, machines, backups",
        "it is not revoked",
        "garden#1 is erased here; looked again",
    ):
        assert what in out
    assert "next: openledger data revoke garden#1 --reason REASON --from KEY" in err

    assert files_with(tmp_path, *in_every_form(garden, 1)) == set()
    assert [Path(name).exists() for name in ("out.parquet", "folder/data/train-00000-of-00001.parquet")] == [False] * 2
    assert not garden.store.has(salted_again)
    stone = garden.store.find_tombstone(garden.batches[0].commitment().content_digest)
    assert stone is not None
    assert (stone.what, stone.reference, stone.reason) == (Erased.ROWS, "garden#1", "personal-data")
    left = files_with(tmp_path, *in_every_form(garden, 2)) | files_with(tmp_path, *in_every_form(garden, 3))
    gone = {path for path in kept - left if not path.startswith(("desk/", "cache/"))}
    # Carl's rows stay; the index that had both is useless without either, and goes as a whole.
    assert len(gone) == 1
    assert "desk/carls.json" not in kept
    assert Path("carls.json").exists()

    code, out, _ = run("data", "erase", "garden#1", "--yes")
    assert (code, out.count("nothing that could be found here"), "it was erased on 20" in out) == (ExitCode.OK, 1, True)


def test_a_document_that_quotes_a_row_goes_with_it(run: Run, garden: Garden) -> None:
    theirs = garden.batches[1]
    quoting = garden.store.put(b"a document that says: " + max(texts_of(read_row(theirs.rows[0])), key=len).encode())
    code, out, _ = run("data", "erase", "garden#2", "--yes", "--output", "json")
    found = {each["what"]: each for each in json.loads(out)["found"]}
    assert code == ExitCode.OK
    assert set(found) == {"document that quotes it", "its rows with their salts"}
    with pytest.raises(ContentErased, match="a document that quotes garden#2 was erased"):
        garden.store.get(quoting)


def test_a_file_that_was_put_in_the_place_of_an_export_is_left_alone(run: Run, tmp_path: Path) -> None:
    run("data", "export", "garden@1", "--to", "mine.jsonl")
    Path("mine.jsonl").write_text("my own notes\n")
    run("data", "export", "garden@1", "--to", "longer.jsonl")
    with Path("longer.jsonl").open("a") as sink:
        sink.write("a line of my own\n")
    code, out, _ = run("data", "erase", "garden#1", "--yes")
    assert code == ExitCode.OK
    assert (Path("mine.jsonl").read_text(), Path("longer.jsonl").exists()) == ("my own notes\n", False)
    assert "mine.jsonl (export of garden@1) was changed since and shows none of its text: look" in out
    assert "export of garden@1, changed since" in out


def test_what_needs_erased_rows_says_so(run: Run, garden: Garden) -> None:
    run("data", "erase", "garden#2", "--yes", "--reason", "licence")
    said = "the rows of garden#2 were erased from this content store on "
    for words in (
        ("data", "export", "garden@1", "--to", "x.jsonl"),
        ("data", "prove", "garden@1", "--row", "5"),
    ):
        code, _, err = run(*words)
        assert (code, said in err, "(licence)" in err) == (ExitCode.NOT_FOUND, True, True)
    code, _, _ = run("data", "prove", "garden@1", "--row", "3")
    assert code == ExitCode.OK
    code, out, _ = run("data", "review", "garden", "--output", "json")
    assert said in json.loads(out)["waiting"][0]["not_compared"][0]


def test_only_a_submission_can_be_erased(run: Run) -> None:
    for what, expected in (("garden", ExitCode.USAGE), ("garden@1", ExitCode.USAGE), ("garden#9", ExitCode.NOT_FOUND)):
        assert run("data", "erase", what, "--yes")[0] == expected


@pytest.mark.parametrize("step", [0, 1, 2])
def test_an_erasure_that_was_killed_is_ended_by_the_next_one(
    run: Run, garden: Garden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    index_rows(garden, tmp_path / "cache" / "openledger" / "indexes" / "1", 1, 2)
    run("data", "export", "garden@1", "--to", "out.jsonl")
    needles = in_every_form(garden, 1)
    erase = ContentStore.erase
    done: list[bytes] = []

    def killed(store: ContentStore, kind: str, name: bytes, stone: Tombstone) -> None:
        if len(done) == step:
            raise KeyboardInterrupt
        done.append(name)
        erase(store, kind, name, stone)

    with monkeypatch.context() as patch:
        patch.setattr(ContentStore, "erase", killed)
        assert run("data", "erase", "garden#1", "--yes")[0] == ExitCode.INTERRUPTED
    assert files_with(tmp_path, *needles) != set()
    assert run("data", "erase", "garden#1", "--yes")[0] == ExitCode.OK
    assert files_with(tmp_path, *needles) == set()


def test_files_of_the_users_own_in_home_or_store_are_named_and_left(
    run: Run, garden: Garden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content store may lie below the home: what it has of others is still theirs."""
    home = tmp_path / "desk" / "home"
    (tmp_path / "content").rename(tmp_path / "moved")
    home.mkdir()
    (tmp_path / "moved").rename(home / "content")
    monkeypatch.setenv("OPENLEDGER_HOME", str(home))
    monkeypatch.setenv("OPENLEDGER_CONTENT", str(home / "content"))
    mine = [home / "notes.txt", home / "content" / "notes.txt"]
    for path in mine:
        path.write_bytes(garden.batches[0].rows[0])
    code, out, _ = run("data", "erase", "garden#1", "--yes")
    assert (code, [path.exists() for path in mine]) == (ExitCode.OK, [True, True])
    assert out.count("it may be your own: look") == 2
    assert len(list((home / "content" / "sha256").iterdir())) == len(garden.batches) - 1


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet", "hf"])
def test_the_rest_of_an_export_that_was_killed_is_found_beside_where_it_was_to_be(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """A kill leaves the unfinished file, which nothing in the process can remove."""
    killed = _unfinished_of(run, tmp_path, monkeypatch, form)
    assert killed
    for path, data in killed.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "desk" / ".incoming-mine").write_text("of another program")
    code, out, _ = run("data", "erase", "garden#1", "--yes")
    assert (code, out.count("rest of an interrupted export of garden@1")) == (ExitCode.OK, len(killed))
    assert [path for path in killed if path.exists()] == []
    assert (tmp_path / "desk" / ".incoming-mine").exists()


def _unfinished_of(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> dict[Path, bytes]:
    """Files of an export at the moment of its end, before they take their places."""
    found: dict[Path, bytes] = {}
    replace = Path.replace

    def stop(path: Path, target: Path) -> Path:
        if path.parent.is_relative_to(tmp_path / "desk") and path.is_file():
            found[path] = path.read_bytes()
            raise KeyboardInterrupt
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop)
        assert run("data", "export", "garden@1", "--to", "out", "--form", form)[0] == ExitCode.INTERRUPTED
    return found
