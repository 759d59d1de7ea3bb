"""Text for people: remarks on standard error, and nothing that a terminal would obey."""

import sys


def note(text: str) -> None:
    """A remark for people on standard error, so that standard output stays clean for programs."""
    print(printable(text, keep="\n"), file=sys.stderr)


def printable(text: str, keep: str = "") -> str:
    """Control characters as `?`: some texts come from nodes and documents that anybody may have written."""
    return "".join([character if character.isprintable() or character in keep else "?" for character in text])
