"""Data that blocks take from the real CometBFT and hand out to it: context, powers, parameters, version, events."""

import base64
import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from abci_app import versions
from abci_app.chain.application import Application
from abci_app.chain.validator_set import VALIDATORS, ValidatorPower, ValidatorPowers
from abci_app.module import BlockContext, ConsensusUpdate, HookContext, LastCommitVote
from abci_app.state.memory_store import MemoryStore
from abci_app.state.overlay import Overlay
from abci_app.versions import Rules, schedule_version
from node import genesis, rpc
from tests.kit.node.fake_comet import wait_until
from tests.kit.node.real_node import RealNode
from tests.kit.scheduled import JobDone, Jobs, job_id

pytestmark = pytest.mark.integration
SCHEDULED_AT, CHANGED_AT, NEW_RULES_FROM = 3, 4, 6


def test_a_chain_changes_rules_powers_and_parameters_and_says_so_in_its_headers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "RULES", Rules(2, 3, {}))
    jobs = Jobs().register(monkeypatch)
    seen: dict[int, BlockContext] = {}
    executed: Counter[int] = Counter()
    application = Application(MemoryStore())
    node = RealNode(tmp_path, application, app_version=2)

    def begin(state: Overlay, context: HookContext, job: bytes) -> None:
        executed[context.height] += 1
        seen[context.height] = context.block
        if context.height == SCHEDULED_AT:
            schedule_version(state, 3, NEW_RULES_FROM, context.height)

    def end(state: Overlay, context: HookContext, job: bytes) -> None:
        if context.height == CHANGED_AT:
            context.set_power(_key(node), 25)
            context.consensus = ConsensusUpdate(max_block_bytes=2_000_000)
            context.emit(JobDone(job_id(7)))

    jobs.deeds.update(begin=begin, end=end)
    node.server.start()
    node.supervisor.start()
    try:
        wait_until(lambda: node.height() >= 9, 60.0)
        apps = {height: _call(node, "block", height)["block"]["header"]["version"] for height in range(1, 9)}
        powers = {height: _call(node, "validators", height)["validators"][0]["voting_power"] for height in range(4, 9)}
        maxima = {h: _call(node, "consensus_params", h)["consensus_params"]["block"]["max_bytes"] for h in (4, 5, 6)}
        events = _call(node, "block_results", CHANGED_AT)["finalize_block_events"]
    finally:
        node.supervisor.stop()
        node.server.stop()
    assert node.halts == []
    assert {height: version.get("app") for height, version in apps.items()} == {
        height: "3" if height >= NEW_RULES_FROM else "2" for height in range(1, 9)
    }
    assert powers == {4: "10", 5: "10", 6: "25", 7: "25", 8: "25"}
    assert (maxima[4], maxima[5], maxima[6]) == (maxima[4], "2000000", "2000000")
    assert [(event["type"], event["attributes"][0]["value"]) for event in events] == [("job_done", job_id(7).hex())]
    address = hashlib.sha256(_key(node)).digest()[:20]
    assert {block.proposer for block in seen.values()} == {address}
    assert {height: block.app_version for height, block in sorted(seen.items())} == {
        height: 3 if height >= NEW_RULES_FROM else 2 for height in sorted(seen)
    }
    # The proposer's result is that of the proposal it judges and of the block that is decided: one execution each.
    assert {height: executed[height] for height in range(1, 9)} == dict.fromkeys(range(1, 9), 1)
    assert seen[1].last_commit.votes == ()
    assert [seen[height].last_commit.votes for height in (2, 8)] == [
        (LastCommitVote(address, 10, True),),
        (LastCommitVote(address, 25, True),),
    ]
    # Recorded at InitChain with power 10, and then what CometBFT was told.
    expected = ValidatorPowers((ValidatorPower(_key(node), 25),))
    assert VALIDATORS.get(application.store) == expected


def _key(node: RealNode[Application]) -> bytes:
    (validator,) = _genesis(node)["validators"]
    return base64.b64decode(validator["pub_key"]["value"])


def _genesis(node: RealNode[Application]) -> dict[str, Any]:
    return genesis.read(node.home.genesis_file)


def _call(node: RealNode[Application], method: str, height: int) -> dict[str, Any]:
    return rpc.call(node.url, method, height=str(height))
