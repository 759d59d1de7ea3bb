"""The parser of every command: options are written out, and examples keep their lines."""

import argparse
from pathlib import Path
from typing import Any


class OutputFile(type(Path())):  # type: ignore[misc]
    """A file that a command is going to write, as the type of its option.

    Before a command begins, `openledger_cli.main` looks at all of them: none is there already, unless --overwrite
    permits it. So no work is done in vain, and no command forgets.
    """


class Parser(argparse.ArgumentParser):
    """A parser, and the class of all parsers below it, that takes no option by its beginning.

    A script's `--file` would else change its meaning with the next option whose name begins like that.
    """

    def __init__(self, **options: Any) -> None:
        options.setdefault("allow_abbrev", False)
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**options)
