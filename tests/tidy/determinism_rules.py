"""Rules that keep `abci_app` deterministic, as far as a syntax tree shows them.

What a tree cannot show (an untyped parameter that holds a set, the order of a dictionary built elsewhere) is left to
the runs with two hash seeds. Imports are judged by what is allowed, so that a new module is a decision.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

ALLOWED_IMPORTS = frozenset(
    {
        "__future__", "abc", "abci_app", "bisect", "collections", "contextlib", "dataclasses", "enum", "functools",
        "google.protobuf", "hashlib", "heapq", "itertools", "msgspec", "nacl.bindings", "nacl.exceptions", "operator",
        "re", "struct", "types", "typing", "unicodedata",
    }
)  # fmt: skip
"""A name allows itself and what is below it. nacl.utils (randomness) and hashlib's callers of it are not in."""

FORBIDDEN_NAMES = {
    "float": "floats differ in rounding",
    "complex": "floats differ in rounding",
    "round": "rounds to even, silently",
    "hash": "differs from process to process",
    "id": "is a memory address",
    "repr": "the default one shows a memory address",
    "open": "I/O",
    "input": "I/O",
    "print": "I/O",
    "breakpoint": "I/O",
    "eval": "runs text",
    "exec": "runs text",
    "compile": "runs text",
    "__import__": "hides an import",
    "globals": "depends on import order",
    "locals": "depends on the interpreter",
    "vars": "depends on the interpreter",
}
BROAD = frozenset({"Exception", "BaseException"})
SET_MAKERS = frozenset({"set", "frozenset"})
SET_TYPES = frozenset({"set", "frozenset", "Set", "AbstractSet", "MutableSet", "FrozenSet"})
SET_METHODS = frozenset({"union", "intersection", "difference", "symmetric_difference", "copy"})
VIEW_METHODS = frozenset({"keys", "items"})
ORDER_TAKERS = frozenset({"list", "tuple", "iter", "enumerate", "zip", "map", "filter", "dict", "next", "reversed"})
"""Built-in functions whose result, or whose calls, follow the order of their argument."""
ORDER_METHODS = frozenset({"join", "extend", "fromkeys"})
ORDER_IGNORERS = frozenset({"sorted", "set", "frozenset", "len"})

Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef


class Finding(NamedTuple):
    line: int
    rule: str
    """One of: import, float, division, name, set order, broad except, assert, async."""
    text: str


def find_violations(source: str) -> list[Finding]:
    """List the objections of the rules to one module, by line.

    A broad except is reported even where a comment explains it: which of them are allowed is the caller's list.
    """
    tree = ast.parse(source)
    checker = _Checker()
    checker.check(tree, _Names())
    return sorted(checker.findings)


class _Names:
    """Names bound in the scopes around a place, and which of them hold sets."""

    def __init__(self, outer: _Names | None = None) -> None:
        self.bound: set[str] = set(outer.bound) if outer else set()
        self.sets: set[str] = set(outer.sets) if outer else set()


class _Checker:
    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def report(self, node: ast.expr | ast.stmt | ast.ExceptHandler, rule: str, text: str) -> None:
        self.findings.append(Finding(node.lineno, rule, text))

    def check(self, scope: Scope, outer: _Names) -> None:
        names = _names_of(scope, outer)
        for node in _own_nodes(scope):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
                if isinstance(node, ast.AsyncFunctionDef):
                    self.report(node, "async", "the order of tasks is not ours")
                self.check(node, names)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                self._check_import(node)
            elif isinstance(node, ast.ExceptHandler):
                self._check_except(node)
            elif isinstance(node, ast.Assert):
                self.report(node, "assert", "python -O removes it; raise Rejected or InvariantBroken")
            else:
                self._check_arithmetic(node)
                self._check_name(node, names)
                self._check_set_order(node, names)

    def _check_import(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif node.level > 0:
            return  # relative: inside abci_app
        else:
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        for module in modules:
            parts = module.split(".")
            if not any(".".join(parts[:count]) in ALLOWED_IMPORTS for count in range(1, len(parts) + 1)):
                self.report(node, "import", f"{module} is not among ALLOWED_IMPORTS")

    def _check_except(self, node: ast.ExceptHandler) -> None:
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        for kind in caught:
            if kind is None or _last_name(kind) in BROAD:
                self.report(node, "broad except", "a bug would become a result")

    def _check_arithmetic(self, node: ast.AST) -> None:
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            self.report(node, "float", f"{node.value} is a floating-point constant")
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            self.report(node, "division", "true division makes floats; use // and name what happens to the remainder")

    def _check_name(self, node: ast.AST, names: _Names) -> None:
        if isinstance(node, ast.Name) and node.id in FORBIDDEN_NAMES and node.id not in names.bound:
            self.report(node, "name", f"{node.id}: {FORBIDDEN_NAMES[node.id]}")
        elif isinstance(node, ast.Attribute) and node.attr in {"__repr__", "__hash__"}:
            self.report(node, "name", f"{node.attr}: the default one follows the memory address")

    def _check_set_order(self, node: ast.AST, names: _Names) -> None:
        for place in _iterated(node):
            if _is_set(place, names):
                self.report(place, "set order", "the order of a set differs from process to process; sort it first")


def _own_nodes(scope: Scope) -> Iterator[ast.AST]:
    """The nodes of a scope, without those inside the scopes it contains (these are yielded, not entered)."""
    waiting: list[ast.AST] = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))
        else:
            waiting.extend(getattr(node, "decorator_list", []))


