"""May this model be sold, shared, trained further? Answered from its proven lineage and the terms that it names.

    answer, lineage = may(client, "gardener", ModelUse.SELL, at_seconds=now)
    answer.answer, answer.because, answer.credits, answer.unknown

`may_of` is pure: no clock, no network. Absence is never knowledge: open points, revoked data and terms that have ended
are asked about, and below what came from outside nothing is known, which every answer says. Advisory, not legal advice.
"""

from openledger.client.may.answer import May, MayAnswer, MayReason, ModelUse, RevenueClaim, SourceCredit, UnknownBelow
from openledger.client.may.ask import may
from openledger.client.may.judge import may_of
from openledger.client.may.sources import Origin, TermsSource, sources_of

__all__ = [
    "May",
    "MayAnswer",
    "MayReason",
    "ModelUse",
    "Origin",
    "RevenueClaim",
    "SourceCredit",
    "TermsSource",
    "UnknownBelow",
    "may",
    "may_of",
    "sources_of",
]
