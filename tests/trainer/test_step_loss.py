"""Weights of a step's examples, and which of them share a sequence."""

import msgspec

from attribution.loss import Tokens
from tests.kit.trainer.tiny import tiny_recipe
from trainer.step_loss import packed_rows, step_weights


def test_every_learned_token_of_a_step_counts_alike_or_every_row_does() -> None:
    step = (Tokens((1, 2, 3, 4), 1), Tokens((5, 6), 0), Tokens((7, 8, 9), 3))
    rows = tiny_recipe().train
    assert step_weights(rows, step) == (1 / 3, 1 / 3, 1 / 3)
    tokens = msgspec.structs.replace(rows, loss="tokens")
    assert step_weights(tokens, step) == (0.75, 0.25, 0.0)
    assert step_weights(tokens, (Tokens((1,), 1),)) == (0.0,)


def test_an_example_goes_into_the_first_sequence_that_has_room_for_it() -> None:
    lengths = (5, 4, 3, 8, 9, 1)
    assert packed_rows([Tokens(tuple(range(length)), 0) for length in lengths], 8) == ((0, 2), (1, 5), (3,), (4,))
