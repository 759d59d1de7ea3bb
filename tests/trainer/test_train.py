"""Determinism, resuming, continuing and grading of runs, on a tiny random model."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from attribution.adapter_file import ADAPTER_FILE
from openledger.content.artefact import describe_artefact
from openledger.data.manifest import Manifest, files_of, get_manifest, verify_part
from openledger.data.rows import TamperedRows
from openledger.errors import UsageError
from tests.kit.trainer.tiny import WORDS, TinyChain, tiny_chain, tiny_model, tiny_recipe
from trainer.checkpoint import CHECKPOINT_FILE
from trainer.describe import describe
from trainer.optimise import TrainingError
from trainer.partition import data_order_root
from trainer.recipe import Recipe, parse_recipe
from trainer.run_records import ParentRecord, RunRecord
from trainer.schedule import indexed_steps
from trainer.train import TrainedRun, prepare_run, train
from trainer.workflow import train_recipe

pytestmark = pytest.mark.ml
ROOT = Path(__file__).parents[2]


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyChain:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tiny_chain(tmp_path)


def run(chain: TinyChain, folder: Path, recipe: Recipe | None = None) -> tuple[TrainedRun, RunRecord]:
    return train_recipe(recipe or tiny_recipe(), chain, chain.store, folder)


def test_the_same_recipe_gives_the_same_bytes_trace_and_manifest(chain: TinyChain, tmp_path: Path) -> None:
    first, first_record = run(chain, tmp_path / "one")
    second, second_record = run(chain, tmp_path / "two")
    assert first.artefact == second.artefact
    assert first.loss_trace_micronats == second.loss_trace_micronats
    assert first_record.manifest == second_record.manifest
    assert first_record.entry == second_record.entry
    assert first_record.evaluations == second_record.evaluations


@pytest.mark.timeout(300)  # two interpreters that import torch, on a machine that is busy
def test_another_process_gives_the_same_bytes_trace_and_entry(chain: TinyChain, tmp_path: Path) -> None:
    """Two fresh interpreters with different hash seeds, and this one."""
    code = (
        "import sys; from pathlib import Path; from tests.kit.trainer.tiny import tiny_chain, tiny_recipe;"
        "from trainer.workflow import train_recipe; folder = Path(sys.argv[1]); chain = tiny_chain(folder);"
        "run, record = train_recipe(tiny_recipe(), chain, chain.store, folder / 'out');"
        "print(run.artefact.artefact_digest.hex(), run.artefact.tensor_digest.hex(), *run.loss_trace_micronats,"
        "record.entry.manifest_root.hex())"
    )
    outputs = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "XDG_CACHE_HOME": str(tmp_path / f"cache{seed}")}
        words = [sys.executable, "-c", code, str(tmp_path / seed)]
        done = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True, check=True, timeout=140)
        outputs.append(done.stdout.split())
    trained, record = run(chain, tmp_path / "out")
    here = [trained.artefact.artefact_digest.hex(), trained.artefact.tensor_digest.hex()]
    here += [str(loss) for loss in trained.loss_trace_micronats]
    assert outputs[0] == outputs[1] == [*here, record.entry.manifest_root.hex()]


def test_another_seed_or_another_weight_gives_another_adapter(chain: TinyChain, tmp_path: Path) -> None:
    first, _ = run(chain, tmp_path / "one")
    seeded, _ = run(chain, tmp_path / "two", tiny_recipe(("seed: 3", "seed: 4")))
    weighed, _ = run(
        chain,
        tmp_path / "three",
        tiny_recipe(
            ("weight_ppb: 750000000", "weight_ppb: 500000000"), ("weight_ppb: 250000000", "weight_ppb: 500000000")
        ),
    )
    assert len({item.artefact.tensor_digest for item in (first, seeded, weighed)}) == 3


def test_training_lowers_the_loss_on_held_out_rows_and_every_measurement_is_recorded(
    chain: TinyChain, tmp_path: Path
) -> None:
    # Held-out rows say something else than the rows for training: the model learns which words there are.
    chosen = random.Random(3)
    chain.add_version("facts", [[{"text": " ".join(chosen.choices(WORDS[:4], k=8))} for _ in range(60)]])
    trained, record = run(chain, tmp_path / "out", tiny_recipe(("steps: 6", "steps: 40")))
    assert trained.before is not None
    assert trained.after is not None
    assert trained.after.overall.loss_micronats < trained.before.overall.loss_micronats
    assert [(item.of_parent, item.version, item.sample_size > 0) for item in record.evaluations] == [
        (True, 1, True), (True, 1, True), (False, 1, True), (False, 1, True),
    ]  # fmt: skip
    assert record.event.quality_value == trained.after.overall.loss_micronats


def test_an_interrupted_run_resumes_to_the_same_bytes(chain: TinyChain, tmp_path: Path) -> None:
    prepared = prepare_run(tiny_recipe(), [chain.versions["facts", 1], chain.versions["questions", 1]], chain.store)
    whole = train(prepared, tiny_model(), tmp_path / "whole", base_label="base")
    work = tmp_path / "work"

    def interrupt(step: int, steps: int, loss: float) -> None:
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(prepared, tiny_model(), tmp_path / "part", base_label="base", work_folder=work, progress=interrupt)
    assert (work / CHECKPOINT_FILE).is_file()
    steps: list[int] = []
    resumed = train(
        prepared, tiny_model(), tmp_path / "part", base_label="base", work_folder=work,
        progress=lambda step, total, loss: steps.append(step),
    )  # fmt: skip
    assert steps == [5, 6]
    assert resumed.artefact == whole.artefact
    assert resumed.loss_trace_micronats == whole.loss_trace_micronats
    assert not (work / CHECKPOINT_FILE).exists()


def test_adapters_of_indexed_steps_stay_through_an_interruption_and_end_with_the_output(
    chain: TinyChain, tmp_path: Path
) -> None:
    recipe = tiny_recipe(("output: {model: tiny}", "output: {model: tiny}\nattribution: {checkpoints: 4}"))
    prepared = prepare_run(recipe, [chain.versions["facts", 1], chain.versions["questions", 1]], chain.store)
    whole = train(prepared, tiny_model(), tmp_path / "whole", base_label="base")
    assert indexed_steps(recipe, 6) == (1, 3, 4, 6)
    assert [folder.name for folder in whole.adapters] == [f"adapter-after-{step}" for step in (1, 3, 4, 6)]
    digests = [describe_artefact(folder).tensor_digest for folder in whole.adapters]
    assert digests[-1] == whole.artefact.tensor_digest
    assert len(set(digests)) == 4
    work = tmp_path / "work"

    def interrupt(step: int, steps: int, loss: float) -> None:
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(prepared, tiny_model(), tmp_path / "part", base_label="base", work_folder=work, progress=interrupt)
    resumed = train(prepared, tiny_model(), tmp_path / "part", base_label="base", work_folder=work)
    assert [describe_artefact(folder).tensor_digest for folder in resumed.adapters] == digests


def test_indexed_steps_are_the_middles_of_equal_shares_of_the_step_sizes() -> None:
    def steps(count: int, train: str) -> tuple[int, ...]:
        given = f"steps: 100, {train}batch_size: 2"
        return indexed_steps(
            tiny_recipe(
                ("steps: 6, batch_size: 2", given),
                ("output: {model: tiny}", f"output: {{model: tiny}}\nattribution: {{checkpoints: {count}}}"),
            ),
            100,
        )

    assert steps(1, "") == (50,)
    assert steps(4, "") == (13, 38, 63, 88)
    # 100 x (1 - square root of 1/2), and so on: rates that fall to zero are spent early.
    assert steps(1, "schedule: linear, ") == (30,)
    assert steps(4, "schedule: linear, ") == (7, 22, 39, 65)
    assert steps(16, "schedule: linear, warmup_steps: 50, ")[0] > 12
    all_steps = tiny_recipe(("output: {model: tiny}", "output: {model: tiny}\nattribution: {checkpoints: 6}"))
    assert indexed_steps(all_steps, 6) == (1, 2, 3, 4, 5, 6)


def test_a_resumed_run_without_its_earlier_adapters_says_what_to_do(chain: TinyChain, tmp_path: Path) -> None:
    recipe = tiny_recipe(("output: {model: tiny}", "output: {model: tiny}\nattribution: {checkpoints: 3}"))
    prepared = prepare_run(recipe, [chain.versions["facts", 1], chain.versions["questions", 1]], chain.store)
    work = tmp_path / "work"
    train(prepared, tiny_model(), tmp_path / "one", base_label="base", work_folder=work, keep_checkpoint=True)
    shutil.rmtree(work / "adapter-after-3")
    with pytest.raises(TrainingError, match=r"adapter-after-3 is missing: empty .* and train again from the start"):
        train(prepared, tiny_model(), tmp_path / "two", base_label="base", work_folder=work)


def test_a_checkpoint_of_another_run_is_not_used(chain: TinyChain, tmp_path: Path) -> None:
    versions = [chain.versions["facts", 1], chain.versions["questions", 1]]
    work = tmp_path / "work"

    def interrupt(step: int, steps: int, loss: float) -> None:
        if step == 3:
            raise KeyboardInterrupt

    other = prepare_run(tiny_recipe(("seed: 3", "seed: 9")), versions, chain.store)
    with pytest.raises(KeyboardInterrupt):
        train(other, tiny_model(), tmp_path / "other", base_label="base", work_folder=work, progress=interrupt)
    prepared = prepare_run(tiny_recipe(), versions, chain.store)
    whole = train(prepared, tiny_model(), tmp_path / "whole", base_label="base")
    fresh = train(prepared, tiny_model(), tmp_path / "fresh", base_label="base", work_folder=work)
    assert fresh.artefact == whole.artefact


def test_a_checkpoint_that_was_cut_short_starts_the_run_again(chain: TinyChain, tmp_path: Path) -> None:
    versions = [chain.versions["facts", 1], chain.versions["questions", 1]]
    prepared = prepare_run(tiny_recipe(), versions, chain.store)
    whole = train(prepared, tiny_model(), tmp_path / "whole", base_label="base")
    work = tmp_path / "work"
    work.mkdir()
    (work / CHECKPOINT_FILE).write_bytes((whole.folder / ADAPTER_FILE).read_bytes()[:300])
    steps: list[int] = []
    again = train(
        prepared, tiny_model(), tmp_path / "again", base_label="base", work_folder=work,
        progress=lambda step, total, loss: steps.append(step),
    )  # fmt: skip
    assert steps == [1, 2, 3, 4, 5, 6]
    assert again.artefact == whole.artefact


def test_a_loss_that_is_no_number_stops_the_run(chain: TinyChain, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    broken = shutil.copytree(tiny_model(), tmp_path / "broken")
    tensors = load_file(broken / "model.safetensors")
    save_file(
        {name: torch.full_like(value, torch.nan) for name, value in tensors.items()}, broken / "model.safetensors"
    )
    recipe = tiny_recipe(("rows: 6", "rows: 0"))
    prepared = prepare_run(recipe, [chain.versions["facts", 1], chain.versions["questions", 1]], chain.store)
    with pytest.raises(TrainingError, match=r"the loss of step 1 is nan; lower train\.learning_rate"):
        train(prepared, broken, tmp_path / "out", base_label="base")
    assert not (tmp_path / "out").exists()


def test_layers_that_the_base_does_not_have_are_named(chain: TinyChain, tmp_path: Path) -> None:
    recipe = tiny_recipe(("[q_proj, v_proj]", "[nothing]"))
    with pytest.raises(TrainingError, match=r"method\.target_modules: 'nothing' matches no layer of the base"):
        run(chain, tmp_path / "out", recipe)


def test_a_second_run_continues_the_first_adapter(chain: TinyChain, tmp_path: Path) -> None:
    first, first_record = run(chain, tmp_path / "one")
    adapter = chain.add_entry("first", first_record.entry)
    recipe = tiny_recipe(("{base: base}", "{base: base, adapter: first, adapter_share_ppb: 400000000}"))
    second, second_record = run(chain, tmp_path / "two", recipe)
    assert second.before == first.after  # it starts where the first one ended
    base = chain.entries["base"]
    assert second_record.entry.parents == (
        ParentRecord(base.entry_id, "base", 600_000_000),
        ParentRecord(adapter.entry_id, "adapter", 400_000_000),
    )
    with pytest.raises(TrainingError, match="write the adapter's values into the recipe's method"):
        run(
            chain,
            tmp_path / "three",
            tiny_recipe(("{base: base}", "{base: base, adapter: first}"), ("rank: 2", "rank: 4")),
        )


def test_a_tampered_row_stops_training_and_is_named(chain: TinyChain, tmp_path: Path) -> None:
    contribution = chain.versions["facts", 1].contributions[1]
    path = Path(chain.store.path_of(contribution.commitment.content_digest))
    lines = path.read_bytes().split(b"\n")
    lines[8] = lines[8].replace(b"text", b"tExt")
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(TamperedRows, match="row 7 was changed after it was registered") as caught:
        run(chain, tmp_path / "out")
    assert (caught.value.contribution, caught.value.row_index) == (contribution.contribution_id, 7)


def test_the_record_holds_every_part_provable_alone_and_reads_in_words(chain: TinyChain, tmp_path: Path) -> None:
    trained, record = run(chain, tmp_path / "out")
    stored = get_manifest(chain.store, record.entry.manifest_root)
    assert stored == record.manifest
    assert list(stored.parts) == [
        "about", "base", "code", "data-order", "devices", "input/0000", "input/0001", "loss-trace", "output", "recipe",
        "seed", "tokenizer", "writing",
    ]  # fmt: skip
    for name in stored.parts:
        verify_part(stored.prove(name), record.entry.manifest_root)
    assert parse_recipe(stored.parts["recipe"]) == trained.prepared.recipe
    assert files_of(stored) == trained.artefact.files
    assert stored.json("data-order") == {
        "examples": 12, "root": data_order_root(trained.prepared.order).hex(), "steps": 6,
    }  # fmt: skip
    assert stored.json("devices") == {"kind": "cpu", "processes": 1}
    text = "\n".join(describe(Manifest.decode(stored.encode())))
    assert "75 % of the mix" in text
    assert "prepare: remove white space at both ends of text" in text
    assert "filter: keep rows whose completion has at least 10 characters (40 left)" in text
    assert "build prompt '{question} ' and completion '{answer}' from the row's fields" in text
    assert "20 % held out by hash of the text under 'held-out'" in text


def test_the_adapter_file_has_one_metadata_key_and_no_path(chain: TinyChain, tmp_path: Path) -> None:
    from safetensors import safe_open

    trained, _ = run(chain, tmp_path / "out")
    with safe_open(trained.folder / "adapter_model.safetensors", framework="pt") as stored:
        assert stored.metadata() == {"format": "pt"}
    assert str(tmp_path) not in (trained.folder / "adapter_config.json").read_text()


def test_an_input_whose_weight_gives_it_no_row_is_refused_before_training(chain: TinyChain, tmp_path: Path) -> None:
    recipe = tiny_recipe(("weight_ppb: 750000000", "weight_ppb: 999999999"), ("weight_ppb: 250000000", "weight_ppb: 1"))
    with pytest.raises(UsageError, match=r"datasets\[1\]: none of the 12 rows of this run comes from questions"):
        train_recipe(recipe, chain, chain.store, tmp_path / "out")


def test_a_tokenizer_with_more_tokens_than_the_embedding_is_refused_by_number(chain: TinyChain, tmp_path: Path) -> None:
    import json
    import shutil

    base = tmp_path / "base"
    shutil.copytree(tiny_model(), base)
    described = json.loads((base / "tokenizer.json").read_text())
    vocabulary = described["model"]["vocab"]
    word = (
        next(name for name in vocabulary if name == "chain")
        if "chain" in vocabulary
        else max(vocabulary, key=vocabulary.get)
    )
    vocabulary[word] = 9_999
    (base / "tokenizer.json").write_text(json.dumps(described))
    prepared = prepare_run(tiny_recipe(), [chain.versions["facts", 1], chain.versions["questions", 1]], chain.store)
    with pytest.raises(TrainingError, match=r"gives token 9999, its embedding has \d+ rows: tokens were added"):
        train(prepared, base, tmp_path / "out", base_label="base")
