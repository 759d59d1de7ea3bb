"""Examples of training by what stands in them."""

from trainer.dataset import Row
from trainer.partition import Example
from trainer.turns import pair_turns


def pair_example(input_index: int, row: Row, prompt: str, completion: str) -> Example:
    """A prompt that is read and a completion that is learned."""
    return Example(input_index, row, pair_turns(prompt, completion))
