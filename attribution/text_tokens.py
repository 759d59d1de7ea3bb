"""Text to token ids: the one function through which rows, prompts, outputs and indexed spans are read.

A row is written by a contributor, a prompt by a user: neither may steer the model by typing what the tokenizer keeps
for itself. Text never becomes a control token: `<|im_end|>` in a row is read as the ten characters that it is. The
tokens that begin and end an example are put there by the trainer alone (`begin_ids`, `end_id`).

A control token is one that the tokenizer declares special, one with a role (beginning, end, padding), or one that the
chat template writes, as it stands or put together ('<|' + role + '|>'): an added one, or a piece in brackets.
`split_special_tokens` alone does not keep them out: vocabularies of words (WordLevel, Unigram) hold them as ordinary
pieces, and added tokens that are not declared special are matched all the same. Wherever a control token still comes
out, the text is cut inside the characters that gave it, and the pieces are read alone.
"""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from attribution.numerics import prepare
from openledger.errors import UsageError

# SentencePiece's mark of a space before a piece.
_PIECE_OF_SPACE = "\u2581"
# Vocabularies of words hold control tokens as pieces of this form, which no list names: <|user|>, <turn>, [INST].
_BRACKETED = re.compile(rf"{_PIECE_OF_SPACE}?(<[^\s<>]+>|\[[^\s\[\]]+\])")
_ROLES = ("system", "developer", "user", "assistant", "model", "tool", "function")
_CONTROL: "WeakKeyDictionary[Any, frozenset[int]]" = WeakKeyDictionary()
_BEGIN: "WeakKeyDictionary[Any, tuple[int, ...]]" = WeakKeyDictionary()


class TokenizerError(UsageError, ValueError):
    """A tokenizer cannot be used for training and explaining; the text says why and what to do."""


def open_tokenizer(base_folder: Path) -> Any:
    """Open the tokenizer of a base model from its own files; raises `TokenizerError` for one that cannot be used."""
    prepare()
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(base_folder), local_files_only=True)
    except Exception as error:  # transformers raises a dozen kinds for files that are missing or damaged
        text = " ".join(str(error).split())[:200]
        raise TokenizerError(
            f"the base's tokenizer cannot be opened: {text}; record a base with its tokenizer"
        ) from error
    if not tokenizer.is_fast:
        raise TokenizerError(
            f"the base's tokenizer ({type(tokenizer).__name__}) has no tokenizer.json, so it cannot be told which "
            "characters gave a token: save it as a fast tokenizer and record the base again"
        )
    return tokenizer


def text_ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    """Read a text as token ids, none of them a control token; without beginning and end."""
    control = control_ids(tokenizer)
    found: list[int] = []
    pieces = [text] if text else []
    while pieces:
        piece = pieces.pop()
        read = tokenizer(
            piece, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True, truncation=False
        )
        ids = read["input_ids"]
        cuts = [
            _cut(piece, start, end)
            for number, (start, end) in zip(ids, read["offset_mapping"], strict=True)
            if number in control
        ]
        if not cuts:
            found += ids
            continue
        places = [0, *cuts, len(piece)]
        pieces += [piece[start:end] for start, end in pairwise(places) if end > start][::-1]
    return tuple(found)


def _cut(piece: str, start: int, end: int) -> int:
    """Where to cut characters that gave a control token: after the first of them."""
    if end - start < 2:
        raise TokenizerError(
            f"the tokenizer reads the character {piece[start:end]!r} as a control token: train from another base"
        )
    # White space that such a token takes in from before itself gives no token: cut behind it, in one pass.
    return min(start + len(piece[start:end]) - len(piece[start:end].lstrip()) + 1, end - 1)


def control_ids(tokenizer: Any) -> frozenset[int]:
    """Ids that no text may give: special tokens, those with a role, added or bracketed ones of the chat template.

    The token for unknown characters is text, unless it has another role, too.
    """
    if tokenizer not in _CONTROL:
        template = str(tokenizer.chat_template or "")
        listed = tokenizer.added_tokens_decoder
        special = {number for number, token in listed.items() if token.special}
        pieces = {piece: number for piece, number in tokenizer.get_vocab().items() if _BRACKETED.fullmatch(piece)}
        pieces |= {token.content: number for number, token in listed.items()}
        if template:
            special |= {
                number for piece, number in pieces.items() if _is_written(piece.removeprefix(_PIECE_OF_SPACE), template)
            }
        roles = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id} - {None}
        _CONTROL[tokenizer] = frozenset(special.union(tokenizer.all_special_ids) - {tokenizer.unk_token_id} | roles)
    return _CONTROL[tokenizer]


def _is_written(content: str, template: str) -> bool:
    """Whether a chat template writes a token: as it stands, or put together from brackets and a role.

    The template is read and never run: it comes with the base, and a program can take for ever.
    """
    return bool(content) and (content in template or content.strip("<|>[]/") in _ROLES)


def begin_ids(tokenizer: Any) -> tuple[int, ...]:
    """Ids that the tokenizer itself puts before a text (for many models one, for others none)."""
    if tokenizer not in _BEGIN:
        whole = tuple(tokenizer("a", add_special_tokens=True)["input_ids"])
        body = tuple(tokenizer("a", add_special_tokens=False)["input_ids"])
        at = next((at for at in range(len(whole)) if whole[at : at + len(body)] == body), 0)
        _BEGIN[tokenizer] = whole[:at]
    return _BEGIN[tokenizer]


def prompt_ids(tokenizer: Any, prompt: str) -> tuple[int, ...]:
    """A prompt as the model reads it, in training and in use: the tokenizer's beginning, then the text."""
    return begin_ids(tokenizer) + text_ids(tokenizer, prompt)


def end_id(tokenizer: Any) -> int | None:
    """The token that ends a text, None where the tokenizer names none."""
    return None if tokenizer.eos_token_id is None else int(tokenizer.eos_token_id)


def padding_id(tokenizer: Any) -> int:
    """Return the token that fills short rows of a batch: masked, so the end of text will do, which a model has.

    A padding token of the tokenizer's own may have been added to it, and to no embedding.
    """
    return end_id(tokenizer) or 0
