"""The public summary of training content for the EU AI Office's template, filled in as far as the chain proves it.

Places that only the provider can fill stand outside of the proven parts, so that filling them changes nothing proven.
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
_CATEGORIES = (
    ("2.1 Publicly available datasets", "which of the sources above are public, with links"),
    ("2.2 Private datasets obtained from third parties", "which of the sources above were licensed or obtained so"),
    ("2.3 Data crawled and scraped from online sources", "crawlers, period, domains; or that there were none"),
    ("2.4 User data", "services and products that they come from; or that there were none"),
    ("2.5 Synthetic data", "models that generated them; or that there were none"),
    ("2.6 Other sources of data", "anything else"),
)


def make_summary(facts: ModelFacts, *, page: bool) -> bytes:
    """The summary as Markdown, or as an HTML page."""
    title = f"Public summary of training content: {facts.name}"
    sections = [
        DocumentSection((Heading(1, title), *proof_blocks(facts.at, facts.name))),
        _asked("1.1 Provider identification", "name, address, contact, authorised representative", top=True),
        DocumentSection(tuple(_identification(facts))),
        _asked("Date of placement on the Union market", "the date"),
        DocumentSection(tuple(_sizes(facts))),
        _asked("Languages and other characteristics", "languages, kinds of content, latest date of acquisition"),
        DocumentSection(
            (Heading(2, "2 Data sources recorded on the chain"), *data_blocks(facts), *terms_blocks(facts))
        ),
        *[_asked(name, what) for name, what in _CATEGORIES],
        DocumentSection(tuple(_reservations(facts))),
        _asked("3.1 Measures to respect reservations of rights", "policies and measures"),
        _asked("3.2 Removal of illegal content", "measures"),
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
                f"Version: {facts.name}",
                f"Record: {facts.lineage.entry}, at height {first.recorded_height}, {recorded}",
                f"Digest of its files (root of model signing): {facts.stored.entry.output.artefact_digest.hex()}",
            )
        ),
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
        Heading(3, "1.3 Modalities and size of the training data"),
        Paragraph("Modality: text. Rows on this chain are texts; what an imported model was trained on is unknown."),
        Grid(("DataNet version", "rows", "bytes"), (*rows, ("together, as declared", str(total_rows), str(total)))),
    ]


def _reservations(facts: ModelFacts) -> list[Block]:
    reserved = [each.terms.name for each in facts.page.terms if each.terms.opt_out_reserved == Stated.YES]
    silent = [each.terms.name for each in facts.page.terms if each.terms.opt_out_reserved == Stated.UNKNOWN]
    return [
        Heading(2, "3 Data processing aspects"),
        Bullets(
            (
                f"Terms that reserve text and data mining: {', '.join(reserved) or 'none in this lineage'}",
                f"Terms that do not say whether they reserve it: {', '.join(silent) or 'none in this lineage'}",
            )
        ),
    ]
