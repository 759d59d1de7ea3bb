"""A proven no, a bare refusal, and names that a lying node would have stand for something else."""

from collections.abc import Callable
from typing import Any

import pytest

from abci_app.bech32 import encode_id
from abci_app.chain.names import Name, Named, ResolvedName
from abci_app.modules.datanets.queries import DatanetQuery, VersionsQuery
from abci_app.modules.licences.queries import TermsQuery
from abci_app.modules.models.lineage import CleanQuery, LineageQuery
from abci_app.modules.models.queries import EntryQuery, ModelQuery
from openledger.errors import Denied
from openledger.exit_codes import ExitCode
from openledger.light.bundle import verify_bundle
from openledger.light.errors import BadStateProof, QueryRejected
from openledger.light.query import Denial, query_question
from tests.kit.openledger.light_clients import light_client
from tests.kit.openledger.story import Story
from tests.kit.simulated_chain import SimulatedChain, SimulatedNode

TUTOR = Name("olrun", "tutor")
NOTHING = bytes(range(32))


@pytest.fixture(scope="module")
def chain(signed: SimulatedChain) -> SimulatedChain:
    return signed


NOS: tuple[tuple[str, str, Any, str], ...] = (
    ("models", "model", ModelQuery(b"", "nobody"), "there is no model named 'nobody'"),
    ("models", "entry", EntryQuery(NOTHING), f"there is no entry {encode_id('olrun', NOTHING)}"),
    ("models", "lineage", LineageQuery(b"", "tutor", 9, (), 10, 10), "model 'tutor' has no version 9; its latest is 2"),
    ("datanets", "datanet", DatanetQuery(b"", "nothing"), "there is no DataNet named 'nothing'"),
    ("datanets", "versions", VersionsQuery(NOTHING, "", 0, 5), "there is no DataNet oldata1"),
    ("licences", "terms", TermsQuery(NOTHING), f"terms {encode_id('olterms', NOTHING)} are not registered"),
    (
        "models",
        "clean",
        CleanQuery(b"", "tutor", 0, b"", "exam", 9),
        "DataNet 'exam' has no version 9; its latest is 1",
    ),
)


@pytest.mark.parametrize(("module", "name", "args", "text"), NOS)
def test_no_is_proven_like_any_answer(chain: SimulatedChain, module: str, name: str, args: Any, text: str) -> None:
    client = light_client(chain)
    with pytest.raises(Denied) as caught:
        client.query(module, name, args)
    assert caught.value.text.startswith(text)
    assert caught.value.exit_code == ExitCode.NOT_FOUND
    assert "verified: state after block 4 of dev-simulated" in str(caught.value)
    verified: Any = caught.value.evidence
    verdict = verify_bundle(client.bundle(verified), chain.genesis, chain.now_ns)
    assert (verdict.anchored, verdict.value) == (True, Denial(22, "openledger", caught.value.text))


def _hide(answer: dict[str, Any]) -> None:
    """Deny what exists, with code and text of an honest refusal but nothing to show for it."""
    answer.update(code=22, log="there is no model named 'tutor'", codespace="openledger", value=None)


def test_a_bare_refusal_is_the_nodes_word_and_nothing_more(chain: SimulatedChain) -> None:
    primary = SimulatedNode(chain, "primary", change_answer=_hide)
    with pytest.raises(QueryRejected, match="this is the node's word, not proven") as caught:
        light_client(chain, primary).query("models", "model", ModelQuery(b"", "tutor"))
    assert caught.value.exit_code == ExitCode.UNPROVEN


def test_a_refusal_with_a_proof_that_shows_the_object_is_no_refusal(chain: SimulatedChain, story: Story) -> None:
    def deny(answer: dict[str, Any]) -> None:
        answer.update(code=22, log="there is no model named 'tutor'", codespace="openledger")

    primary = SimulatedNode(chain, "primary", change_answer=deny)
    answer = light_client(chain, primary).query("models", "model", ModelQuery(b"", "tutor"))
    assert answer.value.model_id == story.models["tutor"]


def test_a_refusal_with_the_proof_of_another_absence_is_refused(chain: SimulatedChain) -> None:
    proofs: list[bytes] = []
    other = SimulatedNode(chain, "primary", change_answer=lambda answer: proofs.append(answer["value"]))
    with pytest.raises(Denied):
        light_client(chain, other).query("models", "model", ModelQuery(b"", "nobody"))

    def deny(answer: dict[str, Any]) -> None:
        answer.update(code=22, log="there is no model named 'tutor'", codespace="openledger", value=proofs[0])

    with pytest.raises(BadStateProof):
        light_client(chain, SimulatedNode(chain, "primary", change_answer=deny)).query(
            "models", "model", ModelQuery(b"", "tutor")
        )


# Names


def test_a_named_answer_says_what_the_name_stands_for(chain: SimulatedChain, story: Story) -> None:
    client = light_client(chain)
    answer = client.query("models", "entry", Named(EntryQuery(TUTOR.stand_in()), (TUTOR,)))
    assert answer.value.entry_id == story.entries["second"]
    assert answer.names == (ResolvedName("olrun", "tutor", story.entries["second"]),)
    verdict = verify_bundle(client.bundle(answer), chain.genesis, chain.now_ns)
    assert (verdict.names, verdict.value) == (answer.names, answer.value)


def test_a_name_that_stands_for_nothing_is_a_proven_no(chain: SimulatedChain) -> None:
    nobody = Name("olrun", "nobody")
    with pytest.raises(Denied, match="there is no model named 'nobody'"):
        light_client(chain).query("models", "entry", Named(EntryQuery(nobody.stand_in()), (nobody,)))


def _answers_for(chain: SimulatedChain, question: Any) -> Callable[[dict[str, Any]], None]:
    """A lie: the true proof of another question."""
    other = SimulatedNode(chain)._prove(question.path, question.data, 4)
    return lambda answer: answer.update(other)


def test_a_node_cannot_have_a_name_stand_for_another_object(chain: SimulatedChain, story: Story) -> None:
    draft = Name("olrun", "base")
    for lie in (
        query_question("models", "entry", EntryQuery(story.entries["first"])),
        query_question("models", "entry", Named(EntryQuery(draft.stand_in()), (draft,))),
    ):
        primary = SimulatedNode(chain, "primary", change_answer=_answers_for(chain, lie))
        with pytest.raises(BadStateProof, match="the state proof leaves out what the question reads"):
            light_client(chain, primary).query("models", "entry", Named(EntryQuery(TUTOR.stand_in()), (TUTOR,)))
