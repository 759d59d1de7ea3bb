"""`openledger data show | list | diff | review | export | prove`: what people read, and what programs do."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest

from abci_app.modules.datanets.records import Reason, RevokeContribution
from openledger.content.tombstone import Erased, Tombstone
from openledger.data.written import read_written
from openledger.exit_codes import ExitCode
from openledger.light.attachments import Attachment
from openledger.light.bundle import make_bundle, parse_bundle
from openledger_cli.lines import row_lines
from tests.kit.modules.ledger import CARL
from tests.kit.openledger.garden import ROWS, Garden
from tests.kit.openledger.local_node import Run
from tests.kit.simulated_chain import SimulatedChain


def lines_with(text: str, word: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if word in line]


def test_a_version_is_shown_with_who_brought_what_under_which_terms(run: Run) -> None:
    code, out, err = run("data", "show", "garden@2")
    assert code == ExitCode.OK
    assert out.startswith("garden@2: 7 rows, 792 bytes, 3 contributions (second)\n")
    assert len(lines_with(out, "accepted")) == 3
    assert "terms joined: CC-BY-4.0" in out
    assert "verified: state after block" in err
    assert "next: openledger data export garden@2 --to FILE" in err


def test_a_datanet_is_shown_with_what_waits_and_says_the_next_step(run: Run) -> None:
    code, out, err = run("data", "show", "garden")
    assert (code, lines_with(out, "version ")) == (
        ExitCode.OK,
        [line for line in lines_with(out, "version ") if line.startswith(("version 1: 5 rows", "version 2: 7 rows"))],
    )
    assert len(lines_with(out, "waits")) == 1
    assert "next: openledger data review garden" in err
    code, out, _ = run("data", "show", "garden#4", "--output", "json")
    (only,) = json.loads(out)["submissions"]
    assert (only["submission"], only["rows"], only["form"], only["status"]) == ("garden#4", 2, "text", "waits")


def test_all_datanets_are_listed(run: Run) -> None:
    code, out, _ = run("data", "list", "--output", "json")
    document = json.loads(out)
    assert (code, document["verified"]) == (ExitCode.OK, True)
    assert [(each["datanet"], each["versions"], each["rows"]) for each in document["datanets"]] == [("garden", 2, 7)]


def test_two_versions_are_compared_by_contributions(run: Run) -> None:
    code, out, _ = run("data", "diff", "garden@1", "garden@2")
    assert (code, out.splitlines()[0], out.splitlines()[-1]) == (
        ExitCode.OK,
        "garden@1 to garden@2: 5 to 7 rows (+2)",
        "2 contributions in both",
    )
    assert [line[:24] for line in lines_with(out, "+ ")] == ["+ garden#3 2 rows, 165 b"]
    code, out, _ = run("data", "diff", "garden@2", "garden@1", "--output", "json")
    assert [each["submission"] for each in json.loads(out)["removed"]] == ["garden#3"]
    code, _, err = run("data", "diff", "garden", "garden@2")
    assert (code, "name two versions" in err) == (ExitCode.USAGE, True)


def test_a_reviewer_sees_rows_copies_and_what_looks_like_personal_data(run: Run) -> None:
    code, out, err = run("data", "review", "garden", "--show", "1")
    assert code == ExitCode.OK
    assert "exact copies 1: row 1 is garden#3 row 1" in out
    assert "text: WATER THE ROSES IN THE MORNING" in out
    # Nobody is proposed to accept unseen what was found to be a copy.
    assert "next: openledger data review garden#4 --show 20     (exact copies: look, then decide it by itself)" in err
    assert "--accept" not in err
    code, out, err = run("data", "review", "garden#4")
    assert "next: openledger data review garden --reject 4 --reason plagiarism --from KEY     (exact copies)" in err
    assert "openledger data review garden --accept 4 --from KEY     (if that may be there)" in err
    code, out, _ = run("data", "review", "garden", "--output", "json")
    (waiting,) = json.loads(out)["waiting"]
    assert waiting["exact_copies"] == [{"row": 1, "like": "garden#3 row 1"}]
    assert [json.loads(row) for row in waiting["first_rows"]] == ROWS[3]
    assert waiting["findings"] == ["exact copies"]
    code, out, _ = run("data", "review", "garden", "--quick", "--output", "json")
    assert json.loads(out)["waiting"][0]["not_compared"] == ["compared by sketches alone (--quick)"]


def test_rows_that_cannot_be_seen_are_said_to_be_so(run: Run, garden: Garden) -> None:
    Path(garden.store.path_of(garden.batches[3].commitment().content_digest)).unlink()
    code, out, err = run("data", "review", "garden")
    assert code == ExitCode.OK
    assert f"not seen: the rows of garden#4 are not in the content store {garden.store.place}: name one that" in out
    assert "next: openledger data review garden#4 --content URL     (its rows cannot be seen here)" in err
    for words in (("export", "garden@2", "--to", "out.csv"), ("prove", "garden@1", "--row", "4")):
        digest = garden.batches[1].commitment().content_digest
        Path(garden.store.path_of(digest)).unlink(missing_ok=True)
        code, _, err = run("data", *words)
        assert (code, "the rows of garden#2 are not in the content store" in err) == (ExitCode.NOT_FOUND, True)
        assert digest.hex() not in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--accept", "4"), "who decides? add --from KEY"),
        (("--reject", "4"), "--reject and --reason go together"),
        (("--accept", "x", "--from", "me"), "give numbers of submissions such as 2 or 1-3,7"),
        (("--accept", "3-1", "--from", "me"), "give numbers of submissions"),
        (("--accept", "4", "--reject", "4", "--reason", "spam", "--from", "me"), "both name 4"),
        (("--show", "-1"), "--show is 0 or more"),
    ],
)
def test_mistakes_of_a_reviewer_are_said_before_anything_is_sent(run: Run, words: tuple[str, ...], said: str) -> None:
    code, _, err = run("data", "review", "garden", *words)
    assert (code, said in err, err.count("\n")) == (ExitCode.USAGE, True, 1)


def test_an_export_is_noted_so_that_an_erasure_knows_of_it(run: Run, garden: Garden, tmp_path: Path) -> None:
    code, out, err = run("data", "export", "garden@1", "--to", "out.jsonl")
    assert (code, out) == (ExitCode.OK, "out.jsonl: 5 rows of garden@1, each checked against the chain\n")
    assert "next: openledger data prove garden@1 --row 1" in err
    code, out, _ = run("data", "export", "garden@2", "--to", "out.csv")
    assert (code, len(out.splitlines())) == (ExitCode.OK, 2)
    assert out.splitlines()[1].startswith(
        "  not held as it was: a list or an object, which stands as JSON text: 'messages'; "
    )
    (noted,) = [each for each in read_written(tmp_path / "home") if each.path.endswith("out.jsonl")]
    assert (noted.path, noted.what, noted.holds) == (
        str(tmp_path / "desk" / "out.jsonl"),
        "export of garden@1",
        tuple(garden.contributions[:2]),
    )
    code, _, err = run("data", "export", "garden@1", "--to", "out.jsonl")
    assert (code, "is there already" in err) == (ExitCode.USAGE, True)
    code, out, _ = run("data", "export", "garden@2", "--to", "out.csv", "--overwrite", "--output", "json")
    assert (json.loads(out)["rows"], len(json.loads(out)["changed_by_form"])) == (7, 5)


def test_an_export_without_erased_rows_says_which_are_left_out(run: Run, garden: Garden) -> None:
    digest = garden.batches[1].commitment().content_digest
    garden.store.erase("sha256", digest, Tombstone(Erased.ROWS, "garden#2", b"\1" * 32, "other", 0))
    code, _, err = run("data", "export", "garden@1", "--to", "out.jsonl")
    assert (code, "the rows of garden#2 were erased from this content store on 1970-01-01" in err) == (
        ExitCode.NOT_FOUND,
        True,
    )
    assert not Path("out.jsonl").exists()
    code, out, _ = run("data", "export", "garden@1", "--to", "out.jsonl", "--without-erased")
    assert (code, out.splitlines()[0]) == (
        ExitCode.OK,
        "out.jsonl: 3 rows of garden@1, each checked against the chain",
    )
    assert "left out: garden#2, rows 4 to 5: erased on 1970-01-01 (other)\n" in out


@pytest.mark.parametrize(
    "words",
    [("show", "gardn"), ("show", "gardn@1"), ("review", "Garden"), ("export", "garden1@2", "--to", "x.csv")],
    ids=["datanet", "version", "review", "export"],
)
def test_a_misspelled_datanet_is_told_with_those_spelled_nearly_so(run: Run, words: tuple[str, ...]) -> None:
    code, _, err = run("data", *words)
    assert (code, "; did you mean garden?" in err) == (ExitCode.NOT_FOUND, True)
    code, _, err = run("data", "show", "garden@9")
    assert (code, "did you mean" in err) == (ExitCode.NOT_FOUND, False)


# --- Proofs of rows


def test_a_row_is_proven_by_a_file_that_needs_no_network(run: Run, tmp_path: Path, garden: Garden) -> None:
    code, out, err = run("data", "prove", "garden@1", "--row", "4")
    assert (code, out[:45]) == (ExitCode.OK, "row 4 of garden@1: row 1 of garden#2 by open1")
    assert "next: openledger verify garden-1-row-4.bundle.json" in err
    garden.store.remove(garden.store.path_of(garden.batches[1].commitment().content_digest))
    genesis = str(tmp_path / "genesis.json")
    code, out, _ = run("verify", "garden-1-row-4.bundle.json", "--genesis", genesis, "--output", "json")
    document = json.loads(out)
    assert (code, [json.loads(row) for row in document["rows"]]) == (ExitCode.OK, [ROWS[1][0]])
    assert document["proven"].startswith("row 1 of the 2 in garden#2, contributed by open1")
    assert document["proven"].endswith(", is in version 1 of garden")
    assert read_written(tmp_path / "home")[0].what == "proof of row 4 of garden@1"
    code, out, err = run("verify", "garden-1-row-4.bundle.json", "--genesis", genesis)
    lines = out.splitlines()
    assert "next: openledger data show garden@1    what the chain says now" in err
    assert (code, [line.split()[0] for line in lines[:-1]]) == (
        ExitCode.OK,
        ["outcome", "proven", "chain", "height", "header", "header_time", "age_seconds", "anchor", "path"],
    )
    assert lines[-1] == (
        'row          {"prompt":"Which soil suits plant number 0 best of all?","completion":"Sandy, with compost."}'
    )
    code, _, err = run("data", "prove", "garden@1", "--row", "4")
    assert (code, "is there already" in err) == (ExitCode.USAGE, True)


def test_a_proof_of_a_row_says_that_its_contribution_was_revoked_since(
    run: Run, signed: SimulatedChain, tmp_path: Path, garden: Garden
) -> None:
    """Membership in the version stays true; that nobody may train on it any more is proven by the same answer."""
    garden.ledger.accept(CARL, RevokeContribution(garden.contributions[1], Reason.PERSONAL_DATA))
    signed.make_block(list(garden.ledger.chain.state().items()))
    signed.make_blocks(2)
    code, _, err = run("data", "prove", "garden@1", "--row", "4", "--bundle", "row.json")
    assert (code, "garden#2 was REVOKED since (personal data)" in err) == (ExitCode.OK, True)
    code, out, _ = run("verify", "row.json", "--genesis", str(tmp_path / "genesis.json"), "--output", "json")
    assert json.loads(out)["proven"].endswith(
        ", is in version 1 of garden, and was REVOKED since (personal data): no new training with it"
    )


@pytest.mark.parametrize("row", ["0", "6", "-1"])
def test_a_row_that_a_version_has_not_is_not_found(run: Run, row: str) -> None:
    code, _, err = run("data", "prove", "garden@1", "--row", row)
    assert (code, f"garden@1 has rows 1 to 5, no row {row}" in err) == (ExitCode.NOT_FOUND, True)


def test_a_changed_row_or_one_of_another_contribution_is_no_proof(run: Run, tmp_path: Path) -> None:
    run("data", "prove", "garden@1", "--row", "4", "--bundle", "row.json")
    run("data", "prove", "garden@1", "--row", "1", "--bundle", "other.json")
    bundle, other = (parse_bundle(Path(name).read_bytes()) for name in ("row.json", "other.json"))
    (attached,) = bundle.attachments
    changed = attached.data.replace(b"Sandy", b"Loamy")
    for data in (changed, other.attachments[0].data, attached.data[:-1], b""):
        forged = replace(bundle, attachments=(Attachment("row 4 of garden@1", data, "row"),))
        Path("forged.json").write_bytes(make_bundle(forged))
        code, _, err = run("verify", "forged.json", "--genesis", str(tmp_path / "genesis.json"))
        assert (code, "attachment 'row 4 of garden@1': the" in err) == (ExitCode.NOT_VERIFIED, True)
    twice = replace(bundle, attachments=(attached, Attachment("again", attached.data, "row")))
    Path("twice.json").write_bytes(make_bundle(twice))
    code, _, err = run("verify", "twice.json", "--genesis", str(tmp_path / "genesis.json"))
    assert (code, "twice" in err) == (ExitCode.NOT_VERIFIED, True)


def test_a_bundle_of_a_row_tells_nothing_of_the_other_rows(run: Run, garden: Garden) -> None:
    run("data", "prove", "garden@1", "--row", "1", "--bundle", "row.json")
    raw = json.loads(Path("row.json").read_bytes())
    (attached,) = raw["attachments"]
    data = base64.b64decode(attached["data"])
    for index, (row, salt) in enumerate(zip(garden.batches[0].rows, garden.batches[0].salts, strict=True)):
        assert (row in data, salt in data) == (index == 0, index == 0)


def test_a_row_of_thousands_of_fields_is_shown_in_a_few_lines() -> None:
    row = json.dumps({**{f"field {number}": number for number in range(5_000)}, "x" * 10_000: "y"})
    lines = row_lines(row)
    assert (len(lines), lines[0], lines[-1]) == (25, "field 0: 0", "… and 4,977 more fields")
    (line,) = row_lines(json.dumps({"n" * 10_000: "v" * 10_000}))
    assert len(line) < 800
