"""Printing results: tables and trees for people, JSON for programs. Only results go to standard output."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openledger_cli.text import printable

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 200


@dataclass(frozen=True, slots=True)
class Printer:
    """One call's way of printing."""

    as_json: bool = False

    def show(self, value: Any, people: "Callable[[Console, Any], None] | None" = None) -> None:
        """Print a result: as JSON, or through `people(console, document)`, or as name and value lines."""
        from openledger.documents import to_document  # loads the state machine's records

        document = to_document(value)
        if self.as_json:
            self.json(document)
            return
        console = people_console()
        if people is not None:
            people(console, document)
        else:
            print_fields(console, document)

    def rows(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], document: Any) -> None:
        """Print a list: `document` as JSON, or `rows` as a table."""
        if self.as_json:
            from openledger.documents import to_document

            self.json(to_document(document))
            return
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*[Text(printable(str(cell))) for cell in row])
        people_console().print(table, markup=False) if rows else print("none")

    @staticmethod
    def json(document: Any) -> None:
        """One JSON document on standard output."""
        json.dump(document, sys.stdout, indent=2)
        sys.stdout.write("\n")


def print_fields(console: "Console", document: Any, indent: int = 0) -> None:
    """Name and value lines, nested ones indented."""
    space = "  " * indent
    if not isinstance(document, dict):
        print_line(console, f"{space}{document}")
        return
    width = max([len(str(name)) for name in document], default=0)
    for name, value in document.items():
        if isinstance(value, dict) and value:
            print_line(console, f"{space}{name}")
            print_fields(console, value, indent + 1)
        elif isinstance(value, list) and value and isinstance(value[0], dict | list):
            print_line(console, f"{space}{name}")
            for item in value:
                print_line(console, f"{space}  -")
                print_fields(console, item, indent + 2)
        else:
            shown = ", ".join([str(item) for item in value]) if isinstance(value, list) else show_value(name, value)
            shown = "none" if value == [] else shown
            print_line(console, f"{space}{str(name).ljust(width)}  {shown}")


def show_value(name: str, value: Any) -> str:
    """A value for people: amounts in OPEN and shares in per cent, by what the name says of the number."""
    from openledger.amounts import show_amount, show_share

    text = str(value)
    if str(name).endswith("_nopen") and text.isdecimal():
        return f"{show_amount(int(text))} ({text} nopen)"
    if str(name).endswith("_ppb") and text.isdecimal():
        return show_share(int(text))
    return text


def print_line(console: "Console", text: str) -> None:
    """Print one line of plain text, never folded; a character that a terminal would obey is shown as `?`."""
    console.print(printable(text), markup=False, highlight=False, soft_wrap=True)


def people_console() -> "Console":
    """Where people read."""
    from rich.console import Console

    # Piped output has no width of its own: wide enough for two ids on a line.
    return Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
