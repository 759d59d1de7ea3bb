"""docs/settings.md: every setting and every variable that anything here reads is in it."""

import re

from openledger.settings import SETTINGS, VARIABLES
from openledger_cli.settings_document import document
from tests.kit.repository import ROOT, tracked_files

_VARIABLE = re.compile(r"\bOPENLEDGER_[A-Z_]+[A-Z]\b")
# Of this repository's own tests and benchmarks, described where they are read.
_OF_TESTS = {
    "OPENLEDGER_TEST_ALTERED",
    "OPENLEDGER_TEST_BUG",
    "OPENLEDGER_TEST_REVEAL",
    "OPENLEDGER_BENCHMARK_ACCOUNTS",
    "OPENLEDGER_PROOFCHECK",
    "OPENLEDGER_SPDX_MODEL",
}


def test_every_variable_that_is_read_anywhere_is_documented() -> None:
    known = {setting.variable for setting in SETTINGS} | set(VARIABLES) | _OF_TESTS
    texts = {str(path): (ROOT / path).read_text(encoding="utf-8", errors="replace") for path in tracked_files()}
    found = {(path, name) for path, text in texts.items() for name in _VARIABLE.findall(text) if name not in known}
    assert found == set()
    assert all(f"`{name}`" in document() for name in known - _OF_TESTS)


def test_every_setting_says_what_it_is() -> None:
    lines = document().splitlines()
    for setting in SETTINGS:
        (row,) = [line for line in lines if line.startswith(f"| {setting.name} |")]
        assert setting.text in row
        assert (f"`{setting.flag} {setting.value}`" in row) == setting.option
