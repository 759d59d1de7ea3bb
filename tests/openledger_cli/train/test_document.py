"""docs/recipes.md: every field is explained, every example is a recipe that trains, every command is one."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from abci_app.modules.datanets import Form
from openledger.data.rows import RowBatch, put_batch
from openledger.data.versions import ContributionRecord, VersionRecord
from openledger_cli.main import build_parser
from openledger_cli.train.document import SECTIONS, document
from tests.kit.trainer.tiny import TinyChain, add_base, byte_base, byte_tokenizer, sentence, tiny_chain
from trainer.check import examine_recipe
from trainer.recipe import parse_recipe
from trainer.recipe_fields import FIELD_HELP, RecipeSection
from trainer.worked_examples import EXAMPLES, WorkedExample
from trainer.workflow import train_recipe

pytestmark = pytest.mark.ml
PAGE = Path(__file__).parents[3] / "docs" / "recipes.md"


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == document(), "run scripts/help"


def test_every_field_is_explained_and_nothing_that_is_no_field() -> None:
    fields = set()
    for path, section in SECTIONS:
        for field in msgspec.structs.fields(section):
            place = f"{path}.{field.name}" if path else field.name
            nested = any(other == place for other, _ in SECTIONS)
            if not nested:
                fields.add(place)
                assert place in FIELD_HELP, place
    sections = {path for path, _ in SECTIONS}
    assert FIELD_HELP.keys() - fields - sections == {"method.kind"}
    assert all(issubclass(section, RecipeSection) for _, section in SECTIONS)


def test_every_command_of_the_page_is_one() -> None:
    found = re.findall(r"^openledger (train .*?)(?:\s+#.*)?$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(found) == 3
    for line in found:
        parsed = build_parser("train").parse_args(line.split())
        assert parsed.recipe or parsed.init


ROWS: dict[tuple[str, int], tuple[Form, list[dict[str, Any]]]] = {
    ("herbs", 1): (
        Form.INSTRUCTION,
        [{"instruction": f"Name herb {n}.", "input": "", "output": f"{sentence(n)} {n}"} for n in range(30)],
    ),
    ("garden", 2): (
        Form.MESSAGES,
        [
            {
                "messages": [
                    {"role": "user", "content": f"When {n}?"},
                    {"role": "assistant", "content": f"{sentence(n, 5)} {n}"},
                ]
            }
            for n in range(40)
        ],
    ),
    ("faq", 1): (
        Form.SHAREGPT,
        [
            {
                "conversations": [
                    {"from": "human", "value": f"Why {n}?"},
                    {"from": "gpt", "value": f"{sentence(n, 6)} {n}"},
                ]
            }
            for n in range(20)
        ],
    ),
    ("soils", 1): (
        Form.OTHER,
        [{"question": f"Which soil {n}?", "answer": f"{sentence(n, 5)} {n}", "votes": n} for n in range(60)],
    ),
}


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyChain:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = tiny_chain(tmp_path)
    for (name, number), (form, rows) in ROWS.items():
        salts = [(len(name) * 100_000 + index).to_bytes(16, "big") for index in range(len(rows))]
        commitment = put_batch(made.store, RowBatch.from_objects(rows, salts))
        record = ContributionRecord(commitment.content_digest, b"\1" * 32, commitment, form=form)
        version = VersionRecord.of(name.encode().ljust(32, b"."), number, (record,))
        made.versions[name, number] = version
    add_base(made, "tiny-llama", byte_base(tmp_path / "base", byte_tokenizer()))
    return made


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title.split()[0])
def test_every_example_passes_the_check_and_trains(chain: TinyChain, tmp_path: Path, example: WorkedExample) -> None:
    recipe = parse_recipe(example.recipe)
    assert parse_recipe(recipe.canonical()) == recipe
    lines, verdict = examine_recipe(recipe, chain, chain.store)
    assert not verdict.conflict
    assert any(line.startswith("length: ") for line in lines)
    short = re.sub(r"(epochs|steps): [0-9]+", "steps: 2", example.recipe)
    run, record = train_recipe(parse_recipe(short), chain, chain.store, tmp_path / "out")
    assert len(run.loss_trace_micronats) == 2
    assert record.entry.attribution_method in (2, 3)
