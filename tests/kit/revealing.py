"""Validators that reveal: a module of tests that knows the proposers, and a chain that CometBFT's part is played for.

net = RevealingChain.start(monkeypatch, validators=4)
net.block_by(0)                      # validator 0 proposes with its reveal; the block is decided in round 0
net.block_by(1, silent=True)
net.block_by(2, decided_round=1)     # its reveal is forgotten in the next block
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

import pytest

from abci_app.chain import block as block_module
from abci_app.chain.queries import LocalNode
from abci_app.chain.registry import MODULES
from abci_app.hashing import sha256
from abci_app.mechanisms import beacon
from abci_app.mechanisms.beacon.records import Beacon, Draw, beacon_of
from abci_app.module import DeadlineKind, HookContext, Module, Revealers
from abci_app.pb import abci_pb2 as pb
from abci_app.state.codec import Record
from abci_app.state.overlay import Overlay
from abci_app.state.store import StateView
from abci_app.state.table import ID, U64, Map
from abci_app.types import Integer, Nopen
from tests.kit.chain import Chain

DRAW_KIND = 210
LENGTH = 64


class RevealersCode(IntEnum):
    """Codes of the module of tests."""

    NOT_NOW = 9100


class Bond(Record, frozen=True, array_like=True, tag=1, gc=False):
    """A bond, and what was taken from it."""

    bond_nopen: Nopen
    fined_nopen: Nopen


class Taken(Record, frozen=True, array_like=True, tag=1, gc=False):
    """A draw that work took, and the height at which it did."""

    draw: Draw
    height: Integer


BONDS = Map("revealers/bond/", (ID,), Bond)
TAKEN = Map("revealers/taken/", (ID, U64), Taken)
# Happens in a hook of a block.
Deed = Callable[[Overlay, HookContext], None]


@dataclass(frozen=True)
class Revealer:
    """One validator: its key's address, its operator, and its chain of links, the first one first."""

    name: str
    links: tuple[bytes, ...]

    @classmethod
    def named(cls, name: str, length: int = LENGTH) -> Revealer:
        """A chain made from a name."""
        links = [sha256(name.encode())]
        for _ in range(length):
            links.append(beacon.next_onion(links[-1]))
        return cls(name, tuple(links))

    @property
    def address(self) -> bytes:
        """CometBFT's address of its key."""
        return sha256(b"key " + self.name.encode())[:20]

    @property
    def owner(self) -> bytes:
        """Its operator."""
        return sha256(b"owner " + self.name.encode())

    @property
    def onion(self) -> bytes:
        """The last link."""
        return self.links[-1]

    def reveal(self, onion: bytes, used: int) -> bytes | None:
        """The link before an onion, as its node gives it."""
        place = len(self.links) - used - 2
        return self.links[place] if place >= 0 and self.links[place + 1] == onion else None


@dataclass
class RevealersModule:
    """Knows whose address proposes, keeps bonds, takes fines, and does deeds in begin hooks."""

    owners: dict[bytes, bytes] = field(default_factory=dict)
    deeds: dict[int, list[Deed]] = field(default_factory=dict)
    end_deeds: dict[int, list[Deed]] = field(default_factory=dict)

    def end(self, state: Overlay, context: HookContext) -> None:
        """Do what the plan has for the end of this block."""
        for deed in self.end_deeds.get(context.height, []):
            deed(state, context)

    def begin(self, state: Overlay, context: HookContext) -> None:
        """Do what the plan has for this block."""
        for deed in self.deeds.get(context.height, []):
            deed(state, context)

    def fine(self, state: Overlay, context: HookContext, owner: bytes, fine_nopen: int) -> None:
        """Take it from the bond."""
        bond = bond_of(state, owner)
        BONDS.set(state, owner, Bond(bond.bond_nopen - fine_nopen, bond.fined_nopen + fine_nopen))

    def work(self, state: Overlay, context: HookContext, object_id: bytes, number: int) -> None:
        """Take the draw."""
        draw = beacon.take_draw(state, DRAW_KIND, object_id, number)
        TAKEN.set(state, object_id, number, Taken(draw, context.height))

    @property
    def kind(self) -> DeadlineKind:
        """The work that waits for draws."""
        return DeadlineKind(
            number=DRAW_KIND,
            name="work that needs a draw",
            lane=1,
            due_height=lambda view, object_id, number: beacon.drawn_height(view, DRAW_KIND, object_id, number),
            handler=self.work,
            fallback=self.work,
        )

    def register(self, monkeypatch: pytest.MonkeyPatch) -> RevealersModule:
        """Let blocks know the module; returns itself."""
        module = Module(
            name="revealers",
            tables=(BONDS, TAKEN),
            errors=RevealersCode,
            begin_block=self.begin,
            end_block=self.end,
            deadlines=(self.kind,),
            revealers=Revealers(
                owner_of=lambda view, address: self.owners.get(address),
                bond_nopen=lambda view, owner: bond_of(view, owner).bond_nopen,
                fine=self.fine,
            ),
        )
        known = [replace(each, revealers=None) for each in MODULES]
        monkeypatch.setattr(block_module, "MODULES", (*known, module))
        block_module.codespace_of.cache_clear()
        return self

    def at(self, height: int, deed: Deed) -> None:
        """Plan a deed for the begin hook of a block."""
        self.deeds.setdefault(height, []).append(deed)

    def at_end(self, height: int, deed: Deed) -> None:
        """Plan a deed for the end hook of a block."""
        self.end_deeds.setdefault(height, []).append(deed)


