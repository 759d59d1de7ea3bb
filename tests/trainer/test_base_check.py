"""A recipe beside its base: layers, vocabulary, end of text, attribution, memory and disk; no number is loaded."""

from pathlib import Path
from typing import Any

import pytest

from attribution.text_tokens import open_tokenizer
from openledger.errors import UsageError
from tests.kit.trainer.tiny import RECIPE, byte_base, byte_tokenizer, tiny_recipe
from trainer import base_check
from trainer.base_check import (
    BaseCheck,
    Needs,
    examine_base,
    free_memory_bytes,
    needs_of,
    needs_problems,
    open_skeleton,
    target_problems,
)
from trainer.recipe import parse_recipe

pytestmark = pytest.mark.ml
LINEAR = "linear layers: down_proj, gate_proj, k_proj, lm_head, o_proj, q_proj, up_proj, v_proj"
PADDING = "padding: the tokenizer names no padding token; short rows are filled with '</s>' (2), masked"


def checked(folder: Path, tokenizer: Any, *replacements: tuple[str, str], rows: int = 259) -> BaseCheck:
    base = byte_base(folder, tokenizer, rows=rows)
    return examine_base(tiny_recipe(*replacements), open_skeleton(base), open_tokenizer(base))


@pytest.fixture(scope="module")
def skeletons(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Any]:
    return {
        tied: open_skeleton(byte_base(tmp_path_factory.mktemp("base"), byte_tokenizer(), tied=tied))
        for tied in (False, True)
    }


@pytest.mark.parametrize(
    ("tied", "names", "problems"),
    [
        (False, ["q_proj", "v_proj"], []),
        (False, ["down_proj", "gate_proj"], []),
        (False, ["layers.1.self_attn.q_proj"], []),
        (False, ["lm_head", "q_proj"], []),
        (True, ["lm_head"], ["'lm_head' shares its numbers with the embedding, so an adapter of it cannot be"]),
        (True, ["embed_tokens"], ["'embed_tokens' is no linear layer but a Embedding (model.embed_tokens);"]),
        (False, ["q_proj", "embed_tokens"], ["'embed_tokens' is no linear layer"]),
        (False, ["self_attn"], ["'self_attn' is no linear layer but a LlamaAttention (model.layers.0.self"]),
        (False, ["qproj"], [f"'qproj' matches no layer of the base; did you mean 'q_proj'? write {LINEAR}"]),
        (False, ["all-linear"], ["'all-linear' matches no layer of the base; for all of them write target_mod"]),
        (False, ["q_proj", "qproj", "norm"], ["'qproj' matches no layer", "'norm' is no linear layer"]),
        (False, ["proj"], ["'proj' matches no layer"]),
    ],
)  # fmt: skip
def test_every_target_must_match_linear_layers(
    skeletons: dict[bool, Any], tied: bool, names: list[str], problems: list[str]
) -> None:
    found = target_problems(skeletons[tied], names)
    assert len(found) == len(problems)
    for line, expected in zip(found, problems, strict=True):
        assert line.startswith(f"method.target_modules: {expected}")


def test_a_skeleton_has_no_numbers(skeletons: dict[bool, Any]) -> None:
    assert {parameter.device.type for parameter in skeletons[False].parameters()} == {"meta"}


