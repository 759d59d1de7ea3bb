"""SLSA provenance v1 in an in-toto statement: one run with what it was made from, by digest."""

from typing import Any

from openledger.amounts import show_share
from openledger.exports.facts import ModelFacts
from openledger.exports.identifiers import encode_id
from openledger.exports.proof_reference import proof_line
from openledger.exports.statements import (
    framework_of,
    kind_of,
    model_licence,
    parameters_of,
    remarks,
    run_times,
)
from openledger.exports.text import clean, json_document

FORM = "slsa"


def make_provenance(facts: ModelFacts) -> bytes:
    """The statement's bytes."""
    first = facts.page.entries[0]
    start, end = run_times(first)
    metadata = {"invocationId": facts.at.urn(facts.lineage.entry)}
    metadata |= {"startedOn": start, "finishedOn": end} if start and end else {}
    return json_document(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": _subjects(facts),
            "predicateType": "https://slsa.dev/provenance/v1",
            "predicate": {
                "buildDefinition": {
                    "buildType": f"urn:openledger:run:{kind_of(first)}:v1",
                    "externalParameters": _external(facts),
                    "internalParameters": {
                        "openledger": {
                            "proof": proof_line(FORM, facts.at),
                            "manifest": first.stored.entry.manifest_root.hex(),
                            "framework": framework_of(facts, first),
                            "remarks": list(remarks(facts)),
                        }
                    },
                    "resolvedDependencies": _dependencies(facts),
                },
                "runDetails": {
                    "builder": {"id": facts.at.urn(encode_id("open", first.stored.admission.recorder))},
                    "metadata": metadata,
                    "byproducts": [{"name": "proof bundle", "uri": facts.at.urn(name)} for name in facts.at.bundles],
                },
            },
        }
    )


def _subjects(facts: ModelFacts) -> list[dict[str, Any]]:
    first = facts.page.entries[0]
    whole = {"name": facts.name, "digest": {"sha256": first.stored.entry.output.artefact_digest.hex()}}
    files = [{"name": clean(file.name), "digest": {"sha256": file.digest.hex()}} for file in facts.files(first)]
    return [whole, *files]


def _external(facts: ModelFacts) -> dict[str, Any]:
    entry = facts.stored.entry
    first = facts.lineage.entries[0]
    return {
        "kind": first.kind,
        "model": facts.model,
        "version": facts.version,
        "mix": [
            {
                "datanet": facts.datanet_name(each.datanet_id, each.version),
                "weight": show_share(each.weight_ppb),
                **({"rowsUsed": str(each.rows_used)} if each.rows_used_root else {}),
            }
            for each in entry.inputs
        ],
        "parents": [
            {"model": facts.reference(each.entry_id), "role": each.role, "share": show_share(each.share_ppb)}
            for each in entry.parents
        ],
        "undeclared": first.undeclared,
        "terms": model_licence(facts),
        "settings": parameters_of(facts, facts.page.entries[0]),
    }


def _dependencies(facts: ModelFacts) -> list[dict[str, Any]]:
    """Parents by the root of their files, DataNet versions by the root of their contributions."""
    known = {item.entry_id: item for item in facts.page.entries}
    found: list[dict[str, Any]] = []
    for parent in facts.stored.entry.parents:
        item = known[parent.entry_id]
        found.append(
            {
                "name": facts.reference(parent.entry_id),
                "uri": facts.at.urn(encode_id("olrun", parent.entry_id)),
                "digest": {"sha256": item.stored.entry.output.artefact_digest.hex()},
                "annotations": {"role": parent.role, "share": show_share(parent.share_ppb)},
            }
        )
    for used in facts.stored.entry.inputs:
        datanet = facts.datanet(used.datanet_id, used.version)
        if datanet is not None:
            found.append(
                {
                    "name": f"{datanet.name}@{datanet.version}",
                    "uri": facts.at.urn(f"{encode_id('oldata', used.datanet_id)}@{used.version}"),
                    "digest": {"openledgerContributionsRoot": datanet.record.contributions_root.hex()},
                    "annotations": {"weight": show_share(used.weight_ppb), "usable": bool(datanet.usable)},
                }
            )
    return found
