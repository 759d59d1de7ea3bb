"""A name that a person uses in a verified query is proven with the answer: no command takes a node's word for it."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from abci_app.bech32 import encode_id
from abci_app.chain.names import Name, Named
from abci_app.chain.registry import NAME_KINDS, all_queries
from abci_app.modules.licences import terms_id_of
from abci_app.modules.models.kinds import EntryKind
from abci_app.modules.models.queries import VerdictQuery
from openledger.documents import id_prefix, type_info
from openledger.exit_codes import ExitCode
from openledger.light.query import query_question
from openledger_cli.query.commands import option_of_argument
from tests.kit.modules import drafts
from tests.kit.openledger.fake_node import FakeNode
from tests.kit.openledger.local_node import LocalNode, Run
from tests.kit.openledger.story import CLASHING, FREE, Story
from tests.kit.simulated_chain import SimulatedChain, SimulatedNode

NAMES = {"oldata": "exam", "olcontrib": "exam#1", "olmodel": "tutor", "olrun": "tutor@1", "olterms": CLASHING.name}
# What else these queries need.
MORE: dict[tuple[str, str], tuple[str, ...]] = {
    ("models", "clean"): ("--model-version", "0", "--datanet-version", "0"),
    ("models", "lineage"): ("--model-version", "0", "--contributions-each", "5"),
    ("models", "impact"): ("--direct-only", "no"),
    ("datanets", "version"): ("--version", "1"),
}


def _named_arguments(args_type: Any) -> dict[str, str]:
    """Field -> kind, of every argument that is one id of something that has names."""
    fields = {field.name: id_prefix(field.name, args_type.__name__) for field in type_info(args_type).fields}
    return {name: kind for name, kind in fields.items() if kind in NAME_KINDS and not name.startswith("after")}


GENERIC = [(module, name) for (module, name), query in all_queries().items() if _named_arguments(query.args_type)]


def _words(module: str, name: str) -> list[str]:
    named = _named_arguments(all_queries()[module, name].args_type)
    if (module, name) == ("models", "impact"):
        named = {"datanet_id": "oldata"}
    if (module, name) == ("models", "verdict"):
        return ["query", module, name, "--entry", json.dumps(_draft()), "--at-seconds", "1"]
    given = [word for field, kind in named.items() for word in (option_of_argument(field), NAMES[kind])]
    return ["query", module, name.replace("_", "-"), *given, *MORE.get((module, name), ())]


def _draft() -> dict[str, Any]:
    """An entry in JSON whose sources are names."""
    share = 10**9
    item = {"datanet_id": "exam", "version": 1, "weight_ppb": share, "rows_used": 1, "rows_used_root": "33" * 32}
    return {
        "kind": "lora",
        "parents": [{"entry_id": "tutor", "role": "base", "share_ppb": share}],
        "inputs": [item],
        "undeclared": "nothing",
        "terms_id": FREE.name,
        "manifest_root": "00" * 32,
        "output": {"artefact_digest": "11" * 32, "tensor_digest": "22" * 32, "byte_count": 3, "format": "gguf"},
        "attribution": {"method": 0, "commitment_root": ""},
    }


@pytest.fixture
def unproven(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths that were asked without proof."""
    asked: list[str] = []
    answer = node._abci_query

    def remember(path: str, data: str, height: str, prove: bool) -> dict[str, Any]:
        if not prove:
            asked.append(path)
        return answer(path, data, height, prove)

    monkeypatch.setattr(node, "_abci_query", remember)
    return asked


@pytest.mark.parametrize(("module", "name"), GENERIC)
def test_every_query_that_takes_an_id_takes_a_name_and_proves_it(
    run: Run, unproven: list[str], module: str, name: str
) -> None:
    code, out, error = run(*_words(module, name), "--output", "json")
    if (module, name) != ("licences", "joined"):
        assert code in (0, ExitCode.NOT_FOUND), error
    assert unproven == []
    if code == 0:
        document = json.loads(out)
        assert document["verified"] is True
        assert [item["name"] for item in document["names"]], out
        for item in document["names"]:
            assert item["id"].split("1")[0] in NAME_KINDS


SHORT_FORMS: tuple[tuple[str, ...], ...] = (
    ("lineage", "tutor"),
    ("impact", "questions@1"),
    ("clean", "tutor@2", "exam"),
    ("verdict", "--input", "questions@1", "--input", "exam@1", "--parent", "tutor", "--terms", FREE.name),
)


@pytest.mark.parametrize("words", SHORT_FORMS)
def test_no_short_form_asks_anything_without_proof(run: Run, unproven: list[str], words: tuple[str, ...]) -> None:
    assert run("query", *words)[0] in (0, ExitCode.REFUSED)
    assert unproven == []


def test_a_draft_from_a_file_may_hold_names(run: Run, unproven: list[str], tmp_path: Path, story: Story) -> None:
    path = tmp_path / "draft.json"
    path.write_text(json.dumps(_draft()))
    code, out, _ = run("query", "verdict", "--draft", str(path))
    assert (code, unproven) == (ExitCode.REFUSED, [])
    assert out.startswith("CONFLICT")
    assert f"the name exam stands for {encode_id('oldata', story.datanets['exam'])}" in out
    assert f"the name tutor stands for {encode_id('olrun', story.entries['second'])}" in out
    assert f"the name {FREE.spdx} stands for {encode_id('olterms', terms_id_of(FREE))}" in out


def _replace_answer(chain: SimulatedChain, question: Any) -> Callable[[dict[str, Any]], None]:
    found = SimulatedNode(chain)._prove(question.path, question.data, 4)
    return lambda answer: answer.update(found)


