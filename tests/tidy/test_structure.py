"""Rules about the shape of the code: no circles of imports, one name for one thing, verbs that keep their meaning.

Lists of exceptions are debts: a test fails when one is paid and still listed, and none may be added.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.kit.repository import ROOT, tracked_files

SOURCES = ("abci_app", "attribution", "node", "openledger", "openledger_cli", "trainer")

CIRCLES: list[list[str]] = []
PROSE = ("abci_app", "attribution", "benchmarks", "node", "openledger", "openledger_cli", "trainer")
"""Folders whose docstrings follow the rules of prose."""
BAD_BEGINNING = re.compile(r"(What|As|Of|So|The same)\b")
VAGUE_WORD = re.compile(r"\b(whatever|whoever)\b", re.IGNORECASE)


def _source_files(*folders: str) -> list[Path]:
    return [path for path in tracked_files("*.py") if path.parts[0] in folders and "pb" not in path.parts]


def _module_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


# --- Circles


def _only_for_types(tree: ast.Module) -> set[ast.AST]:
    """Nodes under `if TYPE_CHECKING:`, which never run."""
    blocks = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    ]
    return {inner for block in blocks for statement in block.body for inner in ast.walk(statement)}


def _imports(tree: ast.Module, known: set[str]) -> set[str]:
    """Modules of ours that a module imports, at its top or inside its functions."""
    skipped = _only_for_types(tree)
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in known else node.module)
    return found & known


def find_circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules each of which reaches all others of its group."""

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for following in graph[todo.pop()] - seen:
                seen.add(following)
                todo.append(following)
        return seen

    reached = {module: reach(module) for module in graph}
    groups = {
        tuple(sorted(other for other in reached[module] if module in reached[other]))
        for module in graph
        if module in reached[module]
    }
    return sorted(list(group) for group in groups)


def test_no_modules_import_each_other_in_a_circle() -> None:
    trees = {_module_of(path): _tree(path) for path in _source_files(*SOURCES)}
    known = set(trees)
    graph = {module: _imports(tree, known) - {module} for module, tree in trees.items()}
    assert find_circles(graph) == CIRCLES


def test_a_circle_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": set()}
    assert find_circles(graph) == [["a", "b", "c"]]


# --- Prose


def _docstrings(tree: ast.Module) -> Iterator[str]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, kinds) and (text := ast.get_docstring(node)):
            yield text


def test_docstrings_are_sentences_that_say_who_does_what() -> None:
    begun = [
        f"{path}: {text.splitlines()[0]}"
        for path in _source_files(*PROSE)
        for text in _docstrings(_tree(path))
        if BAD_BEGINNING.match(text)
    ]
    vague = [
        f"{path}:{number}"
        for path in _source_files(*PROSE)
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1)
        if VAGUE_WORD.search(line)
    ]
    assert (begun, vague) == ([], [])


# --- Records

NAMED_RECORDS = SOURCES
"""Folders in which records of several fields are made with the names of their fields."""
MAX_UNNAMED_FIELDS = 3
TABLES_OF_ROWS = frozenset({"Query"})
"""Declarations that stand one below the other, as the rows of a table: their columns are read by position."""
RECORD_BASES = frozenset({"Record", "Message", "Event", "Struct", "NamedTuple"})


def _is_record(node: ast.ClassDef, records: set[str]) -> bool:
    bases = {ast.unparse(base).split("[")[0].rsplit(".", 1)[-1] for base in node.bases}
    decorated = any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)
    return decorated or bool(bases & (RECORD_BASES | records))


def record_names(trees: list[ast.Module]) -> set[str]:
    """Names of all classes that are records, also through other records."""
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    records: set[str] = set()
    while True:
        found = {node.name for node in classes if _is_record(node, records)}
        if found == records:
            return records
        records = found


