"""The commands on the chain of the story, as the queries have it."""

from tests.openledger_cli.query.conftest import node, primary, run, signed, story

__all__ = ["node", "primary", "run", "signed", "story"]
