"""Indexes of a repetition against those of the record: equal, consistent, different, and what cannot be read."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from attribution.adapter_file import ADAPTER_FILE
from attribution.entry import EntryCommitment
from attribution.lga.index.reader import GradientIndex
from attribution.stored import put_index
from openledger.content.artefact import describe_artefact, put_artefact
from openledger.content.store import ContentMissing
from openledger.data.manifest import Manifest, get_manifest, put_manifest, to_json
from openledger.errors import NotVerified
from tests.kit.trainer.tiny import RECIPE, TinyChain, tiny_chain, tiny_model, tiny_recipe
from trainer.ancestry import KnownEntry
from trainer.indexes import BuiltIndexes, build_indexes
from trainer.recipe import parse_recipe
from trainer.run_records import EntryRecord
from trainer.train import TrainedRun
from trainer.verify import AttributionGrade, RunGrade, RunVerdict
from trainer.verify.indexes import check_methods, with_indexes
from trainer.workflow import train_recipe, verify_entry

pytestmark = pytest.mark.ml

LEFT_OPEN = (
    "times, machine and environment of the recorded run, which are declared",
    "measurements of the model that training started from, which stand at that model's entry",
)
BIT_EXACT = "output files and tensors are equal byte for byte"
BOTH = parse_recipe(RECIPE + "attribution: {checkpoints: 2}\n")


@dataclass
class Story:
    """A recorded run with both indexes, and a repetition of it that has not been compared yet."""

    chain: TinyChain
    entry: EntryRecord
    run: TrainedRun
    built: BuiltIndexes
    folder: Path

    def compare(
        self,
        entry: EntryRecord,
        built: BuiltIndexes | None = None,
        *,
        run: TrainedRun | None = None,
        near: bool = False,
    ) -> RunVerdict:
        """`near`: as if the repetition's tensors were not the recorded ones."""
        if near:
            entry = replace(entry, tensor_digest=bytes(32))
        grade = RunGrade.TRACE_MATCH if near else RunGrade.BIT_EXACT
        return with_indexes(
            RunVerdict(grade, ()), entry, run or self.run, built or self.built, self.chain.store, tiny_model()
        )

    def other_root(self) -> BuiltIndexes:
        """The repetition's indexes as if floats had given them another root."""
        commitment = self.built.commitment
        roots = {**commitment.roots, "lga-1": b"\5" * 32}
        return replace(self.built, commitment=replace(commitment, roots=roots))

    def forged(self, method: str, changes: Mapping[str, dict[str, Any]]) -> EntryRecord:
        """An entry whose stored indexes are those of the run but for some fields of parts."""
        commitment = self.built.commitment
        if method == "payout":
            policy = replace(commitment.policy, **changes["payout"])
            forged = EntryCommitment(commitment.roots, policy)
        else:
            name = "commitment.bin" if method == "lga-1" else "commitment"
            folder = self.folder / "forged"
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(self.built.folders[method], folder)
            parts = dict(Manifest.decode((folder / name).read_bytes()).parts)
            for part, fields in changes.items():
                parts[part] = to_json(Manifest(parts).json(part) | fields) if fields else bytes(32)
            (folder / name).write_bytes(Manifest(parts).encode())
            put_index(self.chain.store, folder, Manifest(parts).root)
            forged = EntryCommitment({**commitment.roots, method: Manifest(parts).root}, commitment.policy)
        return replace(self.entry, attribution_root=forged.put(self.chain.store))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("indexes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        chain = tiny_chain(folder)
        run, record = train_recipe(BOTH, chain, chain.store, folder / "adapter", keep_checkpoint=True)
        assert run.checkpoint is not None
        built = build_indexes(run, tiny_model(), folder / "again")
        assert built is not None
        yield Story(chain, record.entry, run, built, folder)


def verify(story: Story, entry: EntryRecord, *, with_attribution: bool = True) -> RunVerdict:
    known = KnownEntry(b"\1" * 32, entry)
    return verify_entry(known, story.chain, story.chain.store, with_attribution=with_attribution)[0]


def test_a_repeated_run_gives_the_recorded_commitment_root(story: Story) -> None:
    said: list[str] = []
    stages: list[str] = []
    known = KnownEntry(b"\1" * 32, story.entry)
    verdict, run = verify_entry(
        known, story.chain, story.chain.store, say=said.append,
        index_progress=lambda stage, done, total: stages.append(stage),
    )  # fmt: skip
    equal = "attribution built again (lga-1, tsa-1): the commitment root is equal"
    assert verdict == RunVerdict(RunGrade.BIT_EXACT, (BIT_EXACT, equal), AttributionGrade.EQUAL, (), LEFT_OPEN)
    assert not verdict.failed
    assert said[1].startswith("indexing ")
    assert stages[-1] == "index"
    assert not any(folder.exists() for folder in (run.folder, *run.adapters))
    assert not list((story.folder / "cache" / "openledger" / "verifications").iterdir())


def test_indexes_are_built_again_as_the_record_describes_its_code(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other code and libraries that give the same numbers give the same root; that they are others is said."""
    monkeypatch.setattr("trainer.verify.code_digest", lambda: "ab" * 32)
    monkeypatch.setattr("trainer.indexes.code_description", lambda: {"digest": "ab" * 32})
    verdict = verify(story, story.entry)
    assert verdict.attribution == AttributionGrade.EQUAL
    assert verdict.findings[1].startswith("other training code: ")


def test_who_does_not_want_it_gets_a_grade_of_the_adapter(story: Story) -> None:
    assert verify(story, story.entry, with_attribution=False) == RunVerdict(
        RunGrade.BIT_EXACT,
        (BIT_EXACT, "attribution not compared: it was not built again"),
        AttributionGrade.NOT_COMPARED,
        (),
        (
            LEFT_OPEN[0],
            "adapters at the 2 checkpoints that attribution indexes",
            "the attribution that the entry commits to",
            LEFT_OPEN[1],
        ),
    )


def test_indexes_of_a_run_that_differs_are_not_built(story: Story) -> None:
    verdict = verify(story, _with_output(story, story.run.adapters[0]))
    assert (verdict.grade, verdict.attribution) == (RunGrade.DIFFERS, AttributionGrade.NOT_COMPARED)
    assert verdict.findings[-1] == "attribution not compared: the adapter differs already"


def _with_output(story: Story, folder: Path) -> EntryRecord:
    """The entry with another output, here the adapter of an earlier step."""
    artefact, store = describe_artefact(folder), story.chain.store
    put_artefact(store, folder, artefact)
    listed = [{"name": each.name, "sha256": each.digest.hex(), "bytes": each.byte_count} for each in artefact.files]
    manifest = get_manifest(store, story.entry.manifest_root)
    told = Manifest({**manifest.parts, "output": to_json({"files": listed})})
    return replace(
        story.entry,
        manifest_root=put_manifest(store, told),
        artefact_digest=artefact.artefact_digest,
        tensor_digest=artefact.tensor_digest,
    )


Forgery = tuple[str, dict[str, dict[str, Any]], str]
OTHER = "11" * 32
FLOATS: list[Forgery] = [
    ("lga-1", {"leaves": {"root": OTHER}}, "lga-1/leaves (root)"),
    ("lga-1", {"basis/0000": {"sha256": OTHER}, "leaves": {"root": OTHER}}, "lga-1/basis/0000 (sha256) (of 2)"),
    ("lga-1", {"checkpoint/0001": {"tensors": OTHER}}, "lga-1/checkpoint/0001 (tensors)"),
    ("lga-1", {"parameters": {"norm_cap_millionths": 7}}, "lga-1/parameters (norm_cap_millionths: 7 recorded, "),
]
INTEGERS: list[Forgery] = [
    ("lga-1", {"parameters": {"batch_examples": 5}}, "lga-1/parameters (batch_examples: 5 recorded, 8 here)"),
    ("lga-1", {"dataset": {"root": OTHER}}, "lga-1/dataset (root)"),
    ("lga-1", {"source/recipe": {"name": "another"}}, "lga-1/source/recipe (name)"),
    (
        "lga-1",
        {"copies": {"minimum_cosine_ppb": 700_000_000}},
        "lga-1/copies (minimum_cosine_ppb: 700000000 recorded, 600000000 here)",
    ),
    ("tsa-1", {"documents": {}}, "tsa-1/documents"),
    ("tsa-1", {"about": {"min_tokens": 9}}, "tsa-1/about (min_tokens: 9 recorded, 6 here)"),
    ("payout", {"payout": {"kappa_ppb": 5}}, "payout (kappa_ppb: 5 recorded, "),
]


@pytest.mark.parametrize(("method", "changes", "first"), FLOATS + INTEGERS)
def test_another_index_of_equal_tensors_fails_and_the_first_part_is_named(
    story: Story, method: str, changes: dict[str, dict[str, Any]], first: str
) -> None:
    verdict = story.compare(story.forged(method, changes))
    assert (verdict.grade, verdict.attribution) == (RunGrade.BIT_EXACT, AttributionGrade.DIFFERS)
    assert verdict.failed
    assert f"the first part that differs is {first}" in verdict.findings[0]


@pytest.mark.parametrize(("method", "changes", "first"), INTEGERS)
def test_what_does_not_come_from_floats_must_be_equal_after_a_trace_match(
    story: Story, method: str, changes: dict[str, dict[str, Any]], first: str
) -> None:
    verdict = story.compare(story.forged(method, changes), near=True)
    assert verdict.attribution == AttributionGrade.DIFFERS
    assert verdict.findings[0].startswith(f"attribution differs where floats have no part: {first}")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"leaves": {"root": OTHER}}, "leaves: leaf-hashes.bin is not what the commitment holds"),
        ({"basis/0000": {"sha256": OTHER}}, "basis/0000: "),
        ({"checkpoint/0001": {"tensors": OTHER}}, "checkpoint/0001: 0001 is not the adapter of this index"),
        ({"parameters": {"norm_cap_millionths": 7}}, "leaves: codes of row "),
    ],
)
def test_after_a_trace_match_a_recorded_index_that_does_not_hold_by_itself_fails(
    story: Story, changes: dict[str, dict[str, Any]], reason: str
) -> None:
    verdict = story.compare(story.forged("lga-1", changes), near=True)
    assert verdict.attribution == AttributionGrade.DIFFERS
    assert verdict.findings[0].startswith(f"attribution differs: the recorded index does not hold ({reason}")


def near_run(story: Story, factor: float, name: str, *, noise: bool = False) -> TrainedRun:
    """The run with its indexed adapters moved a little, all numbers alike or each by another part."""
    import torch
    from safetensors.torch import load_file, save_file

    random = torch.Generator().manual_seed(1)

    def moved(value: torch.Tensor) -> torch.Tensor:
        return value * (1 + factor * (torch.randn(value.shape, generator=random) if noise else 1))

    adapters = []
    for adapter in story.run.adapters:
        near = story.folder / name / adapter.name
        shutil.copytree(adapter, near)
        tensors = {key: moved(value) for key, value in load_file(adapter / ADAPTER_FILE).items()}
        save_file(tensors, near / ADAPTER_FILE, metadata={"format": "pt"})
        adapters.append(near)
    return replace(story.run, adapters=tuple(adapters))


def test_a_made_up_copy_or_order_is_found_after_a_trace_match_too(story: Story) -> None:
    commitment = (story.built.folders["lga-1"] / "commitment.bin").read_bytes()
    order = Manifest.decode(commitment).json("copies")["order"]
    other_found = {"copies": {"found": [[order[-1], order[0]]]}}
    other_order = {"copies": {"order": [*order[1:], order[0]], "found": []}}
    for changes, field, near in (
        (other_found, "found)", f"leaf {order[-1]} is a copy of leaf {order[0]}; by the codes it is credited"),
        (other_order, "", "attribution differs where floats have no part: lga-1/copies (order)"),
    ):
        entry = story.forged("lga-1", changes)
        verdict = story.compare(entry)
        assert verdict.attribution == AttributionGrade.DIFFERS
        assert f"the first part that differs is lga-1/copies ({field}" in verdict.findings[0]
        verdict = story.compare(entry, near=True)
        assert verdict.attribution == AttributionGrade.DIFFERS
        assert near in verdict.findings[0]


def test_indexes_of_adapters_that_are_only_near_are_consistent_and_the_recorded_one_is_audited(story: Story) -> None:
    run = near_run(story, 2**-16, "near")
    built = build_indexes(run, tiny_model(), story.folder / "near-indexes")
    assert built is not None
    assert built.commitment.roots["tsa-1"] == story.built.commitment.roots["tsa-1"]
    assert built.commitment.roots["lga-1"] != story.built.commitment.roots["lga-1"]
    verdict = story.compare(story.entry, built, run=run, near=True)
    assert (verdict.grade, verdict.attribution) == (RunGrade.TRACE_MATCH, AttributionGrade.CONSISTENT)
    assert verdict.findings[0].startswith(
        "attribution consistent: payout rules; the whole span index; rows, owners, recipe, settings and module shapes "
        "of the gradient index are equal; of the recorded index sums hold, codes of 8 rows computed again are within "
    )
    assert (
        "the adapters at all 2 checkpoints 1.5e-05 at most from the repeated ones; its bases are not compared"
        in verdict.findings[0]
    )


def test_which_coordinates_are_kept_comes_from_floats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An adapter that is five hundredths away keeps other coordinates, and bases end after other directions."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    chain = tiny_chain(tmp_path)
    recipe = parse_recipe(RECIPE + "attribution: {codes: 60, methods: [lga-1]}\n")
    run, record = train_recipe(recipe, chain, chain.store, tmp_path / "adapter", keep_checkpoint=True)
    built = build_indexes(run, tiny_model(), tmp_path / "again")
    assert built is not None
    story = Story(chain, record.entry, run, built, tmp_path)
    near = near_run(story, 0.05, "noisy", noise=True)
    again = build_indexes(near, tiny_model(), tmp_path / "noisy-indexes")
    assert again is not None
    recorded, repeated = (GradientIndex.open(each.folders["lga-1"]).parameters.modules for each in (built, again))
    assert recorded != repeated
    verdict = story.compare(story.entry, again, run=near, near=True)
    assert (verdict.attribution, verdict.findings[0][:24]) == (AttributionGrade.CONSISTENT, "attribution consistent: ")


def test_indexes_of_another_training_are_found_out(story: Story) -> None:
    run = near_run(story, 0.5, "far")
    built = build_indexes(run, tiny_model(), story.folder / "far-indexes")
    assert built is not None
    verdict = story.compare(story.entry, built, run=run, near=True)
    assert verdict.attribution == AttributionGrade.DIFFERS
    assert "(checkpoint/0000: the adapter is 3.3e-01 from the repeated one, " in verdict.findings[0]


def test_without_the_recorded_commitment_equal_tensors_still_fail_and_near_ones_are_not_compared(story: Story) -> None:
    unknown = replace(story.entry, attribution_root=b"\7" * 32)
    failed, open_question = story.compare(unknown), story.compare(unknown, near=True)
    assert failed.attribution == AttributionGrade.DIFFERS
    assert f"commits to root {unknown.attribution_root.hex()[:16]}…, the same tensors give " in failed.findings[0]
    assert "where cannot be said (the recorded commitment cannot be read: content 0707" in failed.findings[0]
    assert open_question.attribution == AttributionGrade.NOT_COMPARED
    assert not open_question.failed
    assert open_question.findings[0].startswith("attribution not compared: the recorded commitment cannot be read")


def test_near_tensors_are_not_compared_with_an_index_of_which_files_are_missing(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    def withheld(*_: object) -> Path:
        raise ContentMissing("content 0a0b is not in the store")

    monkeypatch.setattr("trainer.verify.indexes.fetch_index", withheld)
    verdict = story.compare(story.entry, story.other_root(), near=True)
    assert verdict.attribution == AttributionGrade.NOT_COMPARED
    assert verdict.findings[0].endswith(
        "are equal; the recorded index cannot be read: content 0a0b is not in the store"
    )


def test_an_index_that_is_stored_under_the_root_of_another_is_not_compared_with(story: Story) -> None:
    entry = story.forged("lga-1", {"leaves": {"root": OTHER}})
    forged = story.folder / "forged" / "commitment.bin"
    root = Manifest.decode(forged.read_bytes()).root
    put_index(story.chain.store, story.built.folders["lga-1"], root)
    verdict = story.compare(entry)
    assert verdict.attribution == AttributionGrade.DIFFERS
    assert f"lga-1: what is stored for root {root.hex()[:16]}… has another root" in verdict.findings[0]


def test_entry_and_recipe_must_ask_for_the_same_methods(story: Story) -> None:
    with pytest.raises(NotVerified, match="the entry commits to attribution by lga-1, tsa-1, its recipe asks for noth"):
        check_methods(story.entry, tiny_recipe())
    with pytest.raises(NotVerified, match="commits to attribution by nothing, its recipe asks for lga-1, tsa-1"):
        verify(story, replace(story.entry, attribution_method=0, attribution_root=b""))
    check_methods(replace(story.entry, attribution_method=0), tiny_recipe())


def test_a_verification_leaves_the_store_as_it_was(story: Story) -> None:
    """A verifier vouches for nothing: what was built is not handed to others."""
    content = story.folder / "content"
    before = sorted(path.name for path in content.rglob("*"))
    unknown = replace(story.entry, attribution_root=b"\7" * 32)
    assert verify(story, unknown).failed
    assert sorted(path.name for path in content.rglob("*")) == before
