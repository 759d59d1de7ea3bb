"""SPDX 3.0.1 with the AI and dataset profiles: packages of models and data, licences, and how they hang together."""

from typing import Any

from abci_app.modules.models.lineage import LineageDatanet, LineageEntry
from openledger.amounts import show_share
from openledger.exports.facts import ModelFacts, shares_of_version, terms_of_version
from openledger.exports.identifiers import encode_id
from openledger.exports.licence import NO_ASSERTION, joined_expression, references_in
from openledger.exports.proof_reference import proof_line
from openledger.exports.statements import (
    framework_of,
    kind_of,
    measured,
    model_licence,
    own_licence,
    parameters_of,
    remarks,
    source_of,
)
from openledger.exports.text import clean, json_document, utc

FORM = "spdx"
_CONTEXT = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
_CREATION = "_:creation"
_NO_LICENCE = "https://spdx.org/rdf/3.0.1/terms/ExpandedLicensing/NoAssertionLicense"
Json = dict[str, Any]


def make_spdx(facts: ModelFacts) -> bytes:
    """The document's bytes."""
    elements = [
        *_agents(facts),
        *[_model(facts, item) for item in facts.page.entries],
        *[_data(facts, item) for item in facts.page.datanets],
    ]
    elements += _licences(facts)
    elements += _relations(facts)
    graph = [_creation(facts), _document(facts, elements), *elements]
    return json_document({"@context": _CONTEXT, "@graph": graph})


def _creation(facts: ModelFacts) -> Json:
    return {
        "type": "CreationInfo",
        "@id": _CREATION,
        "specVersion": "3.0.1",
        "created": utc(facts.at.header_seconds),
        "createdBy": [facts.at.urn("export")],
        "comment": "written from proven state: the time is that of the header that signs it",
    }


def _element(kind: str, identifier: str, **fields: Any) -> Json:
    return {"type": kind, "spdxId": identifier, "creationInfo": _CREATION, **fields}


def _document(facts: ModelFacts, elements: list[Json]) -> Json:
    return _element(
        "SpdxDocument",
        facts.at.urn(f"spdx-{facts.lineage.entry}"),
        name=facts.name,
        profileConformance=["core", "software", "simpleLicensing", "ai", "dataset"],
        comment=proof_line(FORM, facts.at),
        element=[each["spdxId"] for each in elements],
        rootElement=[_model_id(facts, facts.page.entry_id)],
    )


def _agents(facts: ModelFacts) -> list[Json]:
    accounts = {item.stored.admission.recorder: None for item in facts.page.entries}
    for datanet in facts.page.datanets:
        accounts |= {who: None for who, _, _ in shares_of_version(datanet)}
    accounts |= {each.record.evaluator: None for each in measured(facts)}
    named = [encode_id("open", each) for each in sorted(accounts)]
    tool = _element("SoftwareAgent", facts.at.urn("export"), name="openledger export")
    return [tool, *[_element("Agent", facts.at.urn(each), name=each) for each in named]]


def _model_id(facts: ModelFacts, entry_id: bytes) -> str:
    return facts.at.urn(encode_id("olrun", entry_id))


def _data_id(facts: ModelFacts, datanet_id: bytes, version: int) -> str:
    return facts.at.urn(f"{encode_id('oldata', datanet_id)}@{version}")


def _entries(values: dict[str, str]) -> list[Json]:
    return [{"type": "DictionaryEntry", "key": name, "value": value} for name, value in values.items()]


def _model(facts: ModelFacts, item: LineageEntry) -> Json:
    stored, entry = item.stored, item.stored.entry
    reference = facts.reference(item.entry_id)
    name, sign, version = reference.rpartition("@")
    source = source_of(facts, item).get("source", "")
    fields: Json = {
        "name": name if sign else reference,
        "software_packageVersion": version if sign else encode_id("olrun", item.entry_id),
        "software_primaryPurpose": "model",
        "software_downloadLocation": _model_id(facts, item.entry_id),
        "suppliedBy": facts.at.urn(encode_id("open", stored.admission.recorder)),
        "releaseTime": utc(stored.admission.time_seconds) or utc(facts.at.header_seconds),
        "verifiedUsing": [
            {
                "type": "Hash",
                "algorithm": "sha256",
                "hashValue": entry.output.artefact_digest.hex(),
                "comment": "root of OpenSSF model signing over the files, not the digest of one file",
            }
        ],
        "ai_typeOfModel": [kind_of(item)],
        "ai_informationAboutTraining": _training(facts, item),
        **({"software_sourceInfo": source} if source else {}),
    }
    parameters = parameters_of(facts, item)
    fields |= {"ai_hyperparameter": _entries(parameters)} if parameters else {}
    if item.entry_id == facts.page.entry_id:
        metrics = {
            f"{each.metric} on {each.benchmark} ({number})": f"{each.shown}, {each.doubt}, {each.rows} rows"
            for number, each in enumerate(measured(facts), 1)
        }
        fields |= {"ai_metric": _entries(metrics)} if metrics else {}
        found = remarks(facts)
        fields |= {"ai_limitation": "; ".join(found)} if found else {}
        fields["comment"] = (
            f"terms together: use {facts.lineage.use or 'unknown'}, duties {', '.join(facts.lineage.duties) or 'none'}"
        )
    return _element("ai_AIPackage", _model_id(facts, item.entry_id), **fields)


