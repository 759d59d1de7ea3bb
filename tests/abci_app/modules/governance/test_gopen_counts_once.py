"""No gOPEN counts twice: a book of every coin agrees with the chain (tests/simulation/gopen.py, also a long run)."""

from tests.simulation.gopen import run_lives


def test_a_book_of_every_coin_agrees_with_all_powers_and_tallies() -> None:
    done = run_lives(first_seed=1, count=150, steps=30)
    assert sorted(done) == ["CastVote", "Delegate", "LockGopen", "Transfer", "UnlockGopen", "Withdraw"]
