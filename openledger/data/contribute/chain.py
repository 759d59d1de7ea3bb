"""The chain's side of a contribution: the DataNet, its terms, and whether a contribution would pass."""

from dataclasses import dataclass
from secrets import token_bytes

from abci_app.module import Message
from abci_app.modules.datanets.queries import DatanetQuery, DatanetView
from abci_app.modules.datanets.records import Contribute
from abci_app.modules.licences.handlers import RegisterTerms
from openledger.client.client import Client
from openledger.client.core import Party, SendOptions
from openledger.client.names import query_of_name
from openledger.client.provenance import id_of_text
from openledger.errors import TransactionFailed, UsageError
from openledger.references import split_version
from openledger.terms import terms_of_name


@dataclass(frozen=True, slots=True)
class Destination:
    """Where rows go, and under which terms."""

    name: str
    datanet_id: bytes
    terms_id: bytes
    # Registers the terms where nobody has.
    registration: RegisterTerms | None
    # Submissions so far.
    submitted: int


def open_datanet(client: Client, reference: str, terms: str) -> Destination:
    """The DataNet by name or id, proven where the client can prove; raises `QueryFailed` where there is none."""
    name, version = split_version(reference)
    if version or "#" in reference:
        raise UsageError(f"{reference!r}: rows are added to a DataNet, not to a version or submission: write {name!r}")
    datanet_id = id_of_text("oldata", name)
    question = ("datanets", "datanet", DatanetQuery(datanet_id, "")) if datanet_id else query_of_name("oldata", name)
    view = client.query(*question, prove=client.light is not None).value
    assert isinstance(view, DatanetView)
    terms_id, registration = terms_of_name(client, terms) if terms else (view.datanet.default_terms_id, None)
    return Destination(
        name=view.datanet.name,
        datanet_id=view.datanet_id,
        terms_id=terms_id,
        registration=registration,
        submitted=view.counts.submitted,
    )


def require_would_pass(client: Client, party: Party, datanet: Destination, payee: bytes, options: SendOptions) -> None:
    """Try a contribution out that nobody will send: who may not contribute hears it before an hour of reading."""
    message = Contribute(
        datanet_id=datanet.datanet_id,
        rows_root=token_bytes(32),
        row_count=1,
        byte_count=1,
        content_digest=token_bytes(32),
        sketch=b"",
        terms_id=datanet.terms_id,
        payee=payee,
        form=0,
    )
    messages: list[Message] = [datanet.registration, message] if datanet.registration else [message]
    tried = client.simulate(party, *messages, **options)
    if tried.code:
        raise TransactionFailed(tried.code, tried.codespace, tried.log)
