"""Terms by the name of a licence: registered when missing, never mistaken for others of the same name."""

from collections.abc import Iterator

import pytest
from msgspec import structs

from abci_app.bech32 import encode_id
from abci_app.modules.datanets.records import CreateDatanet
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.facts import is_own, plain_terms
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.licences.table import ROWS
from openledger.client.client import Client
from openledger.errors import QueryFailed, UsageError
from openledger.keys.signer import Signer
from openledger.licences import known_licence, licences_like
from openledger.terms import terms_of_name
from tests.kit.chain import Chain
from tests.kit.modules.drafts import terms
from tests.kit.openledger.fake_node import FakeNode

ALICE, MALLORY = [Signer.from_seed(bytes([number]) * 32) for number in (1, 2)]
BY = plain_terms("CC-BY-4.0")


@pytest.fixture
def client() -> Iterator[Client]:
    chain = Chain.start({signer.address: 10**12 for signer in (ALICE, MALLORY)})
    with FakeNode(chain, make_blocks_after=1).client() as made:
        yield made


def test_a_licence_is_registered_with_the_first_message_that_needs_it(client: Client) -> None:
    terms_id, registration = terms_of_name(client, "cc by 4.0")
    assert (terms_id, registration) == (terms_id_of(BY), RegisterTerms(BY))
    assert registration is not None
    client.send(ALICE, registration, CreateDatanet("garden", "", terms_id, (), 1)).wait()
    assert terms_of_name(client, "CC-BY-4.0") == (terms_id, None)


def test_terms_of_the_same_name_with_other_clauses_change_nothing(client: Client) -> None:
    others = [structs.replace(BY, name="Creative Commons", jurisdiction=place) for place in ("DE", "FR")]
    client.send(MALLORY, *[RegisterTerms(each) for each in others]).wait()
    assert terms_of_name(client, "CC-BY-4.0") == (terms_id_of(BY), RegisterTerms(BY))
    client.send(ALICE, RegisterTerms(BY)).wait()
    assert terms_of_name(client, "cc-by-4.0") == (terms_id_of(BY), None)


def test_own_terms_go_by_the_name_that_they_had_first(client: Client) -> None:
    mine = terms(name="garden terms", spdx="LicenseRef-garden", text_digest=bytes(32))
    client.send(ALICE, RegisterTerms(mine)).wait()
    client.send(MALLORY, RegisterTerms(structs.replace(mine, training=1))).wait()
    for name in ("garden terms", "LicenseRef-garden", encode_id("olterms", terms_id_of(mine))):
        assert terms_of_name(client, name) == (terms_id_of(mine), None)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("my terms", "neither a licence that the table knows nor registered under that name: see `openledger terms"),
        ("apache2", "did you mean Apache-2.0 or Apache-1.1"),
        ("gpl", "licence 'gpl' is the name of several: write one of GPL-2.0-only, GPL-3.0-or-later"),
        ("LicenseRef-nobody", "neither a licence that the table knows"),
        ("CC-BY-4.0 AND LicenseRef-mine", "neither a licence that the table knows"),
    ],
)
def test_a_name_that_says_nothing_is_refused_with_what_to_do(client: Client, name: str, said: str) -> None:
    with pytest.raises((UsageError, QueryFailed)) as error:
        terms_of_name(client, name)
    assert said in str(error.value)


def test_every_licence_of_the_table_goes_by_its_name_and_by_expressions_of_such_names() -> None:
    assert {name: known_licence(name.lower()) for name in ROWS if not is_own(name)} == {
        name: name for name in ROWS if not is_own(name)
    }
    assert known_licence("mit/apache-2.0") == "Apache-2.0 OR MIT"
    assert licences_like("cc-by-5.0")[0].startswith("CC-BY-")
