"""`openledger data review`: see what waits, row by row and beside what is there, and decide it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from openledger.errors import OpenLedgerError, TransactionFailed, UsageError
from openledger.references import split_number
from openledger_cli.data.common import add_sending_options, numbers_of, open_store, people, sender_address, who
from openledger_cli.data.verdicts import looked_at, next_steps
from openledger_cli.data.words import form_word, names_of_terms, status_word, submission_document, terms_ids
from openledger_cli.lines import count, row_lines, show_size
from openledger_cli.output import people_console, print_line
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_reading_options, add_task, head_of, say_how, say_next, send

if TYPE_CHECKING:
    from collections.abc import Sequence

    from abci_app.module import Message
    from openledger.content.store import ContentStore
    from openledger.data.reading import Submission, WholeDatanet
    from openledger.data.rows import RowBatch
    from openledger_cli.context import CommandContext

_EXAMPLES = """\
  openledger data review garden                              what waits: rows, copies, what looks like personal data
  openledger data review garden#4 --show 20                  one submission, more of its rows
  openledger data review garden --accept 1-3 --from remy
  openledger data review garden --accept 1,3 --reject 2 --reason plagiarism --from remy
"""
_SHOWN_ROWS = 3
_SHOWN_COPIES = 5
# Each is compared with all that is there, which takes its time.
_SHOWN_SUBMISSIONS = 20


def register(commands: Any) -> None:
    """Add the task."""
    from abci_app.modules.datanets.records import Reason
    from openledger.words import words

    parser = add_task(commands, "review", run, "look at submissions that wait, and accept or reject them", _EXAMPLES)
    parser.add_argument("datanet", metavar="DATANET[#NUMBER]", help="name of the DataNet, or one submission to look at")
    parser.add_argument("--show", type=int, default=_SHOWN_ROWS, metavar="N", help="rows to show of each (3)")
    parser.add_argument("--accept", metavar="NUMBERS", help="submissions to accept, such as 1-3,7")
    parser.add_argument("--reject", metavar="NUMBERS", help="submissions to reject; needs --reason")
    reasons = [word for word in words(Reason) if word != "none"]
    parser.add_argument("--reason", choices=reasons, help="why they are rejected")
    parser.add_argument("--quick", action="store_true", help="do not compare with the rows that are there")
    add_sending_options(parser, required=False)
    add_reading_options(parser, content=True)


def run(arguments: argparse.Namespace) -> None:
    """Decide where numbers are given, else look."""
    from abci_app.modules.datanets.records import Status
    from openledger.data.reading import read_datanet

    context: CommandContext = arguments.context
    if arguments.show < 0:
        raise UsageError("--show is 0 or more")
    if bool(arguments.reject) != bool(arguments.reason):
        raise UsageError("--reject and --reason go together: say why, such as --reject 2 --reason plagiarism")
    name, number = split_number(arguments.datanet) if "#" in arguments.datanet else (arguments.datanet, 0)
    with open_client(context, arguments) as client:
        datanet = read_datanet(client, name, prove=not arguments.unverified)
        if arguments.accept or arguments.reject:
            _decide(arguments, client, datanet)
            return
        waiting = [each for each in datanet.submissions if each.stored.status == Status.PENDING]
        if number:
            waiting = [datanet.submission(number)]
        terms = names_of_terms(client, terms_ids(waiting), height=datanet.known.height, prove=not arguments.unverified)
    _look(arguments, datanet, waiting, terms)


# --- Deciding


def _decide(arguments: argparse.Namespace, client: Any, datanet: WholeDatanet) -> None:
    from abci_app.modules.datanets.records import DatanetsCode, Decision, Reason, ReviewContribution, Status
    from openledger.data.reading import read_datanet
    from openledger.words import number_of_word

    context: CommandContext = arguments.context
    if not arguments.signer:
        raise UsageError("who decides? add --from KEY")
    accepted, rejected = [numbers_of(each) if each else [] for each in (arguments.accept, arguments.reject)]
    both = sorted(set(accepted) & set(rejected))
    if both:
        raise UsageError(f"--accept and --reject both name {both[0]}: a submission is accepted or rejected")
    chosen = {number: datanet.submission(number) for number in [*accepted, *rejected]}
    for each in chosen.values():
        if each.stored.status != Status.PENDING:
            raise TransactionFailed(
                DatanetsCode.NOT_PENDING,
                "datanets",
                f"nothing was sent: {each.reference} does not wait any more, it is {status_word(each)}; leave it out",
            )
    _require_reviewer(datanet, sender_address(arguments), arguments.signer)
    reason = number_of_word(Reason, arguments.reason) if arguments.reason else 0
    messages: list[Message] = [
        ReviewContribution(chosen[number].contribution_id, int(Decision.ACCEPT), 0) for number in accepted
    ]
    messages += [
        ReviewContribution(chosen[number].contribution_id, int(Decision.REJECT), reason) for number in rejected
    ]
    height = 0
    for part in _parts(messages):
        height = send(arguments, client, part).height
    after = read_datanet(client, datanet.name, prove=not arguments.unverified)
    if context.as_json:
        decided = {
            after.submission(number).reference: status_word(after.submission(number)) for number in sorted(chosen)
        }
        context.output.json({**head_of(after.known), "datanet": datanet.name, "sent_in_block": height, "now": decided})
        return
    for number in sorted(chosen):
        print(f"{after.submission(number).reference}  {status_word(after.submission(number))}")
    waits = sum(each.stored.status == Status.PENDING for each in after.submissions)
    say_how(context, after.known)
    say_next(
        context,
        f"openledger data review {datanet.name}" if waits else f"openledger data freeze {datanet.name} --from KEY",
    )


def _parts(messages: Sequence[Message]) -> list[list[Message]]:
    """Split verdicts into transactions of as many messages as one may have."""
    from abci_app.chain.transaction import MAX_MESSAGES

    return [list(messages[at : at + MAX_MESSAGES]) for at in range(0, len(messages), MAX_MESSAGES)]


def _require_reviewer(datanet: WholeDatanet, address: bytes, key: str) -> None:
    """Raises `TransactionFailed` for somebody who may not decide here, before anything is signed."""
    from abci_app.modules.datanets.records import DatanetsCode

    facts = datanet.datanet
    if address != facts.owner and address not in facts.reviewers:
        raise TransactionFailed(
            DatanetsCode.NOT_REVIEWER,
            "datanets",
            f"nothing was sent: {key} is neither the owner nor a reviewer of {datanet.name}; see who is: "
            f"`openledger data show {datanet.name}`",
        )


# --- Looking


def _look(
    arguments: argparse.Namespace, datanet: WholeDatanet, waiting: list[Submission], terms: dict[bytes, str]
) -> None:
    from abci_app.modules.datanets.records import Status

    context: CommandContext = arguments.context
    store, names = open_store(arguments), people(context)
    documents, looked = [], []
    console = people_console()
    further = waiting[_SHOWN_SUBMISSIONS:]
    for each in waiting[:_SHOWN_SUBMISSIONS]:
        seen = _examine(arguments, store, datanet, each)
        summary = looked_at(each.number, seen, quick=arguments.quick)
        if each.stored.status == Status.PENDING:
            looked.append(summary)
        documents.append({**submission_document(each, names, terms), **seen, "findings": list(summary.findings)})
        if not context.as_json:
            record = each.stored.contribution
            head = f"{count(record.row_count, 'row')}, {show_size(record.byte_count)}, {form_word(each)}"
            print_line(
                console, f"{each.reference} by {who(record.contributor, names)}: {head}, {terms[record.terms_id]}"
            )
            _say_seen(console, seen)
    if context.as_json:
        later = [each.reference for each in further]
        context.output.json(
            {**head_of(datanet.known), "datanet": datanet.name, "waiting": documents, "not_looked_at": later}
        )
        return
    if further:
        print_line(
            console, f"{count(len(further), 'more submission')} from {further[0].reference} on: name one to see it"
        )
    if not waiting:
        print_line(console, f"nothing waits for review in {datanet.name}")
    say_how(context, datanet.known)
    if looked:
        unlooked = any(each.get("not_looked_for") for each in documents)
        say_next(context, *next_steps(datanet.name, looked, is_one="#" in arguments.datanet, unlooked=unlooked))
    elif not waiting:
        say_next(context, f"openledger data show {datanet.name}")


def _examine(
    arguments: argparse.Namespace, store: ContentStore, datanet: WholeDatanet, submission: Submission
) -> dict[str, Any]:
    """Everything that a reviewer wants to know of one submission; why its rows cannot be seen, where they cannot."""
    from openledger.data.findings import missing_libraries
    from openledger.data.rows import load_batch

    try:
        batch = load_batch(store, submission.contribution_id, submission.commitment, submission.reference)
    except (OpenLedgerError, OSError) as error:
        return {"rows_not_seen": " ".join(str(error).split())}
    missing = missing_libraries()
    copies, not_compared = _copies(arguments, store, datanet, submission, batch)
    return {
        "first_rows": [row.decode() for row in batch.rows[: arguments.show]],
        "overlap_percent": _overlap(datanet, submission),
        "exact_copies": [{"row": each.index + 1, "like": each.like} for each in copies if each.exact],
        "near_copies": [{"row": each.index + 1, "like": each.like} for each in copies if not each.exact],
        "not_compared": not_compared,
        "looks_like": _findings(batch),
        "not_looked_for": [f"personal data and secrets: {', '.join(missing)} not installed here"] if missing else [],
    }


def _overlap(datanet: WholeDatanet, submission: Submission) -> int:
    """Largest overlap with anything accepted, or submitted before, by the sketches on the chain, in percent."""
    from abci_app.modules.datanets.records import Status
    from openledger.data.sketch import SKETCH_BYTES, sketch_similarity_ppb

    own = submission.stored.contribution.sketch
    others = [
        each.stored.contribution.sketch
        for each in datanet.submissions
        if each.number != submission.number
        and (
            each.stored.status == Status.ACCEPTED
            or (each.stored.status == Status.PENDING and each.number < submission.number)
        )
    ]
    if len(own) != SKETCH_BYTES:
        return 0
    return max([sketch_similarity_ppb(own, each) for each in others if len(each) == SKETCH_BYTES], default=0) // 10**7


def _copies(
    arguments: argparse.Namespace,
    store: ContentStore,
    datanet: WholeDatanet,
    submission: Submission,
    batch: RowBatch,
) -> tuple[tuple[Any, ...], list[str]]:
    """Rows that are like one that is there, or that another submission before this one has; and what was not seen."""
    from abci_app.modules.datanets.records import Status
    from openledger.data.likeness import Likeness
    from openledger.data.rows import load_batch
    from openledger_cli.progress import counting

    if arguments.quick:
        return (), ["compared by sketches alone (--quick)"]
    likeness, missing = Likeness.of(batch.rows), []
    others = [
        each
        for each in datanet.submissions
        if each.stored.status == Status.ACCEPTED
        or (each.stored.status == Status.PENDING and each.number < submission.number)
    ]
    report = counting(f"comparing {submission.reference} with what is there", silent_seconds=1.0)
    total, done = sum(each.stored.contribution.row_count for each in others), 0
    for each in others:
        try:
            there = load_batch(store, each.contribution_id, each.commitment, each.reference)
        except (OpenLedgerError, OSError) as error:
            missing.append(" ".join(str(error).split()))
            continue
        for index, row in enumerate(there.rows):
            likeness.see(row, f"{each.reference} row {index + 1}")
            done += 1
            if not done % 1_000:
                report(done, total)
    return likeness.copies, missing


def _findings(batch: RowBatch) -> list[str]:
    """Things that look like personal data or secrets, as sentences; advisory."""
    from openledger.data.findings import Findings, missing_libraries
    from openledger.data.row_json import read_row
    from openledger_cli.progress import counting

    if missing_libraries():
        return []
    findings = Findings()
    report = counting("looking for personal data and secrets", silent_seconds=1.0)
    for number, row in enumerate(batch.rows, 1):
        findings.look_at(number, read_row(row))
        report(number, len(batch.rows))
    return [
        f"{name} in {count(rows, 'row')}, the first is row {findings.first_row_by_name[name]}"
        for name, rows in findings.ranked()
    ]


def _say_seen(console: Any, seen: dict[str, Any]) -> None:
    if "rows_not_seen" in seen:
        print_line(console, f"  not seen: {seen['rows_not_seen']}")
        return
    print_line(console, f"  overlap with what is there {seen['overlap_percent']} % (by sketches)")
    for kind in ("exact", "near"):
        found = seen[f"{kind}_copies"]
        if found:
            shown = ", ".join([f"row {each['row']} is {each['like']}" for each in found[:_SHOWN_COPIES]])
            more = f" and {len(found) - _SHOWN_COPIES:,} more" if len(found) > _SHOWN_COPIES else ""
            print_line(console, f"  {kind} copies {len(found):,}: {shown}{more}")
    for line in seen["not_compared"]:
        print_line(console, f"  not compared: {line}")
    for line in seen["looks_like"]:
        print_line(console, f"  looks like: {line}")
    for line in seen["not_looked_for"]:
        print_line(console, f"  not looked for: {line}")
    for number, row in enumerate(seen["first_rows"], 1):
        for line in row_lines(row):
            print_line(console, f"  {number:>4}  {line}")
    print_line(console, "")
