"""SPDX documents against the SHACL shapes that its makers publish, by pyshacl.

The shapes are 180 kB of another project and are not kept here. `OPENLEDGER_SPDX_MODEL` names a folder with its
`spdx-model.ttl` and `spdx-context.jsonld` of version 3.0.1 (https://spdx.org/rdf/3.0.1/); without it, test_forms holds
the documents against the classes of spdx-python-model, which were made from these shapes.
"""

import json
import os
from pathlib import Path

import pytest

from openledger.exports import make_export
from tests.kit.openledger.gallery import MODELS, Gallery

FOLDER = os.environ.get("OPENLEDGER_SPDX_MODEL", "")


@pytest.mark.skipif(not FOLDER, reason="OPENLEDGER_SPDX_MODEL names no folder with the shapes of SPDX 3.0.1")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("model", MODELS)
def test_the_spdx_document_conforms_to_the_published_shapes(gallery: Gallery, model: str) -> None:
    import pyshacl

    document = json.loads(make_export("spdx", gallery.model(model)))
    document |= json.loads((Path(FOLDER) / "spdx-context.jsonld").read_text())
    shapes = str(Path(FOLDER) / "spdx-model.ttl")
    conforms, _, text = pyshacl.validate(
        json.dumps(document), data_graph_format="json-ld", shacl_graph=shapes, ont_graph=shapes
    )
    assert conforms, text
