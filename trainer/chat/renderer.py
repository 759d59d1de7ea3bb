"""Runs a chat template in a process of its own (`trainer.chat.sandbox`), with a limit of time for every answer."""

import json
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from openledger.errors import UsageError

# One conversation of 512 turns takes a tenth of a second on a slow machine.
ANSWER_SECONDS = 20.0
# Python with Jinja takes 60 MB of addresses; a conversation and its texts a few more.
MEMORY_BYTES = 512 * 2**20
_READ_BYTES = 2**16
Message = Mapping[str, str]


class TemplateFault(UsageError, ValueError):
    """A chat template cannot be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Written:
    """A template's writing: the text, and the stretches [start, end) of it that the template marks as generated."""

    text: str
    marks: tuple[tuple[int, int], ...]


class Renderer:
    """A template that is running; close it, or use it in a `with` block."""

    def __init__(self, template: str, variables: Mapping[str, str], date: str) -> None:
        """Start the program; raises `TemplateFault` for what is no template."""
        self._process = subprocess.Popen(
            # Isolated: no folder of ours or of the user's is on its path, only the installed packages.
            [sys.executable, "-I", str(Path(__file__).with_name("sandbox.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        self._rest = b""
        try:
            answer = self._ask(
                {"template": template, "variables": dict(variables), "date": date, "memory_bytes": MEMORY_BYTES}
            )
            if "error" in answer:
                raise TemplateFault(f"the base's chat template is no template: {_one_line(answer['error'])}")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Nothing more to do."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the program."""
        self.close()

    def close(self) -> None:
        """End the program, even in the middle of an answer."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def render(self, requests: Sequence[tuple[Sequence[Message], bool]]) -> list[Written | str]:
        """Write every list of messages, with what asks for an answer or without; a refusal is its text.

        Raises `TemplateFault` when the program does not end or takes too much memory.
        """
        found: list[Written | str] = []
        for item in self._ask({"renders": [[[dict(each) for each in messages], ask] for messages, ask in requests]})[
            "renders"
        ]:
            if isinstance(item, str):
                found.append(_one_line(item))
            else:
                text, marks = item
                found.append(Written(text, tuple([(start, end) for start, end in marks])))
        return found

    def _ask(self, value: Mapping[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps(value).encode() + b"\n")
            stdin.flush()
        except OSError:
            raise self._ended() from None
        while b"\n" not in self._rest:
            ready, _, _ = select.select([stdout], [], [], ANSWER_SECONDS)
            if not ready:
                self.close()
                raise TemplateFault(
                    f"the base's chat template does not end within {ANSWER_SECONDS:g} s on one conversation; write "
                    "chat_template: never into the recipe's train section, or train from another base"
                )
            part = stdout.read1(_READ_BYTES)  # type: ignore[attr-defined]
            if not part:
                raise self._ended()
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _ended(self) -> TemplateFault:
        self.close()
        return TemplateFault(
            f"the base's chat template takes more than {MEMORY_BYTES // 2**20} MiB of memory or ends its process; "
            "write chat_template: never into the recipe's train section, or train from another base"
        )


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
