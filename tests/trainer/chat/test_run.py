"""A run on several forms with a base's chat template: recorded in words, repeated bit by bit, credited for answers."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from abci_app.modules.datanets import Form
from attribution.adapted_model import open_base
from attribution.errors import AttributionError
from attribution.lga.gradients import GradientCollector
from attribution.lga.index.checkpoint import weighed
from attribution.lga.index.reader import GradientIndex
from attribution.loss import make_batch
from attribution.text_tokens import open_tokenizer
from tests.kit.trainer.chat_templates import CHATML, CHATML_TOKENS, CLOCK, STRICT, STRICT_TOKENS
from tests.kit.trainer.chats import chat_tokenizer
from tests.kit.trainer.tiny import TinyChain, add_base, byte_base, tiny_chain
from trainer.ancestry import KnownEntry
from trainer.audit import audit_index
from trainer.chat.writer import template_digest
from trainer.check import examine_recipe
from trainer.describe import describe
from trainer.examples import PREFIX_RULE, ExampleError
from trainer.indexes import BuiltIndexes, build_indexes
from trainer.method import Lora
from trainer.recipe import parse_recipe
from trainer.run_records import RunRecord
from trainer.train import TrainedRun, prepare_run
from trainer.trainee import make_trainee
from trainer.verify import AttributionGrade, RunGrade
from trainer.workflow import train_recipe, verify_entry

pytestmark = pytest.mark.ml
RECIPE = """
version: 1
name: garden-chat
model: {base: chatty}
method: {rank: 2, alpha: 4, target_modules: [q_proj, v_proj]}
datasets: [{datanet: garden, version: 1, weight_ppb: 1000000000, split: {held_out_ppb: 200000000}}]
train: {steps: 8, batch_size: 2, sequence_tokens: 256, learning_rate: 0.05, seed: 3, threads: 1}
evaluate: {rows: 4}
output: {model: chatty-garden}
attribution: {checkpoints: 1, codes: 32}
"""


def said(seed: int, count: int) -> str:
    """Words that nobody else says."""
    random = Random(seed)
    return " ".join("".join(random.choices("abcdefghijklmnop", k=random.randint(2, 7))) for _ in range(count))


def chat(number: int) -> dict[str, Any]:
    turns = [("user", said(number, 4)), ("assistant", said(number + 500, 2 + number % 5))]
    turns += [("user", said(number + 1000, 2)), ("assistant", said(number + 1500, 3))] if number % 2 else []
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


def garden(chain: TinyChain) -> None:
    """Four contributions, each of a form of its own."""
    shared = [
        {"conversations": [{"from": "human", "value": said(70 + n, 4)}, {"from": "gpt", "value": said(80 + n, 5)}]}
        for n in range(6)
    ]
    asked = [{"instruction": said(90 + n, 4), "input": "", "output": said(100 + n, 6)} for n in range(6)]
    texts = [{"text": said(110 + n, 8)} for n in range(6)]
    batches = [[chat(number) for number in range(12)], shared, asked, texts]
    chain.add_version("garden", batches, [Form.MESSAGES, Form.SHAREGPT, Form.INSTRUCTION, Form.TEXT])


@dataclass
class Run:
    chain: TinyChain
    base: Path
    trained: TrainedRun
    record: RunRecord
    built: BuiltIndexes


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("chat")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        chain = tiny_chain(folder)
        tokenizer = chat_tokenizer(CHATML, CHATML_TOKENS)
        base = byte_base(folder / "base", tokenizer, rows=len(tokenizer))
        add_base(chain, "chatty", base)
        garden(chain)
        trained, record = train_recipe(
            parse_recipe(RECIPE), chain, chain.store, folder / "adapter", keep_checkpoint=True
        )
        built = build_indexes(trained, base, folder / "again")
        assert built is not None
        yield Run(chain, base, trained, record, built)


def test_the_record_says_forms_template_and_what_was_learned_in_words(run: Run) -> None:
    lines = describe(run.record.manifest)
    digest = template_digest(CHATML)
    assert f"conversations: written by the base's chat template (SHA-256 {digest[:16]}…)" in lines
    assert f"learned of conversations: {PREFIX_RULE}" in lines
    assert "  30 rows in the version: 6 instruction, 12 messages, 6 sharegpt, 6 text" in lines
    assert run.record.manifest.json("writing")["template_sha256"] == digest


def test_a_repetition_writes_the_same_conversations_and_builds_the_same_indexes(run: Run) -> None:
    verdict, again = verify_entry(KnownEntry(b"\1" * 32, run.record.entry), run.chain, run.chain.store)
    assert (verdict.grade, verdict.attribution) == (RunGrade.BIT_EXACT, AttributionGrade.EQUAL)
    assert again.loss_trace_micronats == run.trained.loss_trace_micronats


def test_spans_are_of_answers_alone_each_by_itself(run: Run) -> None:
    tokenizer = open_tokenizer(run.base)
    documents = documents_of(run.built.folders["tsa-1"])
    texts = {str(tokenizer.decode([number - 1 for number in document])) for document in documents}
    rows = [row.example for row in run.built.rows]
    answers = {
        f"{turn.text}{'</s>' if example.form == Form.TEXT else '<|im_end|>'}"
        for example in rows
        for turn in example.turns
        if turn.learned
    }
    assert texts == answers
    assert any(len(row.tokens.learned) == 2 for row in run.built.rows)


def documents_of(folder: Path) -> list[list[int]]:
    """Tokens of every document as they are stored: each number one higher, a zero behind it."""
    found: list[list[int]] = [[]]
    for number in np.fromfile(folder / "tokens", dtype=">u4").tolist():
        if number:
            found[-1].append(number)
        else:
            found.append([])
    return found[:-1]


def test_a_rows_gradient_is_that_of_its_learned_tokens_as_often_as_they_count(run: Run) -> None:
    import torch

    row = next(row for row in run.built.rows if len(row.tokens.learned) == 2)
    assert row.weight == row.tokens.targets == sum(end - start for start, end in row.tokens.learned)
    method = run.trained.prepared.recipe.method
    assert isinstance(method, Lora)
    model = make_trainee(open_base(run.base), run.trained.prepared.recipe, run.trained.folder)
    collector = GradientCollector(model)
    found = weighed(collector.collect_tokens([row.tokens]), [row.weight])
    ids, mask, labels = make_batch([row.tokens], 0)
    model.eval()
    logits = model(input_ids=ids, attention_mask=mask).logits[0, :-1].double()
    torch.nn.functional.cross_entropy(logits, labels[0, 1:], reduction="sum").backward()  # type: ignore[no-untyped-call]
    for name, module in model.named_modules():
        if name in found:
            assert torch.allclose(found[name][0], module.weight.grad, rtol=1e-4, atol=1e-6)


def test_an_audit_computes_the_codes_of_such_rows_again(run: Run) -> None:
    index = GradientIndex.open(run.built.folders["lga-1"])
    found = audit_index(index, run.base, run.trained.adapters, run.built.rows, limit=100)
    assert found.rows == len(run.built.rows)
    alike = [replace(row, weight=1) for row in run.built.rows]
    assert len({row.weight for row in run.built.rows}) > 3
    with pytest.raises(AttributionError, match="are not those of the index's own adapters and bases"):
        audit_index(index, run.base, run.trained.adapters, alike, limit=100)


def test_a_check_shows_forms_and_two_examples(run: Run) -> None:
    lines, _ = examine_recipe(parse_recipe(RECIPE), run.chain, run.chain.store, show_examples=True)
    assert "forms: 6 instruction, 12 messages, 6 sharegpt, 6 text" in lines[0]
    assert (
        "end: answers of conversations end with '<|im_end|>', the tokenizer's end of text is '</s>': who serves the "
        "model must stop at both"
    ) in lines
    heads = [line for line in lines if line.startswith("example ")]
    assert len(heads) == 2
    assert len({head.split(",")[0].split(": ")[1] for head in heads}) == 2
    assert any(line.startswith("  read     <|im_start|>·u·s·e·r·↵") for line in lines)


@pytest.mark.parametrize(
    ("template", "special", "reason"),
    [
        (STRICT, STRICT_TOKENS, ""),
        (CLOCK, CHATML_TOKENS, "inserts the date of today, so that nobody could repeat the run"),
        ("{% if", (), "the base's chat template is no template"),
        (
            "x" + CHATML.replace("message['content']", "message['content'] | upper"),
            CHATML_TOKENS,
            "leaves out turn 1 .user., or writes it in other letters",
        ),
    ],
)
def test_a_base_whose_template_cannot_be_used_is_refused_before_any_training(
    template: str, special: tuple[str, ...], reason: str, run: Run, tmp_path: Path
) -> None:
    tokenizer = chat_tokenizer(template, special)
    add_base(run.chain, "other", byte_base(tmp_path / "base", tokenizer, rows=len(tokenizer)))
    recipe = parse_recipe(RECIPE.replace("base: chatty", "base: other"))
    if not reason:
        assert examine_recipe(recipe, run.chain, run.chain.store)[0]
        return
    with pytest.raises((ExampleError, ValueError), match=reason):
        examine_recipe(recipe, run.chain, run.chain.store)


def test_a_template_token_without_numbers_in_the_base_is_refused_before_any_training(run: Run, tmp_path: Path) -> None:
    tokenizer = chat_tokenizer(CHATML, CHATML_TOKENS)
    add_base(run.chain, "short", byte_base(tmp_path / "base", tokenizer, rows=259))
    recipe = parse_recipe(RECIPE.replace("base: chatty", "base: short"))
    with pytest.raises(Exception, match="its embedding has 259 rows: tokens were added to the tokenizer and not to"):
        examine_recipe(recipe, run.chain, run.chain.store)


def test_one_conversation_in_two_forms_falls_on_one_side_of_the_split(run: Run) -> None:
    prepared = run.trained.prepared
    held_out = {example.text for partition in prepared.partitions for example in partition.held_out}
    assert held_out
    rows = [
        {
            "conversations": [
                {"from": "human", "value": turns[0]["content"]},
                {"from": "gpt", "value": turns[1]["content"]},
            ]
        }
        for turns in (chat(number)["messages"] for number in range(0, 12, 2))
    ]
    run.chain.add_version("copies", [rows], [Form.SHAREGPT])
    text = RECIPE.replace("1000000000", "500000000").replace("attribution: {checkpoints: 1, codes: 32}", "")
    copies = "{datanet: copies, version: 1, weight_ppb: 500000000, split: {held_out_ppb: 0}}"
    text = text.replace("held_out_ppb: 200000000}}]", f"held_out_ppb: 200000000}}}}, {copies}]")
    versions = [run.chain.versions[name, 1] for name in ("garden", "copies")]
    again = prepare_run(parse_recipe(text), versions, run.chain.store)
    kept = {example.text for example in again.partitions[1].training}
    assert not kept & held_out
    assert len(kept) + again.partitions[1].exact_held_out_copies == len(rows)
