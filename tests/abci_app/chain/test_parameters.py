"""Parameters: declared once, limited in code, recorded, changed together or not at all, read back in words."""

import pytest

from abci_app.chain.chain_module import FEE_PER_BYTE, ChainCode, ParametersQuery, describe
from abci_app.chain.registry import MODULES, SECTIONS, parameters_of
from abci_app.errors import Code
from abci_app.module import HookContext
from abci_app.modules.bank import Burn
from abci_app.modules.licences import find_profile
from abci_app.modules.licences.records import Profile
from abci_app.modules.licences.view import LICENCE_POLICY
from abci_app.parameters import (
    Amount,
    Bits,
    ChoiceUnit,
    Parameter,
    ParameterError,
    Parameters,
    Section,
    Unit,
    read_parameters,
    with_changes,
    write_parameters,
)
from abci_app.state.overlay import Overlay
from abci_app.state.views import EmptyView
from tests.kit.chain import Chain, accounts_with, replay
from tests.kit.modules.ledger import Ledger
from tests.kit.scheduled import Jobs
from tests.kit.signing import Signer

BLOCKS = Unit("blocks")


def _blocks(index: int, name: str, default: int) -> Parameter:
    return Parameter(
        section="voting", index=index, name=name, unit=BLOCKS, default=default, minimum=1, maximum=100, meaning="x"
    )


VOTE, UNLOCK = _blocks(0, "vote_blocks", 10), _blocks(3, "unlock_blocks", 20)


def _unlock_is_longer(parameters: Parameters) -> str | None:
    if parameters[UNLOCK] > parameters[VOTE]:
        return None
    return f"voting.unlock_blocks is {parameters[UNLOCK]}, must be above voting.vote_blocks, {parameters[VOTE]}"


VOTING = (Section("voting", (UNLOCK, VOTE), (_unlock_is_longer,)),)


def test_values_that_depend_on_each_other_are_judged_together() -> None:
    raised = with_changes(VOTING, Parameters(), "voting", [(0, 30), (3, 31)])
    assert (raised[VOTE], raised[UNLOCK]) == (30, 31)
    with pytest.raises(ParameterError, match="unlock_blocks is 20, must be above voting"):
        with_changes(VOTING, Parameters(), "voting", [(0, 20)])


@pytest.mark.parametrize(
    ("section", "changes", "text"),
    [
        ("votes", [(0, 5)], "no section 'votes'; known: voting"),
        ("voting", [(1, 5)], "voting has no parameter with index 1"),
        ("voting", [(0, 0)], "voting.vote_blocks is 0, must be 1 to 100 blocks"),
        ("voting", [(3, 101)], "voting.unlock_blocks is 101, must be 1 to 100 blocks"),
    ],
)
def test_a_change_outside_the_limits_is_refused(section: str, changes: list[tuple[int, int]], text: str) -> None:
    with pytest.raises(ParameterError) as refused:
        with_changes(VOTING, Parameters(), section, changes)
    assert str(refused.value) == text


def test_a_record_holds_every_value_and_gives_them_back() -> None:
    state = Overlay(EmptyView())
    assert read_parameters(state, VOTING) is None
    write_parameters(state, VOTING, Parameters({("voting", 0): 7}))
    assert read_parameters(state, VOTING) == Parameters({("voting", 0): 7, ("voting", 3): 20})


def test_a_parameter_declared_after_the_record_was_written_has_its_default() -> None:
    state = Overlay(EmptyView())
    write_parameters(state, (Section("voting", (VOTE,)),), Parameters({("voting", 0): 7}))
    parameters = read_parameters(state, VOTING)
    assert parameters is not None
    assert (parameters[VOTE], parameters[UNLOCK]) == (7, 20)


def test_a_declaration_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        Section("voting", (VOTE, _blocks(0, "other", 5)))
    with pytest.raises(ValueError, match="twice"):
        Section("voting", (VOTE, _blocks(1, "vote_blocks", 5)))
    with pytest.raises(ValueError, match="a default outside its limits"):
        Section("voting", (_blocks(0, "vote_blocks", 101),))
    with pytest.raises(ValueError, match="not of section 'other'"):
        Section("other", (VOTE,))


