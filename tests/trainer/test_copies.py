"""Where rows say the same, the trainer uses the row that was registered first, and lists the others."""

from pathlib import Path

import pytest

from openledger.content.store import ContentStore
from openledger.data.manifest import get_manifest
from openledger.data.versions import ContributionRecord, VersionRecord
from tests.kit.trainer.tiny import RECIPE, put_rows, sentence, tiny_chain
from trainer.describe import describe_input
from trainer.partition import PartitionError
from trainer.recipe import parse_recipe
from trainer.train import PreparedRun, prepare_run
from trainer.workflow import train_recipe

ADA, BOB, EVE = (bytes([letter]) * 32 for letter in b"abe")
ONE_INPUT = (
    RECIPE.split("  - datanet: questions")[0].replace("750000000", "1000000000") + RECIPE[RECIPE.index("train:") :]
)
TEXT = ONE_INPUT.replace("held_out_ppb: 200000000", "held_out_ppb: 0").replace(
    "evaluate: {rows: 6}", "evaluate: {rows: 0}"
)
WITH_ATTRIBUTION = TEXT.replace("steps: 6", "steps: 40") + "attribution: {}\n"
Batch = tuple[bytes, int, list[str]]


def prepared(store: ContentStore, *batches: Batch, recipe: str = WITH_ATTRIBUTION) -> PreparedRun:
    """A run over contributions (owner, height, texts) of one version."""
    records = []
    for number, (owner, height, texts) in enumerate(batches):
        commitment = put_rows(store, number, [{"text": text} for text in texts])
        records.append(ContributionRecord(bytes([99 - number]) * 32, owner, commitment, height, number + 1))
    version = VersionRecord.of(b"f" * 32, 1, tuple(records))
    return prepare_run(parse_recipe(recipe), [version], store)


def trained(run: PreparedRun) -> set[tuple[bytes, str]]:
    owners = {record.contribution_id: record.contributor for record in run.versions[0].contributions}
    return {(owners[example.row.contribution_id], example.completion) for example in run.order}


def test_a_copy_under_another_name_is_not_trained_on_and_is_listed_with_its_reason(tmp_path: Path) -> None:
    long = " ".join(sentence(number) for number in (1, 2))
    run = prepared(ContentStore.open(tmp_path), (EVE, 9, [sentence(3), f"{long} chain"]), (ADA, 4, [sentence(3), long]))
    assert trained(run) == {(ADA, sentence(3)), (ADA, long)}
    found = [(copy.row.row.contribution_id, copy.leader.row.contribution_id, copy.reason) for copy in run.copies]
    assert found == [(b"c" * 32, b"b" * 32, "exact"), (b"c" * 32, b"b" * 32, "text")]


def test_the_order_of_the_chain_decides_not_that_of_the_version(tmp_path: Path) -> None:
    store = ContentStore.open(tmp_path)
    assert trained(prepared(store, (BOB, 9, [sentence(1)]), (ADA, 4, [sentence(1)]))) == {(ADA, sentence(1))}
    assert trained(prepared(store, (BOB, 4, [sentence(1)]), (ADA, 9, [sentence(1)]))) == {(BOB, sentence(1))}
    assert trained(prepared(store, (BOB, 4, [sentence(1)]), (ADA, 4, [sentence(1)]))) == {(BOB, sentence(1))}


def test_rows_that_differ_are_all_trained_on(tmp_path: Path) -> None:
    run = prepared(ContentStore.open(tmp_path), (BOB, 9, [sentence(1), sentence(2)]), (ADA, 4, [sentence(3)]))
    assert trained(run) == {(BOB, sentence(1)), (BOB, sentence(2)), (ADA, sentence(3))}
    assert run.copies == ()


def test_without_attribution_nothing_is_left_out(tmp_path: Path) -> None:
    plain = WITH_ATTRIBUTION.replace("attribution: {}\n", "")
    run = prepared(ContentStore.open(tmp_path), (EVE, 9, [sentence(3)]), (ADA, 4, [sentence(3)]), recipe=plain)
    assert trained(run) == {(EVE, sentence(3)), (ADA, sentence(3))}
    assert run.copies == ()


def test_a_dataset_of_copies_alone_is_refused_by_name(tmp_path: Path) -> None:
    store = ContentStore.open(tmp_path)
    ours, theirs = (
        VersionRecord.of(
            name,
            1,
            (ContributionRecord(name, owner, put_rows(store, height, [{"text": sentence(5)}]), height, 1),),
        )
        for name, owner, height in ((b"o" * 32, ADA, 3), (b"t" * 32, EVE, 8))
    )
    inputs = WITH_ATTRIBUTION.replace("weight_ppb: 1000000000", "weight_ppb: 500000000")
    first = inputs[inputs.index("  - datanet: facts") : inputs.index("train:")]
    recipe = parse_recipe(inputs.replace(first, first + first.replace("facts", "theirs")))
    with pytest.raises(PartitionError, match=r"datasets\[1\]: all 1 rows are copies of rows registered before"):
        prepare_run(recipe, [ours, theirs], store)


@pytest.mark.ml
def test_the_manifest_counts_the_copies_and_says_so_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    chain = tiny_chain(tmp_path)
    version = chain.add_version("facts", [[{"text": sentence(1)}, {"text": sentence(2)}], [{"text": sentence(1)}]])
    assert len(version.contributions) == 2
    recipe = parse_recipe(TEXT + "attribution: {methods: [tsa-1]}\n")
    _, record = train_recipe(recipe, chain, chain.store, tmp_path / "out")
    (part,) = get_manifest(chain.store, record.entry.manifest_root).inputs
    assert part["copies_left_out"] == 1
    assert "copies: 1 rows left out, since an earlier row says the same" in describe_input(part)
    assert record.entry.attribution_method == 2
