"""The line in every export that says what proves it: form, chain, height, header, and the bundles beside the file.

    openledger-proof:?form=cyclonedx;chain=dev;height=375;header=376:0F3A...;bundle=gardener-2.cdx.json.bundle.json

It only leads to the bundle. Whether the export says what the bundle proves is found by writing the export again.
"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote

from openledger.exports.facts import ProvenAt
from openledger.exports.text import PROOF_SCHEME

_SCHEME = f"{PROOF_SCHEME}?"
_LINE = re.compile(r"openledger-proof:\?[A-Za-z0-9%._~:;=-]+")
MAX_BUNDLES = 256


@dataclass(frozen=True, slots=True)
class ProofReference:
    """The form of an export and the file names of its bundles, as the export says."""

    form: str
    bundles: tuple[str, ...]


def proof_line(form: str, at: ProvenAt) -> str:
    """The line for an export of a form."""
    fields = [("form", form), ("chain", at.chain_id), ("height", str(at.height)), ("header", at.header)]
    fields += [("bundle", name) for name in at.bundles]
    line = ";".join([f"{name}={quote(value, safe=':')}" for name, value in fields])
    # Two dashes would end the comment that holds the line in some formats.
    return _SCHEME + line.replace("--", "-%2D")


def find_proof(text: str) -> ProofReference | None:
    """The first such line in a file, wherever it stands; None where there is none that can be read."""
    for found in _LINE.finditer(text):
        fields = parse_qsl(found.group().removeprefix(_SCHEME), max_num_fields=MAX_BUNDLES, separator=";")
        form = next((value for name, value in fields if name == "form"), "")
        bundles = tuple([value for name, value in fields if name == "bundle"])
        if form and bundles and not any(("/" in name or "\\" in name or name in ("..", ".")) for name in bundles):
            return ProofReference(form, bundles)
    return None
