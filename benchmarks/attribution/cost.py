"""Cost of attribution on a real model, in training epochs and in passes: SmolLM2-135M with LoRA rank 8.

python -m benchmarks.attribution.cost [--examples N] [--checkpoints N] [--threads N]      four minutes on one core

Index: `build_index`, with the settings of a recipe that says nothing, over N examples of 96 tokens at the checkpoints
that the trainer's rule takes of one epoch over the same, beside that epoch.
Query: codes of one query beside a teacher-forced forward and backward pass through the adapter. Times are of the
processor (all threads), so that other work on the machine hardly changes them.
"""

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch

from attribution.lga.index.build import build_index
from attribution.lga.index.plan import IndexSettings, TrainingExample
from attribution.lga.query import at_checkpoints, load_adapter, query_codes
from attribution.loss import Tokens, example_losses, make_batch
from benchmarks.attribution.language_model import SEQUENCE_TOKENS, language_model, sequences, train_epoch
from benchmarks.report import peak_resident_mib, print_table, spread

OWNERS, REPEATS = 4, 5


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=64, help="training examples")
    parser.add_argument("--checkpoints", type=int, default=1, help="checkpoints of the index")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model, tokenizer = language_model()
    text = sequences(tokenizer)
    examples = list(islice(text, options.examples))
    train_epoch(model, examples[:8])  # caches and first allocations
    with tempfile.TemporaryDirectory() as name:
        started = time.process_time()
        adapters = train_epoch(model, examples, Path(name), options.checkpoints)
        epoch_seconds = time.process_time() - started
        settings = IndexSettings(threads=options.threads)
        leaves = [_leaf(number, tokens) for number, tokens in enumerate(examples)]
        folder = Path(name) / "index"
        started = time.process_time()
        index = build_index(leaves, adapters, lambda path: load_adapter(model, path), settings, folder)
        index_seconds = time.process_time() - started
        index_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        query = next(text)
        query_seconds = [
            _seconds(lambda: query_codes(at_checkpoints(model, adapters), index.feature_map, query))
            for _ in range(REPEATS)
        ]
        codes = index.feature_map.code_count
    pass_seconds = [_seconds(lambda: _forward_backward(model, query)) for _ in range(REPEATS)]
    ratio = sorted(query_seconds)[REPEATS // 2] / sorted(pass_seconds)[REPEATS // 2]
    rows = [
        ["training epoch", f"{epoch_seconds:.1f} s", ""],
        [
            f"index, {options.checkpoints} checkpoint(s)",
            f"{index_seconds:.1f} s",
            _epochs(index_seconds, epoch_seconds),
        ],
        ["size of the index", f"{index_bytes / 2**20:.1f} MiB", f"{codes} codes an example"],
        ["forward and backward of a query", f"{spread(pass_seconds, 2)} s", ""],
        ["codes of a query", f"{spread(query_seconds, 2)} s", f"{ratio:.2f} passes"],
        ["peak memory", f"{peak_resident_mib(os.getpid()):,.0f} MiB", ""],
    ]
    title = (
        f"Cost in processor time: {options.examples} examples of {SEQUENCE_TOKENS} tokens, {options.threads} thread(s)"
    )
    print_table(title, ["what", "measured", "relative"], rows)


def _epochs(seconds: float, epoch_seconds: float) -> str:
    return f"{seconds / epoch_seconds:.2f} epochs"


def _leaf(number: int, tokens: Tokens) -> TrainingExample:
    owner = hashlib.sha256(b"owner %d" % (number % OWNERS)).digest()
    row = hashlib.sha256(repr(tokens.ids).encode()).digest()
    return TrainingExample(tokens, row, hashlib.sha256(b"contribution" + owner).digest(), owner, (0, number))


def _forward_backward(model: object, query: Tokens) -> None:
    example_losses(model, make_batch([query], 0)).sum().backward()  # type: ignore[no-untyped-call]


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    main()
