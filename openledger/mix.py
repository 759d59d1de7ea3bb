"""May material under these terms be mixed, and what would bind the result? The chain's own join and judgement, offline.

    found = mix_of([MixItem("CC-BY-SA-4.0", terms), MixItem("mine", other)], Profile.CONSERVATIVE, now)
    found.outcome, found.clashes, found.joined

Consensus runs the very same functions when a run is recorded. Advisory, not legal advice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from abci_app.modules.licences import (
    JoinedTerms,
    Outcome,
    Profile,
    Terms,
    first_clash,
    judge,
    learned_from,
    terms_id_of,
)
from abci_app.modules.licences.join import TooManySources, join_all, lift
from openledger.errors import UsageError


@dataclass(frozen=True, slots=True)
class MixItem:
    """Terms in a mix, by the name that they were given under."""

    name: str
    terms: Terms


@dataclass(frozen=True, slots=True)
class MixClash:
    """Two of a mix that do not go together and why; without a second one, the first goes with nothing."""

    first: str
    second: str
    text: str


@dataclass(frozen=True, slots=True)
class Mix:
    """The answer: outcome and reason under a policy, every clash, and what all of them demand together."""

    profile: Profile
    outcome: Outcome
    text: str
    clashes: tuple[MixClash, ...]
    joined: JoinedTerms


def mix_of(items: Sequence[MixItem], profile: Profile, at_seconds: int) -> Mix:
    """Judge a mix as data that a model learns from; raises `UsageError` where there is more than can be joined."""
    lifted = [lift(terms_id_of(item.terms), item.terms) for item in items]
    learned = [learned_from(each, is_model=False) for each in lifted]
    try:
        joined, judged = join_all(lifted), join_all(learned)
    except TooManySources as error:
        raise UsageError(f"{error}: check fewer at a time") from None
    outcome, text = judge(judged, profile, at_seconds)
    clashes = _clashes(items, learned, profile, at_seconds) if outcome == Outcome.CONFLICT else ()
    return Mix(profile=profile, outcome=outcome, text=text, clashes=clashes, joined=joined)


def _clashes(
    items: Sequence[MixItem], learned: Sequence[JoinedTerms], profile: Profile, at_seconds: int
) -> tuple[MixClash, ...]:
    """Each that goes with nothing, then each pair of the others; where only three or more clash, the chain's two."""
    alone = [_reason([each], profile, at_seconds) for each in learned]
    found = [MixClash(item.name, "", text) for item, text in zip(items, alone, strict=True) if text]
    free = [place for place, text in enumerate(alone) if not text]
    for one, other in combinations(free, 2):
        text = _reason([learned[one], learned[other]], profile, at_seconds)
        if text:
            found.append(MixClash(items[one].name, items[other].name, text))
    if not found:
        clash = first_clash(learned, profile, at_seconds)
        first, second, text = clash or (0, len(items) - 1, "they admit no common terms")
        found.append(MixClash(items[first].name, items[second].name, f"{text} (with the others before)"))
    return tuple(dict.fromkeys(found))


def _reason(parts: Sequence[JoinedTerms], profile: Profile, at_seconds: int) -> str:
    outcome, text = judge(join_all(parts), profile, at_seconds)
    return text if outcome == Outcome.CONFLICT else ""
