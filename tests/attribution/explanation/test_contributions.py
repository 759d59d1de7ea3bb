"""Parts of contributions follow from what a document says of rows and spans."""

from __future__ import annotations

from pathlib import Path

import msgspec

from abci_app.types import PPB
from attribution.explanation.contributions import ContributionShare, contribution_shares, positive_of_all
from attribution.explanation.document import ContributionLine, MatchLine, OwnerLine, SpanLine
from tests.kit.attribution.explained import Story
from tests.kit.attribution.small_index import key


def test_contributions_have_their_part_of_the_positive_scores(story: Story) -> None:
    below = story.document.layers[1]
    assert below.gradients
    whole = sum(int(line.credit) for line in below.gradients.owners)
    assert positive_of_all(below.gradients) == whole
    assert contribution_shares(below) == [
        ContributionShare(line.contribution_id, line.owner, line.rows, int(line.positive) * PPB // whole, None)
        for line in below.gradients.contributions
    ]


def test_where_owners_are_clipped_the_only_contribution_of_one_has_its_owners_part(story: Story) -> None:
    below = story.document.layers[1]
    assert below.gradients
    assert below.policy
    owner = below.gradients.owners[0].owner
    owners = (
        OwnerLine(owner, "30", "30", 2, 0, 300_000_000),
        OwnerLine(key(7).hex(), "70", "70", 1, 0, 700_000_000),
        OwnerLine(key(8).hex(), "-5", "0", 2, 0, 0),
    )
    lines = (
        ContributionLine(key(1).hex(), key(7).hex(), 1, "70", "70"),
        ContributionLine(key(2).hex(), owner, 2, "30", "50"),
        ContributionLine(key(3).hex(), key(8).hex(), 2, "-5", "4"),
    )
    policy = msgspec.structs.replace(below.policy, score_unit="owner")
    gradients = msgspec.structs.replace(below.gradients, owners=owners, contributions=lines)
    layer = msgspec.structs.replace(below, policy=policy, gradients=gradients, spans=msgspec.UNSET)
    shares = [line.by_gradients_ppb for line in contribution_shares(layer)]
    assert shares == [700_000_000, 300_000_000, 0]


def match(number: int, owner: int, credited: int, contribution: int) -> MatchLine:
    return MatchLine(number, 0, key(owner).hex(), key(contribution).hex(), key(number).hex(), key(credited).hex())


def test_the_bits_of_a_span_go_to_owners_and_then_to_their_contributions(story: Story) -> None:
    top = story.document.layers[0]
    assert top.spans
    spans = (
        SpanLine(0, 4, 600, 4, 4, (match(1, 1, 1, 10), match(2, 1, 1, 11), match(3, 2, 2, 20), match(4, 3, 2, 30))),
        SpanLine(5, 8, 200, 1, 1, (match(5, 4, 1, 40),)),
    )
    layer = msgspec.structs.replace(top, gradients=msgspec.UNSET, spans=msgspec.structs.replace(top.spans, spans=spans))
    expected = [((20, 2), 300), ((40, 1), 200), ((10, 1), 150), ((11, 1), 150)]
    assert contribution_shares(layer) == [
        ContributionShare(key(contribution).hex(), key(owner).hex(), None, None, bits * PPB // 800)
        for (contribution, owner), bits in expected
    ]


def test_a_layer_without_spans_or_gradients_names_no_contribution(story: Story, tmp_path: Path) -> None:
    top = story.document.layers[0]
    assert top.spans
    nothing = msgspec.structs.replace(top.spans, spans=())
    assert contribution_shares(msgspec.structs.replace(top, gradients=msgspec.UNSET, spans=nothing)) == []
    assert contribution_shares(story.document.layers[2]) == []
