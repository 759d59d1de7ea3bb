"""The public summary of training content after the European Commission's template, as far as the chain proves it.

Sections and headings with a number are those of the template (Explanatory notice and template for the public summary
of training content, 24 July 2025, for Article 53(1)(d) of Regulation (EU) 2024/1689); the others are ours. Places that
only the provider can fill stand outside of the proven parts, so that filling them changes nothing proven.
"""

from abci_app.modules.licences.records import Stated
from openledger.exports.blocks import (
    Block,
    Bullets,
    DocumentSection,
    Grid,
    Heading,
    Paragraph,
    html_document,
    markdown_document,
)
from openledger.exports.facts import ModelFacts
from openledger.exports.limits import LIMITS
from openledger.exports.proof_reference import proof_line
from openledger.exports.sections import data_blocks, lineage_blocks, proof_blocks, remark_blocks, terms_blocks
from openledger.exports.text import utc

FORM = "eu-summary"
_PROVIDER = "To be completed by the provider: "
_AFTER = (
    "The numbered headings are those of the European Commission's template for the public summary of training content "
    "(Article 53(1)(d) of Regulation (EU) 2024/1689), published on 24 July 2025: 1 General information, 2 List of data "
    "sources, 3 Data processing aspects. Headings without a number are not of the template. This file is filled in "
    "from what is declared on a chain; whether it meets the provider's duties it cannot say."
)
_CATEGORIES = (
    ("2.1 Publicly available datasets", "which of the sources above are public, with links"),
    (
        "2.2 Private non-publicly available datasets obtained from third parties",
        "which of the sources above were licensed by rightsholders, or obtained otherwise",
    ),
    ("2.3 Data crawled and scraped from online sources", "crawlers, period, domains; or that there were none"),
    ("2.4 User data", "services and products that they come from; or that there were none"),
    ("2.5 Synthetic data", "models that generated them; or that there were none"),
    ("2.6 Other sources of data", "anything else"),
)


def make_summary(facts: ModelFacts, *, page: bool) -> bytes:
    """The summary as Markdown, or as an HTML page."""
    title = f"Public summary of training content: {facts.name}"
    sections = [
        DocumentSection((Heading(1, title), Paragraph(_AFTER), *proof_blocks(facts.at, facts.name))),
        _asked("Version of the summary and last update", "both"),
        _asked("1.1 Provider identification", "name, contact, authorised representative", top=True),
        DocumentSection(tuple(_identification(facts))),
        _asked("Date of placement of the model on the Union market", "the date"),
        DocumentSection(tuple(_sizes(facts))),
        _asked(
            "Types of content and other characteristics",
            "modalities, range of the size in tokens, types of content, languages, latest date of acquisition",
        ),
        DocumentSection((Heading(2, "2 List of data sources"), *data_blocks(facts), *terms_blocks(facts))),
        *[_asked(name, what) for name, what in _CATEGORIES],
        DocumentSection(tuple(_reservations(facts))),
        _asked(
            "3.1 Respect of reservation of rights from text and data mining exception or limitation",
            "policies and measures",
        ),
        _asked("3.2 Removal of illegal content", "measures"),
        _asked("3.3 Other information (optional)", "anything else on how data were processed"),
        DocumentSection((*remark_blocks(facts), Heading(2, "What is not said here"), Bullets(LIMITS[FORM]))),
    ]
    proof = proof_line(FORM, facts.at)
    return html_document(title, sections, proof) if page else markdown_document(sections, proof)


def _asked(heading: str, what: str, *, top: bool = False) -> DocumentSection:
    blocks: list[Block] = [Heading(2, "1 General information")] if top else []
    return DocumentSection((*blocks, Heading(3, heading), Paragraph(_PROVIDER + what + ".")), proven=False)


def _identification(facts: ModelFacts) -> list[Block]:
    first, recorded = facts.lineage.entries[0], utc(facts.stored.admission.time_seconds)
    return [
        Heading(3, "1.2 Model identification"),
        Bullets(
            (
                f"Versioned model name: {facts.name}",
                f"Record: {facts.lineage.entry}, at height {first.recorded_height}, {recorded}",
                f"Digest of its files (root of model signing): {facts.stored.entry.output.artefact_digest.hex()}",
            )
        ),
        Paragraph("Model dependencies, as far as they are declared:"),
        *lineage_blocks(facts),
    ]


def _sizes(facts: ModelFacts) -> list[Block]:
    rows = [
        (f"{each.name}@{each.version}", str(each.record.row_count), str(each.record.byte_count))
        for each in facts.page.datanets
    ]
    total = sum([each.record.byte_count for each in facts.page.datanets])
    total_rows = sum([each.record.row_count for each in facts.page.datanets])
    return [
        Heading(3, "1.3 Modalities, overall training data size and other characteristics"),
        Paragraph(
            "Rows on this chain are JSON objects; that they hold text alone is not proven. The sizes are those of "
            "whole DataNet versions, of which a run may have used a part. What an imported model was trained on is "
            "unknown."
        ),
        Grid(("DataNet version", "rows", "bytes"), (*rows, ("together, as declared", str(total_rows), str(total)))),
    ]


def _reservations(facts: ModelFacts) -> list[Block]:
    reserved = [each.terms.name for each in facts.page.terms if each.terms.opt_out_reserved == Stated.YES]
    silent = [each.terms.name for each in facts.page.terms if each.terms.opt_out_reserved == Stated.UNKNOWN]
    return [
        Heading(2, "3 Data processing aspects"),
        Bullets(
            (
                f"Terms whose record reserves text and data mining: {', '.join(reserved) or 'none in this lineage'}",
                f"Terms whose record does not say whether: {', '.join(silent) or 'none in this lineage'}",
            )
        ),
    ]
