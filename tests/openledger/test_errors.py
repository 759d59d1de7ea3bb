"""Errors of the SDK: one line with what, why and what to do; hints belong to codes that exist."""

from enum import IntEnum

import pytest

from abci_app.chain.registry import MODULES
from abci_app.errors import Code
from abci_app.modules.bank import BankCode
from abci_app.modules.datanets.records import DatanetsCode
from abci_app.modules.members import MembersCode
from abci_app.modules.models.codes import ModelsCode
from openledger.errors import HINTS, Denied, OpenLedgerError, QueryFailed, TransactionFailed, WouldFail
from openledger.exit_codes import MEANINGS, REFUSALS, ExitCode, exit_code_of_refusal

OF_MODULES = (
    BankCode.SELF_TRANSFER,
    MembersCode.NOT_REGISTRAR,
    DatanetsCode.UNKNOWN_DATANET,
    DatanetsCode.UNKNOWN_CONTRIBUTION,
    DatanetsCode.NOT_REVIEWER,
    DatanetsCode.NOT_OWNER,
    DatanetsCode.NOTHING_NEW,
    ModelsCode.UNKNOWN_MODEL,
    ModelsCode.NOT_OWNER,
    ModelsCode.TERMS_CLASH,
    ModelsCode.UNKNOWN_ENTRY,
    ModelsCode.UNKNOWN_BENCHMARK,
)


def test_every_hint_belongs_to_a_code_by_its_name() -> None:
    own = {int(code) for code in HINTS if int(code) < 100}
    assert own <= {int(code) for code in Code}
    assert {int(code) for code in HINTS} - own == {int(code) for code in OF_MODULES}


def test_codes_of_modules_do_not_overlap() -> None:
    numbers = [int(code) for module in MODULES for code in module.errors]
    assert len(numbers) == len(set(numbers))
    assert not set(numbers) & {int(code) for code in Code}


def test_an_error_is_one_line_with_code_and_hint() -> None:
    failure = TransactionFailed(ModelsCode.TERMS_CLASH, "models", "run 0: A clashes with B", height=7)
    assert str(failure) == (
        "run 0: A clashes with B (models code 609); leave one source out or agree on other terms; "
        "`openledger query verdict` checks a mix before it is trained"
    )
    assert (failure.code, failure.codespace, failure.height, failure.exit_code) == (609, "models", 7, ExitCode.REFUSED)


def test_a_bare_refusal_never_reads_as_fact_and_a_proven_one_says_what_it_rests_on() -> None:
    bare = QueryFailed(Code.NOT_FOUND, "", "no such thing")
    assert str(bare) == "no such thing (openledger code 22); this is the node's word, not proven"
    assert bare.exit_code == ExitCode.UNPROVEN
    proven = Denied(Code.NOT_FOUND, "", "no such thing", "verified: state after block 4", None)
    assert str(proven) == "no such thing (openledger code 22); verified: state after block 4"
    codes = (Code.NOT_FOUND, ModelsCode.UNKNOWN_INPUT, ModelsCode.UNKNOWN_PARENT, ModelsCode.UNKNOWN_TERMS)
    assert {Denied(code, "", "", "", None).exit_code for code in codes} == {ExitCode.NOT_FOUND}
    assert Denied(ModelsCode.INPUT_REVOKED, "", "", "", None).exit_code == ExitCode.REFUSED
    assert Denied(Code.BAD_QUERY, "", "", "", None).exit_code == ExitCode.USAGE


def test_one_kind_of_refusal_has_one_exit_code_in_whichever_way_it_comes() -> None:
    codes: list[type[IntEnum]] = [Code, *[module.errors for module in MODULES]]
    named = {int(code): code for kind in codes for code in kind if code.name.startswith(("UNKNOWN_", "NOT_FOUND"))}
    missing = {code for code, kind in REFUSALS.items() if kind == ExitCode.NOT_FOUND}
    assert missing == set(named) - {Code.UNKNOWN_QUERY}
    for code in (*missing, ModelsCode.INPUT_REVOKED, ModelsCode.TERMS_CLASH, Code.INSUFFICIENT_FUNDS, Code.BAD_QUERY):
        expected = exit_code_of_refusal(code)
        ways = (TransactionFailed(code, "", ""), WouldFail(code, "", ""), Denied(code, "", "", "", None))
        assert {way.exit_code for way in ways} == {expected}
    assert exit_code_of_refusal(ModelsCode.INPUT_REVOKED) == ExitCode.REFUSED


def _kinds(base: type[OpenLedgerError]) -> list[type[OpenLedgerError]]:
    return [base, *[kind for each in base.__subclasses__() for kind in _kinds(each)]]


@pytest.mark.parametrize("kind", _kinds(OpenLedgerError), ids=lambda kind: kind.__name__)
def test_every_error_has_an_exit_code_with_a_meaning(kind: type[OpenLedgerError]) -> None:
    assert kind.exit_code in MEANINGS
    assert kind.exit_code != ExitCode.OK


def test_exit_codes_never_change() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0,
        "FAILURE": 1,
        "USAGE": 2,
        "NODE": 3,
        "REFUSED": 4,
        "NOT_FOUND": 5,
        "KEYS": 6,
        "NOT_VERIFIED": 7,
        "NOT_ANCHORED": 8,
        "TIMED_OUT": 9,
        "UNPROVEN": 10,
        "STANDS_STILL": 11,
        "ALARM": 12,
        "MAY_NOT": 14,
        "ASK_FIRST": 15,
        "INTERRUPTED": 130,
    }
