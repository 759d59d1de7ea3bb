"""Blocks are pruned only where nothing needs them any more."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.snapshots.block_keeping import PRUNED_AT_ONCE, BlockKeeping, BlockNeeds, BlockTimes

HOUR = 3600
NEEDS = BlockNeeds(keep_blocks=1000, evidence_blocks=2000, evidence_seconds=48 * HOUR, trusting_seconds=36 * HOUR)


def times(tmp_path: Path, until: int, seconds_apart: int = 60) -> BlockTimes:
    found = BlockTimes(tmp_path / "block_times")
    found.open()
    for height in range(1, until + 1):
        found.note(height, height * seconds_apart)
    return found


@pytest.mark.parametrize(
    ("needs", "snapshot", "expected"),
    [
        ({}, 9_500, 7_100),  # evidence: 48 h are 2,880 blocks of a minute, of which every hundredth is known
        ({"evidence_seconds": HOUR}, 9_500, 7_800),  # the trusting period: 2,160 blocks
        ({"evidence_seconds": HOUR, "trusting_seconds": HOUR}, 9_500, 8_000),  # evidence: 2,000 blocks
        ({"evidence_seconds": 0, "trusting_seconds": 0, "evidence_blocks": 0}, 9_500, 9_001),  # the operator
        ({"evidence_seconds": 0, "trusting_seconds": 0, "evidence_blocks": 0}, 8_000, 8_000),  # a snapshot
        ({"keep_blocks": 0}, 9_500, 0),  # all
        ({}, 0, 0),  # no snapshot: who joins needs all blocks
        ({"keep_blocks": 20_000}, 9_500, 0),
        ({"evidence_blocks": 20_000}, 9_500, 0),
    ],
)
def test_the_first_block_that_is_needed_is_the_lowest_of_all_needs(
    tmp_path: Path, needs: dict[str, int], snapshot: int, expected: int
) -> None:
    import dataclasses

    known = times(tmp_path, 10_000)
    assert dataclasses.replace(NEEDS, **needs).first_needed(10_000, 10_000 * 60, snapshot, known) == expected


def test_blocks_whose_time_is_not_known_are_kept(tmp_path: Path) -> None:
    unknown = BlockTimes(tmp_path / "block_times")
    unknown.open()
    assert NEEDS.first_needed(10_000, 600_000, 9_500, unknown) == 0


def test_times_are_known_again_after_a_restart_and_a_torn_end_is_left_out(tmp_path: Path) -> None:
    before = times(tmp_path, 1_000)
    with (tmp_path / "block_times").open("ab") as file:
        file.write(b"torn")
    after = BlockTimes(tmp_path / "block_times")
    after.open()
    assert [after.last_before(second) for second in (5_999, 6_000, 30_001, 10**9)] == [0, 100, 500, 1000]
    assert [before.last_before(second) for second in (5_999, 6_000, 30_001, 10**9)] == [0, 100, 500, 1000]
    assert (tmp_path / "block_times").stat().st_size == 160


def test_blocks_that_are_executed_again_are_noted_once(tmp_path: Path) -> None:
    known = times(tmp_path, 500)
    for height in range(300, 501):
        known.note(height, height * 60)
    assert (tmp_path / "block_times").stat().st_size == 80


def test_a_commit_prunes_a_bounded_number_of_blocks(tmp_path: Path) -> None:
    keeping = BlockKeeping(NEEDS, times(tmp_path, 10_000), base=1)
    told = [keeping.retain_height(10_000 + i, (10_000 + i) * 60, 9_500) for i in range(80)]
    assert told[:3] == [1 + PRUNED_AT_ONCE, 1 + 2 * PRUNED_AT_ONCE, 1 + 3 * PRUNED_AT_ONCE]
    assert told[69:72] == [7_001, 7_100, 0]
    assert max(told) == 7_100


def test_a_node_that_was_pruned_further_goes_on_from_there(tmp_path: Path) -> None:
    keeping = BlockKeeping(NEEDS, times(tmp_path, 10_000), base=8_000)
    assert keeping.retain_height(10_001, 10_001 * 60, 9_500) == 0
