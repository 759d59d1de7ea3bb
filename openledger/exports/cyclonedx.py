"""CycloneDX 1.7: an ML bill of materials with the model's card, its ancestors, its data and how it was made."""

from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from abci_app.modules.models.lineage import LineageDatanet, LineageEntry
from openledger.amounts import show_share
from openledger.exports.facts import ModelFacts, shares_of_version, terms_of_version
from openledger.exports.identifiers import encode_id
from openledger.exports.licence import NO_ASSERTION, joined_expression
from openledger.exports.proof_reference import proof_line
from openledger.exports.statements import (
    framework_of,
    kind_of,
    measured,
    model_licence,
    own_licence,
    parameters_of,
    remarks,
    run_times,
    source_of,
)
from openledger.exports.text import clean, json_document, utc

FORM = "cyclonedx"
Json = dict[str, Any]


def make_bom(facts: ModelFacts) -> bytes:
    """The document's bytes."""
    first, *ancestors = facts.page.entries
    about = _model(facts, first, model_licence(facts)) | _card(facts)
    return json_document(
        {
            "$schema": "http://cyclonedx.org/schema/bom-1.7.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.7",
            "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, facts.at.urn(facts.lineage.entry) + facts.at.header)}",
            "version": 1,
            "metadata": {
                "timestamp": utc(facts.at.header_seconds),
                "tools": {"components": [{"type": "application", "name": "openledger"}]},
                "component": about,
                "properties": [
                    {"name": "openledger:proof", "value": proof_line(FORM, facts.at)},
                    *_properties({"chain": facts.at.chain_id, "height": facts.at.height, "header": facts.at.header}),
                ],
            },
            "components": [
                *[_model(facts, item, own_licence(item, facts)) for item in ancestors],
                *[_data(facts, item) for item in facts.page.datanets],
            ],
            "externalReferences": [
                {
                    "type": "attestation",
                    "url": quote(name),
                    "comment": "proof bundle beside this file: openledger verify checks both",
                }
                for name in facts.at.bundles
            ],
            "dependencies": _dependencies(facts),
            "compositions": _compositions(facts),
            "formulation": [{"bom-ref": "formulation", "workflows": [_workflow(facts)]}],
        }
    )


def _properties(values: Json) -> list[Json]:
    return [{"name": f"openledger:{name}", "value": clean(value)} for name, value in values.items() if value != ""]


def _model_ref(facts: ModelFacts, entry_id: bytes) -> str:
    return facts.at.urn(encode_id("olrun", entry_id))


def _data_ref(facts: ModelFacts, datanet_id: bytes, version: int) -> str:
    return facts.at.urn(f"{encode_id('oldata', datanet_id)}@{version}")


def _licences(expression: str) -> Json:
    if expression == NO_ASSERTION:
        return {}
    return {"licenses": [{"expression": expression, "acknowledgement": "concluded"}]}


def _model(facts: ModelFacts, item: LineageEntry, expression: str) -> Json:
    stored, entry = item.stored, item.stored.entry
    reference = facts.reference(item.entry_id)
    name, sign, version = reference.rpartition("@")
    parents = [
        {
            "type": "machine-learning-model",
            "name": facts.reference(each.entry_id),
            "description": f"{each.role}, {show_share(each.share_ppb)} of the parents",
            "bom-ref": f"{_model_ref(facts, item.entry_id)}#ancestor-{number}",
            "properties": _properties({"entry": encode_id("olrun", each.entry_id)}),
        }
        for number, each in enumerate(entry.parents)
    ]
    unknown = next((each.why for each in facts.lineage.unknown if each.reference == reference), "")
    files = [
        {
            "type": "file",
            "name": clean(file.name),
            "bom-ref": f"{_model_ref(facts, item.entry_id)}#file-{number}",
            "hashes": [{"alg": "SHA-256", "content": file.digest.hex()}],
        }
        for number, file in enumerate(facts.files(item))
    ]
    found: Json = {
        "type": "machine-learning-model",
        "bom-ref": _model_ref(facts, item.entry_id),
        "name": name if sign else reference,
        **({"version": version} if sign else {}),
        **_licences(expression),
        **({"pedigree": {"ancestors": parents}} if parents else {}),
        **({"components": files} if files else {}),
    }
    found["properties"] = _properties(
        {
            "entry": encode_id("olrun", item.entry_id),
            "kind": kind_of(item),
            "artefact-digest": entry.output.artefact_digest.hex(),
            "tensor-digest": entry.output.tensor_digest.hex(),
            "bytes": entry.output.byte_count,
            "format": entry.output.format,
            "manifest-root": entry.manifest_root.hex(),
            "recorded-by": encode_id("open", stored.admission.recorder),
            "recorded-height": stored.admission.height,
            "unknown-below": unknown,
            "superseded-by": encode_id("olrun", stored.superseded_by_entry_id) if stored.superseded_by_entry_id else "",
            "framework": framework_of(facts, item),
            "source": source_of(facts, item).get("source", ""),
        }
    )
    return found


