"""Helpers that tests of the light client share: a chain, a client of simulated nodes, forged blocks."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from abci_app.accounts import ACCOUNTS, Account
from abci_app.state.codec import encode
from openledger.client.light_client import LightClient
from openledger.client.trust_store import TrustStore
from openledger.light.anchors import Anchor, HashAnchor
from openledger.light.blocks import LightBlock
from openledger.light.results import LightSettings
from tests.kit.simulated_chain import SimulatedChain, SimulatedNode, digest, sign

ALICE = digest("alice")


def thirty_blocks() -> SimulatedChain:
    """Alice's account in the first block, a number that counts the blocks."""
    made = SimulatedChain()
    made.make_block([(ACCOUNTS.key(ALICE), encode(Account(3, 500, b""))), (b"number/now", b"1")])
    made.make_blocks(29)
    return made


def light_client(
    chain: SimulatedChain,
    primary: SimulatedNode | None = None,
    witnesses: Sequence[SimulatedNode] | None = None,
    *,
    anchor: Anchor | None = None,
    store: TrustStore | None = None,
    now_ns: int = 0,
    **settings: Any,
) -> LightClient:
    """An honest primary, an honest witness and the genesis document, unless told otherwise."""
    primary = primary or SimulatedNode(chain, "primary")
    witnesses = [SimulatedNode(chain, "witness")] if witnesses is None else witnesses
    return LightClient(
        primary,
        witnesses,
        anchor=anchor or chain.genesis,
        settings=LightSettings(**settings),
        store=store,
        clock=lambda: now_ns or chain.now_ns,
    )


def trust_in(chain: SimulatedChain, height: int) -> HashAnchor:
    """A height and its hash."""
    return HashAnchor(height, chain.blocks[height].hash)


def forge(chain: SimulatedChain, at: int, signers: Sequence[Any] | None = None, /, **changes: Any) -> LightBlock:
    """A changed header signed by the chain's own validators (or `signers` among them)."""
    members = chain.genesis_members
    header = dataclasses.replace(chain.blocks[at].header, **changes)
    return sign(header, members, members if signers is None else signers)


def gap(chain: SimulatedChain) -> dict[int, LightBlock]:
    """Every block below signed by one validator only."""
    return {height: forge(chain, height, chain.members[:1]) for height in range(2, 30)}