def test_a_lying_node_cannot_turn_a_conflict_into_compatible(
    run: Run, primary: LocalNode, signed: SimulatedChain, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("query", "verdict", "--input", "questions@1", "--input", "exam@1", "--at", "7")
    assert run(*words)[0] == ExitCode.REFUSED
    data = [(story.datanets["questions"], 1), (story.datanets["reference"], 1)]
    harmless = drafts.entry("x", data=data, kind=EntryKind.LORA)
    held = Name("oldata", "reference")
    data[1] = (held.stand_in(), 1)
    named = drafts.entry("x", data=data, kind=EntryKind.LORA)
    for question in (
        query_question("models", "verdict", VerdictQuery(harmless, 7)),
        query_question("models", "verdict", Named(VerdictQuery(named, 7), (held,))),
    ):
        primary.change_answer = _replace_answer(signed, question)
        code, out, error = run(*words)
        assert (code, out) == (ExitCode.NOT_VERIFIED, "")
        assert error.startswith("error: the state proof leaves out what the question reads")


def test_a_name_that_does_not_exist_is_a_proven_no_with_a_bundle(run: Run, tmp_path: Path) -> None:
    bundle = tmp_path / "no.json"
    code, out, error = run("query", "verdict", "--input", "nothing@1", "--bundle", str(bundle))
    assert (code, out) == (ExitCode.NOT_FOUND, "")
    assert "error: there is no DataNet named 'nothing': see `openledger data list`" in error
    assert "verified: state after block 4" in error
    code, out, _ = run("verify", str(bundle), "--genesis", str(tmp_path / "genesis.json"), "--output", "json")
    document = json.loads(out)
    assert (code, document["answer"]["code"]) == (0, "openledger 22")
    assert document["proven"].startswith("the answer to models/verdict is no: there is no DataNet named 'nothing'")
    assert "nothing (a name that stands for nothing)" in out


def test_a_bare_refusal_has_an_exit_code_of_its_own(run: Run, primary: LocalNode) -> None:
    primary.change_answer = lambda answer: answer.update(code=22, log="there is no model named 'tutor'", value=None)
    for words in (("lineage", "tutor"), ("models", "model", "--name", "tutor"), ("clean", "tutor", "exam")):
        code, out, error = run("query", *words)
        assert (code, out) == (ExitCode.UNPROVEN, "")
        assert error == (
            "error: there is no model named 'tutor' (openledger code 22); this is the node's word, not proven\n"
        )


def test_a_version_that_does_not_exist_is_said_to_not_exist(run: Run) -> None:
    code, out, error = run("query", "clean", "tutor", "exam@9")
    assert (code, out) == (ExitCode.NOT_FOUND, "")
    assert error.startswith("error: DataNet 'exam' has no version 9; its latest is 1 (openledger code 22); verified:")


def test_without_verification_a_no_is_still_the_nodes_word(run: Run) -> None:
    code, _, error = run("query", "models", "model", "--name", "nobody", "--unverified")
    assert code == ExitCode.UNPROVEN
    assert "this is the node's word, not proven" in error


def test_a_name_made_of_hex_digits_is_a_name(run: Run) -> None:
    error = run("query", "datanets", "datanet", "--datanet-id", "beef")[2]
    assert "there is no DataNet named 'beef'" in error


def test_only_transactions_take_a_nodes_word_for_a_name() -> None:
    """A tidy rule: no other file can look a name up without proof, or asks anything without it."""
    root = Path(__file__).parents[3]
    folders = ("openledger", "openledger_cli", "trainer", "attribution")
    sources = {
        str(path.relative_to(root)): path.read_text()
        for folder in folders
        for path in (root / folder).rglob("*.py")
        if "demo" not in path.parts
    }
    taking = {name for name, text in sources.items() if re.search(r"id_on_the_nodes_word\(", text)}
    assert taking == {"openledger/client/names.py", "openledger_cli/signing.py"}
    resolving = {name for name, text in sources.items() if "transaction_resolver(" in text}
    assert resolving == {"openledger_cli/gov/proposing.py", "openledger_cli/signing.py", "openledger_cli/tx.py"}
    # Docstrings of the clients explain the argument; `ClientLedger` shows it in an example.
    unproven = {name for name, text in sources.items() if re.search(r"query\(.*prove=False", text)}
    # The most that a deposit may be, which the sender signs; the chain takes what it is.
    assert unproven == {"openledger/client/names.py", "openledger_cli/gov/proposing.py"}


def test_versions_and_numbers_stand_behind_names_in_every_query(run: Run, unproven: list[str], story: Story) -> None:
    """`garden@2` wherever a DataNet and its version are wanted, `garden#2` for a submission, by proof."""
    for words, said in (
        (("datanets", "version", "--name", "questions@1"), "2"),
        (("datanets", "version", "--datanet-id", "questions@1"), "2"),
        (
            ("datanets", "contribution", "--contribution-id", "questions#2"),
            "the name questions#2 stands for olcontrib1",
        ),
        (("models", "clean", "--model-name", "tutor@2", "--datanet-name", "reference@1"), "present"),
        (("models", "impact", "--name", "reference@1", "--direct-only", "yes"), "tutor"),
        (("models", "lineage", "--model-name", "tutor@1", "--contributions-each", "5"), "tutor"),
        (("models", "entry", "--entry-id", "tutor@1"), "the name tutor@1 stands for olrun1"),
    ):
        code, out, error = run("query", *words)
        assert (code, said in out) == (0, True), error
    assert unproven == []
    code, _, error = run("query", "datanets", "version", "--name", "questions@1", "--version", "2")
    assert (code, "contradict each other" in error) == (ExitCode.USAGE, True)
    code, _, error = run("query", "datanets", "contribution", "--contribution-id", "questions")
    assert (code, "write DATANET#NUMBER" in error) == (ExitCode.USAGE, True)
