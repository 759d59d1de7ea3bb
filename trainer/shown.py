"""Examples as the model will see them, in lines for people: every token, and whether it is learned.

    example 1: messages, row 0 of garden#1, 31 tokens, 8 learned
      read     <|im_start|>·user·↵·What· is· it·?·<|im_end|>·↵·<|im_start|>·assistant·↵
      learned  A· chain·.·<|im_end|>

Tokens stand between dots, in the order of the model. Several tokens that make one character stand together. Of long
stretches the beginning and the end are shown.
"""

from collections.abc import Sequence
from typing import Any

from abci_app.modules.datanets import Form
from attribution.loss import Tokens
from attribution.text_tokens import control_ids
from trainer.partition import Example

SHOWN_EXAMPLES = 2
_SHOWN_TOKENS = 48
_BETWEEN = "·"
_PART_OF_A_CHARACTER = "\ufffd"


def example_lines(
    tokenizer: Any, order: Sequence[Example], ordered: Sequence[Tokens], names: Sequence[str]
) -> list[str]:
    """Two examples of a run, the first and the next one of another form, or the second; `names` are its DataNets'."""
    lines: list[str] = []
    for number, at in enumerate(_chosen(order), 1):
        example, tokens = order[at], ordered[at]
        lines.append(
            f"example {number}: {example.form.name.lower()}, row {example.row.index} of "
            f"{names[example.input_index]}#{example.row.submission}, {len(tokens.ids)} tokens, {tokens.targets} learned"
        )
        last = 0
        for start, end in tokens.learned:
            lines += _stretch(tokenizer, "read", tokens.ids[last:start])
            lines += _stretch(tokenizer, "learned", tokens.ids[start:end])
            last = end
        lines += _stretch(tokenizer, "read", tokens.ids[last:])
    return lines


def ending_notes(tokenizer: Any, order: Sequence[Example], ordered: Sequence[Tokens]) -> list[str]:
    """Say so where conversations end with another token than the tokenizer's end of text, or with none."""
    ends = {
        tokens.ids[-1]
        for example, tokens in zip(order, ordered, strict=True)
        if example.form in (Form.MESSAGES, Form.SHAREGPT) and tokens.targets
    }
    named = {number for number in ends if number in control_ids(tokenizer)}
    others = sorted(named - {tokenizer.eos_token_id})
    if not others:
        return []
    shown = ", ".join(repr(tokenizer.convert_ids_to_tokens(number)) for number in others)
    end = f"is {tokenizer.eos_token!r}" if tokenizer.eos_token else "has no name"
    line = f"end: answers of conversations end with {shown}, the tokenizer's end of text {end}: "
    return [f"{line}who serves the model must stop at both"]


def _chosen(order: Sequence[Example]) -> list[int]:
    first = order[0]
    others = [at for at, item in enumerate(order) if (item.row.contribution_id, item.row.index) != _place(first)]
    other_form = [at for at in others if order[at].form != first.form]
    return [0, *(other_form or others)[: SHOWN_EXAMPLES - 1]]


def _place(example: Example) -> tuple[bytes, int]:
    return example.row.contribution_id, example.row.index


def _stretch(tokenizer: Any, what: str, ids: Sequence[int]) -> list[str]:
    if not ids:
        return []
    if len(ids) <= 2 * _SHOWN_TOKENS:
        return [f"  {what:<8} {_pieces(tokenizer, ids)}"]
    left, right = _pieces(tokenizer, ids[:_SHOWN_TOKENS]), _pieces(tokenizer, ids[-_SHOWN_TOKENS:])
    return [f"  {what:<8} {left} … {len(ids) - 2 * _SHOWN_TOKENS} tokens … {right}"]


def _pieces(tokenizer: Any, ids: Sequence[int]) -> str:
    """Texts of the tokens; those of a part of a character are read together with what follows."""
    pieces: list[str] = []
    pending: list[int] = []
    for number in ids:
        pending.append(number)
        text = str(tokenizer.decode(pending, clean_up_tokenization_spaces=False))
        if not text.endswith(_PART_OF_A_CHARACTER):
            pieces.append(_visible(text))
            pending = []
    if pending:
        pieces.append(_visible(str(tokenizer.decode(pending))))
    return _BETWEEN.join(pieces)


def _visible(text: str) -> str:
    """Line ends as signs, everything else that a terminal would obey by its number."""
    signs = {"\n": "↵", "\t": "⇥"}
    return "".join([signs.get(each, each if each.isprintable() else f"\\u{{{ord(each):x}}}") for each in text])
