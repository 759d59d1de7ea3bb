"""DataNets, versions and submissions in words and as rows of a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from openledger_cli.data.common import reason_word, who

if TYPE_CHECKING:
    from openledger.client.provenance import Asks
    from openledger.data.reading import Submission, WholeVersion

SUBMISSION_COLUMNS = ("#", "by", "rows", "size", "form", "terms", "status")


def form_word(submission: Submission) -> str:
    """The form of its rows."""
    from abci_app.modules.datanets import Form
    from openledger.words import word_of_number

    return word_of_number(Form, submission.stored.contribution.form)


def status_word(submission: Submission) -> str:
    """Where it stands, with the reason of a rejection or revocation."""
    from abci_app.modules.datanets.records import Reason, Status
    from openledger.words import word_of_number

    stored = submission.stored
    word = word_of_number(Status, stored.status)
    if stored.status == Status.PENDING:
        votes = f", {stored.accept_votes} for it" if stored.accept_votes else ""
        votes += f", {stored.reject_votes} against it" if stored.reject_votes else ""
        return f"waits{votes}"
    return word if stored.reason == Reason.NONE else f"{word}: {reason_word(stored.reason)}"


def names_of_terms(client: Asks, ids: Iterable[bytes], *, height: int, prove: bool) -> dict[bytes, str]:
    """The name by which people call each of these terms."""
    from abci_app.modules.licences.queries import TermsQuery

    found: dict[bytes, str] = {}
    for terms_id in dict.fromkeys(ids):
        terms = client.query("licences", "terms", TermsQuery(terms_id), height=height, prove=prove).value.terms
        found[terms_id] = terms.spdx or terms.name
    return found


def terms_ids(submissions: Iterable[Submission]) -> list[bytes]:
    """Ids of the terms that submissions come under, each once."""
    return list(dict.fromkeys([each.stored.contribution.terms_id for each in submissions]))


def submission_row(
    submission: Submission, names: Mapping[bytes, str], terms: Mapping[bytes, str]
) -> tuple[object, ...]:
    """One submission as a row of `SUBMISSION_COLUMNS`."""
    from openledger_cli.lines import show_size

    record = submission.stored.contribution
    return (
        submission.number,
        who(record.contributor, names),
        f"{record.row_count:,}",
        show_size(record.byte_count),
        form_word(submission),
        terms.get(record.terms_id, ""),
        status_word(submission),
    )


def submission_document(
    submission: Submission, names: Mapping[bytes, str], terms: Mapping[bytes, str]
) -> dict[str, Any]:
    """One submission for programs."""
    from abci_app.bech32 import encode_id

    record = submission.stored.contribution
    return {
        "submission": submission.reference,
        "contribution": encode_id("olcontrib", submission.contribution_id),
        "by": names.get(record.contributor, ""),
        "contributor": encode_id("open", record.contributor),
        "rows": record.row_count,
        "bytes": record.byte_count,
        "form": form_word(submission),
        "terms": terms.get(record.terms_id, ""),
        "status": status_word(submission),
    }


def shares_by_person(version: WholeVersion, names: Mapping[bytes, str]) -> list[tuple[str, int, int]]:
    """(person, contributions, rows) of a version, most rows first."""
    found: dict[bytes, tuple[int, int]] = {}
    for each in version.contributions:
        record = each.stored.contribution
        number, rows = found.get(record.contributor, (0, 0))
        found[record.contributor] = (number + 1, rows + record.row_count)
    ordered = sorted(found.items(), key=lambda item: (-item[1][1], item[0]))
    return [(who(address, names), number, rows) for address, (number, rows) in ordered]


def show_rows(first: int, submission: Submission) -> str:
    """`rows 4 to 5`, the numbers that a submission's rows have in a version."""
    last = first + submission.stored.contribution.row_count - 1
    return f"row {first}" if first == last else f"rows {first} to {last}"


def span_of(versions: list[int]) -> str:
    """`version 2`, `versions 1 to 3`."""
    if len(versions) == 1:
        return f"version {versions[0]}"
    return f"versions {versions[0]} to {versions[-1]}"
