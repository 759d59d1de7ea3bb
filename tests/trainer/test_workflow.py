"""From a recipe to a recorded run: what is said before compute is spent, and files that are not what they should be."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from abci_app.types import PPB
from openledger.content.store import ContentCorrupt, ContentStore
from openledger.data.manifest import Manifest, files_of, get_manifest, put_manifest, to_json
from openledger.errors import NotVerified, UsageError
from tests.kit.trainer.tiny import RECIPE, TinyChain, tiny_chain, tiny_recipe
from trainer.base_model import SOURCE_SHA256
from trainer.check import examine_recipe
from trainer.partition import PartitionError
from trainer.recipe import parse_recipe
from trainer.run_records import EntryRecord, ParentRecord
from trainer.train import TrainedRun
from trainer.workflow import (
    LicenceVerdict,
    artefact_folder,
    discard_checkpoint,
    parents_of,
    train_recipe,
)

pytestmark = pytest.mark.ml
LENGTH = (
    "length: 6 steps of 2 rows: 0.36 epochs of facts (16 of 25 rows for training are never reached); 0.16 epochs of "
    "questions (16 of 19 rows for training are never reached)"
)


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyChain:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tiny_chain(tmp_path)


def test_a_check_says_what_would_be_used_and_what_the_chain_says_to_the_terms(
    chain: TinyChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Sequence[ParentRecord], Sequence[tuple[bytes, int]]]] = []

    def clash(kind: str, parents: Sequence[ParentRecord], inputs: Sequence[tuple[bytes, int]]) -> LicenceVerdict:
        asked.append((kind, parents, inputs))
        return LicenceVerdict(("they clash",), conflict=True)

    monkeypatch.setattr(chain, "licence_verdict", clash)
    lines, verdict = examine_recipe(tiny_recipe(), chain, chain.store)
    padding = "padding: the tokenizer names no padding token; short rows are filled with '<eos>' (1), masked"
    assert lines[2] == padding
    lines = (*lines[:2], *lines[3:])
    left_out = (
        "25 for training, 6 held out, 9 used; left out: 5 of nearly equal text to held-out rows, "
        "4 with a held-out text, in one, or of a long stretch of one"
    )
    needs = re.sub(r"[0-9,]+", "N", lines[3])
    assert (*lines[:3], needs, *lines[4:]) == (
        f"facts version 1: 75 % of the mix, 40 rows, {left_out}",
        "questions version 1: 25 % of the mix, 20 rows, 19 for training, 1 held out, 3 used",
        LENGTH,
        "needs about N MiB of memory of N MiB free and N MiB of disk of N MiB free",
        "attribution: none, answers of this model cannot be explained (the recipe has no 'attribution' section)",
    )
    assert verdict == LicenceVerdict(("they clash",), conflict=True)
    base = chain.entries["base"].entry_id
    ids = [chain.versions[name, 1].datanet_id for name in ("facts", "questions")]
    assert asked == [("lora", (ParentRecord(base, "base", PPB),), [(ids[0], 1), (ids[1], 1)])]


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("{}", "lga-1, tsa-1; 4096 codes a row at 1 checkpoint; paid 50 % by scores of rows, 50 % by rows used"),
        (
            "{methods: [lga-1], checkpoints: 2, codes: 32, payout: {kappa_ppb: 0, score_unit: owner}}",
            "lga-1; 32 codes a row at 2 checkpoints; paid 0 % by scores of owners, 50 % by rows used",
        ),
        ("{methods: [tsa-1]}", "tsa-1; paid 50 % by spans, the rest to the pool"),
    ],
)
def test_what_a_run_will_commit_to_is_said_beforehand(chain: TinyChain, section: str, line: str) -> None:
    recipe = parse_recipe(f"{RECIPE}attribution: {section}\n")
    assert examine_recipe(recipe, chain, chain.store)[0][-1] == f"attribution: {line}"


def test_a_pool_that_is_no_account_is_refused_before_training(chain: TinyChain) -> None:
    recipe = parse_recipe(f"{RECIPE}attribution: {{payout: {{pool: nobody}}}}\n")
    with pytest.raises(UsageError, match=r"attribution.payout.pool: .*; write an account \(open1...\)"):
        examine_recipe(recipe, chain, chain.store)


def test_a_recipe_that_leaves_no_row_is_refused_before_any_model_is_loaded(chain: TinyChain, tmp_path: Path) -> None:
    recipe = tiny_recipe(("min_chars: 10", "min_chars: 10000"))
    for attempt in (
        lambda: examine_recipe(recipe, chain, chain.store),
        lambda: train_recipe(recipe, chain, chain.store, tmp_path / "out"),
    ):
        with pytest.raises(PartitionError, match=r"datasets\[0\]: no row of 40 is left to train on after filters"):
            attempt()
    assert not (tmp_path / "out").exists()


def test_rows_used_filters_and_held_out_rows_are_those_of_the_record(chain: TinyChain, tmp_path: Path) -> None:
    run, record = train_recipe(tiny_recipe(), chain, chain.store, tmp_path / "out")
    prepared = run.prepared
    held_out = {example.row.leaf for partition in prepared.partitions for example in partition.held_out}
    assert not held_out & {example.row.leaf for example in prepared.order}
    assert {example.row.leaf for example in prepared.held_out} <= held_out
    assert [item.weight_ppb for item in record.entry.inputs] == [750_000_000, 250_000_000]
    assert [item.rows_used for item in record.entry.inputs] == [9, 3]
    parts = record.manifest.inputs
    assert [(part["rows"], part["kept_by_filter"], part["rows_held_out"]) for part in parts] == [
        (40, [40], 6), (20, [20], 1),
    ]  # fmt: skip


def test_parents_share_as_the_recipe_says(chain: TinyChain) -> None:
    base = chain.entries["base"]
    adapter = replace(base, entry_id=b"\7" * 32)
    recipe = tiny_recipe(("{base: base}", "{base: base, adapter: x, adapter_share_ppb: 700000000}"))
    assert parents_of(recipe, base, None) == (ParentRecord(base.entry_id, "base", PPB),)
    assert parents_of(recipe, base, adapter) == (
        ParentRecord(base.entry_id, "base", 300_000_000),
        ParentRecord(adapter.entry_id, "adapter", 700_000_000),
    )


def test_files_of_an_entry_are_fetched_once_and_mended_when_the_cache_was_changed(chain: TinyChain) -> None:
    base = chain.entries["base"]
    folder, artefact = artefact_folder(base, chain.store)
    assert artefact.artefact_digest == base.record.artefact_digest
    weights = folder / "model.safetensors"
    good = weights.read_bytes()
    weights.unlink()
    weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert artefact_folder(base, chain.store) == (folder, artefact)
    assert weights.read_bytes() == good


def test_changed_files_in_the_store_are_not_trained_from(chain: TinyChain) -> None:
    base = chain.entries["base"]
    manifest = get_manifest(chain.store, base.record.manifest_root)
    weights = next(file for file in files_of(manifest) if file.name.endswith(".safetensors"))
    path = Path(chain.store.path_of(weights.digest))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(ContentCorrupt, match=weights.digest.hex()[:16]):
        artefact_folder(base, chain.store)


def test_an_entry_whose_manifest_lists_other_files_is_not_trained_from(chain: TinyChain) -> None:
    base = chain.entries["base"]
    lied = replace(base, record=replace(base.record, artefact_digest=b"\1" * 32))
    with pytest.raises(NotVerified, match="lists other files than the entry records"):
        artefact_folder(lied, chain.store)
    lied = replace(base, record=replace(base.record, tensor_digest=b"\1" * 32))
    with pytest.raises(NotVerified, match="do not have its digests; empty"):
        artefact_folder(lied, chain.store)


def test_only_the_wheels_own_model_is_taken_from_the_wheel(chain: TinyChain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another import comes from the store, without a conversion of half a gigabyte."""
    asked: list[bool] = []

    def wheel() -> None:
        asked.append(True)
        raise AssertionError("not this one")

    monkeypatch.setattr("trainer.workflow.import_base_model", wheel)
    base = chain.entries["base"]
    other = replace(base, record=replace(base.record, kind="import"))
    assert artefact_folder(other, chain.store)[1].artefact_digest == base.record.artefact_digest
    assert asked == []
    manifest = get_manifest(chain.store, base.record.manifest_root)
    source = Manifest({**manifest.parts, "source": to_json({"source_sha256": SOURCE_SHA256})})
    named = replace(other, record=replace(other.record, manifest_root=put_manifest(chain.store, source)))
    with pytest.raises(AssertionError, match="not this one"):
        artefact_folder(named, chain.store)


