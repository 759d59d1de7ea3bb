"""The parser of every command: options are written out, and examples keep their lines."""

import argparse
from typing import Any


class Parser(argparse.ArgumentParser):
    """A parser, and the class of all parsers below it, that takes no option by its beginning.

    A script's `--file` would else change its meaning with the next option whose name begins like that.
    """

    def __init__(self, **options: Any) -> None:
        options.setdefault("allow_abbrev", False)
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**options)
