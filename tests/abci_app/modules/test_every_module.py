"""Rules that hold of all modules: tags and codes in their ranges, and nothing without a test."""

import re
from pathlib import Path

import pytest

from abci_app.chain.block import event_name
from abci_app.chain.registry import MODULES, TAG_OF
from abci_app.module import Module

TESTS = Path(__file__).parents[2]
# First of each module's hundred codes and of its 256 type tags (abci_app/errors.py); accounts belong to the core.
CODE_RANGES = {
    "chain": range(1, 100),
    "deadlines": range(1200, 1300),
    "locks": range(1100, 1200),
    "epochs": range(1300, 1400),
    "beacon": range(1400, 1500),
    "freezes": range(1500, 1600),
    "governance": range(900, 1000),
    "accounts": range(1, 100),
    "bank": range(100, 200),
    "members": range(200, 300),
    "validators": range(300, 400),
    "licences": range(400, 500),
    "datanets": range(500, 600),
    "models": range(600, 700),
}
TAG_RANGES = {
    "chain": 0x00,
    "deadlines": 0x00,
    "locks": 0x0B,
    "epochs": 0x00,
    "beacon": 0x00,
    "freezes": 0x00,
    "governance": 0x09,
    "accounts": 0x00,
    "bank": 0x01,
    "members": 0x02,
    "validators": 0x03,
    "licences": 0x04,
    "datanets": 0x05,
    "models": 0x06,
}


def sources() -> str:
    folders = (TESTS / "abci_app", TESTS / "kit")
    return "\n".join([path.read_text() for folder in folders for path in sorted(folder.rglob("*.py"))])


by_module = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)


@by_module
def test_codes_are_in_the_modules_range_and_unique(module: Module) -> None:
    codes = [int(code) for code in module.errors]
    assert [code for code in codes if code not in CODE_RANGES[module.name]] == []
    assert codes == sorted(set(codes))


@by_module
def test_type_tags_are_in_the_modules_range(module: Module) -> None:
    assert {TAG_OF[message] >> 8 for message in module.messages} <= {TAG_RANGES[module.name]}


@by_module
def test_every_code_is_expected_by_a_test(module: Module) -> None:
    text = sources()
    names = [f"{module.errors.__name__}.{code.name}" for code in module.errors]
    assert [name for name in names if re.search(rf"\b{re.escape(name)}\b", text) is None] == []


@by_module
def test_every_message_query_and_event_is_used_by_a_test(module: Module) -> None:
    text = sources()
    names = [message.__name__ for message in module.messages]
    names += [query.args_type.__name__ for query in module.queries]
    assert [name for name in names if re.search(rf"\b{name}\(", text) is None] == []
    events = [event_name(event) for event in module.events]
    assert [name for name in events if f'"{name}"' not in text] == []


def test_no_table_is_shared_and_no_name_given_twice() -> None:
    tables = [table.prefix for module in MODULES for table in module.tables]
    names = [module.name for module in MODULES]
    assert (sorted(set(tables)), sorted(set(names))) == (sorted(tables), sorted(names))
