"""Asking for passphrases and phrases: from the terminal, the environment or a file; never from the command line."""

import argparse
import getpass
import os
import sys
from pathlib import Path

from openledger.errors import UsageError
from openledger.settings import PASSPHRASE_VARIABLE


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
    passphrase = getpass.getpass(f"Passphrase of {name}: ")
    if twice and getpass.getpass("The same again: ") != passphrase:
        raise UsageError("the two passphrases differ: try again")
    return passphrase


def ask_secret(prompt: str) -> str:
    """A secret key from the terminal (not echoed) or standard input."""
    text = getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline()
    if not text.strip():
        raise UsageError("nothing was given on standard input")
    return text.strip()


def ask_phrase() -> str:
    """A recovery phrase from the terminal (not echoed) or standard input, on as many lines as it takes."""
    from openledger.keys.phrase import PHRASE_WORDS, words_of

    if not sys.stdin.isatty():
        text = sys.stdin.read()
    else:
        text = getpass.getpass(f"The {PHRASE_WORDS} words: ")
        while text.strip() and len(words_of(text)) < PHRASE_WORDS:
            line = getpass.getpass(f"{len(words_of(text))} words so far; the next line, or nothing if that is all: ")
            if not line.strip():
                break
            text += f"\n{line}"
    if not text.strip():
        raise UsageError("nothing was given on standard input")
    return text
