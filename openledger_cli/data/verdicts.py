"""Steps that a reviewer is proposed: accept what nothing was found in, look at the rest and decide it by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from abci_app.modules.datanets.records import Reason
from openledger_cli.data.common import numbers_in_words, reason_word

# By sketches alone: from here on a submission is not proposed for acceptance unseen.
_MUCH_OVERLAP_PERCENT = 50
_SHOWN_ONE_BY_ONE = 5
_ROWS_TO_SHOW = 20
_NOT_SEEN = "its rows cannot be seen here"


@dataclass(frozen=True, slots=True)
class Looked:
    """A submission that waits, and what speaks against accepting it unseen, in words; `reason` fits a rejection."""

    number: int
    findings: tuple[str, ...]
    reason: str


def looked_at(number: int, seen: dict[str, Any], *, quick: bool) -> Looked:
    """Sum up what was seen of a submission. Nothing found does not mean nothing there."""
    if "rows_not_seen" in seen:
        return Looked(number, (_NOT_SEEN,), reason_word(Reason.OTHER))
    found = [(f"{kind} copies", Reason.PLAGIARISM) for kind in ("exact", "near") if seen[f"{kind}_copies"]]
    if quick and seen["overlap_percent"] >= _MUCH_OVERLAP_PERCENT:
        found.append((f"overlap {seen['overlap_percent']} %", Reason.PLAGIARISM))
    if seen["looks_like"]:
        found.append(("personal data or secrets", Reason.PERSONAL_DATA))
    reason = found[0][1] if found else Reason.OTHER
    return Looked(number, tuple([words for words, _ in found]), reason_word(reason))


def next_steps(datanet: str, looked: Sequence[Looked], *, is_one: bool, unlooked: bool = False) -> list[str]:
    """Commands that decide what was looked at; `is_one`: the reviewer named this submission to look at it.

    `unlooked`: what looks for personal data and secrets is not installed here.
    """
    clean = [each.number for each in looked if not each.findings]
    flagged = [each for each in looked if each.findings]
    doubt = "     (not looked for: personal data and secrets; `scripts/setup data` has what does)" if unlooked else ""
    accept = f"openledger data review {datanet} --accept {numbers_in_words(clean)} --from KEY{doubt}"
    steps = [accept] if clean else []
    if clean and not flagged:
        return [*steps, f"openledger data review {datanet} --reject NUMBERS --reason REASON --from KEY"]
    if is_one and flagged and flagged[0].findings != (_NOT_SEEN,):
        (one,) = flagged
        review, why = f"openledger data review {datanet}", ", ".join(one.findings)
        return [
            f"{review} --reject {one.number} --reason {one.reason} --from KEY     ({why})",
            f"{review} --accept {one.number} --from KEY     (if that may be there)",
        ]
    steps += [_step(datanet, each) for each in flagged[:_SHOWN_ONE_BY_ONE]]
    more = [each.number for each in flagged[_SHOWN_ONE_BY_ONE:]]
    return [*steps, f"and so on with {numbers_in_words(more)}"] if more else steps


def _step(datanet: str, one: Looked) -> str:
    """The command that shows more of a submission in which something was found."""
    look = f"openledger data review {datanet}#{one.number}"
    if one.findings == (_NOT_SEEN,):
        return f"{look} --content URL     ({_NOT_SEEN})"
    return f"{look} --show {_ROWS_TO_SHOW}     ({', '.join(one.findings)}: look, then decide it by itself)"
