"""What looks like personal data or secrets: found with its check digits, examples and the merely similar left alone."""

from time import process_time

import pytest

from openledger.data.findings import Finding, FindingKind, Findings, find_in_row, find_in_text, missing_libraries


def _key(begins: str, characters: int) -> str:
    """A key of nobody's: its maker's beginning and so many characters."""
    return begins + ("Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9" * 4)[:characters]


@pytest.mark.parametrize(
    ("text", "kind", "name", "begins"),
    [
        ("write to dana.meyer@uni-bonn.de please", FindingKind.PERSONAL, "e-mail address", "dana…"),
        ("call +49 30 901820 today", FindingKind.PERSONAL, "telephone number", "+49 …"),
        ("call +1 (415) 555-2671", FindingKind.PERSONAL, "telephone number", "+1 (…"),
        ("to DE89 3704 0044 0532 0130 00.", FindingKind.PERSONAL, "bank account number", "DE89…"),
        ("card 4111-1111-1111-1111", FindingKind.PERSONAL, "card number", "4111…"),
        ("amex 3782 822463 10005", FindingKind.PERSONAL, "card number", "3782…"),
        ("his SSN is 536-90-4399", FindingKind.PERSONAL, "US social security number", "536-…"),
        ("key AKIAIOSFODNN7QWERTYU", FindingKind.SECRET, "AWS Access Key", "AKIA…"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7bq3X",
            FindingKind.SECRET,
            "Private Key",
            "MIIE…",
        ),
        ("https://dana:hunter22@db.internal/x", FindingKind.SECRET, "Basic Auth Credentials", "hunt…"),
        (f"OPENAI_API_KEY={_key('sk-proj-', 48)}", FindingKind.SECRET, "API key", "sk-p…"),
        (f"use {_key('sk-ant-api03-', 90)}.", FindingKind.SECRET, "API key", "sk-a…"),
        (_key("hf_", 34), FindingKind.SECRET, "Hugging Face token", "hf_A…"),
        (f"?key={_key('AIza', 35)}&x=1", FindingKind.SECRET, "Google API key", "AIza…"),
        (_key("glpat-", 20), FindingKind.SECRET, "GitLab token", "glpa…"),
        (_key("github_pat_", 82), FindingKind.SECRET, "GitHub token", "gith…"),
        ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", FindingKind.SECRET, "Stripe Access Key", "sk_l…"),
    ],
)
def test_a_thing_is_found_and_only_its_beginning_is_shown(text: str, kind: FindingKind, name: str, begins: str) -> None:
    assert Finding(kind, name, begins) in find_in_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "somebody@example.com and x@mail.example.org",
        "a@b, @handle, user@localhost, 3@4.5",
        "version 4111.1111.1111.1111, 1+49 30, +12",
        "DE89 3704 0044 0532 0130 01 has a wrong check digit",
        "4111 1111 1111 1112 has a wrong check digit",
        "000-12-3456 and 2024-01-01",
        "0000 0000 0000 0000",
        "the sk-learn-pipeline-with-many-words-between-hyphens-and-no-figures",
        "task-1234567890123456789012345678901234567890, hf_hub_download_1, AIza, sk-1",
    ],
)
def test_examples_and_wrong_check_digits_are_left_alone(text: str) -> None:
    assert find_in_text(text) == ()


def test_the_texts_of_a_row_are_looked_at_at_every_depth_and_its_numbers_are_not() -> None:
    row = {"n": 4111111111111111, "messages": [{"role": "user", "content": [{"text": "dana.meyer@uni-bonn.de"}]}]}
    assert find_in_row(row) == (Finding(FindingKind.PERSONAL, "e-mail address", "dana…"),)


def test_findings_are_counted_by_row_and_by_name() -> None:
    first, second = Findings(), Findings()
    first.look_at(1, {"text": "nothing"})
    first.look_at(2, {"text": "dana.meyer@uni-bonn.de, remy@uni-bonn.de"})
    second.look_at(3, {"text": "dana.meyer@uni-bonn.de, AKIAIOSFODNN7QWERTYU"})
    first.add(second)
    assert (first.rows_looked_at, first.rows_with_personal_data, first.rows_with_secrets) == (3, 2, 1)
    assert first.first_row_by_name == {"e-mail address": 2, "AWS Access Key": 3}
    assert first.in_words() == "e-mail address in 2 rows, AWS Access Key in 1 row"


@pytest.mark.parametrize(
    "text",
    [
        "+1 415 555 2671 " * 70_000,
        "a" * 2**20,
        "a@" * 2**19,
        "a.a@a.a.a." * 100_000,
        "1234 5678 " * 100_000,
        "DE12 AAAA " * 100_000,
        "aws key " * 130_000,
        "ey" * 2**19,
        "sk-" * 300_000,
        "glpat-hf_" * 100_000,
        "x\u00e4" * 2**19,
    ],
    ids=range(11),
)
def test_a_row_made_to_keep_the_detectors_busy_does_not(text: str) -> None:
    find_in_text("everything is loaded")
    started = process_time()
    find_in_text(text)
    assert process_time() - started < 2


def test_the_detectors_are_installed_here() -> None:
    assert missing_libraries() == ()
