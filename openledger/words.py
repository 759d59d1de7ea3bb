"""Numbers of enumerated fields as words, and back: `--decision accept`, `kind lora`."""

from enum import IntEnum
from functools import cache

from openledger.errors import UsageError


@cache
def enumerations() -> dict[str, type[IntEnum]]:
    """Field name -> what its numbers mean."""
    from abci_app.modules.datanets.records import Decision, Reason, Status
    from abci_app.modules.licences.join import Outcome, Profile, Stated, UseClass
    from abci_app.modules.models.kinds import EntryKind, Undeclared
    from abci_app.modules.models.records import Grade

    points = ("attribution", "share_alike", "no_derivatives", "training", "redistribution", "approval_required")
    stated: dict[str, type[IntEnum]] = dict.fromkeys((*points, "behavioural", "private", "opt_out_reserved"), Stated)
    return {
        "decision": Decision,
        "grade": Grade,
        "kind": EntryKind,
        "outcome": Outcome,
        "profile": Profile,
        "reason": Reason,
        "status": Status,
        "undeclared": Undeclared,
        "use_class": UseClass,
        **stated,
    }


def number_of(field: str, text: str) -> int | None:
    """The number that a word stands for in a field; None when the field has no words. Raises `UsageError`."""
    kind = enumerations().get(field)
    if kind is None or text.lstrip("-").isdecimal():
        return None
    name = text.strip().upper().replace("-", "_").replace(" ", "_")
    if name not in kind.__members__:
        raise UsageError(f"{text!r} is not one of {', '.join(words_of(field))}")
    return int(kind[name])


def word_of(field: str, number: int) -> str:
    """The word for a number of a field, or the number."""
    kind = enumerations().get(field)
    if kind is None or number not in list(kind):
        return str(number)
    return kind(number).name.lower().replace("_", "-")


def words_of(field: str) -> list[str]:
    """All words of a field; empty when it has none."""
    kind = enumerations().get(field)
    return [member.name.lower().replace("_", "-") for member in kind] if kind is not None else []
