"""Plain text as rows {"text": …}, by one of three rules.

    document    the file is one row; a longer one than `MAX_DOCUMENT_CHARACTERS` is cut at the last empty line before
                that many characters, else at the last line end, else at the last space, else there
    paragraph   a row for each block of lines between empty lines, cut by the same rule
    line        a row for each line that is not empty

Line ends become line feeds, white space at the ends of rows is left out, empty rows are left out.
"""

import codecs
import json
from collections.abc import Iterator
from enum import StrEnum

from openledger.data.intake.problems import FileRefused, utf8_advice
from openledger.data.intake.streams import ByteSource, lines_of
from openledger.data.row_json import MAX_ROW_BYTES

# Some eight thousand tokens: what usual contexts hold. More would be cut off when a model is trained on it.
MAX_DOCUMENT_CHARACTERS = 32_768


class TextRule(StrEnum):
    """How a plain text becomes rows."""

    DOCUMENT = "document"
    PARAGRAPH = "paragraph"
    LINE = "line"


def text_rows(source: ByteSource, rule: TextRule) -> Iterator[tuple[int, bytes]]:
    """Line at which a row begins, and the row."""
    if rule == TextRule.LINE:
        for number, data in enumerate(lines_of(source, MAX_ROW_BYTES, "row"), 1):
            whole = _decoded(source, number, data).strip()
            if whole:
                yield number, _row(whole)
        return
    held = _WaitingText()
    for line, piece in _pieces(source):
        is_empty = not piece.strip()
        if held.characters + len(piece) > MAX_DOCUMENT_CHARACTERS:
            yield from held.cut()
            if held.characters + len(piece) > MAX_DOCUMENT_CHARACTERS:
                yield from held.cut()
        held.add(line, piece, ends_block=is_empty)
        if rule == TextRule.PARAGRAPH and is_empty:
            yield from held.cut()
    while held.characters:
        yield from held.cut(all_of_it=True)


class _WaitingText:
    """Pieces of text that wait for the end of their row."""

    def __init__(self) -> None:
        self.characters = 0
        self._pieces: list[tuple[int, str]] = []
        # How many of the pieces stand before the last empty line, and that line.
        self._blocks_end = 0

    def add(self, line: int, piece: str, *, ends_block: bool) -> None:
        """Hold one piece more."""
        self._pieces.append((line, piece))
        self.characters += len(piece)
        if ends_block:
            self._blocks_end = len(self._pieces)

    def cut(self, *, all_of_it: bool = False) -> Iterator[tuple[int, bytes]]:
        """Give what stands before the last empty line as a row, else everything; nothing where that is white space."""
        end = len(self._pieces) if all_of_it or not self._blocks_end else self._blocks_end
        given, self._pieces = self._pieces[:end], self._pieces[end:]
        self.characters -= sum([len(piece) for _, piece in given])
        self._blocks_end = 0
        text = "".join([piece for _, piece in given]).strip()
        if text:
            yield next(line for line, piece in given if piece.strip()), _row(text)


def _row(text: str) -> bytes:
    return json.dumps({"text": text}, ensure_ascii=False, separators=(",", ":")).encode()


def _pieces(source: ByteSource) -> Iterator[tuple[int, str]]:
    """Line number and text of each line with its end; a long line in pieces that end behind a space, if it has one."""
    number, rest = 1, ""
    for text in _texts(source):
        *lines, rest = (rest + text).split("\n")
        for line in lines:
            for piece in _of_a_long_line(f"{line}\n"):
                yield number, piece
            number += 1
        if len(rest) > MAX_DOCUMENT_CHARACTERS:
            *whole, rest = _of_a_long_line(rest)
            for piece in whole:
                yield number, piece
    if rest:
        yield number, rest


def _of_a_long_line(line: str) -> list[str]:
    if len(line) <= MAX_DOCUMENT_CHARACTERS:
        return [line]
    pieces, at = [], 0
    while len(line) - at > MAX_DOCUMENT_CHARACTERS:
        space = line.rfind(" ", at + 1, at + MAX_DOCUMENT_CHARACTERS)
        end = space + 1 if space > 0 else at + MAX_DOCUMENT_CHARACTERS
        pieces.append(line[at:end])
        at = end
    return [*pieces, line[at:]]


def _texts(source: ByteSource) -> Iterator[str]:
    """Parts of the text with line feeds as line ends."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    read, pending = 0, ""
    while True:
        part = source.read()
        try:
            text = decoder.decode(part, final=not part)
        except UnicodeDecodeError as error:
            raise FileRefused(
                f"{source.name}: byte {read + error.start + 1} or one soon before is not UTF-8: "
                f"{utf8_advice(source.name)}"
            ) from None
        read += len(part)
        text = pending + text
        # A carriage return at the end may belong to a line feed that comes next.
        pending = text[-1:] if text.endswith("\r") and part else ""
        text = text.removesuffix(pending) if pending else text
        if text:
            yield text.replace("\r\n", "\n").replace("\r", "\n")
        if not part:
            return


def _decoded(source: ByteSource, number: int, line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise FileRefused(
            f"{source.name}: line {number}: byte {error.start + 1} is not UTF-8: {utf8_advice(source.name)}"
        ) from None
