"""What is recorded names entries and DataNets by id; a recipe that made a version of its model is found again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from abci_app.bech32 import encode_id
from openledger.content.store import ContentStore
from openledger.errors import UsageError
from tests.kit.trainer.tiny import TinyChain, tiny_chain, tiny_recipe
from trainer.ancestry import KnownEntry
from trainer.pinned import find_earlier_run
from trainer.recipe import parse_recipe
from trainer.run_folder import check_output_folder
from trainer.verify import RunGrade
from trainer.workflow import discard_checkpoint, resolve, train_recipe, verify_entry

pytestmark = pytest.mark.ml
ADAPTER = ("{base: base}", "{base: base, adapter: gardener}")


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyChain:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tiny_chain(tmp_path)


def test_names_are_recorded_as_ids_and_a_floating_adapter_as_the_version_that_it_was(
    chain: TinyChain, tmp_path: Path
) -> None:
    _, first = train_recipe(tiny_recipe(), chain, chain.store, tmp_path / "one")
    gardener = chain.add_entry("gardener", first.entry)
    second, record = train_recipe(tiny_recipe(ADAPTER), chain, chain.store, tmp_path / "two")
    recorded = parse_recipe(record.manifest.parts["recipe"])
    base = chain.entries["base"].entry_id
    assert (recorded.model.base, recorded.model.adapter) == (
        encode_id("olrun", base), encode_id("olrun", gardener.entry_id),
    )  # fmt: skip
    assert [dataset.datanet for dataset in recorded.datasets] == [
        encode_id("oldata", chain.versions[name, 1].datanet_id) for name in ("facts", "questions")
    ]
    assert record.manifest.json("base")["entry"] == encode_id("olrun", base)
    assert encode_id("olrun", base) in (second.folder / "adapter_config.json").read_text()
    # The name stands for another version by now; the entry is repeated from the one that it was.
    chain.add_entry("gardener", record.entry)
    known = KnownEntry(b"\1" * 32, record.entry)
    assert verify_entry(known, chain, chain.store)[0].grade == RunGrade.BIT_EXACT
    assert resolve(tiny_recipe(ADAPTER), chain)[0].digest() != recorded.digest()


def test_names_and_ids_of_the_same_things_are_one_run(chain: TinyChain) -> None:
    ids = tiny_recipe(("{base: base}", f"{{base: {chain.entries['base'].entry_id.hex()}}}"))
    assert resolve(tiny_recipe(), chain)[0].digest() == resolve(ids, chain)[0].digest()


@dataclass
class Versions:
    """The versions of one model."""

    chain: TinyChain
    found: list[tuple[int, bytes]] = field(default_factory=list)

    def model_versions(self, name: str) -> Sequence[tuple[int, bytes]]:
        return self.found if name == "tiny" else []

    def entry(self, reference: str) -> KnownEntry:
        return self.chain.entry(reference)


def test_a_recipe_that_has_run_is_found_by_what_it_made(chain: TinyChain, tmp_path: Path) -> None:
    recipe, other = tiny_recipe(), tiny_recipe(("seed: 3", "seed: 4"))
    model = Versions(chain)
    asked = resolve(recipe, chain)[0]
    assert find_earlier_run(asked, model, chain.store) is None
    for number, each in enumerate((recipe, other), start=1):
        _, record = train_recipe(each, chain, chain.store, tmp_path / str(number))
        model.found.append((number, chain.add_entry(f"tiny@{number}", record.entry).entry_id))
    assert find_earlier_run(asked, model, chain.store) == model.found[0]
    assert find_earlier_run(resolve(other, chain)[0], model, chain.store) == model.found[1]
    renamed = tiny_recipe(("output: {model: tiny}", "output: {model: another}"))
    assert find_earlier_run(resolve(renamed, chain)[0], model, chain.store) is None
    # Without manifests nobody can say so.
    assert find_earlier_run(asked, model, ContentStore.open(tmp_path / "empty")) is None


def test_a_folder_with_something_in_it_is_refused_before_anything_is_fetched(chain: TinyChain, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(
        UsageError, match="mine is not empty, and no run of this machine has left there what it holds: name"
    ):
        train_recipe(tiny_recipe(), chain, chain.store, mine)
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]
    with pytest.raises(UsageError, match=r"thesis.txt is a file: delete it"):
        train_recipe(tiny_recipe(), chain, chain.store, mine / "thesis.txt")


def test_what_a_run_has_written_and_nobody_recorded_is_its_own_until_somebody_changes_it(
    chain: TinyChain, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run, _ = train_recipe(tiny_recipe(), chain, chain.store, out, keep_checkpoint=True)
    check_output_folder(out)
    again, _ = train_recipe(tiny_recipe(), chain, chain.store, out, keep_checkpoint=True)
    assert again.artefact == run.artefact
    with pytest.raises(UsageError, match="holds the output of another run, which is not recorded yet; to record that"):
        train_recipe(tiny_recipe(("seed: 3", "seed: 4")), chain, chain.store, out)
    (out / "adapter_config.json").write_text("{}")
    with pytest.raises(UsageError, match="is not empty"):
        train_recipe(tiny_recipe(), chain, chain.store, out)
    discard_checkpoint(again)
    with pytest.raises(UsageError, match="is not empty"):
        check_output_folder(out)
