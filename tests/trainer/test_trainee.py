"""The two methods: adapters on chosen or all linear layers, rank-stabilised or not, and full fine-tuning."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from abci_app.types import PPB
from attribution.adapter_config import read_adapter_config
from attribution.entry import get_commitment
from attribution.text_tokens import open_tokenizer
from openledger.content.artefact import describe_artefact, put_artefact
from openledger.data.manifest import Manifest, files_of, to_json
from openledger.errors import NotVerified, UsageError
from tests.kit.trainer.tiny import RECIPE, TinyChain, add_base, byte_base, byte_tokenizer, tiny_chain, tiny_model
from trainer.ancestry import KnownEntry
from trainer.base_check import examine_base, open_skeleton, resolve_targets, target_problems
from trainer.check import examine_recipe
from trainer.compare import model_distance
from trainer.describe import describe
from trainer.optimise import TrainingError
from trainer.recipe import Recipe, parse_recipe
from trainer.run_records import ParentRecord, RunRecord
from trainer.train import TrainedRun
from trainer.verify import AttributionGrade, RunGrade, RunVerdict, grade, read_plan
from trainer.workflow import LicenceVerdict, train_recipe, verify_entry

pytestmark = pytest.mark.ml
LORA = "{rank: 2, alpha: 4, dropout: 0.1, target_modules: [q_proj, v_proj]}"
LINEAR = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyChain:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tiny_chain(tmp_path)


def recipe_of(method: str, more: str = "", base: str = "base") -> Recipe:
    return parse_recipe(RECIPE.replace(LORA, method).replace("{base: base}", f"{{base: {base}}}") + more)


def trained(chain: TinyChain, folder: Path, recipe: Recipe) -> tuple[TrainedRun, RunRecord]:
    return train_recipe(recipe, chain, chain.store, folder)


@pytest.mark.parametrize("tied", [False, True])
def test_all_linear_is_every_linear_layer_but_the_output(tmp_path: Path, tied: bool) -> None:
    model = open_skeleton(byte_base(tmp_path, byte_tokenizer(), tied=tied))
    assert resolve_targets(model, "all-linear") == LINEAR
    assert target_problems(model, "all-linear") == []


def test_a_layer_that_shares_its_name_with_another_thing_goes_by_its_whole_name() -> None:
    import torch

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.a = torch.nn.Linear(2, 2), torch.nn.Module()
            self.a.gate, self.a.up = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
            self.b = torch.nn.Module()
            self.b.gate = torch.nn.Embedding(2, 2)

        def get_output_embeddings(self) -> Any:
            return self.head

    model = Model()
    assert resolve_targets(model, "all-linear") == ["a.gate", "up"]
    assert resolve_targets(model, ["x"]) == ["x"]


def test_an_adapter_on_all_linear_layers_names_them_and_can_be_continued_and_indexed(
    chain: TinyChain, tmp_path: Path
) -> None:
    more = "attribution: {codes: 32}\n"
    run, record = trained(chain, tmp_path / "one", recipe_of("{rank: 2, alpha: 4, target_modules: all-linear}", more))
    config = read_adapter_config(run.folder)
    assert sorted(config.target_modules) == LINEAR
    assert record.entry.attribution_method == 3
    chain.add_entry("first", record.entry)
    again = recipe_of("{rank: 2, alpha: 4, target_modules: all-linear}", base="base, adapter: first")
    second, _ = trained(chain, tmp_path / "two", again)
    assert second.before == run.after
    known = KnownEntry(b"\1" * 32, record.entry)
    verdict = verify_entry(known, chain, chain.store)[0]
    assert (verdict.grade, verdict.attribution) == (RunGrade.BIT_EXACT, AttributionGrade.EQUAL)
    assert "LoRA rank 2, alpha 4, dropout 0 on all linear layers" in describe(record.manifest)


def test_a_rank_stabilised_adapter_is_scaled_by_the_root_and_indexed_so(chain: TinyChain, tmp_path: Path) -> None:
    method, more = "{rank: 4, alpha: 4, rslora: true}", "attribution: {codes: 32, methods: [lga-1]}\n"
    run, record = trained(chain, tmp_path / "one", recipe_of(method, more))
    config = read_adapter_config(run.folder)
    assert (config.rank_stabilised, config.scaling) == (True, 2.0)
    plain, _ = trained(chain, tmp_path / "plain", recipe_of("{rank: 4, alpha: 4}"))
    assert plain.artefact.tensor_digest != run.artefact.tensor_digest
    verdict = verify_entry(KnownEntry(b"\1" * 32, record.entry), chain, chain.store)[0]
    assert (verdict.grade, verdict.attribution) == (RunGrade.BIT_EXACT, AttributionGrade.EQUAL)
    chain.add_entry("first", record.entry)
    with pytest.raises(TrainingError, match=r"write the adapter's values .* \(it is rank-stabilised: rslora: true\)"):
        trained(chain, tmp_path / "two", recipe_of("{rank: 4, alpha: 4}", base="base, adapter: first"))
    second, _ = trained(chain, tmp_path / "two", recipe_of(method, base="base, adapter: first"))
    assert second.before == run.after


# --- Full fine-tuning


def test_a_full_fine_tune_is_recorded_as_a_whole_model_with_its_base_and_spans(
    chain: TinyChain, tmp_path: Path
) -> None:
    text = RECIPE.replace(LORA, "{kind: full}").replace("learning_rate: 0.05", "learning_rate: 0.005")
    recipe = parse_recipe(text + "attribution: {methods: [tsa-1]}\n")
    run, record = trained(chain, tmp_path / "out", recipe)
    entry, base = record.entry, chain.entries["base"]
    assert (entry.kind, entry.parents) == ("full", (ParentRecord(base.entry_id, "base", PPB),))
    assert entry.attribution_method == 2
    assert list(get_commitment(chain.store, 2, entry.attribution_root).roots) == ["tsa-1"]
    names = {path.name for path in tiny_model().iterdir()}
    assert {path.name for path in run.folder.iterdir()} == names
    assert files_of(record.manifest) == run.artefact.files
    assert json.loads((run.folder / "config.json").read_text())["dtype"] == "float32"
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (run.folder / name).read_bytes() == (tiny_model() / name).read_bytes()
    assert run.after is not None
    assert run.before is not None
    assert run.after.overall.loss_micronats < run.before.overall.loss_micronats
    lines = describe(record.manifest)
    assert lines[:2] == ["full by openledger trainer", "full fine-tuning of all numbers"]


def test_the_same_full_fine_tune_gives_the_same_bytes_and_is_the_base_of_others(
    chain: TinyChain, tmp_path: Path
) -> None:
    recipe = recipe_of("{kind: full}")
    first, record = trained(chain, tmp_path / "one", recipe)
    second, _ = trained(chain, tmp_path / "two", recipe)
    assert first.artefact == second.artefact
    chain.add_entry("tuned", record.entry)
    _, adapter = trained(chain, tmp_path / "three", recipe_of(LORA, base="tuned"))
    assert [parent.role for parent in adapter.entry.parents] == ["base"]
    assert verify_entry(KnownEntry(b"\1" * 32, adapter.entry), chain, chain.store)[0].grade == RunGrade.BIT_EXACT
    further, _ = trained(chain, tmp_path / "four", recipe_of("{kind: full}", base="tuned"))
    assert further.before == first.after


@pytest.mark.parametrize("tied", [False, True])
def test_a_full_fine_tune_has_the_tensors_of_its_base(chain: TinyChain, tmp_path: Path, tied: bool) -> None:
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    folder = byte_base(tmp_path / "base", byte_tokenizer(), tied=tied)
    add_base(chain, "bytes", folder)
    run, _ = trained(chain, tmp_path / "out", recipe_of("{kind: full}", base="bytes"))
    before, after = load_file(folder / "model.safetensors"), load_file(run.folder / "model.safetensors")
    assert before.keys() == after.keys()
    assert ("lm_head.weight" in after) is not tied
    assert all(not before[name].equal(after[name]) for name in before)
    model = AutoModelForCausalLM.from_pretrained(run.folder)
    assert (model.get_input_embeddings().weight is model.get_output_embeddings().weight) is tied


def tuned(chain: TinyChain, tmp_path: Path) -> tuple[TrainedRun, RunRecord]:
    return trained(chain, tmp_path / "tuned", recipe_of("{kind: full}", "attribution: {methods: [tsa-1]}\n"))


def changed(source: Path, target: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A model's folder with other tensors."""
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(source, target)
    found = load_file(target / "model.safetensors")
    change(found)
    save_file(
        {name: tensor.contiguous() for name, tensor in found.items()}, target / "model.safetensors", {"format": "pt"}
    )
    return target


