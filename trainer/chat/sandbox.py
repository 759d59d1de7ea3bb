"""The program in which a chat template runs: alone, without the package, within limits of time and memory.

A template is a program that came with a base, which may be anybody's. Jinja's sandbox keeps it away from Python; this
process keeps it from taking all memory or never ending. It reads lines of JSON and answers each with one:

    {"template": …, "variables": {…}, "date": "2026-11-28" or "", "memory_bytes": …}     first, answered by {}
    {"renders": [[messages, add_generation_prompt], …]}     answered by {"renders": [[text, marks] or an error, …]}

Nothing that changes from one run to the next is in reach: no clock (`strftime_now` gives the date above, and is not
defined without one, as templates expect that can do without), no `random`, no addresses of objects in what is written.
"""

import contextlib
import datetime as dt
import json
import re
import resource
import sys
from collections.abc import Iterator
from typing import Any

import jinja2
import jinja2.ext
import jinja2.sandbox

_ADDRESS = re.compile(r" at 0x[0-9a-f]{6,}>")
# A conversation of the longest row, written three times over.
MAX_WRITTEN_CHARACTERS = 4 * 2**20


class Generation(jinja2.ext.Extension):
    """`{% generation %}`: what the assistant writes, as templates mark it for transformers."""

    tags = {"generation"}  # noqa: RUF012 - as its base declares it

    def __init__(self, environment: jinja2.Environment) -> None:
        """See base; the environment gets the marks of the text that is being written."""
        super().__init__(environment)
        self.written: list[str] = []
        self.marks: list[list[int]] = []
        environment.extend(generation=self)

    def parse(self, parser: Any) -> Any:
        """See base."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_marked"), [], [], body).set_lineno(line)

    def _marked(self, caller: Any) -> str:
        text = str(caller())
        start = sum(map(len, self.written))
        self.marks.append([start, start + len(text)])
        return text


class Namespace(jinja2.utils.Namespace):
    """Jinja's namespace without names that begin with an underscore."""

    def __setitem__(self, name: str, value: Any) -> None:
        """Refuse names that lead into Python."""
        if str(name).startswith("_"):
            raise jinja2.exceptions.SecurityError(f"a namespace has no {name!r}")
        super().__setitem__(name, value)


def _refuse(message: object) -> None:
    raise jinja2.exceptions.TemplateError(str(message))


def _to_json(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment_of(date: str) -> jinja2.Environment:
    """Make the environment that transformers gives chat templates, without what is not the same every time."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.filters.pop("random", None)
    for name in ("lipsum", "cycler", "joiner"):
        environment.globals.pop(name, None)
    environment.globals["raise_exception"] = _refuse
    environment.globals["namespace"] = Namespace
    if date:
        day = dt.date.fromisoformat(date)
        environment.globals["strftime_now"] = lambda form: day.strftime(str(form))
    return environment


def render(template: jinja2.Template, variables: dict[str, Any], messages: Any, ask: bool) -> list[Any]:
    """The text that a template writes, and the stretches that it marks as generated."""
    marking: Any = template.environment.generation  # type: ignore[attr-defined]
    marking.written.clear()
    marking.marks = []
    length = 0
    for part in template.generate(
        **variables, messages=messages, tools=None, documents=None, add_generation_prompt=ask
    ):
        marking.written.append(part)
        length += len(part)
        if length > MAX_WRITTEN_CHARACTERS:
            raise jinja2.exceptions.TemplateError(f"writes more than {MAX_WRITTEN_CHARACTERS} characters")
    text = "".join(marking.written)
    if _ADDRESS.search(text):
        raise jinja2.exceptions.TemplateError("writes the address of an object, which differs every time")
    return [text, marking.marks]


@contextlib.contextmanager
def _errors_into(answers: list[Any]) -> Iterator[None]:
    try:
        yield
    except jinja2.exceptions.UndefinedError as error:
        answers.append(f"needs a value that is not given: {error}")
    except (jinja2.exceptions.TemplateError, RecursionError, MemoryError, OverflowError) as error:
        answers.append(str(error) or type(error).__name__)
    except Exception as error:  # noqa: BLE001 - a template is a program: its mistakes are its own
        answers.append(f"{type(error).__name__}: {error}")


def serve() -> None:
    """Answer lines until there are none."""
    first = json.loads(sys.stdin.readline())
    with contextlib.suppress(ValueError, OSError):  # systems other than Linux know no such limit
        resource.setrlimit(resource.RLIMIT_AS, (first["memory_bytes"], first["memory_bytes"]))
    made: list[Any] = []
    with _errors_into(made):
        made.append(environment_of(first["date"]).from_string(first["template"]))
    template = made[0]
    _answer({} if isinstance(template, jinja2.Template) else {"error": template})
    for line in sys.stdin:
        answers: list[Any] = []
        for messages, ask in json.loads(line)["renders"]:
            with _errors_into(answers):
                answers.append(render(template, first["variables"], messages, ask))
        _answer({"renders": answers})


def _answer(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
