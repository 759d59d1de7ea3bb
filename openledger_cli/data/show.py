"""`openledger data show | list`: DataNets, versions and submissions as they are proven."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from openledger.references import split_number
from openledger_cli.data.common import decide_words, people, who
from openledger_cli.data.words import (
    SUBMISSION_COLUMNS,
    names_of_terms,
    shares_by_person,
    submission_document,
    submission_row,
    terms_ids,
)
from openledger_cli.lines import count, show_size, show_time
from openledger_cli.output import people_console, print_line
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_reading_options, add_task, head_of, say_how, say_next

if TYPE_CHECKING:
    from abci_app.modules.licences.records import JoinedTerms
    from openledger.client.client import Client
    from openledger.data.reading import WholeDatanet, WholeVersion
    from openledger_cli.context import CommandContext

_EXAMPLES = """\
  openledger data show garden                what waits, what is accepted, which versions there are
  openledger data show garden@1              one version: who brought what, under which terms
  openledger data show garden#2              one submission
"""


def register(commands: Any) -> None:
    """Add both tasks."""
    parser = add_task(commands, "show", run, "a DataNet, a version or a submission", _EXAMPLES)
    parser.add_argument("what", metavar="DATANET[@VERSION|#NUMBER]", help="such as garden, garden@1 or garden#2")
    add_reading_options(parser)
    listing = add_task(commands, "list", run_list, "every DataNet of the chain", "  openledger data list\n")
    add_reading_options(listing)


def run(arguments: argparse.Namespace) -> None:
    """Show what the reference names."""
    from openledger.data.reading import read_datanet, read_version

    context: CommandContext = arguments.context
    prove = not arguments.unverified
    with open_client(context, arguments) as client:
        if "@" in arguments.what:
            version = read_version(client, arguments.what, prove=prove)
            datanet = read_datanet(client, version.name, height=version.known.height, prove=prove)
            _show_version(context, client, version, datanet, prove=prove)
            return
        name, number = split_number(arguments.what) if "#" in arguments.what else (arguments.what, 0)
        datanet = read_datanet(client, name, prove=prove)
        _show_datanet(context, client, datanet, number, prove=prove)


def run_list(arguments: argparse.Namespace) -> None:
    """List them by name."""
    from openledger.data.reading import read_names

    context: CommandContext = arguments.context
    with open_client(context, arguments) as client:
        found, known = read_names(client, prove=not arguments.unverified)
    names = people(context)
    documents = [
        {
            "datanet": each.datanet.name,
            "about": each.datanet.description,
            "owner": who(each.datanet.owner, names),
            "versions": each.counts.versions,
            "rows": each.counts.row_count,
            "submitted": each.counts.submitted,
            "accepted": each.counts.accepted - each.counts.revoked,
        }
        for each in found
    ]
    rows = [
        (each["datanet"], each["owner"], each["versions"], f"{each['rows']:,}", each["submitted"], each["about"])
        for each in documents
    ]
    columns = ("name", "owner", "versions", "rows", "submissions", "about")
    context.output.rows("", columns, rows, {**head_of(known), "datanets": documents})
    say_how(context, known)
    if found:
        say_next(context, f"openledger data show {found[0].datanet.name}")
    else:
        say_next(context, "openledger data new NAME --terms CC-BY-4.0 --from KEY")


def _show_datanet(context: CommandContext, client: Client, datanet: WholeDatanet, number: int, *, prove: bool) -> None:
    names = people(context)
    chosen = [datanet.submission(number)] if number else list(datanet.submissions)
    ids = [*terms_ids(chosen), datanet.datanet.default_terms_id]
    terms = names_of_terms(client, ids, height=datanet.known.height, prove=prove)
    facts = datanet.datanet
    document = {
        **head_of(datanet.known),
        "datanet": datanet.name,
        "about": facts.description,
        "owner": who(facts.owner, names),
        "reviewers": [who(each, names) for each in facts.reviewers],
        "quorum": facts.quorum,
        "terms": terms[facts.default_terms_id],
        "versions": [
            {"version": at, "rows": each.row_count, "bytes": each.byte_count, "note": each.note,
             "usable": at >= datanet.counts.usable_from_version}
            for at, each in enumerate(datanet.versions, 1)
        ],
        "submissions": [submission_document(each, names, terms) for each in chosen],
    }  # fmt: skip
    source = ""
    if number:
        from openledger.data.contribute.journal import Journal

        source = Journal.of(context.home, client.chain_id, datanet.datanet_id).source_of(number)
        document["source"] = source
    if context.as_json:
        context.output.json(document)
        return
    console = people_console()
    if not number:
        print_line(console, f"{datanet.name}: {facts.description or 'no description'}")
        decide = decide_words(facts.quorum, [who(each, names) for each in facts.reviewers], document["owner"])
        print_line(console, f"owner {document['owner']}; {decide} what is accepted")
        print_line(console, f"contributions come under {document['terms']} unless they say otherwise")
        for at, each in enumerate(datanet.versions, 1):
            usable = "" if at >= datanet.counts.usable_from_version else "; revoked since, not to be trained on"
            said = f" ({each.note})" if each.note else ""
            print_line(
                console,
                f"version {at}: {count(each.row_count, 'row')}, frozen {show_time(each.time_seconds)}{said}{usable}",
            )
    context.output.rows("", SUBMISSION_COLUMNS, [submission_row(each, names, terms) for each in chosen], None)
    if source:
        print_line(console, f"this home contributed it from {source}")
    say_how(context, datanet.known)
    say_next(context, _next_step(datanet))


def _next_step(datanet: WholeDatanet) -> str:
    from abci_app.modules.datanets.records import Status

    if any(each.stored.status == Status.PENDING for each in datanet.submissions):
        return f"openledger data review {datanet.name}"
    if datanet.counts.changes:
        return f"openledger data freeze {datanet.name} --from KEY"
    if datanet.versions:
        return f"openledger data export {datanet.name}@{len(datanet.versions)} --to FILE"
    return f"openledger data add {datanet.name} FILE ... --from KEY"


# --- One version


def _show_version(
    context: CommandContext, client: Client, version: WholeVersion, datanet: WholeDatanet, *, prove: bool
) -> None:
    from abci_app.modules.licences.queries import JoinedTermsQuery

    names, height, record = people(context), version.known.height, version.record
    terms = names_of_terms(client, terms_ids(version.contributions), height=height, prove=prove)
    joined: JoinedTerms | None = None
    if record.joined_terms_id:
        question = JoinedTermsQuery(record.joined_terms_id)
        joined = client.query("licences", "joined", question, height=height, prove=prove).value.joined
    usable = version.version >= datanet.counts.usable_from_version
    if context.as_json:
        context.output.json(
            {
                **head_of(version.known),
                "datanet": version.name,
                "version": version.version,
                "rows": record.row_count,
                "bytes": record.byte_count,
                "note": record.note,
                "frozen": show_time(record.time_seconds),
                "usable": usable,
                "by": [
                    {"who": name, "contributions": each, "rows": rows}
                    for name, each, rows in shares_by_person(version, names)
                ],
                "contributions": [submission_document(each, names, terms) for each in version.contributions],
                "terms": _joined_words(joined, terms),
            }
        )
        return
    console = people_console()
    said = f" ({record.note})" if record.note else ""
    contributions = count(record.contribution_count, "contribution")
    print_line(
        console,
        f"{version.reference}: {count(record.row_count, 'row')}, {show_size(record.byte_count)}, {contributions}{said}",
    )
    print_line(console, f"frozen {show_time(record.time_seconds)}, at height {record.height}")
    for name, each, rows in shares_by_person(version, names):
        print_line(console, f"  {rows:,} rows by {name} in {count(each, 'contribution')}")
    for line in _joined_words(joined, terms):
        print_line(console, line)
    if not usable:
        print_line(console, "NOT TO BE TRAINED ON: something in this version was revoked since")
    rows_shown = [submission_row(each, names, terms) for each in version.contributions]
    context.output.rows("", SUBMISSION_COLUMNS, rows_shown, None)
    say_how(context, version.known)
    say_next(
        context, f"openledger data export {version.reference} --to FILE", f"openledger query impact {version.reference}"
    )


def _joined_words(joined: JoinedTerms | None, terms: dict[bytes, str]) -> list[str]:
    from openledger_cli.terms.words import joined_words

    return [] if joined is None else joined_words(joined, lambda terms_id: terms.get(terms_id, "other terms"))
