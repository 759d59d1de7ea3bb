"""How a run reads examples of every form, and what it cuts of long conversations."""

import pytest

from abci_app.modules.datanets import Form
from attribution.text_tokens import TokenizerError
from tests.kit.trainer.chat_templates import CHATML, CHATML_TOKENS, STRICT, STRICT_TOKENS
from tests.kit.trainer.chats import ROW, chat_tokenizer, read_chat, shown, turns
from trainer.describe import describe_writing
from trainer.examples import ExampleError, opened_reader
from trainer.partition import Example
from trainer.recipe import Train
from trainer.turns import Turn, plain_turns

pytestmark = pytest.mark.ml
ASKED = plain_turns(Form.INSTRUCTION, {"instruction": "Add.", "input": "1 2", "output": "3"})
IN_CHAT = "<|im_start|>user\nAdd.\n\n1 2<|im_end|>\n<|im_start|>assistant\n«3<|im_end|>»"
IN_WORDS = "### Instruction:\nAdd.\n\n1 2\n\n### Response:\n«3</s>»"
AS_IT_IS = "Add.\n\n1 2«3</s>»"


@pytest.mark.parametrize(
    ("form", "way", "expected"),
    [
        (Form.INSTRUCTION, "auto", IN_CHAT),
        (Form.INSTRUCTION, "always", IN_CHAT),
        (Form.INSTRUCTION, "never", IN_WORDS),
        (Form.COMPLETION, "auto", AS_IT_IS),
        (Form.COMPLETION, "always", IN_CHAT),
        (Form.COMPLETION, "never", AS_IT_IS),
        (Form.MESSAGES, "auto", IN_CHAT),
        (Form.MESSAGES, "never", "User: Add.\n\n1 2\n\nAssistant:« 3</s>»"),
    ],
)
def test_the_recipe_says_what_the_chat_template_writes(form: Form, way: str, expected: str) -> None:
    tokenizer = chat_tokenizer(CHATML, CHATML_TOKENS)
    with opened_reader(tokenizer, Train(steps=1, sequence_tokens=512, chat_template=way)) as reader:  # type: ignore[arg-type]
        assert shown(tokenizer, reader.read(Example(0, ROW, ASKED, form))) == expected


def test_a_base_without_a_template_has_plain_words_unless_the_recipe_insists() -> None:
    tokenizer = chat_tokenizer(None)
    with opened_reader(tokenizer, Train(steps=1, sequence_tokens=512)) as reader:
        assert shown(tokenizer, reader.read(Example(0, ROW, ASKED, Form.INSTRUCTION))) == IN_WORDS
        assert reader.writing([Example(0, ROW, ASKED, Form.MESSAGES)])["conversations"] == "plain words"
        assert reader.writing([Example(0, ROW, ASKED, Form.COMPLETION)]) == {"conversations": "none"}
        said = reader.writing([Example(0, ROW, ASKED, Form.INSTRUCTION)])
        assert describe_writing(said) == [
            "instructions: written as '### Instruction:\\n{}\\n\\n### Response:\\n', and learned is what follows"
        ]
    with pytest.raises(TokenizerError, match="the base has no chat template, which `chat_template: always` needs"):
        read_chat(tokenizer, ASKED, chat_template="always")


def test_text_is_never_a_conversation() -> None:
    tokenizer = chat_tokenizer(CHATML, CHATML_TOKENS)
    with opened_reader(tokenizer, Train(steps=1, sequence_tokens=512, chat_template="always")) as reader:
        text = Example(0, ROW, (Turn("text", "Owls", learned=True),), Form.TEXT)
        assert shown(tokenizer, reader.read(text)) == "«Owls</s>»"


LONG = turns(
    ("system", "S"), ("user", "a" * 60), ("assistant", "b" * 20), ("user", "c" * 30), ("assistant", "d" * 20),
    ("user", "e" * 10), ("assistant", "f" * 20),
)  # fmt: skip


