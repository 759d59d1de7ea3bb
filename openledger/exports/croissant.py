"""Croissant 1.1: a DataNet version as a data set of schema.org, with its contributions as files by digest."""

from typing import Any

from abci_app.modules.datanets import Form
from openledger.exports.facts import DatanetFacts, count_rows
from openledger.exports.identifiers import encode_id
from openledger.exports.licence import is_plain, own_reference
from openledger.exports.proof_reference import proof_line
from openledger.exports.statements import sheet_remarks
from openledger.exports.text import clean, json_document, utc
from openledger.words import word_of_number

FORM = "croissant"
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
    "ol": "urn:openledger:",
}


def make_croissant(facts: DatanetFacts) -> bytes:
    """The document's bytes."""
    terms_ids = sorted({stored.contribution.terms_id for _, stored in facts.contributions})
    creators = count_rows(
        [(stored.contribution.contributor, b"", stored.contribution.row_count) for _, stored in facts.contributions]
    )
    identifier = facts.at.urn(f"{encode_id('oldata', facts.datanet_id)}@{facts.version}")
    remarks = sheet_remarks(facts)
    return json_document(
        {
            "@context": _CONTEXT,
            "@type": "sc:Dataset",
            "@id": identifier,
            "conformsTo": "http://mlcommons.org/croissant/1.1",
            "name": facts.datanet.name,
            "description": clean(facts.datanet.description) or f"DataNet {facts.datanet.name}",
            "url": identifier,
            "identifier": identifier,
            "version": f"{facts.version}.0.0",
            "datePublished": utc(facts.record.time_seconds) or utc(facts.at.header_seconds),
            "license": [_licence(facts, each) for each in terms_ids],
            "creator": [
                {
                    "@type": "sc:Person",
                    "name": encode_id("open", who),
                    "identifier": facts.at.urn(encode_id("open", who)),
                }
                for who, _, _ in creators
            ],
            "citeAs": f"{facts.name}, {facts.record.row_count} rows, chain {clean(facts.at.chain_id)}, root "
            f"{facts.record.contributions_root.hex()}",
            "isLiveDataset": False,
            "distribution": [_file(facts, *each) for each in facts.contributions],
            "ol:proof": proof_line(FORM, facts.at),
            "ol:height": facts.at.height,
            "ol:header": facts.at.header,
            "ol:rows": facts.record.row_count,
            "ol:contributionsRoot": facts.record.contributions_root.hex(),
            "ol:note": clean(facts.record.note),
            "ol:duties": ", ".join(facts.duties) or "none",
            "ol:use": facts.use or "unknown",
            "ol:remarks": list(remarks),
        }
    )


def _licence(facts: DatanetFacts, terms_id: bytes) -> str:
    """The address of a licence of the SPDX list; terms of one's own and expressions as a name for their record."""
    terms = facts.terms.get(terms_id)
    if terms is not None and is_plain(terms) and " " not in terms.spdx and not terms.spdx.startswith("LicenseRef-"):
        return f"https://spdx.org/licenses/{terms.spdx.removesuffix('+')}.html"
    if terms is not None and is_plain(terms):
        return terms.spdx
    return facts.at.urn(own_reference(terms_id))


def _file(facts: DatanetFacts, contribution_id: bytes, stored: Any) -> dict[str, Any]:
    record = stored.contribution
    number = stored.submitted_number
    return {
        "@type": "cr:FileObject",
        "@id": f"contribution-{number}",
        "name": f"{facts.datanet.name}#{number}",
        "description": f"{record.row_count} rows, form {word_of_number(Form, record.form)}, by "
        f"{encode_id('open', record.contributor)}"
        + (", REVOKED since" if word_of_status(stored.status) == "revoked" else ""),
        "contentUrl": f"sha256/{record.content_digest.hex()}",
        "contentSize": f"{record.byte_count} B",
        "encodingFormat": "application/octet-stream",
        "sha256": record.content_digest.hex(),
        "license": _licence(facts, record.terms_id),
        "identifier": facts.at.urn(encode_id("olcontrib", contribution_id)),
    }


def word_of_status(status: int) -> str:
    """The state of a contribution in a word."""
    from abci_app.modules.datanets.records import Status

    return word_of_number(Status, status)
