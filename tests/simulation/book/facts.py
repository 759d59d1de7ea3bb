"""What the book is told about a block: only what a person sees who watches the chain from outside."""

from dataclasses import dataclass

from abci_app.module import Message
from tests.simulation.deeds import Deed


@dataclass(frozen=True)
class Sent:
    """One transaction of a block: who sent it, who paid what, and whether it paid and whether it did what it says."""

    sender: bytes
    sponsor: bytes
    fee_nopen: int
    messages: tuple[Message, ...]
    paid: bool
    succeeded: bool


@dataclass(frozen=True)
class Facts:
    """One decided block."""

    height: int
    seconds: int
    # Of the commit that the block carries.
    decided_round: int
    votes: tuple[tuple[bytes, int, bool], ...]
    proposer: bytes
    # Addresses that evidence names.
    accused: tuple[bytes, ...]
    deeds: tuple[Deed, ...]
    # The reveal that the block begins with, empty where there is none, and whether the chain took it.
    reveal: bytes
    reveal_taken: bool
    sent: tuple[Sent, ...]
    # Consensus key -> power, as the block tells CometBFT.
    updates: dict[bytes, int]
