"""`bundles.json`: a proof bundle of every kind over one chain, and the genesis document that they lead back to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from abci_app.chain.names import Name, Named
from abci_app.hashing import sha256
from abci_app.modules.datanets.queries import VersionQuery
from abci_app.modules.models.impact import ImpactQuery
from abci_app.modules.models.lineage import CleanQuery, LineageQuery
from openledger.client.light_client import LightClient
from openledger.content.store import ContentStore
from openledger.data.manifest import Manifest
from openledger.data.row_proof import prove_row
from openledger.errors import Denied
from openledger.light.attachments import Attachment
from openledger.light.bundle import verify_bundle
from tests.golden.values import plain
from tests.kit.modules.ledger import BOB
from tests.kit.openledger.garden import Garden
from tests.kit.openledger.story import Story
from tests.kit.simulated_chain import SimulatedChain, SimulatedNode

RECIPE = b"steps: 20\n"
MANIFEST = Manifest({"about": b'{"version":1}', "recipe": json.dumps({"sha256": sha256(RECIPE).hex()}).encode()})
MANIFEST_KEY = b"number/root"
ATTACHED = (Attachment("recipe.yaml", RECIPE), Attachment("manifest", MANIFEST.encode(), "manifest"))
RANGE = (b"models/name/", b"models/name0")
ABSENT_KEY = b"models/none"


def _chain(story: Story) -> SimulatedChain:
    """Eight blocks, of which the first makes the state of the story."""
    chain = SimulatedChain()
    with story.ledger.chain.application.store.latest() as version:
        state = list(version.iterate(b"\x00", b"\xff"))
    chain.make_block([*state, (MANIFEST_KEY, MANIFEST.root)])
    chain.make_blocks(7)
    return chain


def _add_rows(bundles: list[dict[str, Any]], other: SimulatedChain) -> None:
    """Two rows of a contribution of three, the last of which has no sibling on the level of the leaves."""
    garden = Garden.grow(ContentStore.open("memory://openledger-vectors"))
    chain = SimulatedChain.holding(garden.ledger.chain.state(), blocks_above=7)
    # The same validators from the same genesis document, with another state.
    assert (chain.genesis_bytes(), chain.now_ns) == (other.genesis_bytes(), other.now_ns)
    client = LightClient(
        SimulatedNode(chain, "primary"),
        [SimulatedNode(chain, "witness")],
        anchor=chain.genesis,
        clock=lambda: chain.now_ns,
    )
    question = VersionQuery(datanet_id=b"", name="garden", version=1, after_number=0, limit=1)
    answer = client.query("datanets", "version_contributions", question)
    proofs = [prove_row(garden.batches[0], index) for index in (1, 2)]
    attached = [Attachment(f"row {one.index + 1} of garden@1", one.encode(), "row") for one in proofs]
    data = client.bundle(answer, attached)
    verdict = verify_bundle(data, chain.genesis, chain.now_ns)
    proven = [
        {
            "row": json.loads(one.row.row),
            "place": one.row.index + 1,
            "submission": "garden#1",
            "version": "garden@1",
            "contributor": BOB.address.hex(),
        }
        for one in verdict.attachments
        if one.row is not None
    ]
    bundles.append(
        {
            "kind": "rows of a version",
            "bundle": data.decode(),
            "path_from_genesis": list(verdict.path),
            "names": [],
            "rows_proven": proven,
        }
    )


def make() -> dict[str, Any]:
    """The content of the file."""
    story = Story.tell()
    chain = _chain(story)
    client = LightClient(
        SimulatedNode(chain, "primary"),
        [SimulatedNode(chain, "witness")],
        anchor=chain.genesis,
        clock=lambda: chain.now_ns,
    )
    entry_name, datanet_name = Name("olrun", "tutor"), Name("oldata", "exam")
    named = CleanQuery(entry_name.stand_in(), "", 0, datanet_name.stand_in(), "", 1)
    lineage = LineageQuery(story.entries["second"], "", 0, (), 100, 10)
    impact = ImpactQuery(b"", "reference", 1, 0, 0, (), 100)
    bundles: list[dict[str, Any]] = []

    def add(kind: str, answer: Any, attachments: Sequence[Attachment] = (), anchor_above: int = 0) -> None:
        data = client.bundle(answer, attachments, anchor_above)
        verdict = verify_bundle(data, chain.genesis, chain.now_ns)
        names = [{"kind": one.kind, "name": one.text, "id": one.id.hex()} for one in verdict.names]
        bundles.append({"kind": kind, "bundle": data.decode(), "path_from_genesis": list(verdict.path), "names": names})

    add("query", client.query("models", "lineage", lineage))
    add("query with names", client.query("models", "clean", Named(named, (datanet_name, entry_name))))
    try:
        client.query("models", "lineage", msgspec.structs.replace(lineage, entry_id=b"", model_name="nobody"))
    except Denied as denied:
        add("denial", denied.evidence)
        bundles[-1]["denied"] = int(denied.code)
    read = client.read([MANIFEST_KEY, ABSENT_KEY], [RANGE])
    add("raw read", read)
    bundles[-1]["values"] = plain(list(read.value.values))
    bundles[-1]["rows"] = [plain(list(rows)) for rows in read.value.rows]
    add("raw read with attachments", client.read([MANIFEST_KEY]), ATTACHED)
    add("query below the anchor, with headers down to it", client.query("models", "impact", impact, 3), (), 8)
    _add_rows(bundles, chain)
    return {
        "now_nanoseconds": chain.now_ns,
        "genesis": chain.genesis_bytes().decode(),
        "bundles": bundles,
    }
