"""Two corpora of real text that every Python installation carries: the language reference and docstrings.

`documentation_rows` cuts the topics behind `help('if')` into paragraphs: {"topic", "text"}. `question_rows` reads the
source of standard-library modules with `ast` (nothing is imported or run) and asks for each public function and
class what it does: {"module", "question", "answer"}. The same Python version always gives the same rows, in the same
order; another version ships other text. Python's licence (PSF-2.0) covers both.
"""

import ast
import inspect
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

MIN_PARAGRAPH_CHARS = 120
MAX_PARAGRAPH_CHARS = 1_200
MIN_ANSWER_CHARS = 30
MAX_ANSWER_CHARS = 600

# Modules with many documented functions, spread over the fields of the library; each is one source file.
MODULES = (
    "argparse", "ast", "base64", "bisect", "calendar", "codecs", "collections/__init__", "configparser",
    "contextlib", "copy", "csv", "dataclasses", "datetime", "decimal", "difflib", "dis", "email/message",
    "fileinput", "fnmatch", "fractions", "ftplib", "functools", "gettext", "glob", "gzip", "hashlib", "heapq",
    "hmac", "http/client", "http/cookies", "imaplib", "inspect", "io", "ipaddress", "json/__init__", "json/decoder",
    "json/encoder", "locale", "logging/__init__", "mailbox", "mimetypes", "netrc", "numbers", "operator", "optparse",
    "os", "pathlib", "pickle", "platform", "plistlib", "poplib", "posixpath", "pprint", "queue", "random", "sched",
    "secrets", "selectors", "shelve", "shlex", "shutil", "smtplib", "socket", "socketserver", "ssl", "stat",
    "statistics", "string", "struct", "subprocess", "tarfile", "tempfile", "textwrap", "threading", "timeit",
    "token", "trace", "traceback", "types", "typing", "unittest/case", "unittest/mock", "urllib/parse",
    "urllib/request", "uuid", "warnings", "wave", "weakref", "webbrowser", "zipfile", "zipfile/__init__",
)  # fmt: skip


def documentation_rows() -> list[dict[str, str]]:
    """Paragraphs of the language reference as {"topic", "text"}; short ones join the next, long ones are left out."""
    from pydoc_data.topics import topics

    rows = []
    for topic in sorted(topics):
        pending = ""
        for paragraph in str(topics[topic]).split("\n\n"):
            text = " ".join(paragraph.split())
            if not text or set(text) <= set("*=-~^ "):
                continue
            pending = f"{pending} {text}".strip()
            if len(pending) < MIN_PARAGRAPH_CHARS:
                continue
            if len(pending) <= MAX_PARAGRAPH_CHARS:
                rows.append({"topic": topic, "text": pending})
            pending = ""
    return rows


def question_rows() -> list[dict[str, str]]:
    """Questions and answers from docstrings as {"module", "question", "answer"}, modules in the order of `MODULES`."""
    library = Path(sysconfig.get_path("stdlib"))
    rows = []
    for name in MODULES:
        path = library / f"{name}.py"
        if not path.is_file():  # e.g. zipfile became a package in 3.12
            continue
        module = name.removesuffix("/__init__").replace("/", ".")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        rows += list(_questions(module, tree))
    return rows


def _questions(module: str, tree: ast.Module) -> Iterator[dict[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _question(module, f"the class {module}.{node.name}", node, "represent")
            for member in node.body:
                if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef) and not member.name.startswith("_"):
                    yield from _question(module, f"the method {module}.{node.name}.{member.name}", member, "do")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield from _question(module, f"the function {module}.{node.name}", node, "do")


def _question(
    module: str, subject: str, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, verb: str
) -> Iterator[dict[str, str]]:
    docstring = ast.get_docstring(node, clean=False)
    if docstring is None:
        return
    first = inspect.cleandoc(docstring).split("\n\n")[0]
    answer = " ".join(first.split())
    if MIN_ANSWER_CHARS <= len(answer) <= MAX_ANSWER_CHARS:
        yield {"module": module, "question": f"What does {subject} {verb}?", "answer": answer}


def split_among(rows: Sequence[dict[str, str]], key: str, contributors: int) -> list[list[dict[str, str]]]:
    """Divide rows among contributors so that each brings whole topics or modules and all bring about as many rows.

    Groups (rows with equal `key`) go, largest first, to the contributor with the fewest rows; ties to the first.
    """
    groups: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    shares: list[list[dict[str, str]]] = [[] for _ in range(contributors)]
    for name in sorted(groups, key=lambda group: (-len(groups[group]), group)):
        min(shares, key=len).extend(groups[name])
    if not all(shares):
        raise ValueError(f"{len(groups)} groups of {key!r} do not go round {contributors} contributors; take fewer")
    return shares
