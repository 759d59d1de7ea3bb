"""W3C PROV-JSON: the lineage as a graph of entities, activities and agents."""

from typing import Any

from openledger.amounts import show_share
from openledger.exports.facts import ModelFacts, shares_of_version, terms_of_version
from openledger.exports.identifiers import encode_id
from openledger.exports.licence import joined_expression
from openledger.exports.proof_reference import proof_line
from openledger.exports.statements import kind_of, measured, model_licence, own_licence, remarks, run_times
from openledger.exports.text import json_document

FORM = "prov"
Group = dict[str, dict[str, Any]]


def make_prov(facts: ModelFacts) -> bytes:
    """The document's bytes."""
    graph: dict[str, Group] = {}
    for item in facts.page.entries:
        _entry(facts, item, graph)
    for datanet in facts.page.datanets:
        _version(facts, datanet, graph)
    for number, each in enumerate(measured(facts), 1):
        graph.setdefault("entity", {})[f"ol:evaluation-{number}"] = {
            "prov:type": "ol:Evaluation",
            "prov:label": f"{each.metric} of {facts.name} on {each.benchmark}",
            "ol:value": each.value,
            "ol:unit": each.unit or "as recorded",
            "ol:halfWidthOf95PercentInterval": each.half_width or "unknown",
            "ol:rows": each.rows,
            "ol:height": each.height,
        }
        graph.setdefault("agent", {}).setdefault(f"ol:{each.evaluator}", {"prov:type": "ol:Account"})
        _relate(
            graph, "wasDerivedFrom", f"e{number}", generated=f"ol:evaluation-{number}", used=_run(facts.lineage.entry)
        )
        _relate(graph, "wasAttributedTo", f"e{number}", entity=f"ol:evaluation-{number}", agent=f"ol:{each.evaluator}")
    about = _run(facts.lineage.entry)
    graph["entity"][about] |= {
        "ol:terms": model_licence(facts),
        "ol:duties": ", ".join(facts.lineage.duties) or "none",
        "ol:use": facts.lineage.use or "unknown",
    }
    graph["entity"]["ol:proof"] = {
        "prov:type": "ol:Proof",
        "ol:line": proof_line(FORM, facts.at),
        "ol:chain": facts.at.chain_id,
        "ol:height": facts.at.height,
        "ol:header": facts.at.header,
        "ol:remarks": "; ".join(remarks(facts)) or "none",
        "ol:complete": "every declared ancestor and contribution is in this document",
    }
    prefix = {"ol": f"{facts.at.urn('')}", "prov": "http://www.w3.org/ns/prov#"}
    return json_document({"prefix": prefix, **{name: graph[name] for name in sorted(graph)}})


def _run(identifier: str) -> str:
    return f"ol:{identifier}"


def _data(datanet_id: bytes, version: int) -> str:
    return f"ol:{encode_id('oldata', datanet_id)}-version-{version}"


def _relate(graph: dict[str, Group], relation: str, name: str, **ends: str) -> None:
    names = {
        "generated": "prov:generatedEntity",
        "used": "prov:usedEntity",
        "entity": "prov:entity",
        "activity": "prov:activity",
        "agent": "prov:agent",
    }
    graph.setdefault(relation, {})[f"_:{relation}-{name}"] = {names[end]: value for end, value in ends.items()}


def _entry(facts: ModelFacts, item: Any, graph: dict[str, Group]) -> None:
    identifier = encode_id("olrun", item.entry_id)
    entity, activity = _run(identifier), f"ol:{identifier}-run"
    entry, stored = item.stored.entry, item.stored
    unknown = next((each.why for each in facts.lineage.unknown if each.entry == identifier), "")
    graph.setdefault("entity", {})[entity] = {
        "prov:type": "ol:Model",
        "prov:label": facts.reference(item.entry_id),
        "ol:kind": kind_of(item),
        "ol:artefactDigest": entry.output.artefact_digest.hex(),
        "ol:tensorDigest": entry.output.tensor_digest.hex(),
        "ol:format": entry.output.format,
        "ol:manifestRoot": entry.manifest_root.hex(),
        "ol:recordedHeight": stored.admission.height,
        **({"ol:unknownBelow": unknown} if unknown else {}),
        **({"ol:termsOfItsOwn": own_licence(item, facts)} if entry.terms_id else {}),
        **(
            {"ol:supersededBy": encode_id("olrun", stored.superseded_by_entry_id)}
            if stored.superseded_by_entry_id
            else {}
        ),
    }
    recorder = f"ol:{encode_id('open', stored.admission.recorder)}"
    graph.setdefault("agent", {}).setdefault(recorder, {"prov:type": "ol:Account"})
    graph["entity"][entity]["ol:recordedBy"] = encode_id("open", stored.admission.recorder)
    name = identifier
    if kind_of(item) == "import":
        # Nothing on this chain made it: an activity would claim to know how it came about.
        return
    _relate(graph, "wasAttributedTo", f"model-{name}", entity=entity, agent=recorder)
    start, end = run_times(item)
    times = {"prov:startTime": start, "prov:endTime": end} if start and end else {}
    graph.setdefault("activity", {})[activity] = {"prov:type": "ol:Run", "ol:kind": kind_of(item), **times}
    _relate(graph, "wasGeneratedBy", name, entity=entity, activity=activity)
    _relate(graph, "wasAssociatedWith", name, activity=activity, agent=recorder)
    for number, parent in enumerate(entry.parents):
        above = _run(encode_id("olrun", parent.entry_id))
        _relate(graph, "used", f"{name}-parent-{number}", activity=activity, entity=above)
        graph["used"][f"_:used-{name}-parent-{number}"] |= {
            "prov:role": parent.role,
            "ol:share": show_share(parent.share_ppb),
        }
        _relate(graph, "wasDerivedFrom", f"{name}-{number}", generated=entity, used=above)
    for number, each in enumerate(entry.inputs):
        place = f"{name}-data-{number}"
        _relate(graph, "used", place, activity=activity, entity=_data(each.datanet_id, each.version))
        graph["used"][f"_:used-{place}"] |= {
            "prov:role": "training data",
            "ol:weight": show_share(each.weight_ppb),
            "ol:rowsUsed": each.rows_used if each.rows_used_root else "not declared",
        }


def _version(facts: ModelFacts, item: Any, graph: dict[str, Group]) -> None:
    entity = _data(item.datanet_id, item.version)
    graph.setdefault("entity", {})[entity] = {
        "prov:type": "ol:DatanetVersion",
        "prov:label": f"{item.name}@{item.version}",
        "ol:rows": item.record.row_count,
        "ol:bytes": item.record.byte_count,
        "ol:contributionsRoot": item.record.contributions_root.hex(),
        "ol:terms": joined_expression(terms_of_version(item), facts.terms),
        "ol:state": "usable" if item.usable else "revoked in part since",
    }
    for number, (who, terms_id, rows) in enumerate(shares_of_version(item)):
        agent = f"ol:{encode_id('open', who)}"
        graph.setdefault("agent", {}).setdefault(agent, {"prov:type": "ol:Account"})
        name = f"{entity.removeprefix('ol:')}-{number}"
        _relate(graph, "wasAttributedTo", name, entity=entity, agent=agent)
        graph["wasAttributedTo"][f"_:wasAttributedTo-{name}"] |= {
            "ol:rows": rows,
            "ol:terms": joined_expression([terms_id], facts.terms),
        }
