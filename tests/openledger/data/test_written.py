"""Files that commands wrote rows to are noted so that an erasure knows of them, also after a kill."""

from pathlib import Path

from openledger.data.written import FILE, WrittenFile, note_written, read_written

ONE = WrittenFile("/tmp/out.jsonl", "export of garden@1", (b"\1" * 32, b"\2" * 32))
OTHER = WrittenFile("/tmp/proof.json", "proof of garden@1 row 17", (b"\1" * 32,))


def test_the_last_line_of_a_path_counts(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert read_written(home) == ()
    note_written(home, ONE)
    note_written(home, OTHER)
    whole = ONE.with_files([("/tmp/out.jsonl", b"\5" * 32)])
    note_written(home, whole)
    assert read_written(home) == (OTHER, whole)
    assert (home / FILE).stat().st_mode & 0o077 == 0


def test_a_line_that_was_cut_short_or_is_none_is_passed_over(tmp_path: Path) -> None:
    note_written(tmp_path, ONE)
    with (tmp_path / FILE).open("ab") as sink:
        sink.write(b'{"path": "/tmp/x", "holds\n[]\n\xff\n{"path": 1, "what": "x", "holds": 5, "files": []}\n')
    note_written(tmp_path, OTHER)
    assert read_written(tmp_path) == (ONE, OTHER)
