"""README.md shows only what exists: scripts, options, commands, files, folders, Python that runs.

What its tour shows is run against real nodes by tests/integration/test_demo.py.
"""

from __future__ import annotations

import ast
import re
import shlex
import subprocess

import pytest

from openledger_cli.main import build_parser, split_global_options
from tests.kit.readme import ROOT, python_example, shell_lines, text, tour_commands
from tests.kit.repository import tracked_files

# What prepares a shell or ends what the demo left running; the files named are those that the demo writes.
SHELL_LINES = frozenset(
    (
        ". build/demo/settings.sh",
        ". ./net/settings.sh",
        "alias openledger=$PWD/.venv/bin/openledger",
        "kill $(cat build/demo/kept.pid)",
    )
)
LINES = shell_lines(text())


@pytest.mark.parametrize("line", LINES)
def test_every_command_exists_and_takes_its_options(line: str) -> None:
    if line in SHELL_LINES:
        return
    words = shlex.split(line)
    if words[0].startswith("./scripts/"):
        _check_script(words)
        return
    assert words[0] == "openledger", f"a command that no test knows: {line}"
    _, rest = split_global_options(words[1:])
    build_parser(rest[0]).parse_args(rest)


def _check_script(words: list[str]) -> None:
    script = ROOT / words[0]
    assert script.stat().st_mode & 0o111, f"{words[0]} cannot be executed"
    if script.name == "demo":
        build_parser("demo").parse_args(["demo", *words[1:]])
    else:
        assert words[1:] == []


def test_the_files_that_the_tour_names_are_those_that_the_demo_writes() -> None:
    from openledger_cli.demo.stage import BUNDLE_FILE, KEPT_PID
    from openledger_cli.demo.story import SETTINGS_FILE

    named = set(re.findall(r"build/demo/([\w./-]+\w)", text()))
    written = {BUNDLE_FILE, KEPT_PID, SETTINGS_FILE, "clash.yaml", "net/node0/config/genesis.json"}
    # In the demo's folder, too, which is made anew each time: the page that a command of the tour writes.
    assert named == written | {"tuple.html"}


def test_options_named_in_prose_are_options_of_the_demo() -> None:
    words = re.findall(r"`(--(?:validators|keep|quick)[ \d]*)`|`\./scripts/demo ([^`]+)`", text())
    assert len(words) >= 3
    for option, options in words:
        build_parser("demo").parse_args(["demo", *shlex.split(option or options)])


def test_scripts_demo_says_how_to_use_it_without_setting_anything_up() -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "demo", "--help"], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0
    for option in ("--validators 4", "--keep", "--quick", "--folder DIR"):
        assert option in done.stdout
    assert "set -euo" not in done.stdout


def test_the_tour_has_commands_to_run() -> None:
    assert any(line.startswith("openledger query lineage") for line in tour_commands())
    assert any(line.startswith("openledger verify") for line in tour_commands())


def test_links_lead_to_files() -> None:
    links = re.findall(r"\]\(([^)]+)\)", text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_map_names_every_folder() -> None:
    named = set(re.findall(r"^\| `([\w.]+)/` \|", text(), re.MULTILINE))
    folders = {path.parts[0] for path in tracked_files() if len(path.parts) > 1 and not path.parts[0].startswith(".")}
    assert named == folders


def test_the_python_example_asks_what_clients_answer() -> None:
    from openledger import Client

    tree = ast.parse(python_example())
    called = [
        node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    assert called == ["connect", "lineage", "may"]
    assert all(hasattr(Client, name) for name in called[1:])
