"""Names in questions: looked up where the query reads, one form, proven with the answer, refused with proof."""

from typing import Any

import msgspec
import pytest

from abci_app.chain import queries
from abci_app.chain.names import Name, NamedArguments, ResolvedName, run_query
from abci_app.chain.registry import query_named
from abci_app.errors import Code, Rejected
from abci_app.modules.datanets.queries import ContributionQuery, DatanetQuery
from abci_app.modules.datanets.records import SUBMITTED
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.queries import TermsQuery
from abci_app.modules.models.queries import EntryQuery, ModelQuery
from abci_app.modules.models.records import CreateModel
from abci_app.pb import abci_pb2 as pb
from abci_app.state import proof
from abci_app.state.codec import CodecError, encode
from abci_app.state.views import RecordingView
from tests.kit.modules.ledger import ALICE
from tests.kit.openledger.story import FREE, Story

REFERENCE = Name("oldata", "reference")
TUTOR = Name("olrun", "tutor")


@pytest.fixture(scope="module")
def story() -> Story:
    return Story.tell()


def _run(story: Story, module: str, query: str, args: Any, *names: Name) -> Any:
    return run_query(story.ledger.store, query_named(module, query), encode(args), names)


def _submission(story: Story, datanet: str, number: int) -> bytes:
    submitted = SUBMITTED.get(story.ledger.store, story.datanets[datanet], number)
    assert submitted is not None
    return submitted.contribution_id


def test_each_kind_of_name_leads_to_its_object(story: Story) -> None:
    cases: tuple[tuple[Name, str, str, Any, bytes], ...] = (
        (REFERENCE, "datanets", "datanet", DatanetQuery(REFERENCE.stand_in(), ""), story.datanets["reference"]),
        (TUTOR, "models", "entry", EntryQuery(TUTOR.stand_in()), story.entries["second"]),
        (Name("olrun", "tutor@1"), "models", "entry", None, story.entries["first"]),
        (Name("olmodel", "tutor"), "models", "model", None, story.models["tutor"]),
        (Name("olterms", FREE.name), "licences", "terms", None, terms_id_of(FREE)),
        (Name("olcontrib", "questions#2"), "datanets", "contribution", None, _submission(story, "questions", 2)),
    )
    makers = {
        "contribution": ContributionQuery,
        "entry": EntryQuery,
        "model": lambda held: ModelQuery(held, ""),
        "terms": TermsQuery,
    }
    for name, module, query, args, found in cases:
        args = args or makers[query](name.stand_in())
        _, names = _run(story, module, query, args, name)
        assert names == (ResolvedName(name.kind, name.text, found),)


def test_the_result_is_that_of_the_id(story: Story) -> None:
    by_name, _ = _run(story, "models", "entry", EntryQuery(TUTOR.stand_in()), TUTOR)
    assert by_name == _run(story, "models", "entry", EntryQuery(story.entries["second"]))[0]


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [
        (Name("olrun", "nobody"), Code.NOT_FOUND, "there is no model named 'nobody': see `openledger query models"),
        (Name("olrun", "tutor@9"), Code.NOT_FOUND, "model 'tutor' has no version 9; its latest is 2"),
        (Name("olrun", "tutor@01"), Code.BAD_QUERY, "'tutor@01': write MODEL or MODEL@VERSION, for example my-model@3"),
        (Name("open", "alice"), Code.BAD_QUERY, "there are no names of kind 'open'; kinds: olterms, oldata, olcontrib"),
        (Name("olcontrib", "questions#9"), Code.NOT_FOUND, "DataNet 'questions' has no submission 9"),
        (Name("olcontrib", "nothing#1"), Code.NOT_FOUND, "there is no DataNet named 'nothing'"),
        (Name("olcontrib", "questions#02"), Code.BAD_QUERY, "'questions#02': write DATANET#NUMBER, for example"),
        (Name("olcontrib", "questions"), Code.BAD_QUERY, "'questions': write DATANET#NUMBER, for example"),
    ],
)  # fmt: skip
def test_a_name_that_stands_for_nothing_is_refused_with_a_code(story: Story, name: Name, code: Code, text: str) -> None:
    with pytest.raises(Rejected) as caught:
        _run(story, "models", "entry", EntryQuery(name.stand_in()), name)
    assert caught.value.code == code
    assert caught.value.text.startswith(text)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ((TUTOR, TUTOR), "the names of a question must be sorted and unique"),
        ((TUTOR, REFERENCE), "the names of a question must be sorted and unique"),
        ((REFERENCE, TUTOR), "the name 'reference' holds no place in the arguments: leave it out"),
    ],
)
def test_a_question_has_one_form(story: Story, names: tuple[Name, ...], text: str) -> None:
    with pytest.raises(Rejected, match=text):
        _run(story, "models", "entry", EntryQuery(TUTOR.stand_in()), *names)


