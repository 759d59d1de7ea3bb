"""JSON Lines and JSON files: the rows that stand there, byte for byte.

JSON Lines: every line that is not empty is a row, white space around it left out. JSON: the objects of a list, or
objects one after the other; one that takes several lines is written on one, white space between its tokens left out.
Nothing inside of texts and numbers changes.
"""

import codecs
import json
import re
from collections.abc import Iterator

from abci_app.modules.datanets import Form
from openledger.data.forms import form_of
from openledger.data.intake.problems import FileRefused
from openledger.data.intake.streams import ByteSource, lines_of
from openledger.data.row_json import MAX_ROW_BYTES, RowError, read_row

SPACE = " \t\r\n"
_GAP = re.compile(r"[ \t\r\n]*")
_TOKENS = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")|[ \t\r\n]+', re.DOTALL)
# A character of UTF-8 has at least one byte: text that is longer than this is longer than a row.
_LOOK_AHEAD = MAX_ROW_BYTES + 1


def json_lines(source: ByteSource) -> Iterator[tuple[int, bytes]]:
    """Line number and row."""
    is_first = True
    for number, line in enumerate(lines_of(source, MAX_ROW_BYTES, "row"), 1):
        row = line.strip(b" \t\r")
        if not row:
            continue
        if is_first and (row in (b"{", b"[") or row.startswith(b"[{")):
            what = "a JSON list" if row.startswith(b"[") else "an object that takes several lines"
            raise FileRefused(f"{source.name}: line {number} begins {what}: give the file the end .json")
        is_first = False
        yield number, row


def json_rows(source: ByteSource, *, form_is_given: bool = False) -> Iterator[tuple[int, bytes]]:
    """Line number and row of each object; raises `FileRefused`."""
    text = _Text(source)
    in_list = text.skip_space() == "["
    if in_list:
        text.take(1)
    count = 0
    while (character := text.skip_space()) and character != "]":
        if character != "{":
            raise FileRefused(f"{text.here()} is no JSON object; {_advice(character)}")
        line = text.line
        row = text.take_object()
        only = not in_list and count == 0 and not text.skip_space()
        if only and not form_is_given:
            _require_a_row(source.name, row)
        yield line, row.encode()
        count += 1
        if in_list and text.skip_space() == ",":
            text.take(1)
            if text.skip_space() == "]":
                raise FileRefused(f"{text.here()} follows a comma: JSON has none after the last item, take it out")
        elif in_list and text.skip_space() != "]":
            raise FileRefused(f"{text.here()} follows an object without a comma: is the list cut short?")
    if in_list and not character:
        raise FileRefused(f"{source.name}: its list has no end: the file is cut short")
    if in_list:
        text.take(1)
    if text.skip_space():
        raise FileRefused(f"{text.here()} stands after the end of the list: write one list, or one object a line")


def _advice(character: str) -> str:
    if character == "'":
        return "texts and keys stand in double quotes"
    return 'write a list of objects, [{"text": …}, …], or one object a line'


def _require_a_row(name: str, row: str) -> None:
    """Refuse a single object that holds the rows instead of being one: its owner would contribute one row."""
    try:
        found = read_row(row.encode())
    except RowError:
        return
    lists = [
        key for key, value in found.items() if isinstance(value, list) and any(isinstance(one, dict) for one in value)
    ]
    if lists and form_of(found) == Form.OTHER:
        raise FileRefused(
            f"{name}: is one object that holds a list of objects under {lists[0][:40]!a}: write that list as the "
            "file; where the object itself is the row, say so with --form other"
        )


class _Text:
    """The text of a source from a place on, at least `_LOOK_AHEAD` characters of it as long as there are so many."""

    def __init__(self, source: ByteSource) -> None:
        self.line = 1
        self._source = source
        self._held = ""
        self._at = 0
        self._ended = False
        self._characters = codecs.getincrementaldecoder("utf-8")()
        # Only where an object ends is asked here: numbers stay as they are written.
        self._decoder = json.JSONDecoder(parse_int=str, parse_float=str)

    def skip_space(self) -> str:
        """Go to the next character that is no white space and show it; empty at the end."""
        while True:
            self._fill(1)
            match = _GAP.match(self._held, self._at)
            assert match is not None
            self.take(match.end() - self._at)
            if self._at < len(self._held) or self._ended:
                return self._held[self._at : self._at + 1]

    def take(self, count: int) -> str:
        """The next characters."""
        taken = self._held[self._at : self._at + count]
        self._at += count
        self.line += taken.count("\n")
        return taken

    def take_object(self) -> str:
        """The object that begins here, on one line."""
        self._fill(_LOOK_AHEAD)
        try:
            _, end = self._decoder.raw_decode(self._held, self._at)
        except RecursionError:
            raise FileRefused(f"{self.here()} is nested too deep: flatten it") from None
        except ValueError as error:
            raise FileRefused(self._fault(error)) from None
        text = self.take(end - self._at)
        if "\n" not in text and "\r" not in text:
            return text
        return _TOKENS.sub(lambda match: match[1] or "", text)

    def _fault(self, error: ValueError) -> str:
        """Why no object could be read here."""
        reason, place = getattr(error, "msg", str(error)), getattr(error, "pos", self._at)
        # A word or an escape that the look ahead cut short ends a little before its end.
        end = len(self._held) - (0 if self._ended else 16)
        unfinished = reason.startswith("Unterminated string") or place >= end
        if unfinished and not self._ended:
            return (
                f"{self.here()} has no end within {MAX_ROW_BYTES} bytes, more than a row may have: split the document, "
                "or close its quotation mark or bracket"
            )
        if unfinished:
            return f"{self.here()} has no end: the file is cut short, or a quotation mark or bracket is not closed"
        line = self.line + self._held.count("\n", self._at, place)
        return f"{self._source.name}: line {line} is not JSON: {reason}: mend it, or get the file again"

    def here(self) -> str:
        """The place for refusals, with what stands there."""
        return f"{self._source.name}: line {self.line}: {self._held[self._at : self._at + 20]!a}"

    def _fill(self, least: int) -> None:
        """Have so many characters, or all that are left."""
        if len(self._held) - self._at >= least or self._ended:
            return
        parts = [self._held[self._at :]]
        have = len(parts[0])
        # More than asked for: what is held is copied once for many objects.
        while have < 4 * least and not self._ended:
            part = self._source.read()
            self._ended = not part
            try:
                text = self._characters.decode(part, final=self._ended)
            except UnicodeDecodeError as error:
                line = self.line + sum([one.count("\n") for one in parts]) + error.object[: error.start].count(b"\n")
                raise FileRefused(f"{self._source.name}: line {line} is not UTF-8: save the file as UTF-8") from None
            parts.append(text)
            have += len(text)
        self._held, self._at = "".join(parts), 0
