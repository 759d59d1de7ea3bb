"""The HTML page of an explanation: complete, well formed, and deaf to what texts from outside want it to be."""

import re
from dataclasses import replace
from html.parser import HTMLParser

from attribution.explanation.page import (
    ContributorLine,
    ExplanationPage,
    LayerLine,
    PageContribution,
    PageRow,
    Piece,
    render,
    show_share,
)

HOSTILE = "</pre><script>alert('1')</script>\" onload=\"x"
VOID = frozenset(("meta", "br"))


class Outline(HTMLParser):
    """Tags in order, all text, and whether every tag was closed where it was opened."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.titles: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.titles += [value or "" for name, value in attrs if name == "title"]
        assert {name for name, _ in attrs} <= {"charset", "class", "content", "lang", "name", "style", "title"}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def outline(page: ExplanationPage) -> Outline:
    found = Outline()
    found.feed(render(page))
    found.close()
    assert found.open == []
    return found


def page_of(text: str) -> ExplanationPage:
    return ExplanationPage(
        model=text,
        entry=text,
        prompt=text,
        output=(Piece("plain "), Piece(text, text, text), Piece("more", "somebody else")),
        contributors=(ContributorLine(text, text, 600_000_000, None, 1), ContributorLine("pool", "", 0, 0, 0)),
        layers=(LayerLine(7, text, text, 123_400_000, text),),
        contributions=(PageContribution(8, text, text, 41, 56_700_000, None), PageContribution(9, "", "", None, 0, 1)),
        rows=(PageRow(5, text, text, text), PageRow(6, "bob", "3 of 10", None)),
        verified=(text,),
        unchecked=(text,),
        remarks=(f"{text}: 3 of 8 rows",),
    )


def test_of_the_longest_rows_the_page_has_the_beginnings() -> None:
    rows = (PageRow(5, "ada", "3 of 10", "é" * 2**19), PageRow(6, "bob", "1 of 10", "b" * 8_192))
    page = render(replace(page_of("ada"), rows=rows))
    assert f"{'é' * 8_192}… (516,096 characters more)<" in page
    assert f">{'b' * 8_192}<" in page


def test_every_part_of_an_explanation_is_on_the_page() -> None:
    found = outline(page_of("ada"))
    words = "".join(found.words)
    assert found.tags.count("mark") == 2
    assert found.titles == ["ada: ada", "somebody else"]
    assert words.count("ada") == 18
    for text in ("60.00 %", "–", "0.00 %", "not stored here", "plain ", "3 of 10", "3 of 8 rows"):
        assert text in words
    for text in ("12.34 %", "41", "5.67 %"):
        assert text in words
    page = render(page_of("ada"))
    assert "background:#f7cf87;width:7.20rem" in page
    assert '<mark style="background:#f7cf87" title="ada: ada">' in page
    assert "background:#cfcfcf;width:0.00rem" in page


def test_text_from_outside_stays_text() -> None:
    found = outline(page_of(HOSTILE))
    assert "script" not in found.tags
    assert "".join(found.words).count(HOSTILE) == 18
    assert found.titles[0] == f"{HOSTILE}: {HOSTILE}"
    assert found.tags == outline(page_of("ada")).tags


def test_page_loads_nothing_from_elsewhere() -> None:
    text = render(page_of("ada"))
    for word in ("http", "src=", "href=", "url(", "@import", "<script"):
        assert word not in text


def test_shares_are_rounded_to_hundredths_of_a_percent() -> None:
    assert [show_share(share) for share in (0, 49_999, 50_000, 333_333_333, 10**9)] == [
        "0.00 %", "0.00 %", "0.01 %", "33.33 %", "100.00 %",
    ]  # fmt: skip
    assert show_share(None) == "–"


def test_the_page_says_where_rows_are_from_under_which_licence_and_what_it_is_not() -> None:
    page = replace(
        page_of("ada"),
        contributors=(ContributorLine("ada", "open1", 1, None, 1, sources="DataNet garden (CC-BY-4.0)"),),
        contributions=(PageContribution(1, "olcontrib1", "ada", 3, 5, None, datanet="garden", licence="CC-BY-4.0"),),
    )
    words = "".join(outline(page).words)
    for text in ("DataNet garden (CC-BY-4.0)", "garden", "CC-BY-4.0", "What this is not", "influence is no proof"):
        assert text in words


def test_a_narrow_screen_needs_no_scrolling_to_the_side() -> None:
    """Below 40 rem cells stand under one another, each with its column's name; nothing has a width of its own."""
    text = render(page_of("ada" * 200))
    style = re.search(r"<style>(.*)</style>", text, re.DOTALL)
    assert style is not None
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    narrow = style[1][style[1].index("@media (max-width: 40rem)") :]
    for rule in (
        "overflow-wrap: anywhere", "table, tbody, tr, td { display: block; }", "thead { display: none; }",
        "white-space: normal", ".bar { max-width: 100%; }",
    ):  # fmt: skip
        assert rule in narrow
    assert text.count("<td") == text.count('<span class="label">')
    assert set(re.findall(r"(?<!max-)width:\s*([0-9.a-z%]+)", text.replace(narrow, ""))) <= {
        "100%",
        "7.20rem",
        "0.00rem",
    }
    assert re.search(r"pre {[^}]*white-space: pre-wrap; overflow-wrap: anywhere", style[1])
