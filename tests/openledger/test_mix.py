"""May these be mixed: every clash with its two, and why."""

import pytest
from msgspec import structs

from abci_app.modules.licences import Outcome, Profile
from abci_app.modules.licences.facts import plain_terms
from abci_app.modules.licences.records import MAX_SOURCES
from abci_app.types import PPB
from openledger.errors import UsageError
from openledger.mix import MixClash, MixItem, mix_of
from tests.kit.modules.drafts import terms


def licences(*names: str) -> list[MixItem]:
    return [MixItem(name, plain_terms(name)) for name in names]


def test_licences_that_go_together_are_joined() -> None:
    mix = mix_of(licences("CC-BY-4.0", "MIT", "CC0-1.0"), Profile.CONSERVATIVE, 1)
    assert (mix.outcome, mix.text, mix.clashes, len(mix.joined.sources)) == (Outcome.COMPATIBLE, "", (), 3)


def test_every_clash_is_named_with_its_two_and_its_reason() -> None:
    mix = mix_of(licences("CC-BY-SA-4.0", "CC-BY-4.0", "CC-BY-NC-SA-4.0", "CC-BY-NC-4.0"), Profile.CONSERVATIVE, 1)
    assert mix.outcome == Outcome.CONFLICT
    limits = "a share-alike licence (CC-BY-SA-4.0) admits no further restrictions: use is non-commercial only"
    assert mix.clashes == (
        MixClash("CC-BY-SA-4.0", "CC-BY-NC-SA-4.0", "share-alike licences admit no common licence for the result"),
        MixClash("CC-BY-SA-4.0", "CC-BY-NC-4.0", limits),
    )


def test_what_goes_with_nothing_is_named_alone_and_silence_counts_as_the_policy_says() -> None:
    items = licences("CC-BY-ND-4.0", "MIT", "LicenseRef-unknown")
    strict, mild = mix_of(items, Profile.CONSERVATIVE, 1), mix_of(items[1:], Profile.PERMISSIVE, 1)
    assert [(clash.first, clash.second) for clash in strict.clashes] == [
        ("CC-BY-ND-4.0", ""),
        ("LicenseRef-unknown", ""),
    ]
    assert mild.outcome == Outcome.COMPATIBLE


def test_three_that_only_clash_together_are_said_to() -> None:
    claims = [MixItem(str(part), terms(name=str(part), spdx="", revenue_share_ppb=PPB * 2 // 5)) for part in range(3)]
    mix = mix_of(claims, Profile.CONSERVATIVE, 1)
    assert len(mix.clashes) == 1
    assert mix.clashes[0].text.endswith("(with the others before)")


def test_terms_that_ended_and_outputs_that_must_not_teach_clash_with_learning() -> None:
    ended = MixItem("ended", terms(name="ended", spdx="", expiry_seconds=5))
    silent = MixItem("silent", terms(name="silent", spdx="", outputs_restricted=2))
    texts = [clash.text for clash in mix_of([ended, silent], Profile.CONSERVATIVE, 6).clashes]
    assert texts == ["terms expired at 1970-01-01 00:00:05 UTC", "outputs of the model may not train other models"]


def test_more_than_can_be_joined_is_refused() -> None:
    many = [MixItem(str(n), structs.replace(terms(), name=str(n))) for n in range(MAX_SOURCES + 1)]
    with pytest.raises(UsageError, match="at most 64 can be joined: check fewer at a time"):
        mix_of(many, Profile.CONSERVATIVE, 1)