def _card(facts: ModelFacts) -> Json:
    metrics = [
        {
            "type": each.metric,
            "value": each.value,
            "slice": f"{each.benchmark}, {each.rows} rows, by {each.evaluator}, in {each.unit or 'its own scale'}",
            **({"confidenceInterval": {"lowerBound": each.lower, "upperBound": each.upper}} if each.half_width else {}),
        }
        for each in measured(facts)
    ]
    datasets = [{"ref": _data_ref(facts, each.datanet_id, each.version)} for each in facts.stored.entry.inputs]
    limitations = list(remarks(facts))
    card: Json = {
        "bom-ref": "model-card",
        "properties": _properties(
            {"duties": ", ".join(facts.lineage.duties) or "none", "use": facts.lineage.use or "unknown"}
        ),
    }
    card |= {"modelParameters": {"datasets": datasets}} if datasets else {}
    card |= {"quantitativeAnalysis": {"performanceMetrics": metrics}} if metrics else {}
    card |= {"considerations": {"technicalLimitations": limitations}} if limitations else {}
    return {"modelCard": card}


def _data(facts: ModelFacts, item: LineageDatanet) -> Json:
    owners = {encode_id("open", who): None for who, _, _ in shares_of_version(item)}
    reference = _data_ref(facts, item.datanet_id, item.version)
    used = {
        f"used-by-{number}": f"{facts.reference(entry.entry_id)}, {show_share(each.weight_ppb)} of the mix, "
        f"{f'{each.rows_used} rows' if each.rows_used_root else 'rows not declared'}"
        for number, (entry, each) in enumerate(
            facts.users.get((item.datanet_id, item.version), ()),
            1,
        )
    }
    return {
        "type": "data",
        "bom-ref": reference,
        "name": item.name,
        "version": str(item.version),
        **_licences(joined_expression(terms_of_version(item), facts.terms)),
        "data": [
            {
                "type": "dataset",
                "bom-ref": f"{reference}#data",
                "name": f"{item.name}@{item.version}",
                "governance": {"owners": [{"contact": {"name": owner}} for owner in owners]},
            }
        ],
        "properties": _properties(
            {
                "datanet": encode_id("oldata", item.datanet_id),
                "rows": item.record.row_count,
                "bytes": item.record.byte_count,
                "contributions": item.record.contribution_count,
                "contributions-root": item.record.contributions_root.hex(),
                "note": item.record.note,
                "state": "usable" if item.usable else "revoked in part since",
                **used,
            }
        ),
    }


def _dependencies(facts: ModelFacts) -> list[Json]:
    found = []
    for item in facts.page.entries:
        entry = item.stored.entry
        below = [_model_ref(facts, each.entry_id) for each in entry.parents]
        below += [_data_ref(facts, each.datanet_id, each.version) for each in entry.inputs]
        found.append({"ref": _model_ref(facts, item.entry_id), "dependsOn": list(dict.fromkeys(below))})
    return found


def _compositions(facts: ModelFacts) -> list[Json]:
    """Whether the dependencies of each model are all of them; below what came from outside nobody knows."""
    opened = {each.entry for each in facts.lineage.unknown}
    known = [each for each in facts.page.entries if encode_id("olrun", each.entry_id) not in opened]
    unknown = [each for each in facts.page.entries if encode_id("olrun", each.entry_id) in opened]
    found = []
    for aggregate, items in (("complete", known), ("unknown", unknown)):
        if items:
            refs = [_model_ref(facts, each.entry_id) for each in items]
            found.append({"aggregate": aggregate, "dependencies": refs})
    return found


def _workflow(facts: ModelFacts) -> Json:
    first = facts.page.entries[0]
    entry = first.stored.entry
    start, end = run_times(first)
    resources = [_model_ref(facts, each.entry_id) for each in entry.parents]
    resources += [_data_ref(facts, each.datanet_id, each.version) for each in entry.inputs]
    inputs: list[Json] = [{"resource": {"ref": each}} for each in dict.fromkeys(resources)]
    parameters = [{"name": name, "value": value} for name, value in parameters_of(facts, first).items()]
    inputs += [{"parameters": parameters}] if parameters else []
    return {
        "bom-ref": "workflow",
        "uid": encode_id("olrun", first.entry_id),
        "name": f"{kind_of(first)} that gave {facts.name}",
        "taskTypes": ["copy" if kind_of(first) == "import" else "merge" if kind_of(first) == "merge" else "build"],
        **({"inputs": inputs} if inputs else {}),
        "outputs": [{"type": "artifact", "resource": {"ref": _model_ref(facts, first.entry_id)}}],
        **({"timeStart": start} if start else {}),
        **({"timeEnd": end} if end else {}),
    }
