"""The material of the demo: recipes that parse, terms that fit together and terms that do not."""

import pytest

from abci_app.chain.registry import MESSAGE_NAMES
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.licences.join import join_all, lift
from abci_app.modules.licences.judgement import first_clash, judge
from abci_app.modules.licences.records import Outcome, Profile
from abci_app.modules.members import Role
from openledger_cli.demo import cast
from trainer.recipe import parse_recipe

NOW_SECONDS = 1_800_000_000
PACES = (cast.FULL_PACE, cast.QUICK_PACE)


@pytest.mark.parametrize("pace", PACES)
def test_recipes_parse_and_mix_what_the_story_says(pace: cast.Pace) -> None:
    first = parse_recipe(cast.first_recipe("olrun1base", pace))
    second = parse_recipe(cast.second_recipe("olrun1base", "olrun1first", pace))
    clash = parse_recipe(cast.clashing_recipe("olrun1base", pace))
    assert [(each.datanet, each.version, each.weight_ppb) for each in first.datasets] == [
        (cast.REFERENCE, 1, 400_000_000),
        (cast.QUESTIONS, 1, 600_000_000),
    ]
    assert [(each.datanet, each.version) for each in second.datasets] == [(cast.REFERENCE, 1), (cast.QUESTIONS, 2)]
    assert (first.model.adapter, second.model.adapter) == ("", "olrun1first")
    assert [(each.datanet, each.version) for each in clash.datasets] == [(cast.QUESTIONS, 1), (cast.EXAM, 1)]
    assert all(dataset.filters and dataset.split.held_out_ppb for dataset in (*first.datasets, *second.datasets))
    assert (first.train.steps, first.evaluate.rows) == (pace.steps, pace.evaluated_rows)


def test_the_full_pace_is_twenty_to_thirty_steps_of_512_tokens() -> None:
    assert 20 <= cast.FULL_PACE.steps <= 30
    assert cast.FULL_PACE.tokens_a_step == 512


def test_terms_are_valid_and_only_the_exam_clashes() -> None:
    for terms in cast.ALL_TERMS:
        RegisterTerms(terms).validate()
    lifted = {terms.spdx: lift(terms_id_of(terms), terms) for terms in cast.ALL_TERMS}
    trained = [lifted[spdx] for spdx in ("Apache-2.0", "PSF-2.0", "CC-BY-4.0", "CC-BY-SA-4.0")]
    assert judge(join_all(trained), Profile.CONSERVATIVE, NOW_SECONDS) == (Outcome.COMPATIBLE, "")
    clash = first_clash([*trained, lifted["CC-BY-NC-SA-4.0"]], Profile.CONSERVATIVE, NOW_SECONDS)
    assert clash == (3, 4, "share-alike licences admit no common licence for the result")


def test_at_least_eight_people_contribute_under_different_terms() -> None:
    accepted = set(cast.CONTRIBUTORS) - {cast.COPYIST}
    assert len(accepted) >= 8
    assert accepted > set(cast.OWN_TERMS)


def test_everybody_has_known_roles_and_message_types_exist() -> None:
    for roles in (*cast.ROLES.values(), *cast.MESSAGE_ROLES.values()):
        assert all(role.upper() in Role.__members__ for role in roles)
    assert all(name in MESSAGE_NAMES for name in cast.MESSAGE_ROLES)
