"""The tree of a lineage: depth, repetition, what cannot be read, what is cut, what must be noticed."""

import pytest
from msgspec import structs

from abci_app.bech32 import encode_id
from abci_app.modules.datanets.queries import NumberedContribution
from abci_app.modules.models.lineage import LineageEntry, LineagePage
from abci_app.modules.models.records import Parent, entry_id_of
from openledger.client.provenance import lineage, lineage_question
from openledger.data.manifest import Manifest, to_json
from openledger_cli.lines import render
from openledger_cli.query.lineage_tree import CONTRIBUTORS_SHOWN, MAX_DEPTH, Shown, counts, lineage_tree, measured_words
from tests.kit.openledger.fake_node import FakeNode
from tests.kit.openledger.story import Story, a_manifest


@pytest.fixture(scope="module")
def story() -> Story:
    return Story.tell()


@pytest.fixture(scope="module")
def page(story: Story) -> LineagePage:
    client = FakeNode(story.ledger.chain).client()
    return lineage(client, lineage_question("tutor"), prove=False).value


def _lines(page: LineagePage, manifest: Manifest | str | None = None, *, all_contributors: bool = False) -> list[str]:
    root = page.entries[0].stored.entry.manifest_root
    shown = Shown(page, {} if manifest is None else {root: manifest}, {}, all_contributors)
    return [line.lstrip("│├└─ ") for line in render(lineage_tree(shown))]


def _chain(page: LineagePage, length: int) -> LineagePage:
    """Entries each made from the one before, newest first."""
    last = page.entries[-1].stored
    items = [LineageEntry(page.entries[-1].entry_id, last)]
    for number in range(2, length + 1):
        entry = structs.replace(last.entry, kind=2, terms_id=b"", parents=(Parent(items[-1].entry_id, "base", 10**9),))
        stored = structs.replace(
            last, entry=entry, admission=structs.replace(last.admission, number=number), model_id=b"", model_version=0
        )
        items.append(LineageEntry(entry_id_of(entry), stored))
    items.reverse()
    return structs.replace(page, entry_id=items[0].entry_id, entries=tuple(items), datanets=())


def test_entries_too_deep_to_nest_follow_in_a_list(page: LineagePage) -> None:
    chain = _chain(page, 300)
    lines = _lines(chain)
    ends = {line.rsplit(" ", 1)[-1] for line in lines}
    assert {encode_id("olrun", item.entry_id) for item in chain.entries} <= ends
    assert "further ancestors, newest first" in lines
    assert len([line for line in lines if line.endswith(", shown below")]) == 1
    assert max(len(line) - len(line.lstrip("│├└─ ")) for line in render(lineage_tree(Shown(chain, {}, {})))) <= (
        4 * MAX_DEPTH + 8
    )


def test_a_parent_on_a_further_page_is_said_so(page: LineagePage) -> None:
    cut = structs.replace(page, entries=page.entries[:1])
    assert len([line for line in _lines(cut) if line.endswith("(on a further page)")]) == 2


@pytest.mark.parametrize(
    "parts",
    [
        {"about": b"[]"},
        {"about": b"{}"},
        {"about": b"[" * 100_000},
        {"about": b"\xff\xfe"},
        {"about": to_json({"kind": "lora", "framework": "x", "data_checked": False}), "input/0000": b"7"},
        {"about": to_json({"kind": "lora", "framework": "x", "data_checked": True}), "recipe": b"null"},
    ],
)
def test_a_manifest_of_another_form_is_said_so_and_harms_nothing(page: LineagePage, parts: dict[str, bytes]) -> None:
    lines = _lines(page, Manifest(parts))
    assert [line for line in lines if line.startswith("this part of the manifest has a form that is not known here")]
    assert "trained on reference version 1, 100% of the mix, 3 rows used" in lines


def test_a_manifest_that_speaks_of_other_data_is_noted(page: LineagePage, story: Story) -> None:
    lines = _lines(page, a_manifest("other", [(story.datanets["exam"], 1)]))
    assert f"NOTE: the manifest speaks of DataNet {story.datanets['exam'].hex()} version 1 here" in lines
    assert "the manifest says nothing about this input" in _lines(page, a_manifest("none", []))


def test_texts_of_a_manifest_cannot_steer_the_terminal(page: LineagePage) -> None:
    about = {"kind": "lora", "framework": "\x1b[2Jverified", "data_checked": False}
    lines = _lines(page, Manifest({"about": to_json(about)}))
    assert "lora by ?[2Jverified" in lines


def test_many_contributors_are_cut_unless_all_are_wanted(page: LineagePage) -> None:
    first = page.datanets[0]
    accepted = first.contributions[0].accepted
    contributions = tuple(
        [
            NumberedContribution(
                number,
                structs.replace(
                    accepted,
                    contributor=number.to_bytes(32, "big"),
                    contribution_id=number.to_bytes(32, "big"),
                    row_count=number,
                ),
            )
            for number in range(1, 31)
        ]
    )
    many = structs.replace(page, datanets=(structs.replace(first, contributions=contributions),))
    lines = _lines(many)
    assert f"and {30 - CONTRIBUTORS_SHOWN} more: see --all-contributors or --output json" in lines
    assert [line.split()[0] for line in lines if " rows from open1" in line][:2] == ["30", "29"]
    assert len([line for line in _lines(many, all_contributors=True) if " rows from open1" in line]) == 30
    assert counts(many) == "3 entries, 1 DataNet version, 30 contributions by 30 contributors, 2 terms records"


def test_a_contributor_with_several_contributions_is_one_line(page: LineagePage) -> None:
    first = page.datanets[0]
    one = first.contributions[0]
    other = structs.replace(one, accepted=structs.replace(one.accepted, contribution_id=bytes(32)))
    twice = structs.replace(page, datanets=(structs.replace(first, contributions=(one, other)),))
    (line,) = [line for line in _lines(twice) if " rows in " in line and "open1" in line]
    assert line.startswith(f"{2 * one.accepted.row_count} rows in 2 contributions from open1")


def test_a_version_with_revoked_contributions_is_marked(page: LineagePage) -> None:
    revoked = structs.replace(page, datanets=(structs.replace(page.datanets[0], usable=0),))
    assert [line for line in _lines(revoked) if line.endswith("REVOKED IN PART since: no new training on this version")]


def test_a_loss_that_a_run_declares_is_read_in_nats_too(page: LineagePage) -> None:
    item = page.entries[0]
    run = structs.replace(
        item.stored.first_run, quality_metric="held-out-loss-micronats", quality_value=4_550_426, machine=""
    )
    measured = structs.replace(item, stored=structs.replace(item.stored, first_run=run))
    lines = _lines(structs.replace(page, entries=(measured, *page.entries[1:])))
    assert any(line.startswith("run: ") and line.endswith(", held-out-loss in nats 4.5504") for line in lines)


@pytest.mark.parametrize(
    ("metric", "value", "interval", "shown"),
    [
        ("held-out-loss-micronats", 3_472_807, 491_104, ("held-out-loss in nats", "3.4728", "0.4911")),
        ("held-out-loss-micronats", -5, 0, ("held-out-loss in nats", "-0.0000", "0.0000")),
        ("accuracy", 8_120, 15, ("accuracy", "8,120", "15")),
        ("micronats-per-row", 7, 1, ("micronats-per-row", "7", "1")),
    ],
)
def test_losses_are_read_in_nats(metric: str, value: int, interval: int, shown: tuple[str, str, str]) -> None:
    assert measured_words(metric, value, interval) == shown
