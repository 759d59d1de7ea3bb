"""Copies that only the codes show, after training: said, listed in the index, and worth nothing to the copier."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from attribution.entry import GRADIENTS
from attribution.explanation.evidence import IndexEvidence
from attribution.lga import code_copies
from attribution.lga.code_copies import OFF_PPB, CodeCopies
from attribution.lga.index.reader import GradientIndex
from openledger.content.store import ContentStore
from openledger.data.versions import ContributionRecord, VersionRecord
from tests.kit.trainer.tiny import RECIPE, WORDS, put_rows, tiny_model
from trainer.indexes import BuiltIndexes, build_indexes
from trainer.recipe import parse_recipe
from trainer.train import TrainedRun, prepare_run, train

pytestmark = pytest.mark.ml
ADA, BOB, EVE = (bytes([letter]) * 32 for letter in b"abe")
# The model reads 16 tokens of a row.
READ = 16
ONE_INPUT = RECIPE.split("  - datanet: questions")[0].replace("weight_ppb: 750000000", "weight_ppb: 1000000000")
TEXT = ONE_INPUT.replace("held_out_ppb: 200000000", "held_out_ppb: 0") + (
    "train: {steps: 40, batch_size: 2, sequence_tokens: 16, learning_rate: 0.05, seed: 3, threads: 1}\n"
    "evaluate: {rows: 0}\noutput: {model: tiny}\n"
)


def words(seed: int, count: int) -> str:
    return " ".join(Random(seed).choices(WORDS, k=count))


def disguised(text: str, seed: int) -> str:
    """Other words behind what the model reads: the texts have little in common, the training examples are equal."""
    return f"{text} {words(seed, 40)}"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ContentStore:
    return ContentStore.open(tmp_path_factory.mktemp("content"))


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def trained(store: ContentStore, folder: Path, attribution: str, eve_first: bool = False) -> TrainedRun:
    """Ada, Bob and Eve with eight rows each; three of Eve's are Ada's in disguise. Ids fall while heights rise."""
    ada = [words(number, READ) for number in range(8)]
    bob = [words(100 + number, READ) for number in range(8)]
    eve = [disguised(text, 200 + number) for number, text in enumerate(ada[:3])]
    eve += [words(300 + number, READ) for number in range(5)]
    records = []
    batches = [(ADA, 2, ada), (BOB, 3, bob), (EVE, 1 if eve_first else 4, eve)]
    for number, (owner, height, texts) in enumerate(batches):
        commitment = put_rows(store, number, [{"text": text} for text in texts])
        records.append(ContributionRecord(bytes([99 - number]) * 32, owner, commitment, height, 1))
    version = VersionRecord.of(b"f" * 32, 1, tuple(records))
    recipe = parse_recipe(f"{TEXT}attribution: {attribution}\n")
    run = train(prepare_run(recipe, [version], store), tiny_model(), folder / "out", base_label="base")
    assert run.prepared.copies == ()
    return run


def indexed(run: TrainedRun, folder: Path) -> tuple[GradientIndex, list[str]]:
    said: list[str] = []
    built = build_indexes(run, tiny_model(), folder / "work", say=said.append)
    assert isinstance(built, BuiltIndexes)
    index = GradientIndex.open(built.folders[GRADIENTS])
    index.verify()
    return index, said


def rows_of(index: GradientIndex, owner: bytes) -> set[int]:
    return {number for number, leaf in enumerate(index.leaves) if leaf.owner == owner}


def test_near_copies_under_a_second_name_are_found_by_their_codes_and_get_nothing(
    store: ContentStore, tmp_path: Path
) -> None:
    run = trained(store, tmp_path, "{checkpoints: 2, methods: [lga-1]}")
    index, said = indexed(run, tmp_path)
    copies = index.copies
    rule = "of rows that are alike the one that was registered first is credited"
    assert said[1:] == [f"copies by codes: 3 of 24 rows, of 1 contributor; {rule}"]
    assert {leaf for leaf, _ in copies.found} < rows_of(index, EVE)
    assert {leader for _, leader in copies.found} < rows_of(index, ADA)
    # Contributions with lower ids were registered later.
    assert [index.leaves[leaf].owner for leaf in copies.order] == [ADA] * 8 + [BOB] * 8 + [EVE] * 8
    evidence = IndexEvidence.of_index(index, with_codes=True)
    assert evidence.rows_of_owner == {ADA: 8, BOB: 8, EVE: 5}
    assert evidence.copies_of_owner == {ADA: 0, BOB: 0, EVE: 3}
    query = index.codes[copies.found[0][0]]
    rows = evidence.row_scores(query)
    assert rows is not None
    scores = dict(zip(index.owners, evidence.table.scores(query), strict=True))
    for owner, score in scores.items():
        assert score == sum(rows[number] for number in rows_of(index, owner) - copies.leader_of.keys())


def test_who_copied_first_on_the_chain_is_credited(store: ContentStore, tmp_path: Path) -> None:
    index, said = indexed(trained(store, tmp_path, "{checkpoints: 2, methods: [lga-1]}", eve_first=True), tmp_path)
    assert {leaf for leaf, _ in index.copies.found} < rows_of(index, ADA)
    assert said[1].startswith("copies by codes: 3 of 24 rows, of 1 contributor;")


def test_it_is_said_when_copies_are_not_looked_for(
    store: ContentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained(store, tmp_path, f"{{copy_cosine_ppb: {OFF_PPB}, methods: [lga-1]}}")
    index, said = indexed(run, tmp_path)
    assert index.copies == CodeCopies(OFF_PPB, "off", (), ())
    assert said[1:] == ["copies by codes: not looked for, the recipe switches it off"]
    assert IndexEvidence.of_index(index).rows_of_owner == {ADA: 8, BOB: 8, EVE: 8}
    monkeypatch.setattr(code_copies, "MAX_CODE_ROWS", 23)
    monkeypatch.setattr("trainer.indexes.MAX_CODE_ROWS", 23)
    (tmp_path / "many").mkdir()
    run = trained(store, tmp_path / "many", "{methods: [lga-1]}")
    index, said = indexed(run, tmp_path / "many")
    assert index.copies == CodeCopies(600_000_000, "too many rows", (), ())
    assert said[1:] == ["copies by codes: not looked for, 24 rows are more than 23"]
