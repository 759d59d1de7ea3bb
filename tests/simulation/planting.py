"""Plants a mutant: one line of one function is replaced while the process runs, and put back afterwards.

The function itself gets the other code, so everybody who imported it, by whatever name, runs the mutant.
"""

import importlib
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType


@dataclass(frozen=True)
class Mutant:
    """One wrong line: what is wrong in words, where it stands, how it reads and how it reads wrong."""

    name: str
    what: str
    # "<module>:<function>" or "<module>:<class>.<method>"
    place: str
    right: str
    wrong: str


def function_at(place: str) -> FunctionType:
    """The function of a place."""
    module_name, path = place.split(":")
    found: object = importlib.import_module(module_name)
    for name in path.split("."):
        found = getattr(found, name)
    if not isinstance(found, FunctionType):
        raise LookupError(f"{place} is no function")
    return found


def mutated(mutant: Mutant) -> FunctionType:
    """The function with the wrong line; raises LookupError unless the right one stands there exactly once."""
    function = function_at(mutant.place)
    source = textwrap.dedent(inspect.getsource(function))
    if source.count(mutant.right) != 1:
        raise LookupError(f"mutant {mutant.name}: {mutant.right!r} stands {source.count(mutant.right)} times there")
    names: dict[str, object] = dict(function.__globals__)
    exec(compile(source.replace(mutant.right, mutant.wrong), f"<mutant {mutant.name}>", "exec"), names)
    made = names[function.__name__]
    if not isinstance(made, FunctionType) or made.__code__.co_freevars != function.__code__.co_freevars:
        raise LookupError(f"mutant {mutant.name}: {mutant.place} cannot be replaced")
    return made


@contextmanager
def planted(mutant: Mutant | None) -> Iterator[None]:
    """Run with a mutant, or with none."""
    if mutant is None:
        yield
        return
    function = function_at(mutant.place)
    right, function.__code__ = function.__code__, mutated(mutant).__code__
    try:
        yield
    finally:
        function.__code__ = right
