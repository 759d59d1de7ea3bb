"""Blocks about a model that the model card and the summary of training content share."""

from openledger.amounts import show_share
from openledger.exports.blocks import Block, Bullets, Grid, Heading, Paragraph
from openledger.exports.facts import ModelFacts, ProvenAt, shares_of_version, terms_of_version
from openledger.exports.identifiers import encode_id
from openledger.exports.licence import expression_of, is_plain
from openledger.exports.statements import (
    PROMISE,
    framework_of,
    kind_of,
    measured,
    parameters_of,
    remarks,
    run_times,
    source_of,
)
from openledger.exports.text import utc

MAX_CREDITED = 200


def proof_blocks(at: ProvenAt, what: str) -> list[Block]:
    """Where the words come from, and how to check them."""
    return [
        Paragraph(
            f"What stands here about {what} was read from the state of chain {at.chain_id} after block {at.height}, "
            f"and proven: header {at.header} of {utc(at.header_seconds)} is signed by the chain's validators. {PROMISE}"
        ),
        Paragraph(
            f"The proof is in {', '.join(at.bundles)}, beside this file; 'openledger verify FILE' checks it, and "
            "compares this file with it, without a network."
        ),
    ]


def lineage_blocks(facts: ModelFacts) -> list[Block]:
    """Every model that it was made from, and how."""
    rows = []
    for item, entry in zip(facts.page.entries, facts.lineage.entries, strict=True):
        parents = [
            f"{facts.reference(each.entry_id)} as {each.role} ({show_share(each.share_ppb)})"
            for each in item.stored.entry.parents
        ]
        undeclared = entry.undeclared.replace("-", " ")
        source = source_of(facts, item).get("source", "")
        made = [*parents, *([f"undeclared {undeclared}"] if undeclared != "nothing" else [])]
        if kind_of(item) == "import":
            made = [f"came from outside: {source}" if source else "came from outside"]
        start, end = run_times(item)
        rows.append(
            (
                entry.reference,
                kind_of(item),
                "; ".join(made) or "nothing but data",
                f"{start} to {end}" if start else "not stated",
                _terms(facts, item.stored.entry.terms_id) if item.stored.entry.terms_id else "none of its own",
            )
        )
    return [
        Heading(2, "Made from"),
        Grid(("version", "kind", "made from", "time (as its sender says)", "terms of its own"), tuple(rows)),
    ]


def data_blocks(facts: ModelFacts) -> list[Block]:
    """DataNet versions, who trained on them, and whose rows they are."""
    if not facts.page.datanets:
        return [Heading(2, "Training data"), Paragraph("No DataNet version is declared in this lineage.")]
    rows = []
    for item in facts.page.datanets:
        used = [
            f"{facts.reference(entry.entry_id)} ({show_share(each.weight_ppb)} of its mix, "
            f"{f'{each.rows_used} rows' if each.rows_used_root else 'rows not declared'})"
            for entry, each in facts.users.get((item.datanet_id, item.version), ())
        ]
        rows.append(
            (
                f"{item.name}@{item.version}",
                str(item.record.row_count),
                str(item.record.byte_count),
                "; ".join([_terms(facts, each) for each in terms_of_version(item)]),
                "; ".join(used),
                "usable" if item.usable else "REVOKED in part since",
            )
        )
    head = ("DataNet version", "rows", "bytes", "terms", "trained on by", "state")
    return [Heading(2, "Training data"), Grid(head, tuple(rows)), *_credit(facts)]


def _credit(facts: ModelFacts) -> list[Block]:
    rows = [
        (f"{item.name}@{item.version}", encode_id("open", who), str(count), _terms(facts, terms_id))
        for item in facts.page.datanets
        for who, terms_id, count in shares_of_version(item)
    ]
    blocks: list[Block] = [
        Heading(2, "Contributors"),
        Grid(("DataNet version", "account", "rows", "terms"), tuple(rows[:MAX_CREDITED])),
    ]
    if len(rows) > MAX_CREDITED:
        blocks.append(Paragraph(f"and {len(rows) - MAX_CREDITED} more, in the proof"))
    return blocks


def _terms(facts: ModelFacts, terms_id: bytes) -> str:
    terms = facts.terms.get(terms_id)
    if terms is None:
        return encode_id("olterms", terms_id)
    return (
        terms.name if terms.name == terms.spdx else f"{terms.name} ({terms.spdx if is_plain(terms) else 'own terms'})"
    )


def terms_blocks(facts: ModelFacts) -> list[Block]:
    """Every terms record in the lineage, and what they demand together."""
    rows = [
        (
            item.terms.name,
            expression_of(item.terms_id, item.terms),
            encode_id("olterms", item.terms_id),
        )
        for item in facts.page.terms
    ]
    duties = ", ".join(facts.lineage.duties) or "none"
    return [
        Heading(2, "Terms"),
        Grid(("name", "SPDX expression", "record"), tuple(rows)),
        Paragraph(f"Together they allow use of this class: {facts.lineage.use or 'unknown'}; duties: {duties}."),
    ]


def evaluation_blocks(facts: ModelFacts) -> list[Block]:
    """Recorded evaluations with their intervals."""
    rows = [
        (
            each.benchmark,
            each.metric,
            each.shown,
            each.doubt,
            str(each.rows),
            each.evaluator,
        )
        for each in measured(facts)
    ]
    if not rows:
        return [Heading(2, "Evaluations"), Paragraph("None is recorded.")]
    return [Heading(2, "Evaluations"), Grid(("measured on", "metric", "value", "interval", "rows", "by"), tuple(rows))]


def how_blocks(facts: ModelFacts) -> list[Block]:
    """Settings of the run itself, as its manifest has them."""
    first = facts.page.entries[0]
    parameters = parameters_of(facts, first)
    if not parameters:
        return []
    framework = framework_of(facts, first)
    return [
        Heading(2, "How it was made"),
        *([Paragraph(f"Framework, as its recorder says: {framework}")] if framework else []),
        Grid(("setting", "value"), tuple(parameters.items())),
    ]


def remark_blocks(facts: ModelFacts) -> list[Block]:
    """Everything that is unknown, revoked, in conflict or not shown."""
    found = remarks(facts)
    return [
        Heading(2, "Unknown, revoked, in conflict"),
        Bullets(found) if found else Paragraph("Nothing in this lineage is unknown, revoked or in conflict."),
    ]