def recorded_as(chain: TinyChain, record: RunRecord, run: TrainedRun, folder: Path) -> RunVerdict:
    """The verdict on an entry that records another folder as the output of this run."""
    artefact = describe_artefact(folder)
    put_artefact(chain.store, folder, artefact)
    entry = replace(record.entry, artefact_digest=artefact.artefact_digest, tensor_digest=artefact.tensor_digest)
    return grade(entry, read_plan(record.manifest), run, lambda: folder, tiny_model())


def test_a_full_fine_tune_is_repeated_bit_by_bit_with_its_spans_and_measurements(
    chain: TinyChain, tmp_path: Path
) -> None:
    _, record = tuned(chain, tmp_path)
    verdict = verify_entry(KnownEntry(b"\1" * 32, record.entry), chain, chain.store)[0]
    assert (verdict.grade, verdict.attribution, verdict.contradictions) == (
        RunGrade.BIT_EXACT, AttributionGrade.EQUAL, (),
    )  # fmt: skip


def test_of_a_whole_model_its_way_from_the_base_is_compared(chain: TinyChain, tmp_path: Path) -> None:
    """The base itself is near in numbers, and no result of this training."""
    import torch

    run, record = tuned(chain, tmp_path)
    torch.manual_seed(0)
    near = changed(
        run.folder, tmp_path / "near",
        lambda found: found.update({name: value + 1e-4 * torch.randn_like(value) for name, value in found.items()}),
    )  # fmt: skip
    verdict = recorded_as(chain, record, run, near)
    assert verdict.grade == RunGrade.TRACE_MATCH
    assert verdict.findings[0].startswith("final tensors: ")
    assert recorded_as(chain, record, run, tiny_model()).grade == RunGrade.DIFFERS
    one = changed(run.folder, tmp_path / "one", lambda found: found["model.layers.0.self_attn.q_proj.weight"].mul_(1.2))
    assert recorded_as(chain, record, run, one).grade == RunGrade.DIFFERS
    bits = model_distance(run.folder, run.folder, tiny_model())
    assert (bits.overall, bits.worst) == (0.0, 0.0)


