"""Erasing rows that somebody else contributed, too: theirs stay, and are named."""

import json
from pathlib import Path

import pytest

from openledger.content.store import ContentStore
from openledger.exit_codes import ExitCode
from tests.kit.modules.ledger import EVE
from tests.kit.openledger.garden import ROWS, Garden
from tests.kit.openledger.local_node import Run
from tests.openledger_cli.data.test_erase import index_rows


@pytest.fixture
def garden(tmp_path: Path) -> Garden:
    """The garden, and Dora's rows once more, by Eve with salts of her own: garden#5."""
    garden = Garden.grow(ContentStore.open(tmp_path / "content"))
    garden.contribute(EVE, ROWS[2])
    return garden


def test_the_same_rows_of_another_contribution_stay_and_are_named(run: Run, garden: Garden, tmp_path: Path) -> None:
    index_rows(garden, tmp_path / "own", 1, 3)
    root = index_rows(garden, tmp_path / "elsewhere", 2, 5)
    batch = garden.batches[4].commitment().content_digest
    code, out, err = run("data", "erase", "garden#3", "--yes", "--output", "json")
    assert code == ExitCode.OK, err
    found = json.loads(out)["found"]
    assert {(each["what"], each["stays"]) for each in found} == {
        ("its rows with their salts", ""),
        ("tokens, suffix array and counts of a span index (6 files)", ""),
        ("rows of another contribution", "it is garden#5, which says the same: erase that, too, if it must go"),
        ("span index", "a span index over another contribution's rows, which say the same"),
    }
    assert garden.store.has(batch)
    assert garden.store.find_tombstone(root, "index") is None
    code, out, _ = run("data", "erase", "garden#5", "--yes", "--output", "json")
    assert (code, [each["stays"] for each in json.loads(out)["found"]]) == (ExitCode.OK, ["", ""])
    assert not garden.store.has(batch)


def test_files_that_an_index_of_the_same_text_shares_go_and_that_is_said(
    run: Run, garden: Garden, tmp_path: Path
) -> None:
    index_rows(garden, tmp_path / "own", 3)
    index_rows(garden, tmp_path / "elsewhere", 5)
    code, out, _ = run("data", "erase", "garden#3", "--yes")
    assert code == ExitCode.OK
    assert "which an index over the same text of others shares" in out
