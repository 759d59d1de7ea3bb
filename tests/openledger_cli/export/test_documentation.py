"""docs/exports.md: its commands are ones that the command takes, and its lists are those of the code."""

import shlex

from openledger.exports import FORMS, LIMITS
from openledger_cli.main import build_parser
from tests.kit.repository import ROOT

PAGE = (ROOT / "docs/exports.md").read_text()


def test_every_command_of_the_page_is_parsed() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("openledger ")]
    assert {line.split()[1] for line in lines} == {"export", "verify"}
    for line in lines:
        words = shlex.split(line)[1:]
        assert build_parser(words[0]).parse_args(words).run is not None
    assert {line.split("--form ")[1].split()[0] for line in lines if "--form" in line} == set(FORMS)


def test_the_page_lists_what_each_form_cannot_say() -> None:
    for form, limits in LIMITS.items():
        assert f"| `{form}` |" in PAGE
        for limit in limits:
            assert f"- {limit}\n" in f"{PAGE}\n"
