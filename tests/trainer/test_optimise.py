"""The steps of a run: accumulation, precision, checkpointing of gradients, schedules, several processes."""

import os
import socket
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from openledger.errors import UsageError
from tests.kit.trainer.tiny import TinyChain, tiny_chain, tiny_model, tiny_recipe
from trainer.devices import Devices, device_of, open_devices, rank_and_processes
from trainer.recipe import Recipe
from trainer.schedule import fault_of_steps, learning_rate, steps_of, warmup_steps
from trainer.train import TrainedRun, prepare_run, train

pytestmark = pytest.mark.ml
ROOT = Path(__file__).parents[2]
BATCH = "steps: 6, batch_size: 2"


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyChain:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tiny_chain(tmp_path)


def run(chain: TinyChain, folder: Path, *replacements: tuple[str, str]) -> TrainedRun:
    recipe = tiny_recipe(*replacements)
    prepared = prepare_run(recipe, [chain.versions["facts", 1], chain.versions["questions", 1]], chain.store)
    return train(prepared, tiny_model(), folder, base_label="base")


def tensors(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(folder / "adapter_model.safetensors"))


def distance(one: TrainedRun, other: TrainedRun) -> float:
    """The largest difference of a number of two adapters."""
    first, second = tensors(one.folder), tensors(other.folder)
    assert first.keys() == second.keys()
    return max(float((first[name] - second[name]).abs().max()) for name in first)


@pytest.mark.parametrize("loss", ["tokens", "rows"])
def test_batches_that_are_added_up_give_what_the_large_batch_gives(chain: TinyChain, tmp_path: Path, loss: str) -> None:
    """Without dropout, whose random numbers depend on the shape of a batch."""
    plain = (("dropout: 0.1", "dropout: 0"), ("loss: rows", f"loss: {loss}"))
    large = run(chain, tmp_path / "large", (BATCH, "steps: 6, batch_size: 8"), *plain)
    small = run(chain, tmp_path / "small", (BATCH, "steps: 6, batch_size: 2, accumulation: 4"), *plain)
    uneven = run(chain, tmp_path / "uneven", (BATCH, "steps: 6, batch_size: 1, accumulation: 8"), *plain)
    assert large.prepared.order == small.prepared.order == uneven.prepared.order
    assert len(large.prepared.order) == 48
    for other in (small, uneven):
        assert distance(large, other) < 1e-5
        pairs = zip(large.loss_trace_micronats, other.loss_trace_micronats, strict=True)
        assert max(abs(one - two) for one, two in pairs) <= 5


def test_weights_by_tokens_and_by_rows_train_other_adapters(chain: TinyChain, tmp_path: Path) -> None:
    one, two = run(chain, tmp_path / "one"), run(chain, tmp_path / "two", ("loss: rows", "loss: tokens"))
    assert one.artefact != two.artefact


def test_layers_that_are_computed_twice_give_the_same_bytes(chain: TinyChain, tmp_path: Path) -> None:
    once = run(chain, tmp_path / "once")
    twice = run(chain, tmp_path / "twice", ("seed: 3", "seed: 3, gradient_checkpointing: true"))
    assert once.artefact == twice.artefact
    assert once.loss_trace_micronats == twice.loss_trace_micronats


def test_products_in_bfloat16_are_repeated_bit_by_bit_and_are_not_those_of_float32(
    chain: TinyChain, tmp_path: Path
) -> None:
    import torch

    exact = run(chain, tmp_path / "exact")
    first, second = [run(chain, tmp_path / name, ("seed: 3", "seed: 3, precision: bf16")) for name in ("one", "two")]
    assert first.artefact == second.artefact
    assert first.artefact.tensor_digest != exact.artefact.tensor_digest
    pairs = zip(first.loss_trace_micronats, exact.loss_trace_micronats, strict=True)
    assert 0 < max(abs(one - two) for one, two in pairs) < 50_000
    assert {tensor.dtype for tensor in tensors(first.folder).values()} == {torch.float32}
    # Held-out rows are measured in float32, whatever the precision of training.
    assert first.before == exact.before


def test_epochs_are_passes_over_the_rows_for_training(chain: TinyChain, tmp_path: Path) -> None:
    prepared = run(chain, tmp_path / "out", (BATCH, "epochs: 1.5, batch_size: 4, accumulation: 2")).prepared
    rows = sum(len(partition.training) for partition in prepared.partitions)
    assert rows == 44
    assert prepared.steps == 9
    assert len(prepared.order) == 72
    settings = tiny_recipe((BATCH, "epochs: 0.000001, batch_size: 2")).train
    assert steps_of(settings, rows) == 1
    assert steps_of(tiny_recipe((BATCH, "epochs: 2, batch_size: 5")).train, 12) == 5


def test_epochs_beyond_the_most_steps_and_fewer_steps_than_checkpoints_are_refused(
    chain: TinyChain, tmp_path: Path
) -> None:
    settings = tiny_recipe((BATCH, "epochs: 10000, batch_size: 1"))
    assert fault_of_steps(settings, 1_200_000) == (
        "train.epochs: 10000 epochs are 1200000 steps, more than 1000000; write fewer"
    )
    with pytest.raises(UsageError, match="train: 1000000 steps of 1024 rows are more than the 50000000 rows that"):
        run(chain, tmp_path / "out", (BATCH, "steps: 1000000, batch_size: 1024"))
    with pytest.raises(UsageError, match="attribution: 4 checkpoints of 3 steps; write fewer"):
        run(
            chain, tmp_path / "out", (BATCH, "epochs: 1, batch_size: 16"),
            ("output: {model: tiny}", "output: {model: tiny}\nattribution: {checkpoints: 4}"),
        )  # fmt: skip


