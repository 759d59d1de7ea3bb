"""Transactions for `benchmarks.messages` over terms that leave choices of licence, which are judged one by one."""

from collections.abc import Sequence
from itertools import combinations

from abci_app.modules.datanets import records as nets
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.join import join_all, lift
from abci_app.modules.licences.records import Terms
from abci_app.modules.models import records as models
from abci_app.modules.models.codes import ModelsCode
from abci_app.state.overlay import Overlay
from benchmarks.load import LoadAccount
from benchmarks.message_cases import (
    BASE,
    BASE_IDS,
    DATA,
    FULL_SLOTS,
    PARENTS,
    RUN,
    contribution_id,
    entry,
    net_of,
    provenance,
    register,
    write_contribution,
    write_datanet,
    write_entry,
)
from benchmarks.message_world import Case
from openledger.licences import complete_terms

# None of two is milder than the other in everything, so that each stays a choice.
_LICENCES = ("EUPL-1.2", "GPL-2.0-only", "GPL-3.0-only", "LGPL-2.1-or-later", "LGPL-3.0-or-later", "MPL-2.0")
CHOICES = [
    complete_terms(name=f"{one} or {other}", spdx=f"{one} OR {other}") for one, other in combinations(_LICENCES, 2)
]
# Four choices of two are all combinations that joined terms may have.
CHOSEN = list(combinations(CHOICES, 4))


LIMITED = [entry(("limited", n), DATA[:1], PARENTS[:1]) for n in range(15)]


def with_choices(place: int) -> models.Entry:
    """An entry under four choices of licence."""
    return entry(("choices", place), DATA[:1], PARENTS[:1])


def write_choices(state: Overlay, senders: Sequence[LoadAccount], count: int) -> None:
    """For each: an entry under four choices of licence, others for each as far as there are."""
    provenance(state, senders, 0)
    register(state, *CHOICES)
    for n, limited in enumerate(LIMITED):
        joined = join_all([lift(terms_id_of(each), each) for each in BASE[n : n + 45]])
        write_entry(state, limited, 1_000 + n, senders[0].address, joined)
    for place in range(count):
        joined = join_all([lift(terms_id_of(each), each) for each in CHOSEN[place % len(CHOSEN)]])
        write_entry(state, with_choices(place), 10_000 + place, senders[place].address, joined)


def run_over(place: int, limited: int) -> tuple[models.RecordRuns]:
    """One run over the entry with choices and entries that exclude domains."""
    parents = [with_choices(place), *LIMITED[:limited]]
    made = entry(("run over choices", place), (), [models.entry_id_of(each) for each in parents])
    return (models.RecordRuns((models.RunDraft(made, RUN, b"", ""),)),)


# Many licences to look up, none of them remembered from the terms before, and a last one that leaves no choice.
_ALTERNATIVES = list(combinations(("0BSD", "AFL-3.0", "BSL-1.0", "CC-BY-3.0", "CC-BY-4.0", "ECL-2.0", "EPL-1.0",
                                   "EPL-2.0", "EUPL-1.2", "HPND", "ISC", "LAL-1.2", "LAL-1.3", "MIT", "MIT-0",
                                   "MPL-2.0", "MS-RL", "NCSA", "OSL-3.0", "OpenSSL", "UPL-1.0"), 3))  # fmt: skip


def expression(number: int) -> str:
    """Three alternatives of three licences, others for each number as far as there are, or one that is mild."""
    third = len(_ALTERNATIVES) // 3
    chosen = [_ALTERNATIVES[place * third + number * 7 % third] for place in range(3)]
    return " OR ".join([*[" AND ".join(licences) for licences in chosen], "X11"])


def expressions(place: int) -> list[Terms]:
    """62 terms that no other transaction refers to, so that each is lifted anew."""
    return [complete_terms(name=f"e {place} {n}", spdx=expression(62 * place + n)) for n in range(62)]


def write_revocations(state: Overlay, senders: Sequence[LoadAccount], count: int) -> None:
    """For each: the last contribution under its terms, in a DataNet of 63 terms with long expressions."""
    register(state, *BASE[:1])
    for place in range(count):
        net, owner, held = net_of("revoke long", place), senders[place].address, expressions(place)
        register(state, *held)
        joined = join_all([lift(terms_id_of(each), each) for each in (BASE[0], *held)])
        write_datanet(state, net, owner, joined, FULL_SLOTS, BASE_IDS[:1])
        write_contribution(state, net, 1, owner, BASE_IDS[0], nets.Status.ACCEPTED)


CASES_OF_CHOICES = (
    Case(
        "datanets.revoke_contribution, last of its terms, 62 long expressions",
        lambda _, p: (nets.RevokeContribution(contribution_id(net_of("revoke long", p), 1), 1),),
        write_revocations,
    ),
    # Whichever licence is chosen, none admits the excluded domains of the other parents.
    Case(
        "models.record_runs, 2 parents of 16 combinations that clash",
        lambda _, p: run_over(p, 1),
        write_choices,
        ModelsCode.TERMS_CLASH,
    ),
    Case(
        "models.record_runs, 16 parents of 16 combinations that clash",
        lambda _, p: run_over(p, 15),
        write_choices,
        ModelsCode.TERMS_CLASH,
    ),
)
