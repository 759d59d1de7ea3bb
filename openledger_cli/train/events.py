"""`openledger train --events FILE`: the progress of a run as JSON lines, for programs that wait for it.

Every line is one object with `number` (1, 2, 3 … without a gap), `time` (UTC), `event`, `run` (begin of the digest of
the recipe as it is written) and the fields of its event (`FIELDS`). A line is written whole and at once. A run that
goes on after an interruption goes on in its file, with the next number; no other file is written to.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from openledger.errors import UsageError
from openledger_cli.text import note

# Event -> field -> (JSON type, meaning). `number`, `time`, `event` and `run` stand in every line.
HEAD = {
    "number": ("integer", "1 for the first line of the file, then one more each"),
    "time": ("string", "UTC, as 2026-11-28T22:17:38.123Z"),
    "event": ("string", "the name of the event"),
    "run": ("string", "16 hexadecimal digits of the digest of the recipe as it is written"),
}
FIELDS: dict[str, dict[str, tuple[str, str]]] = {
    "stage": {
        "stage": ("string", "check, fetch, load, measure, train, index or record"),
        "words": ("string", "more about it, for people"),
    },
    "step": {
        "step": ("integer", "finished steps"),
        "steps": ("integer", "steps in all"),
        "loss": ("number", "loss of the step in nats"),
        "learning_rate": ("number", "learning rate of the step"),
        "tokens": ("integer", "tokens that the step took, prompts included"),
        "seconds_left": ("number", "estimate of what training still takes; 0 while nothing is known"),
    },
    "evaluation": {
        "when": ("string", "before or after"),
        "loss": ("number", "mean loss on held-out rows in nats"),
        "interval": ("number", "half the width of its 95 % interval"),
        "rows": ("integer", "rows measured"),
    },
    "recorded": {
        "entry": ("string", "id of the entry (olrun1…)"),
        "model": ("string", "name of the model"),
        "height": ("integer", "height of the block"),
    },
    "done": {
        "folder": ("string", "where the output lies"),
        "tensors": ("string", "digest of its tensors"),
    },
    "failed": {
        "error": ("string", "what went wrong, and what to do"),
        "exit_code": ("integer", "with which the command ends"),
    },
    "stopped": {
        "signal": ("string", "SIGINT or SIGTERM"),
        "saved_step": ("integer", "the step from which the run goes on; 0: from its beginning"),
        "resume": ("string", "the command that goes on"),
    },
}
_TAIL_BYTES = 2**18


def json_schema() -> dict[str, Any]:
    """The schema of a line (JSON Schema 2020-12)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of openledger train --events",
        "oneOf": [_schema_of(event) for event in FIELDS],
    }


def _schema_of(event: str) -> dict[str, Any]:
    fields = HEAD | FIELDS[event]
    properties: dict[str, Any] = {name: {"type": kind, "description": text} for name, (kind, text) in fields.items()}
    properties["event"] = {"const": event}
    properties["number"] |= {"minimum": 1}
    return {"type": "object", "properties": properties, "required": list(fields), "additionalProperties": False}


class EventFile:
    """A file that takes events; where it cannot be written any more, the run goes on without it."""

    def __init__(self, path: Path, run: str) -> None:
        """Open a new file, or this run's own; raises `UsageError` for any other."""
        self._path = path
        self._run = run
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UsageError(f"--events {path}: {error.strerror}; name a file that can be written") from error
        try:
            self._number = self._begin()
        except BaseException:
            os.close(self._file)
            raise

    def _begin(self) -> int:
        """Number of the last line; what was cut short by the end of a process is taken away."""
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            return 0  # a pipe or a terminal
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"--events {self._path}: another run writes to it; name another file") from None
        size = os.fstat(self._file).st_size
        if not size:
            return 0
        begin = max(0, size - _TAIL_BYTES)
        tail = os.pread(self._file, size - begin, begin)
        whole = tail[: tail.rfind(b"\n") + 1]
        lines = whole.splitlines()
        last = _event_of(lines[-1]) if lines else {}
        if last.get("run") != self._run or last["event"] == "done":
            why = "is no file of this run" if last.get("run") != self._run else "its run is done"
            raise UsageError(f"--events {self._path}: it is there already and {why}; name another file")
        os.ftruncate(self._file, begin + len(whole))
        return int(last["number"])

    def write(self, event: str, values: Mapping[str, object]) -> None:
        """Append one line."""
        if self._file < 0:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"number": self._number + 1, "time": now, "event": event, "run": self._run, **values}
        data = json.dumps(line, ensure_ascii=False).encode() + b"\n"
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            note(f"--events {self._path}: {error.strerror}; no more events are written, the run goes on")
            self.close()
            return
        self._number += 1

    def close(self) -> None:
        """Write no more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _event_of(line: bytes) -> dict[str, Any]:
    """The object of a line of ours; empty for anything else."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    known = isinstance(value, dict) and value.get("event") in FIELDS and type(value.get("number")) is int
    return value if known else {}
