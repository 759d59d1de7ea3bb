"""Who and what the demo is about: people, terms, DataNets and recipes. Data only."""

from __future__ import annotations

from dataclasses import dataclass

from abci_app.modules.licences.records import Stated, Terms, UseClass

CHAIN_ID = "dev-demo"
MODEL = "python-helper"
REFERENCE, QUESTIONS, EXAM = "python-reference", "python-questions", "python-exam"
OWNER, BUILDER = "olga", "lena"
REVIEWERS = ("rosa", "sam")
# Who contributes to version 1 of the reference, to versions 1 and 2 of the questions, and to the exam.
REFERENCE_CONTRIBUTORS = ("ada", "ben", "chen", "dora")
QUESTION_CONTRIBUTORS = ("emil", "fatma", "goran", "hana")
LATER_CONTRIBUTOR = "ivan"
EXAM_CONTRIBUTOR = "judith"
# Sends somebody else's rows as his own.
COPYIST = "kurt"
CONTRIBUTORS = (*REFERENCE_CONTRIBUTORS, *QUESTION_CONTRIBUTORS, LATER_CONTRIBUTOR, EXAM_CONTRIBUTOR, COPYIST)

ROLES: dict[str, tuple[str, ...]] = {
    OWNER: ("registrar",),
    BUILDER: ("builder",),
    **dict.fromkeys(REVIEWERS, ("reviewer",)),
    **dict.fromkeys(CONTRIBUTORS, ("contributor",)),
}
PEOPLE = tuple(ROLES)
# Message type -> role that it needs on this chain; everything else is open to all.
MESSAGE_ROLES: dict[str, tuple[str, ...]] = {
    "datanets.contribute": ("contributor",),
    "datanets.review_contribution": ("reviewer",),
    "models.create_model": ("builder",),
    "models.record_runs": ("builder",),
}


def _terms(
    name: str,
    spdx: str,
    *,
    share_alike: Stated = Stated.NO,
    use_class: UseClass = UseClass.ANY,
    irrevocable: Stated = Stated.YES,
) -> Terms:
    """Open terms: attribution wanted, training and passing on allowed, nothing reserved."""
    return Terms(
        name=name,
        spdx=spdx,
        use_class=use_class,
        attribution=Stated.YES,
        share_alike=share_alike,
        no_derivatives=Stated.NO,
        training=Stated.YES,
        redistribution=Stated.YES,
        approval_required=Stated.NO,
        behavioural=Stated.NO,
        private=Stated.NO,
        opt_out_reserved=Stated.NO,
        notice=Stated.YES,
        outputs_restricted=Stated.NO,
        irrevocable=irrevocable,
        fields_of_use=(),
        excluded_domains=(),
        text_digest=b"",
        behavioural_digest=b"",
        revenue_share_ppb=0,
        expiry_seconds=0,
        jurisdiction="",
    )


APACHE = _terms("Apache License 2.0", "Apache-2.0")
PYTHON = _terms("Python Software Foundation License 2", "PSF-2.0", irrevocable=Stated.UNKNOWN)
# What some contributors demand for the form that they gave to the text.
BY = _terms("CC BY 4.0", "CC-BY-4.0")
BY_SA = _terms("CC BY-SA 4.0", "CC-BY-SA-4.0", share_alike=Stated.YES)
BY_NC_SA = _terms("CC BY-NC-SA 4.0", "CC-BY-NC-SA-4.0", share_alike=Stated.YES, use_class=UseClass.NON_COMMERCIAL)
ALL_TERMS = (APACHE, PYTHON, BY, BY_SA, BY_NC_SA)
# Contributors that do not take their DataNet's default terms.
OWN_TERMS = {"dora": BY, "hana": BY_SA, LATER_CONTRIBUTOR: BY}


@dataclass(frozen=True, slots=True)
class DatanetPlan:
    """One DataNet of the demo."""

    name: str
    description: str
    default_terms: Terms


