"""Every mutant is found by the simulation, within a small bound."""

import pytest

from abci_app.mechanisms.locks import has_ended
from abci_app.mechanisms.locks.records import Leaving
from tests.kit.repository import ROOT
from tests.simulation.campaign import hunt, invariant_of, table
from tests.simulation.mutants import MUTANTS, MUTANTS_BY_NAME
from tests.simulation.planting import Mutant, mutated, planted

# Most are found by the first seed; without a mutant these seeds hold (`test_simulation.py`).
SEEDS, BLOCKS = range(1, 7), 150


def no_word(seed: int, height: int) -> None:
    """Nobody watches."""


@pytest.mark.parametrize("name", list(MUTANTS_BY_NAME))
def test_each_mutant_is_found(name: str) -> None:
    assert any(hunt(MUTANTS_BY_NAME[name], [seed], BLOCKS, no_word).broken for seed in SEEDS)


def test_a_mutant_is_planted_and_taken_out_again() -> None:
    entry = Leaving(1, 10, 0)
    assert not has_ended(entry, 9, 0)
    with planted(MUTANTS_BY_NAME["leaving-paid-early"]):
        assert has_ended(entry, 9, 0)
    assert not has_ended(entry, 9, 0)


def test_a_mutant_whose_line_is_gone_is_refused() -> None:
    gone = Mutant("gone", "", "abci_app.mechanisms.locks.ledger:has_ended", "no such line", "")
    with pytest.raises(LookupError, match="stands 0 times"):
        mutated(gone)


def test_mutants_have_names_of_their_own() -> None:
    assert len(MUTANTS_BY_NAME) == len(MUTANTS)


def test_a_finding_names_the_invariant() -> None:
    finding = hunt(MUTANTS_BY_NAME["any-reveal-taken"], [1], 20, no_word)
    (broken,) = finding.broken
    assert invariant_of(broken.what) == "only valid reveals are taken (11)"
    assert "| `any-reveal-taken` | a reveal need not lead" in table([finding])


def test_the_page_has_every_mutant() -> None:
    page = (ROOT / "docs/simulation.md").read_text()
    rows = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `") and " of " in line]
    assert [name for name in rows if name in MUTANTS_BY_NAME] == list(MUTANTS_BY_NAME)
