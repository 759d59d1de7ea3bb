"""The tiny DataNets and the tiny model on a chain, through a client: of a fake node or of a real one."""

from __future__ import annotations

from pathlib import Path

from abci_app.modules.datanets.records import (
    Contribute,
    CreateDatanet,
    CreateVersion,
    Decision,
    Form,
    ReviewContribution,
    contribution_id_of,
)
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.handlers import RegisterTerms
from openledger.client.client import Client
from openledger.content.artefact import describe_artefact
from openledger.content.store import ContentStore
from openledger.data.rows import RowCommitment
from openledger.keys.signer import Signer
from tests.kit.modules.drafts import FREE, contribution_of
from tests.kit.trainer.tiny import QUESTIONS, fact_batches, put_rows, tiny_model
from trainer.publish import ClientLedger, Published
from trainer.recording.external import record_external
from trainer.run_records import RunEventRecord

TERMS_ID = terms_id_of(FREE)


def fill_chain(client: Client, owner: Signer, contributor: Signer, store: ContentStore) -> dict[str, bytes]:
    """Terms and the DataNets `facts` (two contributions) and `questions` (one), each as version 1; ids by name."""
    sent = client.send(
        owner,
        RegisterTerms(FREE),
        CreateDatanet("facts", "sentences", TERMS_ID, (), 1),
        CreateDatanet("questions", "questions and answers", TERMS_ID, (), 1),
    )
    sent.wait()
    datanets = {name: sent.sent.object_id("datanet", place) for place, name in enumerate(("facts", "questions"), 1)}
    batches = [("facts", rows) for rows in fact_batches()] + [("questions", QUESTIONS)]
    messages = [
        _contribute(datanets[name], put_rows(store, number, rows)) for number, (name, rows) in enumerate(batches)
    ]
    client.send(contributor, *messages).wait()
    reviews = [
        ReviewContribution(_contribution_id(message, contributor.address), Decision.ACCEPT, 0) for message in messages
    ]
    versions = [CreateVersion(datanet_id, "first") for datanet_id in datanets.values()]
    client.send(owner, *reviews, *versions).wait()
    return datanets


def _contribute(datanet_id: bytes, rows: RowCommitment) -> Contribute:
    return Contribute(
        datanet_id,
        rows.rows_root,
        rows.row_count,
        rows.byte_count,
        rows.content_digest,
        rows.sketch,
        b"",
        b"",
        Form.OTHER,
    )


def _contribution_id(message: Contribute, contributor: bytes) -> bytes:
    return contribution_id_of(contribution_of(message, contributor, TERMS_ID))


def add_datanet(client: Client, signer: Signer, name: str, rows: list[dict[str, str]], store: ContentStore) -> int:
    """A DataNet of one contribution by its owner, with version 1; gives the height."""
    sent = client.send(signer, RegisterTerms(FREE), CreateDatanet(name, "test", TERMS_ID, (), 1))
    sent.wait()
    datanet_id = sent.sent.object_id("datanet", 1)
    message = _contribute(datanet_id, put_rows(store, len(rows), rows))
    client.send(signer, message).wait()
    review = ReviewContribution(_contribution_id(message, signer.address), Decision.ACCEPT, 0)
    return int(client.send(signer, review, CreateVersion(datanet_id, "first")).wait().height)


def publish_base(ledger: ClientLedger, store: ContentStore) -> Published:
    """The tiny model as an import, the first version of the model `base`; its files lie in the store."""
    return publish_import(ledger, store, "base", tiny_model())


def publish_import(ledger: ClientLedger, store: ContentStore, name: str, model: Path) -> Published:
    """A folder of a model as an import; its files lie in the store."""
    record = record_external(
        model_name=name, kind="import", framework="test", recipe=b"random", parents=(), inputs=(), folder=model,
        artefact=describe_artefact(model), store=store, event=RunEventRecord(1, 2, "test", "", 0), terms_id=TERMS_ID,
    )  # fmt: skip
    return ledger.publish(record)