def bond_of(view: StateView, owner: bytes) -> Bond:
    """An owner's bond."""
    return BONDS.get(view, owner) or Bond(0, 0)


@dataclass
class RevealingChain:
    """A chain with validators that take turns as a test wants it."""

    chain: Chain
    module: RevealersModule
    revealers: list[Revealer]

    @classmethod
    def start(
        cls,
        monkeypatch: pytest.MonkeyPatch,
        validators: int = 4,
        *,
        length: int = LENGTH,
        bond_nopen: int = 10**14,
        with_onions: Iterable[int] | None = None,
        **genesis: Any,
    ) -> RevealingChain:
        """Genesis, and the first block, which sets onions and bonds (all, or `with_onions`)."""
        revealers = [Revealer.named(f"validator {number}", length) for number in range(validators)]
        module = RevealersModule({each.address: each.owner for each in revealers}).register(monkeypatch)
        chosen = list(range(validators) if with_onions is None else with_onions)

        def set_up(state: Overlay, context: HookContext) -> None:
            for number in chosen:
                beacon.set_onion(state, context.block, revealers[number].owner, revealers[number].onion)
            for each in revealers:
                BONDS.set(state, each.owner, Bond(bond_nopen, 0))

        module.at(1, set_up)
        chain = Chain.start(**genesis)
        net = cls(chain, module, revealers)
        chain.block()
        net.take_votes(0)
        return net

    def take_votes(self, decided_round: int) -> None:
        """The commit of the last block, which the next one has."""
        votes = [
            pb.VoteInfo(validator=pb.Validator(address=each.address, power=1), block_id_flag=pb.BLOCK_ID_FLAG_COMMIT)
            for each in self.revealers
        ]
        self.chain.commit = pb.CommitInfo(round=decided_round, votes=votes)

    def turn_of(self, number: int, *, silent: bool = False) -> None:
        """Let validator `number` propose the next block, on its own node; a silent one knows no links."""
        revealer = self.revealers[number]
        self.chain.proposer = revealer.address
        self.chain.application.local = LocalNode() if silent else LocalNode(reveal=revealer.reveal)

    def propose_by(self, number: int, *transactions: bytes, silent: bool = False, **options: int) -> list[bytes]:
        """The proposal of validator `number`."""
        self.turn_of(number, silent=silent)
        return self.chain.propose(*transactions, **options)

    def block_by(
        self, number: int, *transactions: bytes, silent: bool = False, decided_round: int = 0
    ) -> pb.ResponseFinalizeBlock:
        """Propose, accept, decide and commit; the round in which it was decided stands in the next block."""
        chosen = self.propose_by(number, *transactions, silent=silent)
        assert self.chain.accepts(*chosen)
        response = self.chain.decide(*chosen)
        self.take_votes(decided_round)
        return response

    def request(self, object_id: bytes, number: int = 0, at_stake_nopen: int = 0) -> int:
        """Ask for a draw in the next block; that block's height."""
        height = self.chain.next_height

        def ask(state: Overlay, context: HookContext) -> None:
            beacon.request_draw(state, context.block, self.module.kind, object_id, number, at_stake_nopen)

        self.module.at(height, ask)
        return height

    @property
    def beacon(self) -> Beacon:
        """The beacon at the last commit."""
        return beacon_of(self.chain.application.store)

    def used(self, number: int) -> int:
        """How many reveals of a validator counted."""
        found = beacon.onion_in_force(self.chain.application.store, self.revealers[number].owner, self.chain.height)
        return found.used if found else 0

    def taken(self, object_id: bytes, number: int = 0) -> Taken | None:
        """What the work of a draw took."""
        return TAKEN.get(self.chain.application.store, object_id, number)

    def fined(self, number: int) -> int:
        """What a validator paid, in nopen."""
        return bond_of(self.chain.application.store, self.revealers[number].owner).fined_nopen
