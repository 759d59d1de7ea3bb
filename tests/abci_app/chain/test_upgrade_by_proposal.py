"""An upgrade from proposal to the first block of new rules, with two versions of the program in one test."""

from typing import Any

import pytest

from abci_app import versions
from abci_app.chain import block as block_module
from abci_app.chain.application import Application
from abci_app.chain.queries import LocalNode
from abci_app.chain.registry import HANDLERS
from abci_app.errors import Rejected
from abci_app.module import BlockContext, Context
from abci_app.modules.bank import BankCode, Burn
from abci_app.modules.governance import ProposalStatus, Upgrade, VoteChoice
from abci_app.pb import abci_pb2 as pb
from abci_app.state.codec import Record
from abci_app.state.memory_store import MemoryStore
from abci_app.state.overlay import Overlay
from abci_app.state.table import Item
from abci_app.types import Height
from abci_app.versions import APP_VERSION, AppVersion, Rules, UnknownVersion
from tests.kit.chain import Chain, replay
from tests.kit.modules.hall import TIMELOCK, VOTING, Hall
from tests.kit.modules.ledger import ALICE, BOB, CARL

SMALLEST_BURN = 10
DIGEST = bytes(range(32))


class Migrated(Record, frozen=True, array_like=True, tag=1, gc=False):
    """The block in which version 3 began."""

    height: Height


MIGRATED = Item("supplement/", Migrated)
OLD_BURN = HANDLERS[Burn][1]


def migrate(state: Overlay, block: BlockContext) -> None:
    """Version 3 notes when it began."""
    MIGRATED.set(state, Migrated(block.height))


def burn(context: Context, message: Burn) -> None:
    """From version 3 on, tiny burns are refused."""
    if context.block.app_version >= 3 and message.amount_nopen < SMALLEST_BURN:
        raise Rejected(BankCode.ZERO_AMOUNT, f"burn at least {SMALLEST_BURN} nopen")
    OLD_BURN(context, message)


def install_new_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that knows versions 2 and 3."""
    monkeypatch.setattr(versions, "RULES", Rules(2, 3, {3: migrate}))
    handlers: dict[Any, Any] = {**HANDLERS, Burn: (HANDLERS[Burn][0], burn)}
    monkeypatch.setattr(block_module, "HANDLERS", handlers)


def plan_upgrade() -> tuple[Hall, int]:
    """A chain of the old program whose holders decided to upgrade; and the height."""
    hall = Hall.of_voters(app_version=2)
    height = hall.height + VOTING + VOTING // 4 + TIMELOCK + 5
    number = hall.propose(ALICE, Upgrade(height=height, name="two", app_version=3, lock_digest=DIGEST))
    hall.vote(number, VoteChoice.YES, ALICE, BOB, CARL)
    hall.wait_until(hall.proposal(number).ends_height)
    hall.wait_until(hall.proposal(number).executes_height)
    assert hall.status(number) == ProposalStatus.EXECUTED
    return hall, height


def test_the_old_program_stops_after_the_block_before_and_the_new_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    hall, height = plan_upgrade()
    chain = hall.chain
    hall.wait_until(height - 2)
    said: list[str] = []
    chain.application.local = LocalNode(outdated=said.append)
    assert hall.send(ALICE, Burn(5)).code == 0
    assert chain.height == height - 1
    # The header of the first new block has its version, since the block before told CometBFT.
    assert chain.hashes[-1] == (height - 1, chain.application.store.app_hash)
    expected = (
        "the chain's rules are version 3, this program knows 2 to 2: install release two, lock digest "
        f"{DIGEST.hex()}, which takes over at {height}"
    )
    # The node hears of it after the last commit that it can make, since nothing may ever be asked again.
    assert said == [expected]
    with pytest.raises(UnknownVersion, match=expected):
        chain.block()
    with pytest.raises(UnknownVersion, match=expected):
        Application(chain.application.store).init_chain(chain.init)
    install_new_program(monkeypatch)
    chain.application = Application(chain.application.store)
    assert chain.application.info(pb.RequestInfo()).app_version == 3
    assert hall.send(ALICE, Burn(5)).code == BankCode.ZERO_AMOUNT
    assert (chain.height, MIGRATED.get(hall.store)) == (height, Migrated(height))
    assert APP_VERSION.get(hall.store) == AppVersion(3, 0, 0)
    assert replay(chain) == chain.hashes
    assert hall.violations() == []


def test_installing_the_new_program_early_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    hall, height = plan_upgrade()
    hall.wait_until(height - 1)
    old = list(hall.chain.hashes)
    install_new_program(monkeypatch)
    assert replay(hall.chain) == old
    fresh = Application(MemoryStore())
    fresh.init_chain(hall.chain.init)
    copy = Chain(fresh, hall.chain.init)
    told = [copy.commit_block(request).consensus_param_updates.version.app for request in hall.chain.requests]
    assert (told[-1], set(told[:-1])) == (3, {0})
