"""Advice on missing packages: our own set-up by a level that it has, never a name on an index of somebody else's."""

import re
import subprocess

from openledger.packages import LEVEL_WITH, advice
from tests.kit.repository import ROOT, tracked_files

# A name of ours on a package index belongs to whoever took it: nobody may be sent there.
_OURS_FROM_AN_INDEX = re.compile(r"pip\s+install\s+[^`\n]*?['\"]?openledger", re.IGNORECASE)
_ANY_INSTALL = re.compile(r"\bpip3? install\b|\bconda install\b|\buv (?:pip|add)\b")
_LEVEL = re.compile(r"`(?:\./)?scripts/setup ([a-z]+)`")
SOURCES = ("abci_app", "attribution", "node", "openledger", "openledger_cli", "trainer")


def _texts() -> dict[str, str]:
    suffixes = {".py", ".md", ".toml", ".sh", ".yaml", ""}
    paths = [path for path in tracked_files() if path.suffix in suffixes and path.parts[0] not in ("cometbft", "tests")]
    return {str(path): (ROOT / path).read_text(encoding="utf-8", errors="replace") for path in paths}


def _levels() -> set[str]:
    found = re.findall(r"^ {8}([a-z]+)\) echo ", (ROOT / "scripts" / "setup").read_text(), re.MULTILINE)
    return set(found)


def test_nobody_is_sent_to_a_package_of_our_name_on_an_index() -> None:
    assert [path for path, text in _texts().items() if _OURS_FROM_AN_INDEX.search(text)] == []


def test_the_programs_advise_no_other_installer_than_our_set_up() -> None:
    found = [path for path, text in _texts().items() if path.startswith(SOURCES) and _ANY_INSTALL.search(text)]
    assert found == []


def test_every_level_that_a_text_names_is_one_of_the_set_up() -> None:
    levels = _levels()
    assert {"light", "data", "node", "demo", "full", "go"} <= levels
    assert set(LEVEL_WITH.values()) <= levels
    named = {(path, level) for path, text in _texts().items() for level in _LEVEL.findall(text)}
    assert named
    assert {(path, level) for path, level in named if level not in levels} == set()


def test_advice_is_one_line_that_can_be_typed() -> None:
    assert advice("pyarrow.parquet", "reading Parquet") == (
        "reading Parquet needs pyarrow, which is not installed here: run `scripts/setup data`"
    )


def test_an_unknown_level_lists_those_that_there_are() -> None:
    done = subprocess.run([ROOT / "scripts" / "setup", "everything"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "use light, data, node, demo, full or go" in done.stderr
