"""Each kind of entry names what there must have been, or says that it does not; an empty list is never read as none."""

import pytest
from msgspec import structs

from abci_app.modules.models.codes import ModelsCode
from abci_app.modules.models.kinds import RULES, EntryKind, Undeclared, fault_of_rows, fault_of_structure
from abci_app.modules.models.records import Entry, Parent, RecordRuns
from abci_app.types import PPB
from tests.kit.modules.drafts import digest, entry, inputs, parents, run_of
from tests.kit.modules.ledger import BOB, Ledger
from tests.kit.modules.provenance import FREE_ID, TICKETS, record, start_with_data, stored_entry

BARE = [kind for kind in EntryKind if kind != EntryKind.IMPORT]


@pytest.fixture
def ledger() -> Ledger:
    return start_with_data()


@pytest.mark.parametrize("kind", BARE)
def test_a_kind_without_what_it_was_made_from_is_recorded_only_as_undeclared(ledger: Ledger, kind: EntryKind) -> None:
    bare = entry("bare", kind=kind)
    code, log = ledger.refuse(BOB, RecordRuns((run_of(structs.replace(bare, undeclared=Undeclared.NOTHING)),)))
    assert code == ModelsCode.BAD_ENTRY
    assert RULES[kind].reason in log
    assert log.endswith("are undeclared")
    record(ledger, bare)


def test_a_reason_stands_behind_every_kind_and_every_refusal_says_what_to_do(ledger: Ledger) -> None:
    reason = RULES[EntryKind.LORA].reason
    lora = entry("lora", data=[(TICKETS, 1)], undeclared=Undeclared.NOTHING, terms_id=b"")
    assert ledger.refuse(BOB, RecordRuns((run_of(lora),))) == (
        ModelsCode.BAD_ENTRY,
        f"a lora needs a parent as 'base' ({reason}): list it, or say that its parents are undeclared",
    )
    assert list(RULES) == list(EntryKind)
    assert all(rule.reason for rule in RULES.values())


@pytest.mark.parametrize(
    ("kind", "roles", "data", "undeclared", "said"),
    [
        (EntryKind.PRETRAIN, ["base"], 1, Undeclared.NOTHING, "a pretrain has no parents"),
        (EntryKind.PRETRAIN, [], 1, Undeclared.PARENTS, "a pretrain has no parents"),
        (EntryKind.PRETRAIN, [], 1, Undeclared.NOTHING, ""),
        (EntryKind.LORA, ["base", "base"], 1, Undeclared.NOTHING, "a lora has one base, not 2"),
        (EntryKind.LORA, ["base", "base"], 1, Undeclared.PARENTS, "a lora has one base, not 2"),
        (EntryKind.LORA, ["adapter"], 1, Undeclared.NOTHING, "a lora needs a parent as 'base'"),
        (EntryKind.LORA, ["adapter"], 1, Undeclared.PARENTS, ""),
        (EntryKind.LORA, ["teacher", "base"], 1, Undeclared.NOTHING, "a lora has no parent as 'teacher', only as base"),
        (EntryKind.LORA, ["base", "adapter", "adapter"], 1, Undeclared.NOTHING, ""),
        (EntryKind.LORA, ["base"], 0, Undeclared.NOTHING, "a lora needs an input"),
        (EntryKind.FULL, ["base"], 0, Undeclared.PARENTS, "a full needs an input"),
        (EntryKind.FULL, ["base"], 0, Undeclared.INPUTS, ""),
        (EntryKind.MERGE, ["base"], 0, Undeclared.NOTHING, "a merge needs at least 2 parents"),
        (EntryKind.MERGE, ["first", "second"], 0, Undeclared.NOTHING, ""),
        (EntryKind.MERGE, ["first", "second"], 1, Undeclared.INPUTS, ""),
        (EntryKind.DISTIL, ["base"], 1, Undeclared.NOTHING, "a distil needs a parent as 'teacher'"),
        (EntryKind.DISTIL, ["teacher", "teacher", "base"], 1, Undeclared.NOTHING, ""),
        (EntryKind.QUANTISE, ["base"], 0, Undeclared.NOTHING, ""),
        (EntryKind.QUANTISE, [], 1, Undeclared.INPUTS, "a quantise needs a parent as 'base'"),
        (EntryKind.PROMPT, [], 1, Undeclared.NOTHING, "a prompt needs a parent as 'base'"),
        (EntryKind.RETRIEVAL, ["base"], 0, Undeclared.PARENTS, "a retrieval needs an input"),
        (EntryKind.RETRIEVAL, [], 1, Undeclared.NOTHING, ""),
        (EntryKind.IMPORT, [], 0, Undeclared.NOTHING, ""),
        (EntryKind.IMPORT, [], 0, Undeclared.PARENTS, "an import has no parents"),
        (EntryKind.IMPORT, [], 0, Undeclared.INPUTS, "an import has no inputs"),
    ],
)
def test_the_table_of_kinds(kind: EntryKind, roles: list[str], data: int, undeclared: Undeclared, said: str) -> None:
    fault = fault_of_structure(kind, roles, data, undeclared)
    assert fault.startswith(said) if said else fault == ""


@pytest.mark.parametrize("rows", [4, 10**15])
def test_more_rows_than_the_version_has_are_refused(ledger: Ledger, rows: int) -> None:
    drafted = entry("greedy", inputs=(structs.replace(inputs((TICKETS, 1))[0], rows_used=rows),))
    drafted = structs.replace(drafted, undeclared=Undeclared.PARENTS)
    assert ledger.refuse(BOB, RecordRuns((run_of(drafted),))) == (
        ModelsCode.TOO_MANY_ROWS,
        f"{rows} rows used of version 1 of DataNet 'support/tickets', which has 3: count different rows",
    )


def test_rows_without_a_list_are_recorded_as_not_declared(ledger: Ledger) -> None:
    silent = structs.replace(inputs((TICKETS, 1))[0], rows_used=0, rows_used_root=b"")
    (entry_id,) = record(ledger, structs.replace(entry("silent", data=[(TICKETS, 1)]), inputs=(silent,)))
    assert stored_entry(ledger, entry_id).entry.inputs == (silent,)
    assert [fault_of_rows(*rows) for rows in ((0, b""), (1, bytes(32)))] == ["", ""]


def test_what_is_listed_beside_the_undeclared_leaves_it_a_part(ledger: Ledger) -> None:
    (base,) = record(ledger, entry("base", kind=EntryKind.IMPORT, terms_id=FREE_ID))
    drafted = Entry(
        kind=EntryKind.MERGE,
        parents=(Parent(base, "first", 600_000_000),),
        inputs=(structs.replace(inputs((TICKETS, 1))[0], weight_ppb=0),),
        undeclared=Undeclared.PARENTS_AND_INPUTS,
        terms_id=FREE_ID,
        manifest_root=digest("manifest"),
        output=entry("x").output,
        attribution=entry("x").attribution,
    )
    (entry_id,) = record(ledger, drafted)
    assert stored_entry(ledger, entry_id).entry == drafted
    full = structs.replace(drafted, parents=(Parent(base, "first", PPB),))
    assert ledger.refuse(BOB, RecordRuns((run_of(full),)))[0] == ModelsCode.BAD_SHARES


def test_the_kit_of_tests_declares_what_it_is_given() -> None:
    assert parents(digest("a"), digest("b"))[1].role == "adapter"
    assert entry("all", data=[(TICKETS, 1)], made_from=[digest("a")]).undeclared == Undeclared.NOTHING
