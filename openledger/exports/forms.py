"""The forms by name, and the maker of each."""

from collections.abc import Callable

from openledger.errors import UsageError
from openledger.exports.card import make_card
from openledger.exports.croissant import make_croissant
from openledger.exports.cyclonedx import make_bom
from openledger.exports.facts import DatanetFacts, Facts, ModelFacts
from openledger.exports.oms import make_statement
from openledger.exports.prov import make_prov
from openledger.exports.slsa import make_provenance
from openledger.exports.spdx import make_spdx
from openledger.exports.training_summary import make_summary

MODEL_FORMS: dict[str, Callable[[ModelFacts], bytes]] = {
    "model-card": make_card,
    "cyclonedx": make_bom,
    "spdx": make_spdx,
    "slsa": make_provenance,
    "oms": make_statement,
    "prov": make_prov,
    "eu-summary": lambda facts: make_summary(facts, page=False),
}
DATANET_FORMS: dict[str, Callable[[DatanetFacts], bytes]] = {"croissant": make_croissant}
FORMS = (*MODEL_FORMS, *DATANET_FORMS)
# How the file of a form ends where nobody names it.
ENDINGS = {
    "model-card": ".model-card.md",
    "cyclonedx": ".cdx.json",
    "spdx": ".spdx3.json",
    "slsa": ".intoto.json",
    "oms": ".oms.json",
    "prov": ".prov.json",
    "eu-summary": ".training-summary.md",
    "croissant": ".croissant.json",
}


def make_export(form: str, facts: Facts, *, page: bool = False) -> bytes:
    """Write a form; `page`: as HTML, where the form is for people. Raises `UsageError` for a form of other things."""
    if isinstance(facts, ModelFacts) and form in MODEL_FORMS:
        return make_summary(facts, page=True) if page and form == "eu-summary" else MODEL_FORMS[form](facts)
    if isinstance(facts, DatanetFacts) and form in DATANET_FORMS:
        return DATANET_FORMS[form](facts)
    what, forms = ("a model", MODEL_FORMS) if isinstance(facts, ModelFacts) else ("a DataNet version", DATANET_FORMS)
    raise UsageError(f"{facts.name} is {what}: its forms are {', '.join(forms)}, not {form!r}")