def test_schedules_rise_and_fall_as_they_say() -> None:
    def rates(words: str) -> list[float]:
        settings = tiny_recipe((BATCH, f"{BATCH}, {words}")).train
        full = float(settings.learning_rate)
        return [round(learning_rate(settings, step, 8) / full, 6) for step in range(8)]

    assert rates("schedule: constant") == [1.0] * 8
    assert rates("schedule: linear, warmup_steps: 2") == [0.5, 1, 1, 0.833333, 0.666667, 0.5, 0.333333, 0.166667]
    # (1 + cos(pi x)) / 2 at x = 0, 1/6, 2/6, ...
    assert rates("schedule: cosine, warmup: 25 %") == [0.5, 1, 1, 0.933013, 0.75, 0.5, 0.25, 0.066987]
    assert warmup_steps(tiny_recipe((BATCH, f"{BATCH}, warmup: 10 %")).train, 11) == 2


def test_a_run_with_a_cosine_and_accumulation_resumes_to_the_same_bytes(chain: TinyChain, tmp_path: Path) -> None:
    words = "epochs: 1, batch_size: 2, accumulation: 3, schedule: cosine, precision: bf16, gradient_checkpointing: true"
    recipe = tiny_recipe((BATCH, words))
    prepared = prepare_run(recipe, [chain.versions["facts", 1], chain.versions["questions", 1]], chain.store)
    whole = train(prepared, tiny_model(), tmp_path / "whole", base_label="base")
    work = tmp_path / "work"

    def interrupt(step: int, steps: int, loss: float) -> None:
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(prepared, tiny_model(), tmp_path / "part", base_label="base", work_folder=work, progress=interrupt)
    steps: list[int] = []
    resumed = train(
        prepared, tiny_model(), tmp_path / "part", base_label="base", work_folder=work,
        progress=lambda step, total, loss: steps.append(step),
    )  # fmt: skip
    assert steps == [5, 6, 7, 8]
    assert resumed.artefact == whole.artefact


def test_a_gpu_is_asked_for_by_name_and_its_absence_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    assert device_of("cpu") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of("auto") == "cpu"
    with pytest.raises(UsageError, match=r"train.device: cuda, but .*; write auto or cpu, or install torch for CUDA"):
        device_of("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert (device_of("auto"), device_of("cuda"), Devices("cuda:1").kind) == ("cuda:1", "cuda:1", "cuda")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(UsageError, match="there are 2 CUDA GPUs and more processes than that"):
        device_of("auto")


def test_what_a_launcher_sets_is_read_and_half_of_it_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rank_and_processes() == (0, 1)
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(UsageError, match="RANK 1 and WORLD_SIZE 1 contradict each other: use torchrun"):
        rank_and_processes()
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert rank_and_processes() == (1, 3)
    with (
        pytest.raises(UsageError, match=r"train\.batch_size: 2 rows for 3 processes leave some without any"),
        open_devices(tiny_recipe().train),
    ):
        pass
    monkeypatch.setenv("WORLD_SIZE", "three")
    with pytest.raises(UsageError, match="must be numbers"):
        rank_and_processes()


PROCESS = """
import sys
from pathlib import Path
from tests.kit.trainer.tiny import tiny_chain, tiny_model, tiny_recipe
from trainer.devices import open_devices
from trainer.train import assist, prepare_run, train
folder = Path(sys.argv[1])
recipe = tiny_recipe(("steps: 6, batch_size: 2", "steps: 6, batch_size: 3, accumulation: 2"),
                     ("dropout: 0.1", "dropout: 0"))
with open_devices(recipe.train) as devices:
    if devices.rank:
        assist(devices)
    else:
        chain = tiny_chain(folder)
        prepared = prepare_run(recipe, [chain.versions["facts", 1], chain.versions["questions", 1]], chain.store)
        done = train(prepared, Path(sys.argv[2]), folder / "out", base_label="base", devices=devices)
        print(*done.loss_trace_micronats, done.devices.processes)
"""


@pytest.mark.timeout(300)  # two interpreters that import torch, on a machine that is busy
def test_two_processes_share_every_batch_and_come_to_what_one_comes_to(chain: TinyChain, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    words = [sys.executable, "-c", PROCESS, str(tmp_path / "two"), str(tiny_model())]
    processes = [
        subprocess.Popen(
            words, cwd=ROOT, env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    try:
        said = [process.communicate(timeout=240) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], [errors[-2000:] for _, errors in said]
    *losses, count = map(int, said[0][0].split())
    assert (count, said[1][0]) == (2, "")
    one = run(
        chain, tmp_path / "one", (BATCH, "steps: 6, batch_size: 3, accumulation: 2"), ("dropout: 0.1", "dropout: 0")
    )
    assert max(abs(two - alone) for two, alone in zip(losses, one.loss_trace_micronats, strict=True)) <= 5
    first, second = tensors(one.folder), tensors(tmp_path / "two" / "out")
    assert max(float((first[name] - second[name]).abs().max()) for name in first) < 1e-5


def test_several_processes_draw_other_random_numbers(chain: TinyChain) -> None:
    import torch

    drawn = []
    for devices in (Devices("cpu", 0, 2), Devices("cpu", 1, 2)):
        devices.seed_step(3, 1)
        drawn.append(float(torch.rand(1)))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    Devices().seed_step(3, 1)
    assert len(set(drawn)) == 2
    assert torch.equal(torch.get_rng_state(), before)


def test_numbers_of_a_recipe_are_one_whatever_their_spelling() -> None:
    one: Recipe = tiny_recipe((BATCH, "epochs: 1.50, batch_size: 2"))
    assert one.train.epochs == Decimal("1.5")
    assert b'"epochs":"1.5"' in one.canonical()
    assert b'"steps"' not in one.canonical().partition(b'"train":')[2]