@pytest.mark.parametrize("args", [b"", b"\xc1", b"\x91" * 5000, b"\xa5ab"])
def test_arguments_that_are_no_tree_are_malformed(story: Story, args: bytes) -> None:
    with pytest.raises(CodecError):
        run_query(story.ledger.store, query_named("models", "entry"), args, (TUTOR,))


def test_a_node_answers_a_named_query_and_proves_where_the_name_leads(story: Story) -> None:
    story.ledger.chain.block()
    data = encode(NamedArguments(encode(EntryQuery(TUTOR.stand_in())), (TUTOR,)))
    application = story.ledger.chain.application
    plain = application.query(pb.RequestQuery(path="/named/models/entry", data=data))
    ids, _ = msgspec.msgpack.decode(plain.value)
    assert (plain.code, ids) == (0, [story.entries["second"]])
    proven = application.query(pb.RequestQuery(path="/named/models/entry", data=data, prove=True))
    with application.store.version(proven.height) as version:
        state = proof.verify(proven.value, version.app_hash)
    _, names = run_query(state, query_named("models", "entry"), encode(EntryQuery(TUTOR.stand_in())), (TUTOR,))
    assert names[0].id == story.entries["second"]


@pytest.mark.parametrize("item", [1, []], ids=repr)
def test_reading_a_named_question_counts_against_its_budget(story: Story, item: object) -> None:
    """130,000 empty lists beside one name took up to 60 ms, also of a question that had 0.2 ms left."""
    args = msgspec.msgpack.encode([TUTOR.stand_in(), *[item] * 130_000])
    request = pb.RequestQuery(path="/named/models/entry", data=encode(NamedArguments(args, (TUTOR,))))
    application = story.ledger.chain.application
    assert application.query(request).code == Code.QUERY_TOO_LARGE
    assert application.query(request, hurried=True).code == Code.BUSY


def test_bytes_of_a_question_count_before_they_are_decoded(story: Story) -> None:
    story.ledger.chain.block()
    application = story.ledger.chain.application
    for path, data in (
        ("/store/openledger/multi", encode(((b"k" * 128,) * 1_000, ()))),
        ("/query/models/entry", bytes(queries.MAX_QUERY_BYTES)),
        ("/named/models/entry", encode(NamedArguments(bytes(120_000), (TUTOR,)))),
    ):
        assert application.query(pb.RequestQuery(path=path, data=data), hurried=True).code == Code.BUSY


@pytest.mark.parametrize("depth", [100, 300, 450, 600, 800, 950, 5_000])
def test_arguments_of_any_depth_are_malformed_and_no_bug(story: Story, depth: int) -> None:
    args = b"\x91" * depth + encode(TUTOR.stand_in())
    data = encode(NamedArguments(args, (TUTOR,)))
    answer = story.ledger.chain.application.query(pb.RequestQuery(path="/named/models/entry", data=data))
    assert answer.code == Code.BAD_QUERY


def test_a_refusal_comes_with_the_proof_of_what_was_read(story: Story) -> None:
    story.ledger.accept(ALICE, CreateModel("empty", ""))
    story.ledger.chain.block()
    application = story.ledger.chain.application
    for args, text in (
        (ModelQuery(b"", "nobody"), "there is no model named 'nobody': see `openledger query models list`"),
        (ModelQuery(bytes(32), ""), "there is no model olmodel1"),
    ):
        answer = application.query(pb.RequestQuery(path="/query/models/model", data=encode(args), prove=True))
        assert (answer.code, answer.codespace, answer.height) == (
            Code.NOT_FOUND,
            "openledger",
            application.store.height - 1,
        )
        assert answer.log.startswith(text)
        with application.store.version(answer.height) as version:
            state = proof.verify(answer.value, version.app_hash)
            recording = RecordingView(version)
            with pytest.raises(Rejected) as caught:
                run_query(recording, query_named("models", "model"), encode(args))
        with pytest.raises(Rejected) as again:
            run_query(state, query_named("models", "model"), encode(args))
        assert again.value.text == caught.value.text == answer.log
    bare = application.query(pb.RequestQuery(path="/query/models/model", data=encode(ModelQuery(b"", "nobody"))))
    assert (bare.code, bare.value) == (Code.NOT_FOUND, b"")
