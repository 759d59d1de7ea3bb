"""Asking for passphrases and phrases: from the terminal, the environment or a file; never from the command line."""

import argparse
import getpass
import os
import sys
from collections.abc import Callable
from pathlib import Path

from openledger.errors import UsageError
from openledger.settings import PASSPHRASE_VARIABLE
from openledger_cli.pulse import waiting_for_people


def add_passphrase_option(parser: argparse.ArgumentParser) -> None:
    """Where the passphrase comes from when nobody sits at a terminal."""
    parser.add_argument(
        "--passphrase-file",
        metavar="FILE",
        help=f"file with the passphrase (else {PASSPHRASE_VARIABLE}, else asked for)",
    )


def ask_passphrase(arguments: argparse.Namespace, name: str, *, twice: bool = False) -> str:
    """The passphrase of a key; raises `UsageError` when there is nobody to ask."""
    path = getattr(arguments, "passphrase_file", None)
    if path:
        try:
            return Path(path).expanduser().read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"passphrase file {path!r} cannot be read: {error}") from None
    if PASSPHRASE_VARIABLE in os.environ:
        return os.environ[PASSPHRASE_VARIABLE]
    if not sys.stdin.isatty():
        raise UsageError(f"key {name!r} needs a passphrase: set {PASSPHRASE_VARIABLE} or pass --passphrase-file FILE")
    passphrase = _ask(f"Passphrase of {name}: ")
    if twice and _ask("The same again: ") != passphrase:
        raise UsageError("the two passphrases differ: try again")
    return passphrase


def ask_secret(prompt: str) -> str:
    """A secret key from the terminal (not echoed) or standard input."""
    text = _ask(prompt) if sys.stdin.isatty() else _read(sys.stdin.readline)
    if not text.strip():
        raise UsageError("nothing was given on standard input")
    return text.strip()


def ask_phrase() -> str:
    """A recovery phrase from the terminal (not echoed) or standard input, on as many lines as it takes."""
    from openledger.keys.phrase import PHRASE_WORDS, words_of

    if not sys.stdin.isatty():
        text = _read(sys.stdin.read)
    else:
        text = _ask(f"The {PHRASE_WORDS} words: ")
        while text.strip() and len(words_of(text)) < PHRASE_WORDS:
            line = _ask(f"{len(words_of(text))} words so far; the next line, or nothing if that is all: ")
            if not line.strip():
                break
            text += f"\n{line}"
    if not text.strip():
        raise UsageError("nothing was given on standard input")
    return text


def _ask(prompt: str) -> str:
    with waiting_for_people():
        return getpass.getpass(prompt)


def _read(read: Callable[[], str]) -> str:
    with waiting_for_people():
        return read()