def unnamed_fields(tree: ast.Module, records: set[str]) -> list[int]:
    """Lines on which a record gets more values by position than a reader can tell apart."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in records - TABLES_OF_ROWS
        and len(node.args) > MAX_UNNAMED_FIELDS
        and not any(isinstance(argument, ast.Starred) for argument in node.args)
    ]


def test_records_of_several_fields_are_made_by_name() -> None:
    trees = {path: _tree(path) for path in _source_files(*SOURCES)}
    records = record_names(list(trees.values()))
    unnamed = [
        f"{path}:{line}"
        for path, tree in trees.items()
        if path.parts[0] in NAMED_RECORDS
        for line in unnamed_fields(tree, records)
    ]
    assert unnamed == []


def test_a_record_made_by_position_is_found() -> None:
    text = "class A(Record): pass\nclass B(A): pass\nB(1, 2, 3)\nB(1, 2, 3, 4)\nother(1, 2, 3, 4)\n"
    tree = ast.parse(text)
    assert unnamed_fields(tree, record_names([tree])) == [4]


# --- Names


def test_a_class_name_means_one_thing() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in _source_files(*SOURCES, "benchmarks"):
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(path))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


GIVEN_NAMES = frozenset({"check_tx", "find_class"})
"""Names that ABCI and the standard library give."""


def broken_promises(tree: ast.Module) -> list[str]:
    """Functions whose verb promises something else than they return: `is_` answers, `check_` only raises.

    `require_` may return what it requires; `find_` returns None, or nothing in a list, where there is nothing.
    """
    broken = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef) or node.returns is None or node.name.lstrip("_") in GIVEN_NAMES:
            continue
        name, returned = node.name.lstrip("_"), ast.unparse(node.returns)
        may_be_nothing = "None" in returned or returned.lower().startswith(("list", "tuple", "dict"))
        if name.startswith("is_") and returned not in ("bool", "Flow[bool]"):
            broken.append(f"{node.name} answers, so it returns bool")
        if name.startswith("find_") and not may_be_nothing:
            broken.append(f"{node.name} may find nothing, so it may return None")
        if name.startswith("check_") and returned != "None":
            broken.append(f"{node.name} only raises, so it returns nothing")
    return broken


def test_verbs_keep_their_meaning() -> None:
    broken = [f"{path}: {text}" for path in _source_files(*SOURCES) for text in broken_promises(_tree(path))]
    assert broken == []


def test_a_broken_promise_is_found() -> None:
    text = (
        "def is_a() -> int: ...\ndef find_b() -> int: ...\ndef check_c() -> int: ...\ndef find_d() -> int | None: ...\n"
    )
    assert [line.split()[0] for line in broken_promises(ast.parse(text))] == ["is_a", "find_b", "check_c"]


# --- Folders

MAX_FILES_OF_ONE_PREFIX = 2


def crowded_prefixes(paths: list[Path]) -> dict[str, list[str]]:
    """Folder and first word -> the files that begin with it, where they are enough for a folder of their own."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        found[f"{path.parent}/{path.stem.removeprefix('test_').split('_')[0]}"].append(path.name)
    return {prefix: names for prefix, names in found.items() if len(names) > MAX_FILES_OF_ONE_PREFIX}


def test_three_files_with_one_prefix_are_a_folder() -> None:
    assert crowded_prefixes(_source_files(*SOURCES, "benchmarks", "tests")) == {}


def test_a_crowded_prefix_is_found() -> None:
    paths = [Path(f"node/store{end}.py") for end in ("", "_read", "_write")]
    assert crowded_prefixes(paths) == {"node/store": ["store.py", "store_read.py", "store_write.py"]}


HELPERS = ("kit", "fuzz", "golden", "simulation", "determinism", "tidy", "vectors", "protocol")
"""Folders of tests whose files may be other things than tests: the kit, and campaigns with programs of their own."""


def test_helpers_of_tests_are_in_the_kit() -> None:
    strays = [
        str(path)
        for path in _source_files("tests")
        if path.parts[1] not in HELPERS and not path.name.startswith(("test_", "conftest", "__init__"))
    ]
    assert strays == []
