"""Fine-tuning the character GPT on a corpus, as a task that can be retrained on some of its sequences."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from attribution.measure.retrain import Outputs, RetrainCache
from benchmarks.attribution.char.model import (
    AdapterRecipe,
    CharCheckpoint,
    CharGPT,
    encode,
    pretrained,
    sequence_losses,
    train_adapter,
)
from benchmarks.attribution.corpora import Corpus
from benchmarks.attribution.storage import cache_folder


@dataclass(frozen=True)
class CharTask:
    """One corpus and one adapter configuration."""

    corpus: Corpus
    adapter: AdapterRecipe
    base: CharGPT

    @classmethod
    def open(cls, corpus: Corpus, adapter: AdapterRecipe, folder: Path | None = None) -> "CharTask":
        """With its base from the cache, pretrained first where it is not there."""
        base = pretrained(corpus.pretraining, folder or cache_folder(), _print_pretraining)
        return cls(corpus, adapter, base)

    @cached_property
    def training_ids(self) -> torch.Tensor:
        """Int64 [480, 49]."""
        return encode(self.corpus.training)

    @cached_property
    def query_ids(self) -> torch.Tensor:
        """Int64 [72, 49]."""
        return encode(self.corpus.queries)

    @cached_property
    def _recipe(self) -> dict[str, object]:
        return {
            "task": "character GPT with LoRA, version 1", "corpus": self.corpus.digest,
            "adapter": self.adapter.as_json(), "torch": torch.__version__.split("+")[0],
        }  # fmt: skip

    def recipe(self) -> dict[str, object]:
        """Settings that decide a retrain."""
        return self._recipe

    def train(self, rows: Sequence[int], seed: int, kept_steps: Sequence[int] = ()) -> tuple[Any, list[CharCheckpoint]]:
        """Model, and checkpoints of these steps, after fine-tuning on these sequences alone."""
        return train_adapter(self.base, self.training_ids[torch.tensor(list(rows))], self.adapter, seed, kept_steps)

    def train_and_measure(self, rows: Sequence[int], seed: int) -> Outputs:
        """Loss of every query after fine-tuning on these sequences alone."""
        model, _ = self.train(rows, seed)
        return sequence_losses(model, self.query_ids).numpy()

    def cache(self, folder: Path | None = None) -> RetrainCache:
        """Where its retrains are kept."""
        return RetrainCache(self, (folder or cache_folder()) / "retrains", len(self.corpus.queries))


def _print_pretraining(done: int, steps: int) -> None:
    print(f"\rpretraining: {done} of {steps} steps", end="\n" if done == steps else "", flush=True)