def test_units_read_what_they_write_in_words() -> None:
    amount, colour, roles = Amount(), ChoiceUnit("colour", ("red", "green")), Bits("roles", ("a", "b"), "everybody")
    assert [amount.words(value) for value in (0, 999_999, 10**6, 15 * 10**8, 3 * 10**12)] == [
        "0 nopen",
        "999,999 nopen",
        "1,000,000 nopen (0.001 OPEN)",
        "1,500,000,000 nopen (1.5 OPEN)",
        "3,000,000,000,000 nopen (3,000 OPEN)",
    ]
    assert [(colour.words(value), colour.read(colour.words(value))) for value in (1, 2)] == [("red", 1), ("green", 2)]
    assert [roles.words(value) for value in range(4)] == ["everybody", "a", "b", "a or b"]
    assert (roles.read(["b", "a"]), roles.range_words(0, 3), roles.range_words(0, 0)) == (
        3,
        "everybody, or any of: a, b",
        "always everybody",
    )


@pytest.mark.parametrize("given", [True, 1.0, "1", None, [1]])
def test_only_an_integer_is_a_number(given: object) -> None:
    with pytest.raises(ParameterError, match="must be an integer"):
        Amount().read(given)


def test_the_query_shows_every_parameter_in_words_and_proves_it() -> None:
    ledger = Ledger.start(licence_policy="permissive")
    assert ledger.ask("chain", "parameters", ParametersQuery(""))[0] == Code.HEIGHT_UNAVAILABLE
    ledger.chain.block()
    every = ledger.ask("chain", "parameters", ParametersQuery(""))
    assert len(every.parameters) == sum(len(section.parameters) for section in SECTIONS)
    assert ledger.ask("chain", "parameters", ParametersQuery("licences")).parameters == (
        describe(LICENCE_POLICY, Profile.PERMISSIVE),
    )
    (shown,) = [each for each in every.parameters if each.name == "fees.fee_per_byte_nopen"]
    assert (shown.value, shown.words, shown.default, shown.allowed) == (
        0,
        "0 nopen",
        "1,000 nopen",
        "0 to 1,000,000 nopen (0.001 OPEN)",
    )
    assert ledger.ask("chain", "parameters", ParametersQuery("taxes"))[0] == ChainCode.UNKNOWN_SECTION


def test_a_module_reads_its_own_record_alone() -> None:
    ledger = Ledger.start(licence_policy="permissive")
    assert find_profile(ledger.store) is Profile.PERMISSIVE
    assert find_profile(EmptyView()) is None
    parameters = parameters_of(ledger.store)
    assert parameters is not None
    assert parameters[FEE_PER_BYTE] == 0


def test_a_value_outside_its_limits_is_an_invariant_that_broke() -> None:
    ledger = Ledger.start()
    state = Overlay(ledger.store)
    write_parameters(state, SECTIONS, Parameters({("fees", 0): 10**7}))
    check = next(invariant for module in MODULES if module.name == "chain" for invariant in module.invariants)
    assert check(state) == ["fees.fee_per_byte_nopen is 10000000, must be 0 to 1,000,000 nopen (0.001 OPEN)"]
    assert check(ledger.store) == []


def test_a_change_acts_from_the_next_block_on_in_execution_and_checktx_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook does the later work of governance and changes the fee; transactions of its block still pay the old one."""

    def end(state: Overlay, context: HookContext, job: bytes) -> None:
        if context.height == 2:
            changed = with_changes(SECTIONS, context.block.parameters, "fees", [(FEE_PER_BYTE.index, 1_000_000)])
            write_parameters(state, SECTIONS, changed)

    Jobs().register(monkeypatch).deeds["end"] = end
    alice, bob = Signer.named("alice"), Signer.named("bob")
    chain = Chain.start(accounts_with(10**12, [alice, bob]))
    chain.block()
    first, second = alice.transaction(Burn(1)), bob.transaction(Burn(1))
    assert [chain.check(raw) for raw in (first, second)] == [(0, ""), (0, "")]
    assert chain.codes(first) == [0]
    assert chain.check(second, recheck=True)[0] == Code.INSUFFICIENT_FEE
    assert chain.propose(second) == []
    dear = bob.transaction(Burn(1), sequence=0, fee_limit_nopen=10**10)
    assert chain.check(dear) == (0, "")
    assert chain.codes(dear) == [0]
    assert 10**12 - chain.balance(bob) > 1_000_000 * len(dear)
    assert replay(chain) == chain.hashes
