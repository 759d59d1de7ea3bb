"""Every form of every lineage is taken by that format's own schema or library, and says nothing that is not proven."""

import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from abci_app.bech32 import encode_id
from openledger.errors import UsageError
from openledger.exports import DATANET_FORMS, ENDINGS, FORMS, LIMITS, MODEL_FORMS, make_export
from openledger.exports.card import METADATA
from tests.kit.openledger.gallery import HOSTILE, MODELS, ODD_MODEL, ODD_NAME, UNSEEN, Gallery

# Its store has no manifests of these: the list of files is not known.
WITHOUT_FILES = ("base", "tutor")
VERSIONS = ("garden@1", "reference", f"{ODD_NAME}@1")


def exported(gallery: Gallery, form: str, model: str) -> bytes:
    return make_export(form, gallery.model(model))


def document(gallery: Gallery, form: str, model: str) -> Any:
    return json.loads(exported(gallery, form, model))


@pytest.mark.parametrize("model", MODELS)
def test_the_bill_of_materials_is_valid_by_the_schema_of_cyclonedx(gallery: Gallery, model: str) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    found = JsonStrictValidator(SchemaVersion.V1_7).validate_str(exported(gallery, "cyclonedx", model).decode())
    assert found is None


@pytest.mark.parametrize("model", MODELS)
def test_the_spdx_document_is_read_and_written_by_its_own_classes(gallery: Gallery, model: str) -> None:
    from io import BytesIO

    from spdx_python_model import v3_0_1 as spdx

    read = spdx.SHACLObjectSet()
    spdx.JSONLDDeserializer().read(BytesIO(exported(gallery, "spdx", model)), read)
    assert read.missing_ids == set()
    # Writing checks what every class must have.
    written = BytesIO()
    spdx.JSONLDSerializer().write(read, written)
    said = {each["type"] for each in json.loads(written.getvalue())["@graph"]}
    assert {"SpdxDocument", "CreationInfo", "ai_AIPackage"} <= said


@pytest.mark.parametrize("model", MODELS)
def test_the_provenance_statement_is_parsed_by_in_toto(gallery: Gallery, model: str) -> None:
    from google.protobuf import json_format
    from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import (  # type: ignore[import-untyped]
        Provenance,
    )
    from in_toto_attestation.v1.statement import Statement  # type: ignore[import-untyped]
    from in_toto_attestation.v1.statement_pb2 import (  # type: ignore[import-untyped]
        Statement as StatementMessage,
    )

    message = StatementMessage()
    json_format.Parse(exported(gallery, "slsa", model), message)
    Statement.copy_from_pb(message).validate()
    provenance = json_format.ParseDict(json_format.MessageToDict(message.predicate), Provenance())
    facts = gallery.model(model)
    first = message.subject[0]
    assert (first.name, first.digest["sha256"]) == (facts.name, facts.stored.entry.output.artefact_digest.hex())
    assert len(provenance.build_definition.resolved_dependencies) == len(facts.stored.entry.parents) + len(
        facts.stored.entry.inputs
    )


@pytest.mark.parametrize("model", MODELS)
def test_the_graph_is_read_by_prov_and_comes_back_the_same(gallery: Gallery, model: str) -> None:
    from prov.model import ProvDocument, ProvEntity

    read = ProvDocument.deserialize(content=exported(gallery, "prov", model).decode(), format="json")
    assert ProvDocument.deserialize(content=read.serialize(format="json"), format="json") == read
    labels = {str(next(iter(each.get_attribute("prov:label")), "")) for each in read.get_records(ProvEntity)}
    assert {each.reference for each in gallery.model(model).lineage.entries} <= labels


