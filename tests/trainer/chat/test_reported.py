"""What users of other tools reported of chats and of names of fields: each trains, or is refused in one clear line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.trainer.tiny import TinyChain, add_base, byte_base, byte_tokenizer, tiny_chain
from trainer.partition import PartitionError
from trainer.recipe import RecipeError, parse_recipe
from trainer.workflow import train_recipe

pytestmark = pytest.mark.ml


def said(role: str, text: str, speaker: str = "role", words: str = "content") -> dict[str, str]:
    return {speaker: role, words: text}


def shared(role: str, text: str) -> dict[str, str]:
    return said(role, text, "from", "value")


BYE = [shared("human", "bye"), shared("gpt", "ciao")]
ROWS: dict[str, list[dict[str, Any]]] = {
    "chat": [
        {"messages": [said("system", "Be terse."), said("user", f"Which number is {n}?"), said("assistant", f"«{n}»")]}
        for n in range(12)
    ],
    "sharegpt": [
        {"conversations": [shared("human", f"hi {n}"), shared("gpt", f"ho {n}"), *BYE]}
        for n in range(12)
    ],
    "oddnames": [{"user question": f"q {n}", "Antwort-Text": f"a long answer {n}", "问题": f"x{n}"} for n in range(12)],
}  # fmt: skip


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyChain]:
    folder = tmp_path_factory.mktemp("reported")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        made = tiny_chain(folder)
        add_base(made, "plain", byte_base(folder / "plain", byte_tokenizer()))
        for name, rows in ROWS.items():
            made.add_version(name, [rows])
        yield made


def recipe(datanet: str, preprocess: str) -> str:
    return f"""
version: 1
name: reported
model: {{base: plain}}
method: {{rank: 2, alpha: 4, target_modules: [q_proj, v_proj]}}
datasets:
  - {{datanet: {datanet}, version: 1, weight_ppb: 1000000000, preprocess: {preprocess}, split: {{held_out_ppb: 0}}}}
train: {{steps: 2, batch_size: 2, sequence_tokens: 64, learning_rate: 5e-4, seed: 3, threads: 1}}
output: {{model: reported}}
"""


@pytest.mark.parametrize(
    ("datanet", "preprocess"),
    [
        ("chat", "[]"),
        ("sharegpt", "[]"),
        ("sharegpt", '[{template: {prompt: "{conversations[0][value]}", completion: "{conversations[1][value]}"}}]'),
        ("oddnames", '[{template: {prompt: "{user question}", completion: "{Antwort-Text}"}}]'),
        ("oddnames", '[{strip: Antwort-Text}, {template: {completion: "{问题}"}}]'),
    ],
)
def test_it_trains(datanet: str, preprocess: str, chain: TinyChain, tmp_path: Path) -> None:
    run, _ = train_recipe(parse_recipe(recipe(datanet, preprocess)), chain, chain.store, tmp_path / "out")
    assert len(run.loss_trace_micronats) == 2
    assert run.cuts.trained[0].without_target == 0


@pytest.mark.parametrize(
    ("datanet", "preprocess", "kind", "reason"),
    [
        (
            "chat", '[{template: {completion: "{messages}"}}]', PartitionError,
            r"line 2 of its file, row 0: completion: field 'messages' is a list, no text; write the step {as_text",
        ),
        (
            "chat", "[chat_template]", RecipeError,
            "unknown step 'chat_template'; conversations need none, train.chat_template says how they are written",
        ),
        (
            "oddnames", "[{strip: Antwort-Text}]", PartitionError,
            "rows have neither 'completion' nor 'text' but Antwort-Text, user question, 问题; add a template step",
        ),
        (
            "sharegpt", '[{template: {completion: "{conversations[4][value]}"}}]', PartitionError,
            r"template: conversations has 4 items, no \[4\]; drop such rows or name another one",
        ),
    ],
)  # fmt: skip
def test_it_is_refused_in_one_line(
    datanet: str, preprocess: str, kind: type[Exception], reason: str, chain: TinyChain, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=reason) as caught:
        train_recipe(parse_recipe(recipe(datanet, preprocess)), chain, chain.store, tmp_path / "out")
    assert len(str(caught.value).splitlines()) == 1