def test_another_configuration_or_tokenizer_beside_equal_tensors_differs(chain: TinyChain, tmp_path: Path) -> None:
    run, record = tuned(chain, tmp_path)
    other = changed(run.folder, tmp_path / "other", lambda found: None)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"rope_theta": 5.0}))
    verdict = recorded_as(chain, record, run, other)
    assert verdict.grade == RunGrade.DIFFERS
    assert "the recorded file config.json is not what the base and the recipe give" in verdict.findings


def test_full_fine_tuning_has_no_gradient_index_and_continues_no_adapter() -> None:
    with pytest.raises(UsageError, match=r"lga-1 indexes gradients of an adapter, .* write methods: \[tsa-1\]"):
        recipe_of("{kind: full}", "attribution: {}\n")
    with pytest.raises(UsageError, match="model: an adapter is continued by method lora; leave adapter out"):
        recipe_of("{kind: full}", base="base, adapter: x")


def test_a_check_speaks_of_a_full_fine_tune_and_its_terms(
    chain: TinyChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds: list[str] = []
    allowed = chain.licence_verdict

    def asked(kind: str, parents: Sequence[ParentRecord], inputs: Sequence[tuple[bytes, int]]) -> LicenceVerdict:
        kinds.append(kind)
        return allowed(kind, parents, inputs)

    monkeypatch.setattr(chain, "licence_verdict", asked)
    lines, _ = examine_recipe(recipe_of("{kind: full}", "attribution: {methods: [tsa-1]}\n"), chain, chain.store)
    assert kinds == ["full"]
    assert lines[-1] == "attribution: tsa-1; paid 50 % by spans, the rest to the pool"
    with pytest.raises(UsageError, match="'<tool>' "):
        add_base(chain, "wide", byte_base(tmp_path / "wide", byte_tokenizer(added=["<tool>"])))
        examine_recipe(recipe_of("{kind: full}", base="wide"), chain, chain.store)


def test_an_index_of_a_run_in_bfloat16_with_epochs_and_accumulation_is_built_again_equal(
    chain: TinyChain, tmp_path: Path
) -> None:
    """The index is of the recorded adapters, in float32, at steps of the optimizer."""
    text = RECIPE.replace(LORA, "{rank: 2, alpha: 4, rslora: true, target_modules: all-linear}").replace(
        "steps: 6, batch_size: 2", "epochs: 0.7, batch_size: 2, accumulation: 3, precision: bf16, schedule: cosine"
    )
    recipe = parse_recipe(text + "attribution: {codes: 32, checkpoints: 2}\n")
    run, record = trained(chain, tmp_path / "out", recipe)
    assert (run.prepared.steps, len(run.adapters)) == (len(run.loss_trace_micronats), 2)
    verdict = verify_entry(KnownEntry(b"\1" * 32, record.entry), chain, chain.store)[0]
    assert (verdict.grade, verdict.attribution, verdict.contradictions) == (
        RunGrade.BIT_EXACT, AttributionGrade.EQUAL, (),
    )  # fmt: skip
    lines = describe(record.manifest)
    assert "LoRA rank 2, alpha 4, rank-stabilised, dropout 0 on all linear layers" in lines
    (length,) = [line for line in lines if line.startswith(f"0.7 epochs, {run.prepared.steps} steps of 6 rows")]
    assert length.endswith(", products in bf16")


def test_what_a_run_on_several_processes_or_gpus_allows_is_said_with_the_grade(
    chain: TinyChain, tmp_path: Path
) -> None:
    run, record = trained(chain, tmp_path / "out", recipe_of("{rank: 2, alpha: 4}"))
    plan = read_plan(record.manifest)
    assert (plan.device, plan.processes, plan.band.losses_micronats) == ("cpu", 1, 5_000)
    entry = replace(record.entry, tensor_digest=b"\1" * 32, artefact_digest=b"\2" * 32)
    elsewhere = replace(plan, device="cuda", processes=4)
    verdict = grade(entry, elsewhere, run, lambda: run.folder)
    assert verdict.grade == RunGrade.TRACE_MATCH
    assert verdict.findings[2:] == (
        "other devices: cuda in 4 processes in the record, cpu in 1 process here; bits differ between them",
        "GPUs: the allowed differences were measured on CPUs, and on no GPU so far",
    )
    bf16 = parse_recipe(RECIPE.replace("seed: 3", "seed: 3, precision: bf16"))
    assert (replace(plan, recipe=bf16).band.losses_micronats, replace(plan, recipe=bf16).band.distance) == (50_000, 0.3)


def test_a_manifest_whose_devices_are_of_no_form_cannot_be_repeated(chain: TinyChain, tmp_path: Path) -> None:
    _, record = trained(chain, tmp_path / "out", recipe_of("{rank: 2, alpha: 4}"))
    wrong: list[Any] = [[], {"kind": "cpu"}, {"kind": "cpu", "processes": "many"}]
    for devices in wrong:
        parts = {**record.manifest.parts, "devices": to_json(devices)}
        with pytest.raises(NotVerified, match="is not one that this trainer writes"):
            read_plan(Manifest(parts))
    without = dict(record.manifest.parts)
    del without["devices"]
    assert (read_plan(Manifest(without)).device, read_plan(Manifest(without)).processes) == ("cpu", 1)


def test_a_base_that_cannot_compute_layers_twice_is_refused_by_name(tmp_path: Path) -> None:
    base = byte_base(tmp_path, byte_tokenizer())
    model, tokenizer = open_skeleton(base), open_tokenizer(base)
    recipe = parse_recipe(RECIPE.replace("seed: 3", "seed: 3, gradient_checkpointing: true"))
    assert examine_base(recipe, model, tokenizer).problems == []
    model.supports_gradient_checkpointing = False
    (problem,) = examine_base(recipe, model, tokenizer).problems
    assert problem == "train.gradient_checkpointing: this base's class cannot compute layers twice; write false"