def _names_of(scope: Scope, outer: _Names) -> _Names:
    names = _Names(outer)
    if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        arguments = scope.args
        for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]:
            _bind(names, argument.arg, _is_set_type(argument.annotation))
        for variadic in (arguments.vararg, arguments.kwarg):
            if variadic is not None:
                _bind(names, variadic.arg, holds_set=False)
    # Twice: a name may be given a set by way of another name that is bound further down.
    for _ in range(2):
        for node in _own_nodes(scope):
            _bind_assignment(names, node)
    return names


def _bind(names: _Names, name: str, holds_set: bool) -> None:
    names.bound.add(name)
    if holds_set:
        names.sets.add(name)


def _bind_assignment(names: _Names, node: ast.AST) -> None:
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        holds_set = _is_set_type(node.annotation) or (node.value is not None and _is_set(node.value, names))
        _bind(names, node.target.id, holds_set)
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name):
                _bind(names, target.id, _is_set(node.value, names))
    elif isinstance(node, ast.NamedExpr) and isinstance(node.target, ast.Name):
        _bind(names, node.target.id, _is_set(node.value, names))
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        names.bound.add(node.id)


def _is_set_type(annotation: ast.expr | None) -> bool:
    if annotation is None:
        return False
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return _is_set_type(ast.parse(annotation.value, mode="eval").body)
    if isinstance(annotation, ast.Subscript):
        return _is_set_type(annotation.value)
    if isinstance(annotation, ast.BinOp):
        return _is_set_type(annotation.left) or _is_set_type(annotation.right)
    return _last_name(annotation) in SET_TYPES


def _is_set(node: ast.expr, names: _Names) -> bool:
    """Whether the value is visibly a set, or a set-like combination of dictionary views."""
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.Name):
        return node.id in names.sets
    if isinstance(node, ast.IfExp):
        return _is_set(node.body, names) or _is_set(node.orelse, names)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
        return any(_is_set(side, names) or _is_view(side) for side in (node.left, node.right))
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name):
            return node.func.id in SET_MAKERS and node.func.id not in names.bound
        if isinstance(node.func, ast.Attribute):
            return node.func.attr in SET_METHODS and _is_set(node.func.value, names)
    return False


def _is_view(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in VIEW_METHODS


def _iterated(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions whose order decides something at this node."""
    if isinstance(node, ast.For):
        yield node.iter
    elif isinstance(node, ast.ListComp | ast.DictComp | ast.GeneratorExp):
        if not getattr(node, "order_ignored", False):
            yield from (generator.iter for generator in node.generators)
    elif isinstance(node, ast.Starred | ast.YieldFrom):
        yield node.value
    elif isinstance(node, ast.Assign):
        if any(isinstance(target, ast.Tuple | ast.List) for target in node.targets):
            yield node.value
    elif isinstance(node, ast.Call):
        yield from _iterated_by_call(node)


def _iterated_by_call(node: ast.Call) -> Iterator[ast.expr]:
    if isinstance(node.func, ast.Name):
        if node.func.id in ORDER_TAKERS:
            yield from node.args
        elif node.func.id in ORDER_IGNORERS:
            for argument in node.args:  # this call is met before the comprehension inside it
                if isinstance(argument, ast.GeneratorExp | ast.ListComp):
                    argument.order_ignored = True  # type: ignore[union-attr]
    elif isinstance(node.func, ast.Attribute):
        if node.func.attr in ORDER_METHODS:
            yield from node.args
        elif node.func.attr == "pop" and not node.args:
            yield node.func.value


def _last_name(node: ast.expr) -> str | None:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None
