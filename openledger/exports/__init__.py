"""Exports: a model or a DataNet version, as the chain proves it, in the formats of other tools.

    facts = facts_of(bundles, verdicts, names)      # of checked proof bundles, never of a node's word
    data = make_export("cyclonedx", facts)          # pure: the same facts give the same bytes
    differences(data, facts)                        # what a file says otherwise than its bundles

Makers write their formats themselves: the libraries that know them are needed by tests alone. No format can say
everything; `LIMITS` tells what each cannot. What is unknown stays unknown in all of them.
"""

from openledger.exports.compare import Comparison, differences, read_reference
from openledger.exports.evidence import facts_of, next_sheet_question, sheet_question
from openledger.exports.facts import DatanetFacts, Facts, ModelFacts, ProvenAt
from openledger.exports.forms import DATANET_FORMS, ENDINGS, FORMS, MODEL_FORMS, make_export
from openledger.exports.limits import LIMITS
from openledger.exports.oms import sign_statement
from openledger.exports.proof_reference import ProofReference, find_proof

__all__ = [
    "DATANET_FORMS",
    "ENDINGS",
    "FORMS",
    "LIMITS",
    "MODEL_FORMS",
    "Comparison",
    "DatanetFacts",
    "Facts",
    "ModelFacts",
    "ProofReference",
    "ProvenAt",
    "differences",
    "facts_of",
    "find_proof",
    "make_export",
    "next_sheet_question",
    "read_reference",
    "sheet_question",
    "sign_statement",
]
