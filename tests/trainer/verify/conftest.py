"""A tiny chain and a run that was recorded on it, for each file anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.kit.trainer.tiny import TinyChain
    from trainer.run_records import RunRecord
    from trainer.train import TrainedRun


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyChain]:
    from tests.kit.trainer.tiny import tiny_chain

    folder = tmp_path_factory.mktemp("verify")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield tiny_chain(folder)


@pytest.fixture(scope="module")
def recorded(chain: TinyChain, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainedRun, RunRecord]:
    from tests.kit.trainer.tiny import tiny_recipe
    from trainer.workflow import train_recipe

    return train_recipe(tiny_recipe(), chain, chain.store, tmp_path_factory.mktemp("adapter"))


@pytest.fixture(scope="module")
def record(recorded: tuple[TrainedRun, RunRecord]) -> RunRecord:
    return recorded[1]