def whole(start: int) -> str:
    """The conversation from one of its turns on, after the system's."""
    said = [LONG[0], *LONG[start:]]
    parts = [
        f"<|im_start|>{turn.role}\n" + (f"«{turn.text}<|im_end|>»" if turn.learned else f"{turn.text}<|im_end|>") + "\n"
        for turn in said
    ]
    return "".join(parts).rstrip("\n")


def test_the_oldest_rounds_go_first_and_whole_and_the_system_turn_stays() -> None:
    tokenizer = chat_tokenizer(CHATML, CHATML_TOKENS)
    tokens = [len(read_chat(tokenizer, (LONG[0], *LONG[start:])).tokens.ids) for start in (1, 3, 5)]
    for limit, start, cut in ((tokens[0], 1, 0), (tokens[0] - 1, 3, 2), (tokens[1], 3, 2), (tokens[1] - 1, 5, 4)):
        read = read_chat(tokenizer, LONG, limit)
        assert shown(tokenizer, read) == whole(start)
        assert (read.turns_cut, read.completion_cut) == (cut, 0)
        assert len(read.tokens.ids) <= limit


def test_of_the_last_round_the_question_is_cut_before_the_answer_and_the_end_never_alone() -> None:
    tokenizer = chat_tokenizer(CHATML, CHATML_TOKENS)
    said = turns(("user", "q" * 40), ("assistant", "a" * 40))
    length = len(read_chat(tokenizer, said).tokens.ids)
    start, end = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n«", "»"
    read = read_chat(tokenizer, said, length - 7)
    assert shown(tokenizer, read) == start.format("q" * 33) + "a" * 40 + "<|im_end|>" + end
    assert (read.prompt_cut, read.completion_cut) == (7, 0)
    read = read_chat(tokenizer, said, length - 40)
    assert shown(tokenizer, read) == start.format("") + "a" * 40 + "<|im_end|>" + end
    limit = length - 41
    read = read_chat(tokenizer, said, limit)
    kept = limit // 4
    answer = shown(tokenizer, read).split("«")[1].rstrip("»")
    assert shown(tokenizer, read).startswith(start.format("q" * kept))
    assert (set(answer), len(read.tokens.ids)) == ({"a"}, limit)
    assert (read.prompt_cut, read.completion_cut) == (40 - kept, 41 - len(answer))
    # One token too long with nothing to read: the end goes with one token of the answer.
    bare = turns(("user", " "), ("assistant", "a" * 40))
    length = len(read_chat(tokenizer, bare).tokens.ids)
    read = read_chat(tokenizer, bare, length - 1)
    assert shown(tokenizer, read).endswith("«" + "a" * 39 + "»")
    assert read.completion_cut == 2


def test_a_sequence_too_short_for_what_the_template_writes_leaves_nothing_to_learn() -> None:
    tokenizer = chat_tokenizer(CHATML, CHATML_TOKENS)
    read = read_chat(tokenizer, turns(("user", "q"), ("assistant", "a" * 40)), 8)
    assert (len(read.tokens.ids), read.targets) == (8, 0)


def test_all_rows_that_the_template_refuses_are_named_at_once() -> None:
    tokenizer = chat_tokenizer(STRICT, STRICT_TOKENS)
    good, bad = turns(("user", "a"), ("assistant", "b")), turns(("system", "s"), ("user", "a"), ("assistant", "b"))
    examples = [Example(1, ROW, said, Form.MESSAGES) for said in (good, bad, bad, bad, bad, bad)]
    with opened_reader(tokenizer, Train(steps=1)) as reader, pytest.raises(ExampleError) as caught:
        reader.read_all(examples)
    lines = str(caught.value).splitlines()
    assert len(lines) == 5
    assert lines[0].startswith(
        "datasets[1]: contribution 0000000000000000… line 2 of its file, row 0: the base's chat "
    )
    assert lines[0].endswith("chat template refuses it: System role not supported")
    assert lines[3] == "  and 2 more rows"
    assert "system_turns: merge or chat_template: never" in lines[4]
