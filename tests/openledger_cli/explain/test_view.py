"""The view of an explanation that people see, and the one that programs get."""

from dataclasses import replace

import msgspec
import pytest

from abci_app.bech32 import encode_id
from attribution.explanation.document import Explanation, MatchLine, SpanLine, SpanPart, TextPart
from openledger_cli.explain.view import View
from openledger_cli.output import Printer
from tests.attribution.explanation.test_copies import (
    ADA,
    BOB,
    ENTRY,
    EVE,
    explained,
    honest,
    inputs_of,
    query_near,
    with_eve,
)

WIDEST_COLUMNS = 100


def test_whose_rows_are_copies_is_said_once_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    index = with_eve(1)
    view = View(explained(inputs_of(index, query_near(index, 0, 2))), {BOB: "bob", EVE: "eve"}, (), ())
    sentence = "eve: 5 of 5 rows are like rows that were registered before: not credited"
    assert view.copies() == [sentence]
    view.print(Printer(as_json=False))
    assert capsys.readouterr().out.count(sentence) == 1
    assert view.page(["checked"]).remarks[-1] == sentence


def test_nothing_is_said_where_nobody_copied() -> None:
    index = honest(1)
    assert View(explained(inputs_of(index, query_near(index, 0, 2))), {}, (), ()).copies() == []


def quoting(text: bytes) -> Explanation:
    """An output of one token a byte, whose third and fourth stand in Bob's training text."""
    document = explained(inputs_of(honest(1), query_near(honest(1), 0, 2)))
    match = MatchLine(0, 0, BOB.hex(), b"c".hex() * 32, b"r".hex() * 32, BOB.hex())
    other = msgspec.structs.replace(match, document=1, owner=ADA.hex(), credited=ADA.hex())
    spans = SpanPart("0" * 64, (SpanLine(2, 4, 1, 2, 1, (match, other)),), (), 2, len(text), "")
    layer = msgspec.structs.replace(document.layers[0], spans=spans)
    output = TextPart(text.decode(), tuple(text))
    return msgspec.structs.replace(document, layers=(layer,), output=output)


def pieces_of(document: Explanation) -> list[tuple[str, str, str]]:
    return View(document, {BOB: "bob"}, (), ())._pieces(lambda ids: bytes(ids).decode(errors="replace"))


def test_pieces_are_the_whole_output_also_where_a_span_cuts_a_character() -> None:
    contribution = encode_id("olcontrib", b"c" * 32)[:20]
    note = f"2 occurrences, contribution {contribution}…, also credited: {encode_id('open', ADA)[:20]}…"
    assert pieces_of(quoting(b"say no")) == [("sa", "", ""), ("y ", "bob", note), ("no", "", "")]
    assert pieces_of(quoting("säße".encode())) == [("s", "", ""), ("ä", "bob", note), ("ße", "", "")]


def test_texts_of_a_document_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    document = explained(inputs_of(honest(1), query_near(honest(1), 0, 2)))
    hostile = TextPart("\x1b[2Jclean", (1,))
    View(msgspec.structs.replace(document, model="\x1b[2Jm", prompt=hostile, output=hostile), {}, (), ()).print(
        Printer()
    )
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "prompt   ?[2Jclean\noutput   ?[2Jclean\n\n" in shown


def test_tables_without_names_of_keys_fit_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openledger_cli.output.PIPED_WIDTH", WIDEST_COLUMNS)
    view = View(quoting(b"say no"), {}, (), (), ("python-helper version 2",))
    view.print(Printer())
    lines = capsys.readouterr().out.splitlines()
    assert max([len(line.rstrip()) for line in lines if not line.startswith("model ")]) <= WIDEST_COLUMNS
    for owner in (ADA, BOB):
        assert [line for line in lines if line.startswith(f" {encode_id('open', owner)} ")]
    assert [
        line
        for line in lines
        if line.startswith(f" 1       python-helper version 2   {encode_id('olrun', ENTRY)[:20]}…")
    ]


def test_layers_with_one_rule_of_payout_share_a_sentence() -> None:
    document = quoting(b"say no")
    top = document.layers[0]
    assert top.policy
    flat = msgspec.structs.replace(top, policy=msgspec.structs.replace(top.policy, kappa_ppb=0))
    owners = msgspec.structs.replace(top, policy=msgspec.structs.replace(top.policy, score_unit="owner"))
    spans = msgspec.structs.replace(top, gradients=msgspec.UNSET)
    unused = msgspec.structs.replace(top, attribution_used=0)
    layers = (top, flat, top, owners, spans, unused)
    half = "50.00 % by gradients, 50.00 % by the number of rows used"
    cut = "scores of an owner are summed before those below zero are cut off"
    assert View(msgspec.structs.replace(document, layers=layers), {}, (), ()).rules() == [
        f"share, layers 1, 3: {half}",
        "share, layer 2: 0.00 % by gradients, 50.00 % by the number of rows used",
        f"share, layer 4: {half}; {cut}, so the part of one of its rows may exceed its own",
        "share, layer 5: 50.00 % by spans, the rest to the pool",
        "share, layer 6: by the number of rows used alone, the scores say too little",
    ]


def test_a_page_does_not_call_verified_what_was_not_checked() -> None:
    page = View(quoting(b"say no"), {}, (), ()).page(["sums", "not checked: the entry", "not checked without: codes"])
    assert (page.verified, page.unchecked) == (["sums"], ["the entry", "without: codes"])


def test_programs_get_all_that_the_tables_have() -> None:
    view = replace(
        View(quoting(b"say no"), {BOB: "bob"}, (), (), ("python-helper version 2",)), pieces=(("y ", "bob", "n"),)
    )
    tables = view.tables()
    layer = tables["layers"][0]
    assert (layer["number"], layer["identifier"], layer["model"]) == (
        1,
        encode_id("olrun", ENTRY),
        "python-helper version 2",
    )
    assert {line["name"] for line in tables["contributors"]} >= {"bob"}
    assert sum(line["share_ppb"] for line in tables["contributors"]) + tables["unexplained_ppb"] == 10**9
    by_spans = {line["contributor"]: line["spans_ppb"] for line in tables["contributions"] if line["spans_ppb"]}
    assert by_spans == {"bob": 500_000_000, encode_id("open", ADA): 500_000_000}
    covered = "by spans, layer 1: 2 of 6 tokens of the output stand word for word in training text"
    rule = "share, layer 1: 50.00 % by gradients, 50.00 % by the number of rows used"
    assert (tables["copies"], tables["coverage"], tables["rules"]) == ([], [covered], [rule])
    assert tables["spans"] == [{"text": "y ", "contributor": "bob", "where": "n"}]