def _training(facts: ModelFacts, item: LineageEntry) -> str:
    entry = item.stored.entry
    mix = [
        f"{facts.datanet_name(each.datanet_id, each.version)} {show_share(each.weight_ppb)} of the mix, "
        f"{f'{each.rows_used} rows' if each.rows_used_root else 'rows not declared'}"
        for each in entry.inputs
    ]
    mix += [f"{facts.reference(each.entry_id)} as {each.role}, {show_share(each.share_ppb)}" for each in entry.parents]
    unknown = [each.why for each in facts.lineage.unknown if each.entry == encode_id("olrun", item.entry_id)]
    framework = framework_of(facts, item)
    words = [
        f"{kind_of(item)} by {framework}" if framework else kind_of(item),
        *mix,
        *[f"UNKNOWN: {one}" for one in unknown],
    ]
    return clean("; ".join([*words, f"manifest {entry.manifest_root.hex()}"]))


def _data(facts: ModelFacts, item: LineageDatanet) -> Json:
    state = "" if item.usable else "a contribution was revoked after this version was made; "
    people = [encode_id("open", who) for who, _, _ in shares_of_version(item)]
    return _element(
        "dataset_DatasetPackage",
        _data_id(facts, item.datanet_id, item.version),
        name=item.name,
        software_packageVersion=str(item.version),
        software_primaryPurpose="data",
        software_downloadLocation=_data_id(facts, item.datanet_id, item.version),
        originatedBy=[facts.at.urn(each) for each in dict.fromkeys(people)],
        builtTime=utc(item.record.time_seconds) or utc(facts.at.header_seconds),
        dataset_datasetType=["noAssertion"],
        dataset_datasetSize=item.record.row_count,
        dataset_datasetUpdateMechanism="a version never changes; a DataNet gets new versions",
        verifiedUsing=[
            {
                "type": "Hash",
                "algorithm": "sha256",
                "hashValue": item.record.contributions_root.hex(),
                "comment": "root of the list of contributions, not the digest of a file",
            }
        ],
        comment=clean(f"{state}size in rows, {item.record.byte_count} bytes; note: {item.record.note or 'none'}"),
    )


def _licence_id(facts: ModelFacts, expression: str) -> str:
    return _NO_LICENCE if expression == NO_ASSERTION else facts.at.urn(f"licence-{expression}")


def _named_licences(facts: ModelFacts) -> list[tuple[str, str, str]]:
    """Element, relation and expression of every licence that is stated."""
    first = facts.page.entries[0]
    found = [(_model_id(facts, first.entry_id), "hasConcludedLicense", model_licence(facts))]
    found += [
        (_model_id(facts, item.entry_id), "hasDeclaredLicense", own_licence(item, facts)) for item in facts.page.entries
    ]
    for datanet in facts.page.datanets:
        expression = joined_expression(terms_of_version(datanet), facts.terms)
        found.append((_data_id(facts, datanet.datanet_id, datanet.version), "hasDeclaredLicense", expression))
    return found


def _licences(facts: ModelFacts) -> list[Json]:
    own = references_in(facts.terms, facts.terms)
    elements = []
    for expression in dict.fromkeys([each for _, _, each in _named_licences(facts)]):
        if expression == NO_ASSERTION:
            continue
        custom = [
            {"type": "DictionaryEntry", "key": name, "value": facts.at.urn(encode_id("olterms", terms_id))}
            for name, terms_id in own.items()
            if name in expression
        ]
        names = [clean(facts.terms[terms_id].name) for name, terms_id in own.items() if name in expression]
        fields: Json = {"simplelicensing_licenseExpression": expression}
        fields |= {"simplelicensing_customIdToUri": custom, "comment": "; ".join(names)} if custom else {}
        elements.append(_element("simplelicensing_LicenseExpression", _licence_id(facts, expression), **fields))
    return elements


def _relations(facts: ModelFacts) -> list[Json]:
    found: list[tuple[str, str, list[str], str, str]] = []
    opened = {each.entry for each in facts.lineage.unknown}
    for item in facts.page.entries:
        whole = "noAssertion" if encode_id("olrun", item.entry_id) in opened else "complete"
        origin = _model_id(facts, item.entry_id)
        data = [_data_id(facts, each.datanet_id, each.version) for each in item.stored.entry.inputs]
        if data:
            found.append((origin, "trainedOn", data, whole, _training(facts, item)))
        for parent in item.stored.entry.parents:
            words = f"{parent.role}, {show_share(parent.share_ppb)} of the parents"
            found.append((_model_id(facts, parent.entry_id), "ancestorOf", [origin], "", words))
    for each in measured(facts):
        record = each.record
        if facts.datanet(record.benchmark_datanet_id, record.benchmark_version) is not None:
            words = f"{each.metric} {each.shown}, {each.doubt}, {each.rows} rows"
            data = [_data_id(facts, record.benchmark_datanet_id, record.benchmark_version)]
            found.append((_model_id(facts, facts.page.entry_id), "testedOn", data, "", words))
    found += [(origin, kind, [_licence_id(facts, each)], "", "") for origin, kind, each in _named_licences(facts)]
    return [
        _element(
            "Relationship",
            facts.at.urn(f"relation-{facts.lineage.entry}-{number}"),
            **{"from": origin, "relationshipType": kind, "to": to},
            **({"completeness": whole} if whole else {}),
            **({"comment": comment} if comment else {}),
        )
        for number, (origin, kind, to, whole, comment) in enumerate(found, 1)
    ]
