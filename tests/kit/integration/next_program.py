"""`node.run` as the next release has it: it knows version 3 of the rules too, which notes the block it begins with."""

import sys

from abci_app import versions
from abci_app.module import BlockContext
from abci_app.state.codec import Record
from abci_app.state.overlay import Overlay
from abci_app.state.table import Item
from abci_app.types import Height
from node.run import main


class Begun(Record, frozen=True, array_like=True, tag=1, gc=False):
    """The block in which version 3 began."""

    height: Height


BEGUN = Item("begun/", Begun)


def migrate(state: Overlay, block: BlockContext) -> None:
    """Version 3 notes its first block."""
    BEGUN.set(state, Begun(block.height))


if __name__ == "__main__":
    versions.RULES = versions.Rules(2, 3, {3: migrate})
    sys.exit(main())
