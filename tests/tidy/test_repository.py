"""Rules about the files themselves: lengths, what must not be named in them, and what the lock files are."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.kit.repository import ROOT, tracked_files

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

LONGER_FILES: dict[str, int] = {}
LONGER_FUNCTIONS: dict[str, int] = {}
"""`path` or `path:function` -> lines. Only for what cannot be cut without harm; numbers here may only shrink."""

INDEX_HOSTS = [
    ("pypi", "org"), ("pythonhosted", "org"), ("golang", "org"), ("pytorch", "org"), ("npmjs", "org"), ("crates", "io"),
]  # fmt: skip
"""Written in two parts so that this file does not name them."""
MACHINE_PATH = re.compile(rb"(?<![\w./$}~-])/(?:work|root|home|Users)/\w")

LAYERS = ["base", "node", "data", "ml", "torch", "dev"]
ENTRY = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)


def _python_files() -> list[Path]:
    scripts = [path for path in tracked_files("scripts/*") if (ROOT / path).read_bytes()[:24].endswith(b"python3\n")]
    return [path for path in tracked_files("*.py") if "pb" not in path.parts] + scripts


def _function_lengths(path: Path) -> dict[str, int]:
    tree = ast.parse((ROOT / path).read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {f"{path}:{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1 for node in functions}


def test_files_are_not_longer_than_the_limit() -> None:
    lengths = {str(path): len((ROOT / path).read_text().splitlines()) for path in _python_files()}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES} == LONGER_FILES


def test_functions_are_not_longer_than_the_limit() -> None:
    lengths: dict[str, int] = {}
    for path in _python_files():
        lengths |= _function_lengths(path)
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES} == LONGER_FUNCTIONS


def test_no_file_names_the_host_of_a_package_index() -> None:
    # In cometbft/ they are the names of Go modules, not hosts to fetch from.
    files = [path for path in tracked_files() if path.parts[0] != "cometbft"]
    names = [".".join(parts).encode() for parts in INDEX_HOSTS]
    found = [f"{path}: {name.decode()}" for path in files for name in names if name in (ROOT / path).read_bytes()]
    assert found == []


def test_no_file_names_a_path_of_one_machine() -> None:
    files = [(path, (ROOT / path).read_bytes()) for path in tracked_files()]
    found = [f"{path}: {match.group().decode()}" for path, text in files for match in MACHINE_PATH.finditer(text)]
    assert found == []


@pytest.mark.parametrize("folder", [b"work", b"root", b"home", b"Users"])
@pytest.mark.parametrize("before", [b"see ", b'"', b"=", b"`", b":"])
def test_a_planted_machine_path_is_found(before: bytes, folder: bytes) -> None:
    assert MACHINE_PATH.search(before + b"/" + folder + b"/x") is not None


@pytest.mark.parametrize(
    "text", [b"node/home/x", b"~/work/x", b"$HOME/work/x", b"https://a.example/home/x", b"/query/x"]
)
def test_a_relative_path_is_no_machine_path(text: bytes) -> None:
    assert MACHINE_PATH.search(text) is None


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.stem)
def test_a_lock_file_holds_names_versions_and_hashes_only(path: Path) -> None:
    entry = re.compile(r"[a-z0-9][a-z0-9._-]*==[^\s;]+( ; [^\\]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+")
    lines = [line for line in path.read_text().split("\n") if line and not line.startswith("#")]
    entries = re.split(r"\n(?=\S)", "\n".join(lines))
    assert [text for text in entries if entry.fullmatch(text) is None] == []


def test_no_package_is_locked_in_two_layers() -> None:
    # Within a layer a package may have one version for older and one for newer Pythons.
    names = [name for layer in LAYERS for name in {name for name, _ in _locked(layer)}]
    assert sorted(names) == sorted(set(names))


def test_a_light_client_installs_without_torch_and_without_leveldb() -> None:
    names = {name for name, _ in _locked("base")}
    assert names & {"torch", "plyvel", "plyvel-ci", "transformers", "numpy", "grpcio"} == set()


def test_every_direct_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {"base": project["dependencies"], **extras}
    # An extra without a file of locked versions is a layer that nobody can install as it was tested.
    assert sorted(wanted.keys() - {path.stem for path in (ROOT / "requirements").glob("*.txt")}) == []
    # Each layer stands on the base alone, `dev` on all of them.
    base = {name for name, _ in _locked("base")}
    everything = {name for path in (ROOT / "requirements").glob("*.txt") for name, _ in _locked(path.stem)}
    missing = []
    for layer, requirements in wanted.items():
        parts = (layer, "torch") if layer == "ml" else (layer,)
        own = {name for part in parts for name, _ in _locked(part)}
        locked = everything if layer == "dev" else base | own
        missing += [f"{layer}: {text}" for text in requirements if text.split(" ;")[0].lower() not in locked]
    assert missing == []


def test_every_script_says_what_it_is_for() -> None:
    scripts = [path for path in tracked_files("scripts/*") if path.parent == Path("scripts")]
    silent = []
    for path in scripts:
        lines = (ROOT / path).read_text().splitlines()
        if not lines[0].startswith("#!") or not re.match(r'# \S|"""\S', lines[1]):
            silent.append(str(path))
    assert silent == []


def test_every_decision_has_a_number_of_its_own_and_none_is_left_out() -> None:
    numbers = sorted([path.name[:4] for path in tracked_files("docs/adr/*.md")])
    assert numbers == [f"{number:04d}" for number in range(1, len(numbers) + 1)]


def _locked(layer: str) -> list[tuple[str, str]]:
    return ENTRY.findall((ROOT / "requirements" / f"{layer}.txt").read_text())