DATANETS = (
    DatanetPlan(REFERENCE, "Paragraphs of the Python language reference, from pydoc_data.topics", PYTHON),
    DatanetPlan(QUESTIONS, "Questions and answers from docstrings of the standard library", PYTHON),
    DatanetPlan(EXAM, "Questions kept back to examine models; not to be trained on commercially", BY_NC_SA),
)


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is trained; the path is the same at every pace."""

    steps: int
    batch_size: int
    sequence_tokens: int
    evaluated_rows: int

    @property
    def tokens_a_step(self) -> int:
        """At most; shorter rows are not filled up."""
        return self.batch_size * self.sequence_tokens


FULL_PACE = Pace(steps=24, batch_size=4, sequence_tokens=128, evaluated_rows=24)
QUICK_PACE = Pace(steps=2, batch_size=2, sequence_tokens=64, evaluated_rows=4)

_RECIPE = """\
version: 1
name: {name}
model:
  base: {base}
{adapter}method: {{rank: 8, alpha: 16, target_modules: [q_proj, v_proj]}}
datasets:
  - datanet: {first}
    version: {first_version}
    weight_ppb: {first_weight_ppb}
    filters: [{{min_chars: 200}}, {{regex_exclude: "::="}}, deduplicate]
    split: {{held_out_ppb: 50000000}}
  - datanet: {second}
    version: {second_version}
    weight_ppb: {second_weight_ppb}
    preprocess:
      - collapse_space: answer
      - template: {{prompt: "Question: {{question}}\\nAnswer: ", completion: "{{answer}}"}}
    filters: [{{min_chars: 40}}, {{regex_exclude: "(?i)deprecated"}}, deduplicate]
    split: {{held_out_ppb: 50000000}}
train:
  steps: {pace.steps}
  batch_size: {pace.batch_size}
  sequence_tokens: {pace.sequence_tokens}
  learning_rate: 0.0005
  schedule: linear
  warmup_steps: {warmup_steps}
  seed: {seed}
evaluate: {{rows: {pace.evaluated_rows}}}
output: {{model: {model}}}
attribution: {{checkpoints: 1}}
"""


def first_recipe(base: str, pace: Pace) -> str:
    """A fresh adapter on 40 % reference and 60 % questions."""
    return _recipe("python-helper-1", base, "", (REFERENCE, 1, 400_000_000), (QUESTIONS, 1, 600_000_000), pace, 7)


def second_recipe(base: str, adapter: str, pace: Pace) -> str:
    """The first adapter continued, with version 2 of the questions and more of them."""
    return _recipe("python-helper-2", base, adapter, (REFERENCE, 1, 250_000_000), (QUESTIONS, 2, 750_000_000), pace, 8)


def clashing_recipe(base: str, pace: Pace) -> str:
    """Make a recipe that nobody may train, of two share-alike licences without a common one; only its terms are
    read."""
    text = _recipe("python-mix", base, "", (QUESTIONS, 1, 500_000_000), (EXAM, 1, 500_000_000), pace, 9)
    # The questions stand first here, so they take the questions' steps as well.
    return text.replace(
        '    filters: [{min_chars: 200}, {regex_exclude: "::="}, deduplicate]\n',
        '    preprocess: [{template: {completion: "{answer}"}}]\n    filters: [deduplicate]\n',
    )


def _recipe(
    name: str, base: str, adapter: str, first: tuple[str, int, int], second: tuple[str, int, int], pace: Pace, seed: int
) -> str:
    return _RECIPE.format(
        name=name,
        base=base,
        adapter=f"  adapter: {adapter}\n" if adapter else "",
        first=first[0],
        first_version=first[1],
        first_weight_ppb=first[2],
        second=second[0],
        second_version=second[1],
        second_weight_ppb=second[2],
        pace=pace,
        warmup_steps=min(2, pace.steps),
        seed=seed,
        model=MODEL,
    )
