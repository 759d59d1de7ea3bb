"""The loss of a step: its examples' losses, weighed, packed into sequences or one a row.

With `loss: tokens` every learned token of the step counts alike, so an example weighs its learned tokens over those of
the whole step, all micro-batches together (as in transformers and TRL, where the sum of a micro-batch is divided by
`num_items_in_batch`). With `loss: rows` every example counts alike. Packing changes which examples share a sequence
and nothing else: a step has the same examples, and each has the loss that it has alone.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attribution.loss import Tokens, example_losses, make_batch, make_packed_batch, packed_losses
from openledger.errors import UsageError
from trainer.recipe import Train

if TYPE_CHECKING:
    import torch

# Rows that are tried out before a run packs, and tokens of each.
_TRIED_EXAMPLES = 4
_TRIED_TOKENS = 64
# Nats: sums in another order move a loss by some 1e-6, in bf16 by 1e-2; a row that is read moves it by tenths.
PACKING_TOLERANCE = 0.002


def step_weights(settings: Train, step: Sequence[Tokens]) -> tuple[float, ...]:
    """Weigh every example of a step, all of its micro-batches together; the weights add up to one."""
    if settings.loss == "rows":
        return (1 / len(step),) * len(step)
    total = max(1, sum(item.targets for item in step))
    return tuple([item.targets / total for item in step])


def weighed_loss(
    model: Any,
    settings: Train,
    examples: Sequence[Tokens],
    weights: Sequence[float],
    padding_id: int,
    device: "torch.device | None" = None,
) -> "torch.Tensor":
    """The part of a step's loss that one micro-batch has: run it backward, and add the values up over the step."""
    import torch

    if settings.packing:
        rows = packed_rows(examples, settings.sequence_tokens)
        order = [number for row in rows for number in row]
        batch = make_packed_batch([[examples[number] for number in row] for row in rows], padding_id, device)
        losses = packed_losses(model, batch)
        weights = [weights[number] for number in order]
    else:
        losses = example_losses(model, make_batch(examples, padding_id, device))
    return losses @ torch.tensor(weights, dtype=losses.dtype, device=losses.device)


def check_packing(
    model: Any, examples: Sequence[Tokens], padding_id: int, device: "torch.device | None" = None
) -> None:
    """Try out that an example has the loss in a shared sequence that it has alone; raises `UsageError`.

    Models that carry a state along the sequence, or that ask nothing of positions, read the examples before it, too.
    """
    import torch

    tried = [Tokens(item.ids[:_TRIED_TOKENS], 0) for item in examples if len(item.ids) > 1][:_TRIED_EXAMPLES]
    if len(tried) < 2:
        return
    was_training = model.training
    model.eval()
    with torch.no_grad():
        alone = torch.stack([example_losses(model, make_batch([item], padding_id, device))[0] for item in tried])
        together = packed_losses(model, make_packed_batch([tried], padding_id, device))
    model.train(was_training)
    apart = float((alone - together).abs().max())
    if not apart <= PACKING_TOLERANCE:
        raise UsageError(
            "train.packing: this base reads the rows before a row in the same sequence: its loss moves by "
            f"{apart:.4f}; write packing: false"
        )


def packed_rows(examples: Sequence[Tokens], sequence_tokens: int) -> tuple[tuple[int, ...], ...]:
    """Numbers of the examples that share a sequence: each goes into the first one that has room for it."""
    rows: list[list[int]] = []
    room: list[int] = []
    for number, item in enumerate(examples):
        length = len(item.ids)
        place = next((at for at, left in enumerate(room) if left >= length), len(rows))
        if place == len(rows):
            rows.append([])
            room.append(max(sequence_tokens, length))
        rows[place].append(number)
        room[place] -= length
    return tuple(map(tuple, rows))
