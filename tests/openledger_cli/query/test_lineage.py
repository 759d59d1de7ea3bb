"""`openledger query lineage | impact | clean | verdict`, verified on a chain of simulated validators."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from abci_app.bech32 import encode_id
from abci_app.modules.licences import terms_id_of
from abci_app.modules.models.lineage import LineageQuery
from openledger.data.manifest import Manifest
from openledger.data.ownership import owner_parts
from openledger.exit_codes import ExitCode
from openledger.keys.wallet import Wallet
from openledger_cli.lines import render
from openledger_cli.query.lineage import bundle_paths
from openledger_cli.query.lineage_tree import Shown, lineage_tree
from tests.kit.modules.ledger import ALICE, BOB, CARL
from tests.kit.openledger.local_node import LocalNode, Run
from tests.kit.openledger.story import CLASHING, FREE, Story


def _json(result: tuple[int, str, str]) -> Any:
    assert result[0] == 0, result
    return json.loads(result[1])


# --- Lineage


def test_a_lineage_is_a_tree_that_people_can_read(run: Run, story: Story) -> None:
    code, out, error = run("query", "lineage", "tutor")
    assert code == 0
    lines = [line.lstrip("│├└─ ") for line in out.splitlines()]
    entry = {name: encode_id("olrun", entry_id) for name, entry_id in story.entries.items()}
    for line in (
        f"tutor version 2, lora, {entry['second']}",
        f"made from, as adapter (50%): tutor version 1, lora, {entry['first']}",
        f"made from, as base (50%): base version 1, base model, import, {entry['base']}",
        f"made from, as base (100%): base version 1, base model, import, {entry['base']}, shown above",
        "run: 2023-11-14T19:26:40Z to 2023-11-14T21:56:40Z, on one H100, accuracy 812,000",
        "licence check when recorded: compatible (conservative policy)",
        "use: any; duties: attribution, share alike, notice",
        "trained on questions version 1, 50% of the mix, 3 rows used",
        "filter: keep rows whose completion has at least 40 characters (20 left)",
        "split: 10 % held out by hash of the text under 'held-out' (2 held out, 18 for training)",
        "reference version 1: 21 rows, 600 bytes, 2 contributions",
        "UNKNOWN BELOW: it came from outside, and what it was made from is not on this chain",
        "UNKNOWN BELOW: this speaks of declared sources, and there are some that are not on this chain",
        "complete: 3 entries, 2 DataNet versions, 4 contributions by 4 contributors, 2 terms records",
    ):
        assert line in lines, out
    assert "11 rows from open1" in out
    assert "reproduced: bit exact, by open1" in out
    assert "accuracy 812 ± 15 over 40 rows" in out
    how, step = [line for line in error.splitlines() if line]
    assert step == "next: openledger model may tutor --sell"
    assert how.startswith("verified: state after block 4 of dev-simulated, header 5 of 2026-09-21T14:13:24Z signed by")
    assert "trusted from genesis document" in how


def test_as_json_it_is_the_whole_answer_with_the_manifests_in_words(run: Run, story: Story) -> None:
    document = _json(run("query", "lineage", "tutor@1", "--output", "json"))
    assert (document["complete"], document["verified"], document["height"]) == (True, True, 4)
    ids = [item["entry_id"] for item in document["result"]["entries"]]
    assert ids == [encode_id("olrun", story.entries[name]) for name in ("first", "base")]
    words = document["manifests"][story.manifests["first"].root.hex()]
    assert "  filter: keep rows whose completion has at least 40 characters (20 left)" in words


def test_an_entry_can_be_named_by_its_id(run: Run, story: Story) -> None:
    name = encode_id("olrun", story.entries["draft"])
    for words in ([name], ["--entry", name], [story.entries["draft"].hex()]):
        out = run("query", "lineage", *words)[1]
        superseded = encode_id("olrun", story.entries["second"])
        assert out.startswith(f"lora, {name}, SUPERSEDED by {superseded}\n")


def test_whose_an_entry_is_stands_there_where_its_manifest_does_not_name_its_recorder(story: Story) -> None:
    page = story.ledger.ask("models", "lineage", LineageQuery(story.entries["draft"], "", 0, (), 9, 9))
    root = page.entries[0].stored.entry.manifest_root
    alice, bob = encode_id("open", ALICE.address), encode_id("open", BOB.address)

    def owners(manifest: Manifest) -> list[str]:
        lines = render(lineage_tree(Shown(page=page, manifests={root: manifest}, people={})))
        return [line.lstrip("│├└─ ") for line in lines if "owner" in line or "owned by" in line]

    assert owners(Manifest({"about": b"{}", **owner_parts(ALICE.address)})) == []
    assert owners(Manifest({"about": b"{}"})) == [
        f"owned by {alice}, who recorded it first: its manifest names no owner, so that nobody else can claim it"
    ]
    assert owners(Manifest({"about": b"{}", **owner_parts(BOB.address)})) == [
        f"its manifest names {bob} as its owner, who has not claimed it"
    ]


def test_a_manifest_that_is_missing_or_false_is_said_so(run: Run, story: Story, tmp_path: Path) -> None:
    root = story.manifests["first"].root.hex()
    path = tmp_path / "content" / "manifest" / root
    path.write_bytes(story.manifests["second"].encode())
    out = run("query", "lineage", "tutor")[1]
    assert f"not shown: content {root} at {path} has been changed" in out
    path.unlink()
    out = run("query", "lineage", "tutor")[1]
    assert "not shown: the manifest of" in out
    assert f"/{root}); point OPENLEDGER_CONTENT or --content" in out
    assert "filter: keep rows" in out


def test_the_names_of_ones_own_keys_are_shown(run: Run, tmp_path: Path) -> None:
    info = Wallet.open(tmp_path / "home", "test", "dev-simulated").import_seed("me", hashlib.sha256(b"bob").digest())
    out = run("--keys", "test", "--chain-id", "dev-simulated", "query", "lineage", "tutor")[1]
    assert f"10 rows from {info.address} (key me), CC BY 4.0" in out


def test_an_unverified_lineage_says_so_twice(run: Run) -> None:
    _, out, error = run("query", "lineage", "tutor", "--unverified")
    assert "complete if the node is honest: 3 entries" in out
    assert error.startswith("\nNOT VERIFIED: the node's word, not verified\nnext: ")


def test_a_lying_node_is_found_out(run: Run, primary: LocalNode) -> None:
    def credit_somebody_else(answer: dict[str, Any]) -> None:
        assert BOB.address in answer["value"]
        answer["value"] = answer["value"].replace(BOB.address, CARL.address)

    primary.change_answer = credit_somebody_else
    code, out, error = run("query", "lineage", "tutor")
    assert (code, out) == (ExitCode.NOT_VERIFIED, "")
    assert error.startswith("error: the state proof does not hold")


def test_a_node_that_hides_blocks_is_stale_unless_that_is_allowed(run: Run, primary: LocalNode) -> None:
    assert run("query", "lineage", "tutor")[0] == 0
    primary.newest = 2
    code, out, error = run("query", "lineage", "tutor")
    assert (code, out) == (ExitCode.NOT_VERIFIED, "")
    assert error == (
        f"error: {primary.url} answered for height 1, but height 5 is verified: it lags or hides "
        "blocks; ask another node, or pass --allow-stale\n"
    )
    code, _, error = run("query", "lineage", "tutor", "--allow-stale")
    assert (code, ", STALE: height 5 is verified already\n" in error) == (0, True)


def test_a_bundle_is_written_and_says_what_it_proves(run: Run, story: Story, tmp_path: Path) -> None:
    bundle = tmp_path / "lineage.json"
    assert run("query", "lineage", "tutor", "--bundle", str(bundle))[0] == 0
    code, out, error = run("verify", str(bundle), "--genesis", str(tmp_path / "genesis.json"))
    assert (code, error) == (0, "next: openledger query lineage tutor@2    what the chain says now\n")
    assert ("the manifest of tutor@2" in out, "the manifest of tutor@1" in out) == (True, True)
    assert "the complete lineage of " + encode_id("olrun", story.entries["second"]) in out
    assert "tutor version 2, lora" in out
    document = _json(run("verify", str(bundle), "--genesis", str(tmp_path / "genesis.json"), "--output", "json"))
    assert document["proven"].startswith("the complete lineage of olrun1")


def test_only_all_pages_together_are_called_complete(
    run: Run, story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds = SimpleNamespace(MAX_PAGE=1, MAX_CONTRIBUTIONS_EACH=1)
    monkeypatch.setattr("openledger.client.provenance.models_lineage", bounds)
    whole = run("query", "lineage", "tutor", "--bundle", str(tmp_path / "a.json"))
    assert "complete: 3 entries" in whole[1]
    assert "(from 5 pages)" in whole[1]
    pages = [str(tmp_path / name) for name in ("a.json", "a.2.json", "a.3.json", "a.4.json", "a.5.json")]
    anchor = ("--genesis", str(tmp_path / "genesis.json"))
    entry = encode_id("olrun", story.entries["second"])
    part = f"a part of the lineage of {entry}"
    sentences = {
        (0, 1, 2, 3, 4): f"the complete lineage of {entry}: 3 entries",
        (0, 1, 2): f"{part}: all 3 entries; 2 contributions to 2 DataNet versions are not listed here",
        (0, 1, 2, 3): f"{part}: all 3 entries; 1 contribution to 1 DataNet version are not listed here",
        (0, 1, 2, 4): f"{part}: the pages do not follow on each other",
        (0, 1, 2, 3, 4, 4): f"{part}: the pages do not follow on each other",
        (0, 1, 2, 4, 3): f"{part}: the pages do not follow on each other",
        (0, 0): f"{part}: the pages do not follow on each other",
        (1, 0): "a part of the lineage of an entry named on an earlier page: the first page is missing; verify it "
        "together with that, in order",
        (3, 4): "2 answers, each for itself",
        (0, 1, 2, 4, 4): f"a part of the lineage of {entry}: the pages do not follow on each other",
        (0,): f"a part of the lineage of {entry}: 1 entry; 2 more wait on further pages",
        (0, 2): f"a part of the lineage of {entry}: the pages do not follow on each other",
        (1, 2): "a part of the lineage of an entry named on an earlier page: the first page is missing; verify it "
        "together with that, in order",
    }
    for chosen, sentence in sentences.items():
        document = _json(run("verify", *[pages[number] for number in chosen], *anchor, "--output", "json"))
        assert document["proven"] == sentence
    step = f"next: openledger verify {pages[0]} ...    with the other pages of the answer, in order\n"
    assert run("verify", pages[0], *anchor)[2] == step
    out = run("verify", *pages, *anchor)[1]
    assert f"tutor version 2, lora, {entry}" in out
    assert "filter: keep rows" in out
    assert out.count(" rows from open1") == 4
    assert run("verify", *pages[:3], *anchor)[1].count("1 of 2 contributions are not listed here") == 2
    for chosen in ((0, 2), (1, 2), (0, 1, 2, 4)):
        # Pages that make no one statement make no one tree.
        assert "└── " not in run("verify", *[pages[number] for number in chosen], *anchor)[1]


def test_all_pages_of_an_impact(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openledger.client.provenance.models_impact", SimpleNamespace(MAX_PAGE=2))
    assert run("query", "impact", "reference@1", "--bundle", str(tmp_path / "i.json"))[0] == 0
    pages = [str(tmp_path / name) for name in ("i.json", "i.2.json")]
    what = "what was made from DataNet reference, version 1"
    sentences = {
        (0, 1): f"all of {what}: 3 entries",
        (0,): f"a part of {what}: 2 entries; more wait on further pages",
        (1,): f"a part of {what}: the first page is missing; verify it together with that, in order",
    }
    for chosen, sentence in sentences.items():
        words = ("--genesis", str(tmp_path / "genesis.json"), "--output", "json")
        assert _json(run("verify", *[pages[number] for number in chosen], *words))["proven"] == sentence
    step = run("verify", *pages, "--genesis", str(tmp_path / "genesis.json"))[2]
    assert step == "next: openledger query impact reference@1    what the chain says now\n"


def test_another_question_is_said_plainly(run: Run, tmp_path: Path) -> None:
    bundle = str(tmp_path / "model.json")
    assert run("query", "models", "model", "--name", "tutor", "--bundle", bundle)[0] == 0
    document = _json(run("verify", bundle, "--genesis", str(tmp_path / "genesis.json"), "--output", "json"))
    assert document["proven"] == "the answer to models/model: run again on proven state"
    assert document["question"] == {"query": "models/model", "model_id": "", "name": "tutor"}


# --- Impact


def test_what_was_made_from_a_version(run: Run, story: Story) -> None:
    code, out, error = run("query", "impact", "questions", "--version", "1")
    assert (code, "verified: state after block 4" in error) == (0, True)
    lines = [line.lstrip("│├└─ ") for line in out.splitlines()]
    assert lines[0].startswith("made from questions, version 1, oldata1")
    assert "tutor version 1, lora, trained on it" in lines
    assert "tutor version 2, lora, through a parent" in lines
    assert lines[-1] == "complete: 2 entries: 1 trained on it, 1 through a parent"
    assert error.endswith("next: openledger query lineage tutor@1\n")
    only = run("query", "impact", "questions", "--direct")[1]
    assert "through a parent" not in only
    assert "complete: 1 entry trained on it (what stands on those was not asked for)" in only
    document = _json(run("query", "impact", "questions@1", "--output", "json"))
    assert [item["entry_id"] for item in document["result"]["entries"]] == [
        encode_id("olrun", story.entries[name]) for name in ("first", "second")
    ]
    assert document["complete"] is True


def test_nothing_was_made_from_it(run: Run) -> None:
    _, out, error = run("query", "impact", "exam")
    assert error.endswith("next: openledger data show exam\n")
    assert "nothing" in out
    assert "complete: 0 entries" in out


# --- Clean


@pytest.mark.parametrize(
    ("model", "datanet", "first", "second"),
    [
        (
            "tutor",
            "questions",
            "PRESENT: questions is among the declared inputs",
            "version 1, 50% of the mix of olrun1",
        ),
        ("tutor", "exam@1", "NOT DECLARED, UNKNOWN BELOW: exam version 1 is not", "olrun1"),
    ],
)
def test_whether_a_datanet_is_in_a_model(
    run: Run, story: Story, model: str, datanet: str, first: str, second: str
) -> None:
    code, out, error = run("query", "clean", model, datanet)
    assert (code, "verified: state" in error) == (0, True)
    lines = [line.lstrip("│├└─ ") for line in out.splitlines()]
    assert lines[0].startswith(first)
    assert lines[1].startswith(second)
    name = datanet.partition("@")[0]
    assert f"the DataNet {name} is {encode_id('oldata', story.datanets[name])}" in lines
    assert any(
        line.startswith(f"looked at all of {model}, {encode_id('olrun', story.entries['second'])}") for line in lines
    )
    assert lines[-1].startswith("this speaks of declared DataNet versions, not of content")


# --- Verdict


def test_a_mix_that_fits_and_one_that_clashes(run: Run, story: Story) -> None:
    code, out, _ = run("query", "verdict", "--input", "reference@1", "--input", "questions@1", "--parent", "tutor@1")
    assert (code, out.splitlines()[0]) == (0, "COMPATIBLE under the chain's conservative policy")
    assert "must be passed on under: CC-BY-SA-4.0" in out
    code, out, error = run("query", "verdict", "--input", "questions@1", "--input", "exam@1")
    assert (code, out.splitlines()[0]) == (ExitCode.REFUSED, "CONFLICT under the chain's conservative policy")
    assert "questions" in out
    assert "exam" in out
    assert "verified: state" in error
    code, out, _ = run("query", "verdict", "--kind", "import", "--terms", FREE.name)
    assert code == 0


def test_a_licence_that_nobody_has_registered_is_judged_by_the_table(run: Run, story: Story) -> None:
    code, out, error = run("query", "verdict", "--input", "questions@1", "--parent", "tutor@1", "--terms", "mit")
    assert (code, out.splitlines()[0]) == (0, "COMPATIBLE under the chain's conservative policy")
    assert "MIT is not registered here yet: judged by what the table of licences says of it" in out
    assert "MIT" in out.partition("terms joined: ")[2].splitlines()[0]
    assert "verified: state" in error
    code, out, _ = run(
        "query", "verdict", "--input", "questions@1", "--terms", "CC-BY-NC-SA-4.0", "--undeclared", "inputs"
    )
    assert (code, out.splitlines()[0]) == (ExitCode.REFUSED, "CONFLICT under the chain's conservative policy")
    code, out, _ = run("query", "verdict", "--kind", "import", "--terms", "gpl-3.0-only", "--output", "json")
    found = json.loads(out)
    assert (code, found["result"]["outcome"], found["verified"]) == (0, "compatible", True)
    assert found["note"].startswith("GPL-3.0-only is not registered here yet")
    code, _, error = run("query", "verdict", "--kind", "import", "--terms", "mit", "--bundle", "b.json")
    assert (code, "`openledger terms add MIT --from KEY` registers it" in error) == (ExitCode.USAGE, True)
    code, _, error = run("query", "verdict", "--kind", "import", "--terms", "mitt")
    assert (code, "did you mean MIT?" in error) == (ExitCode.NOT_FOUND, True)


def test_a_draft_from_a_file(run: Run, story: Story, tmp_path: Path) -> None:
    draft = {
        "kind": "import",
        "parents": [],
        "inputs": [],
        "undeclared": "nothing",
        "terms_id": encode_id("olterms", terms_id_of(CLASHING)),
        "manifest_root": "00" * 32,
        "output": {"artefact_digest": "11" * 32, "tensor_digest": "22" * 32, "byte_count": 3, "format": "gguf"},
        "attribution": {"method": 0, "commitment_root": ""},
    }
    path = tmp_path / "entry.json"
    path.write_text(json.dumps(draft))
    out = run("query", "verdict", "--draft", str(path))[1]
    assert "use: non commercial; duties: attribution, share alike" in out


# --- Mistakes: one line, what to do, a stable code


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("lineage", "nobody"), ExitCode.NOT_FOUND, "there is no model named 'nobody': see `openledger query models"),
        (("lineage", "tutor", "--version", "9"), ExitCode.NOT_FOUND, "has no version 9; its latest is 2"),
        (("lineage",), ExitCode.USAGE, "name a model or an entry"),
        (("lineage", "--entry", "tutor"), ExitCode.USAGE, "give olrun1... or 64 hex digits"),
        (("lineage", "olrun1qq"), ExitCode.USAGE, "'olrun1qq'"),
        (("lineage", "tutor@x"), ExitCode.USAGE, "write NAME or NAME@VERSION"),
        (("impact", "nothing"), ExitCode.NOT_FOUND, "there is no DataNet named 'nothing'"),
        (("clean", "tutor", "nothing"), ExitCode.NOT_FOUND, "there is no DataNet named 'nothing'"),
        (("verdict",), ExitCode.USAGE, "name what is mixed with --input and --parent"),
        (("verdict", "--input", "questions"), ExitCode.USAGE, "write DATANET@VERSION"),
        (("verdict", "--input", "nothing@1"), ExitCode.NOT_FOUND, "there is no DataNet named 'nothing'"),
        (("verdict", "--draft", "no.json"), ExitCode.USAGE, "draft 'no.json' cannot be read"),
        (
            ("lineage", "tutor", "--bundle", "b.json", "--unverified"),
            ExitCode.USAGE,
            "--bundle needs a verified answer",
        ),
    ],
)
def test_a_mistake_is_one_line_and_a_code(run: Run, words: tuple[str, ...], code: int, text: str) -> None:
    found, out, error = run("query", *words)
    assert (found, out) == (code, "")
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert text in error


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("query", "lineage", "tutr"), "tutor"),
        (("model", "show", "Tutor@2"), "tutor"),
        (("query", "lineage", "tutr", "--unverified"), "tutor"),
        (("query", "impact", "question"), "questions"),
        (("query", "verdict", "--input", "refrence@1"), "reference"),
        (("query", "verdict", "--kind", "import", "--terms", "CC BYNCSA 4.0"), "CC-BY-NC-SA-4.0 or"),
    ],
)
def test_who_mistypes_a_name_hears_which_ones_there_are(run: Run, words: tuple[str, ...], meant: str) -> None:
    code, out, error = run(*words)
    assert (code, out) == (ExitCode.UNPROVEN if "--unverified" in words else ExitCode.NOT_FOUND, "")
    assert f"; did you mean {meant}" in error
    assert "?; " in error
    assert error.count("\n") == 1


def test_a_name_that_is_like_none_gets_no_advice(run: Run) -> None:
    assert "did you mean" not in run("query", "lineage", "zebra")[2]


def test_several_pages_become_several_bundles(tmp_path: Path) -> None:
    assert bundle_paths(tmp_path / "a.json", 3) == [tmp_path / name for name in ("a.json", "a.2.json", "a.3.json")]