def test_a_padding_token_beyond_the_embedding_is_never_used(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    assert checked(tmp_path, tokenizer) == BaseCheck(
        [], ["padding: '[PAD]' has no numbers in the base; short rows are filled with '</s>' (2), masked"]
    )


def test_added_words_beyond_the_embedding_are_refused_by_name(tmp_path: Path) -> None:
    assert checked(tmp_path / "wide", byte_tokenizer(added=["<tool>"]), rows=264) == BaseCheck([], [PADDING])
    (problem,) = checked(tmp_path, byte_tokenizer(added=["<tool>", *"ⱥⱦⱨⱪⱬⱳ"])).problems
    assert problem.startswith("model.base: its tokenizer writes '<tool>' (259), 'ⱥ' (260), ")
    assert (
        " and 2 more, its embedding has numbers for the 259 tokens below 259 only; extend the embedding or" in problem
    )


def test_an_end_or_beginning_beyond_the_embedding_is_refused(tmp_path: Path) -> None:
    from tokenizers.processors import TemplateProcessing

    (problem,) = checked(tmp_path / "end", byte_tokenizer(eos_token="<end>")).problems
    assert problem.startswith("model.base: its tokenizer writes '<end>' (259), its embedding")
    tokenizer = byte_tokenizer(bos_token="<begin>")
    tokenizer._tokenizer.post_processor = TemplateProcessing(single="<begin> $A", special_tokens=[("<begin>", 259)])
    (problem,) = checked(tmp_path / "begin", tokenizer).problems
    assert problem.startswith("model.base: its tokenizer writes '<begin>' (259)")


def test_a_tokenizer_without_an_end_of_text_is_refused_unless_the_recipe_wants_none(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer(eos_token=None)
    (problem,) = checked(tmp_path, tokenizer).problems
    assert problem.startswith(
        "model.base: its tokenizer names no end-of-text token, so a model would not learn to stop;"
    )
    assert checked(tmp_path, tokenizer, ("seed: 3", "seed: 3, end_of_text: none")).problems == []


def test_a_beginning_that_is_put_before_no_text_and_another_end_are_said(tmp_path: Path) -> None:
    notes = checked(tmp_path, byte_tokenizer(bos_token="<s>")).notes
    assert notes == [PADDING, "beginning: the tokenizer names '<s>' but puts it before no text; rows begin without it"]
    notes = checked(tmp_path / "other", byte_tokenizer(eos_token="<s>")).notes
    assert notes[-1] == "end: rows end with '<s>', the base's configuration names 2 as its end"


def test_several_problems_are_named_at_once(tmp_path: Path) -> None:
    found = checked(
        tmp_path, byte_tokenizer(eos_token=None, added=["owl"]), ("q_proj, v_proj", "qproj, norm"),
        ("sequence_tokens: 16", "sequence_tokens: 1024"),
    )  # fmt: skip
    assert [problem.partition(":")[0] for problem in found.problems] == [
        "method.target_modules", "method.target_modules", "model.base", "model.base", "train.sequence_tokens",
    ]  # fmt: skip
    assert found.problems[-1].endswith("1024 tokens, the base reads 512 at most; lower it")


def test_more_codes_than_the_layers_give_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = byte_base(tmp_path, byte_tokenizer())
    recipe = parse_recipe(RECIPE + "attribution: {codes: 4096}\n")
    found = examine_base(recipe, open_skeleton(base), open_tokenizer(base))
    assert found.notes[-1] == "attribution.codes: 4096 a checkpoint asked for, the 4 target layers give 128"
    monkeypatch.setattr(base_check, "MAX_MODULES", 3)
    (problem,) = examine_base(recipe, open_skeleton(base), open_tokenizer(base)).problems
    assert problem == "method.target_modules: match 4 layers, attribution commits to 3; name fewer"


def test_what_is_needed_grows_with_batch_codes_and_points_and_is_held_against_what_is_free(
    skeletons: dict[bool, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = needs_of(tiny_recipe(), skeletons[False], 10)
    large = needs_of(tiny_recipe(("batch_size: 2", "batch_size: 200")), skeletons[False], 10)
    indexed = needs_of(parse_recipe(RECIPE + "attribution: {codes: 1000}\n"), skeletons[False], 10)
    assert (large.memory > 10 * small.memory, large.disk) == (True, small.disk)
    assert indexed.disk >= small.disk + 10 * 1000 * 2
    monkeypatch.setattr(base_check, "free_memory_bytes", lambda: 2**30)
    monkeypatch.setattr(base_check, "free_bytes_at", lambda path: 2**20)
    cache, output = tmp_path / "not yet there", tmp_path
    assert needs_problems(Needs(2**29, 2**19), cache, output) == (
        [], "needs about 512 MiB of memory of 1,024 MiB free and 1 MiB of disk of 1 MiB free",
    )  # fmt: skip
    problems, _ = needs_problems(Needs(2**31, 2**21), cache, output)
    assert [problem.partition(",")[0] for problem in problems] == [
        "memory: the run needs about 2",
        f"disk: the run needs about 2 MiB in {cache}",
        f"disk: the run needs about 2 MiB in {output}",
    ]


def test_free_memory_is_that_of_the_machine_or_of_the_group_that_limits_it(tmp_path: Path) -> None:
    assert free_memory_bytes(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    4000 kB\n")
    assert free_memory_bytes(tmp_path) == 4_096_000
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("100\n")
    assert free_memory_bytes(tmp_path) == 4_096_000
    (group / "memory.max").write_text("1000\n")
    assert free_memory_bytes(tmp_path) == 900


def test_a_folder_that_describes_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"model\.base: its configuration describes no language model \(.*\); name another base"
    ):
        open_skeleton(tmp_path)
