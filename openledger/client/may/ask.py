"""The question with its lineage: asked of a client, answered from all pages of what it proves."""

from abci_app.modules.models.lineage import LineagePage
from openledger.client.may.answer import May, ModelUse
from openledger.client.may.judge import may_of
from openledger.client.provenance import Asks, Whole, lineage, lineage_question


def may(
    client: Asks, reference: str, use: ModelUse, *, at_seconds: int, field: str = "", prove: bool = True
) -> tuple[May, Whole[LineagePage]]:
    """Ask whether a model (`name`, `name@version`) or an entry may be put to a use; with the lineage that says so."""
    found = lineage(client, lineage_question(reference), prove=prove)
    return may_of(found.value, use, at_seconds=at_seconds, field=field, complete=found.complete), found