@pytest.mark.parametrize("model", MODELS)
def test_the_card_is_read_by_the_hubs_own_library(gallery: Gallery, model: str) -> None:
    from huggingface_hub import ModelCard

    text = exported(gallery, "model-card", model).decode()
    card: Any = ModelCard(text)
    assert card.data.tags[:2] == ["openledger", "provenance"]
    assert card.data.license in ("other", "cc-by-4.0")
    assert set(card.data.to_dict()) <= set(METADATA)


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated")
@pytest.mark.parametrize("version", VERSIONS)
def test_a_datanet_version_is_read_by_croissants_own_library(
    gallery: Gallery, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    import mlcroissant  # type: ignore[import-untyped]

    facts = gallery.datanet(version)
    with caplog.at_level(logging.CRITICAL):
        read = mlcroissant.Dataset(jsonld=json.loads(make_export("croissant", facts)))
    issues = read.metadata.ctx.issues
    assert (list(issues.errors), list(issues.warnings)) == ([], [])
    assert [each.sha256 for each in read.metadata.distribution] == [
        stored.contribution.content_digest.hex() for _, stored in facts.contributions
    ]


# --- What they say


def test_the_same_state_gives_the_same_bytes(gallery: Gallery) -> None:
    for form in MODEL_FORMS:
        assert exported(gallery, form, "gardener") == exported(Gallery(), form, "gardener")


@pytest.mark.parametrize("form", [form for form in MODEL_FORMS if form != "oms"])
@pytest.mark.parametrize("model", MODELS)
def test_every_form_names_chain_height_header_and_bundle(gallery: Gallery, form: str, model: str) -> None:
    from openledger.exports import ProofReference, read_reference

    facts = gallery.model(model)
    data = make_export(form, facts)
    assert read_reference(data) == ProofReference(form, ("proof-1.bundle.json",))
    for said in (facts.at.chain_id, f"height={facts.at.height};", facts.at.header):
        assert said in data.decode()


def test_what_is_unknown_is_said_and_nothing_is_put_in_its_place(gallery: Gallery) -> None:
    why = "it came from outside, and what it was made from is not on this chain"
    missing = "its parents are not all declared, and what else it was made from is not on this chain"
    assert why in exported(gallery, "model-card", "base").decode()
    assert missing in exported(gallery, "model-card", "secret").decode()
    bom = document(gallery, "cyclonedx", "secret")
    assert {each["aggregate"] for each in bom["compositions"]} == {"unknown"}
    assert "pedigree" not in bom["metadata"]["component"]
    slsa = document(gallery, "slsa", "base")["predicate"]["buildDefinition"]
    assert (slsa["resolvedDependencies"], slsa["externalParameters"]["settings"]) == ([], {})
    graph = document(gallery, "prov", "base")
    assert "activity" not in graph
    assert "wasAttributedTo" not in graph
    spdx = document(gallery, "spdx", "secret")["@graph"]
    trained = next(each for each in spdx if each.get("relationshipType") == "trainedOn")
    assert trained["completeness"] == "noAssertion"


def test_revoked_data_and_replaced_records_are_shown_in_every_form(gallery: Gallery) -> None:
    for form in MODEL_FORMS:
        text = exported(gallery, form, ODD_MODEL).decode()
        assert "a contribution to it was revoked after this version was made" in text.replace("\\_", "_"), form
        assert "superseded by olrun1" in exported(gallery, form, "merged").decode(), form
    text = make_export("croissant", gallery.datanet(f"{ODD_NAME}@1")).decode()
    assert "was revoked" in text
    assert "REVOKED since" in text


def test_a_clash_of_terms_is_shown(gallery: Gallery) -> None:
    facts = gallery.model("gardener")
    first = replace(facts.lineage.entries[0], outcome="conflict")
    clashed = replace(facts, lineage=replace(facts.lineage, entries=(first, *facts.lineage.entries[1:])))
    for form in MODEL_FORMS:
        assert "the licence check of consensus said 'conflict'" in make_export(form, clashed).decode(), form


def test_an_entry_of_no_model_goes_by_its_id(gallery: Gallery) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    entry = encode_id("olrun", gallery.story.entries["draft"])
    facts = gallery.model(entry)
    assert (facts.name, facts.version) == (entry, "none")
    bom = exported(gallery, "cyclonedx", entry).decode()
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(bom) is None
    for form in [each for each in MODEL_FORMS if each != "oms"]:
        assert "superseded by" in exported(gallery, form, entry).decode()


def test_measurements_stand_with_their_intervals_and_without_where_none_is_known(gallery: Gallery) -> None:
    metrics = document(gallery, "cyclonedx", "gardener")["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]
    accuracy, loss = metrics["performanceMetrics"]
    assert (loss["value"], loss["confidenceInterval"]) == ("3.4874", {"lowerBound": "3.2051", "upperBound": "3.7697"})
    assert (accuracy["value"], "confidenceInterval" in accuracy) == ("7", False)
    card = exported(gallery, "model-card", "gardener").decode()
    assert "| 3.4874 nats | ± 0.2823 (95 %) |" in card
    assert "interval unknown" in card


def test_terms_of_ones_own_get_a_reference_of_their_own(gallery: Gallery) -> None:
    facts = gallery.model("gardener")
    own = next(each for each in facts.lineage.terms if each.name == "CC BY 4.0, not for war")
    component = document(gallery, "cyclonedx", "gardener")["metadata"]["component"]
    assert component["licenses"] == [
        {"expression": f"CC-BY-4.0 AND LicenseRef-{own.id}", "acknowledgement": "concluded"}
    ]
    licences = [each for each in document(gallery, "spdx", "gardener")["@graph"] if "LicenseExpression" in each["type"]]
    custom = [each["simplelicensing_customIdToUri"] for each in licences if "simplelicensing_customIdToUri" in each]
    assert custom[0][0]["value"].endswith(own.id)


def test_without_manifests_a_form_says_so_and_model_signing_refuses(gallery: Gallery) -> None:
    bare = gallery.model("gardener", bare=True)
    assert "how it was made is not shown" in make_export("model-card", bare).decode()
    with pytest.raises(UsageError, match="the files of gardener@1 are not listed"):
        make_export("oms", bare)
    for model in WITHOUT_FILES:
        with pytest.raises(UsageError, match="are not listed"):
            exported(gallery, "oms", model)


def test_a_form_of_other_things_is_refused_in_words(gallery: Gallery) -> None:
    with pytest.raises(UsageError, match="gardener@1 is a model: its forms are model-card, "):
        make_export("croissant", gallery.model("gardener"))
    with pytest.raises(UsageError, match="garden@1 is a DataNet version: its forms are croissant, not 'prov'"):
        make_export("prov", gallery.datanet("garden@1"))


def test_every_form_has_an_ending_and_a_list_of_what_it_cannot_say() -> None:
    assert set(FORMS) == set(MODEL_FORMS) | set(DATANET_FORMS) == set(ENDINGS) == set(LIMITS)
    assert all(LIMITS.values())


# --- Texts that try to be more


def test_hostile_texts_end_nothing_and_begin_nothing(gallery: Gallery) -> None:
    for form in MODEL_FORMS:
        text = exported(gallery, form, ODD_MODEL).decode()
        assert not [each for each in ("<script", "\u202e", "\x00") if each in text], form
        assert text.count("openledger-proof:") == 1, form
    assert "\\]\\](javascript" in exported(gallery, "model-card", ODD_MODEL).decode()
    assert "&lt;b\\>own&lt;/b\\> \\| terms\\](x) --- :" in exported(gallery, "eu-summary", ODD_MODEL).decode()
    page = make_export("eu-summary", gallery.model(ODD_MODEL), page=True).decode()
    assert "<script" not in page
    assert page.count("openledger:proven 9 -->") == page.count("/openledger:proven 9 -->") * 2


def test_metadata_of_a_hostile_model_have_our_keys_alone(gallery: Gallery) -> None:
    import yaml

    text = exported(gallery, "model-card", ODD_MODEL).decode()
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["license"] == "other"
    # Names that are no names of the hub's repositories are left out of its metadata, and stand in the text.
    assert ODD_NAME not in front["datasets"]
    assert "a/b/c--d..e\\_f@1" in text


def test_hostile_values_come_back_as_one_visible_line_of_text(gallery: Gallery) -> None:
    settings = document(gallery, "slsa", ODD_MODEL)["predicate"]["buildDefinition"]["externalParameters"]["settings"]
    name = next(each for each in settings if each.startswith("training.a license"))
    assert name == "training.a license: mit --- \\u202eevil\\u2028\\u0000\\ue000<script>"
    assert settings[name] == HOSTILE.replace("openledger-proof:", "openledger-proof;")
    assert settings["recipe"].startswith("a text of 15 bytes, SHA-256 ")
    assert UNSEEN not in str(settings)


def test_the_numbered_headings_of_the_summary_are_the_templates(gallery: Gallery) -> None:
    """Article 53(1)(d) of the AI Act: the Commission's template of 24 July 2025; our own headings have no number."""
    text = make_export("eu-summary", gallery.model("gardener")).decode()
    headings = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    assert [heading for heading in headings if heading[0].isdigit()] == [
        "1 General information",
        "1.1 Provider identification",
        "1.2 Model identification",
        "1.3 Modalities, overall training data size and other characteristics",
        "2 List of data sources",
        "2.1 Publicly available datasets",
        "2.2 Private non-publicly available datasets obtained from third parties",
        "2.3 Data crawled and scraped from online sources",
        "2.4 User data",
        "2.5 Synthetic data",
        "2.6 Other sources of data",
        "3 Data processing aspects",
        "3.1 Respect of reservation of rights from text and data mining exception or limitation",
        "3.2 Removal of illegal content",
        "3.3 Other information (optional)",
    ]
