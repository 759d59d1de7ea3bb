"""A model card: a README of the model hub with metadata that it reads, and the whole lineage in words."""

import re
from typing import Any

from openledger.exports.blocks import Bullets, DocumentSection, Heading, Paragraph, markdown_document
from openledger.exports.facts import ModelFacts
from openledger.exports.licence import hub_licence
from openledger.exports.limits import LIMITS
from openledger.exports.proof_reference import proof_line
from openledger.exports.sections import (
    data_blocks,
    evaluation_blocks,
    how_blocks,
    lineage_blocks,
    proof_blocks,
    remark_blocks,
    terms_blocks,
)
from openledger.exports.statements import kind_of, measured, model_licence, source_of
from openledger.exports.text import PlainNumber, yaml_lines

FORM = "model-card"
# Keys that this card writes: nobody may write them again beside it.
METADATA = (
    "license",
    "license_name",
    "license_link",
    "base_model",
    "base_model_relation",
    "datasets",
    "tags",
    "model-index",
)
# Names of repositories on the hub.
_REPOSITORY = re.compile(
    r"\A(?!.*(?:--|\.\.))[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?(?:/[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?)?\Z",
    re.ASCII,
)
_HUB_SOURCE = re.compile(
    r"\A(?:https://huggingface\.co/)?([A-Za-z0-9_][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95})(?:@[0-9a-f]{6,64})?\Z",
    re.ASCII,
)
_RELATIONS = {"lora": "adapter", "full": "finetune", "merge": "merge", "quantise": "quantized"}


def make_card(facts: ModelFacts) -> bytes:
    """The card's bytes."""
    blocks = [
        Heading(1, f"{facts.model}, version {facts.version}" if facts.lineage.version else facts.model),
        *proof_blocks(facts.at, facts.name),
        *remark_blocks(facts),
        *lineage_blocks(facts),
        *data_blocks(facts),
        *terms_blocks(facts),
        *evaluation_blocks(facts),
        *how_blocks(facts),
        Heading(2, "What this card cannot say"),
        Bullets(LIMITS[FORM]),
    ]
    own = DocumentSection(
        (
            Heading(2, "In the words of its publisher"),
            Paragraph("Intended use, limitations, contact: write them here."),
        ),
        proven=False,
    )
    sections = [DocumentSection(tuple(blocks)), own]
    return markdown_document(sections, proof_line(FORM, facts.at), yaml_lines(_metadata(facts)))


def _metadata(facts: ModelFacts) -> dict[str, Any]:
    found: dict[str, Any] = _licence(facts)
    parents = [
        (facts.page.entries[number], each.role)
        for each in facts.stored.entry.parents
        for number, item in enumerate(facts.page.entries)
        if item.entry_id == each.entry_id
    ]
    bases = [_hub_name(facts, item) for item, _ in parents]
    # Without its version, a version before it would be the model itself.
    bases = list(dict.fromkeys([each for each in bases if each not in ("", facts.model)]))
    if bases:
        found["base_model"] = bases if len(bases) > 1 else bases[0]
        relation = _RELATIONS.get(kind_of(facts.page.entries[0]), "")
        found |= {"base_model_relation": relation} if relation else {}
    datasets = list(dict.fromkeys([each.name for each in facts.page.datanets if _REPOSITORY.match(each.name)]))
    if datasets:
        found["datasets"] = datasets
    found["tags"] = ["openledger", "provenance", f"openledger-{kind_of(facts.page.entries[0])}"]
    results = _results(facts)
    if results:
        found["model-index"] = [{"name": facts.name, "results": results}]
    return found


def _licence(facts: ModelFacts) -> dict[str, Any]:
    expression = model_licence(facts)
    listed = hub_licence(expression)
    if listed:
        return {"license": listed}
    if expression == "NOASSERTION":
        return {"license": "unknown"}
    return {"license": "other", "license_name": "terms-of-its-sources", "license_link": "#terms"}


def _hub_name(facts: ModelFacts, item: Any) -> str:
    """The repository that an import names as its source, else the name of the model on this chain."""
    source = source_of(facts, item).get("source", "") if kind_of(item) == "import" else ""
    found = _HUB_SOURCE.match(source)
    if found:
        return found.group(1)
    name = next((each.name for each in facts.page.models if each.model_id == item.stored.model_id), "")
    return name if _REPOSITORY.match(name) else ""


def _results(facts: ModelFacts) -> list[dict[str, Any]]:
    found = []
    for each in measured(facts):
        unit = f" in {each.unit}" if each.unit else ""
        found.append(
            {
                "task": {"type": "other", "name": "as recorded on the chain"},
                "dataset": {"name": each.benchmark, "type": each.benchmark.rpartition("@")[0]},
                "metrics": [
                    {
                        "type": each.metric,
                        "value": PlainNumber(each.value),
                        "name": f"{each.metric}{unit}, {each.doubt}, {each.rows} rows, by {each.evaluator}",
                    }
                ],
            }
        )
    return found
