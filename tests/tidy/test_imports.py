"""Each package's imports from outside are declared in pyproject.toml for the installation that has the package."""

from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path

import pytest

from tests.kit.repository import ROOT, tracked_files

EXTRAS = {
    "abci_app": [],
    "openledger": ["data"],
    "openledger_cli": ["data", "node", "ml"],
    "attribution": ["ml"],
    "node": ["node"],
    "trainer": ["ml"],
    "benchmarks": ["data", "node", "ml", "dev"],
    "tests": ["data", "node", "ml", "dev"],
}
"""Folder -> the extras that its users have installed, beside the base."""
ALONE = {"tests": "oracle"}
"""Folder -> the requirements that are installed beside its extras, without what they depend on."""
GUESTS = {"trainer": {"axolotl", "llamafactory", "mlflow", "pydantic"}}
"""Folder -> tools of its users that it works with where they are installed: it imports them inside what they call."""
IMPORT_NAMES = {
    "cyclonedx-python-lib": "cyclonedx",
    "bc-detect-secrets": "detect_secrets",
    "python-stdnum": "stdnum",
    "protobuf": "google",
    "pynacl": "nacl",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
    "grpcio-tools": "grpc_tools",
    "plyvel-ci": "plyvel",
    "import-linter": "importlinter",
    "boolean-py": "boolean",
}


def _declared(extras: list[str]) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = list(project["dependencies"])
    for extra in extras:
        requirements += project["optional-dependencies"][extra]
    names = [requirement.split(" ;")[0].lower() for requirement in requirements]
    return {IMPORT_NAMES.get(name, name.replace("-", "_")) for name in names}


def _alone(folder: str) -> set[str]:
    """Import names of the folder's requirements that stand alone."""
    if folder not in ALONE:
        return set()
    lines = (ROOT / "requirements" / f"{ALONE[folder]}.txt").read_text().splitlines()
    return {line.partition("==")[0] for line in lines if "==" in line}


def _imported(source: str) -> set[str]:
    """Top-level names that a module imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("folder", EXTRAS)
def test_a_package_imports_only_what_its_installation_declares(folder: str) -> None:
    known = set(sys.stdlib_module_names) | set(EXTRAS) | _declared(EXTRAS[folder]) | _alone(folder)
    known |= GUESTS.get(folder, set())
    undeclared = {
        f"{path}: {name}"
        for path in tracked_files("*.py")
        if path.parts[0] == folder
        for name in _imported((ROOT / path).read_text()) - known
    }
    assert undeclared == set()


def _imports_of(path: Path) -> list[str]:
    """Dotted names that a file imports from: `a.b` for `from a.b import c`, and `a.b.c` beside it."""
    found: list[str] = []
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found += [node.module, *[f"{node.module}.{alias.name}" for alias in node.names]]
    return found


def _is_file_of_another_module(path: Path, imported: str) -> bool:
    """Whether `imported` lies inside a module's package, and `path` is not in that package."""
    parts = imported.split(".")
    if parts[:2] != ["abci_app", "modules"] or len(parts) < 4:
        return False
    inside = ROOT.joinpath(*parts[:4])
    is_file = inside.with_suffix(".py").exists() or inside.is_dir()
    return is_file and path.parts[:3] != tuple(parts[:3])


def test_modules_reach_each_other_only_through_their_doors() -> None:
    reached = [
        f"{path}: {imported}"
        for path in tracked_files("abci_app/*.py")
        for imported in _imports_of(path)
        if _is_file_of_another_module(path, imported)
    ]
    assert reached == []


@pytest.mark.parametrize(
    ("path", "imported", "reaches"),
    [
        ("abci_app/modules/models/terms.py", "abci_app.modules.datanets.records", True),
        ("abci_app/modules/models/terms.py", "abci_app.modules.datanets.records.VERSIONS", True),
        ("abci_app/modules/models/terms.py", "abci_app.modules.datanets.find_version", False),
        ("abci_app/modules/models/terms.py", "abci_app.modules.models.records", False),
        ("abci_app/chain/block.py", "abci_app.modules.models.records", True),
    ],
)
def test_reaching_into_a_module_is_seen(path: str, imported: str, reaches: bool) -> None:
    assert _is_file_of_another_module(Path(path), imported) == reaches


def test_mechanisms_know_no_module_and_integer_rules_know_nothing_of_the_chain() -> None:
    known = [
        f"{path}: {imported}"
        for folder, forbidden in (
            ("mechanisms", ("abci_app.modules", "abci_app.chain")),
            ("integers", ("abci_app.modules", "abci_app.chain", "abci_app.state", "abci_app.mechanisms")),
        )
        for path in tracked_files(f"abci_app/{folder}/*.py")
        for imported in _imports_of(path)
        if imported.startswith(forbidden)
    ]
    assert known == []
