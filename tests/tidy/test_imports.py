"""What each package imports from outside is declared in pyproject.toml for the installation that has the package."""

from __future__ import annotations

import ast
import sys
import tomllib

import pytest

from tests.tidy.repository import ROOT, tracked_files

EXTRAS = {
    "abci_app": [],
    "openledger": [],
    "openledger_cli": ["node", "ml"],
    "attribution": ["ml"],
    "node": ["node"],
    "trainer": ["ml"],
    "benchmarks": ["node", "ml", "dev"],
    "tests": ["node", "ml", "dev"],
}
"""Folder -> the extras that whoever uses it has installed, beside the base."""
ALONE = {"tests": "oracle"}
"""Folder -> the requirements that are installed beside its extras, without what they depend on."""
IMPORT_NAMES = {
    "protobuf": "google",
    "pynacl": "nacl",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
    "grpcio-tools": "grpc_tools",
    "plyvel-ci": "plyvel",
    "import-linter": "importlinter",
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
    undeclared = {
        f"{path}: {name}"
        for path in tracked_files("*.py")
        if path.parts[0] == folder
        for name in _imported((ROOT / path).read_text()) - known
    }
    assert undeclared == set()