def test_an_interrupted_command_goes_on_where_it_stopped(chain: TinyChain, tmp_path: Path) -> None:
    whole, _ = train_recipe(tiny_recipe(), chain, chain.store, tmp_path / "whole")

    def stop(step: int, steps: int, loss_nats: float) -> None:
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_recipe(tiny_recipe(), chain, chain.store, tmp_path / "part", progress=stop)
    steps: list[int] = []
    resumed, _ = train_recipe(
        tiny_recipe(), chain, chain.store, tmp_path / "part", progress=lambda step, *_: steps.append(step)
    )
    assert steps == [5, 6]
    assert resumed.artefact == whole.artefact
    assert not list((tmp_path / "cache" / "openledger" / "runs").rglob("*.safetensors"))


def test_a_kept_checkpoint_gives_the_same_run_with_its_first_start_until_it_is_discarded(
    chain: TinyChain, tmp_path: Path
) -> None:
    steps: list[int] = []

    def run(folder: str = "out") -> tuple[TrainedRun, EntryRecord]:
        steps.clear()
        trained, record = train_recipe(
            tiny_recipe(), chain, chain.store, tmp_path / folder, keep_checkpoint=True,
            progress=lambda step, *_: steps.append(step),
        )  # fmt: skip
        return trained, record.entry

    first, entry = run()
    again, same_entry = run()
    assert (steps, same_entry, again.artefact) == ([], entry, first.artefact)
    assert again.started_seconds == first.started_seconds
    assert again.checkpoint is not None
    discard_checkpoint(again)
    assert not again.checkpoint.exists()
    assert run("other")[1] == entry
    assert steps == [1, 2, 3, 4, 5, 6]


def test_content_from_nowhere_is_named(chain: TinyChain, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="are not in the content store"):
        train_recipe(tiny_recipe(), chain, ContentStore.open(tmp_path / "empty"), tmp_path / "out")
