"""How a node stands follows from what it answers; the words are told from each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.status import NodeStatus, State, judge, last_critical_line, power_of_last_block, power_seen

NOW_SECONDS = 1_800_000_000.0
FRESH, OLD = "2027-01-15T07:59:50.123456789Z", "2027-01-15T07:00:00.5Z"


def answer(height: int, time: str = FRESH, *, syncing: bool = False, seen: int = 10, total: int = 40) -> NodeStatus:
    return NodeStatus(
        State.STARTING, "", "url", height=height, block_time=time, catching_up=syncing, peers=1,
        power_seen=seen, power_total=total,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "state", "why"),
    [
        (answer(5), State.MAKING_BLOCKS, ""),
        (answer(5, syncing=True), State.SYNCING, "at height 5, 9 s behind; 1 peers"),
        (answer(0, ""), State.WAITING, ("no block yet: more than two thirds of the power must be running and reachable "
         "(10 of 40 power seen, 1 peers)")),
        (answer(5, OLD), State.WAITING, (f"no block after height 5 since {OLD}: more than two thirds of the power must "
         "be running and reachable (10 of 40 power seen, 1 peers)")),
        (answer(5, OLD, seen=27), State.STANDING_STILL, (f"no block after height 5 since {OLD}, although enough "
         "validators are there (27 of 40 power seen, 1 peers): see logs/cometbft.log")),
        (answer(5, OLD, seen=0, total=0), State.WAITING, (f"no block after height 5 since {OLD}: more than two thirds "
         "of the power must be running and reachable (0 of 0 power seen, 1 peers)")),
    ],
)  # fmt: skip
def test_a_state_and_its_reason(found: NodeStatus, state: State, why: str) -> None:
    assert judge(found, NOW_SECONDS) == (state, why)


def test_the_power_seen_is_the_most_of_any_round_and_kind_of_vote() -> None:
    votes = [
        {"prevotes_bit_array": "BA{4:x___} 10/40 = 0.25", "precommits_bit_array": "BA{4:xxx_} 30/40 = 0.75"},
        {"prevotes_bit_array": "BA{4:xx__} 20/40 = 0.50", "precommits_bit_array": "BA{4:____} 0/40 = 0.00"},
    ]
    assert power_seen({"round_state": {"height_vote_set": votes}}) == (30, 40)
    assert power_seen({"round_state": {}}) == (0, 0)


def test_while_blocks_are_made_the_power_seen_is_that_of_the_last_one() -> None:
    """Of the height that began a moment ago hardly anybody's vote has arrived: 0 was shown beside a sound chain."""
    dump = {"round_state": {"last_commit": {"votes_bit_array": "BA{4:xxx_} 30/40 = 0.75"}}}
    assert power_of_last_block(dump) == (30, 40)
    assert power_of_last_block({"round_state": {"last_commit": None}}) == (0, 0)


def test_why_a_stopped_node_stopped_is_its_last_critical_line(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    assert last_critical_line(log) == ""
    began = "2026-01-01 00:00:00,1 INFO openledger.node: node started: RPC"
    why = "2026-01-01 00:00:00,1 CRITICAL openledger.node: stopped: cometbft cannot go on"
    asked = "2026-01-01 00:00:00,1 INFO openledger.node: stopped"
    log.write_text(f"{began}\n{why}\n")
    assert last_critical_line(log) == "stopped: cometbft cannot go on"
    log.write_text(f"{began}\n{why}\n{began}\n{asked}\n")
    assert last_critical_line(log) == ""
