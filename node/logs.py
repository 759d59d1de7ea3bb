"""The node's own log: lines for people, or one JSON object a line for programs; both with the lines to alarm on.

A line is an alarm when it is critical, or when its caller says so (`extra=ALARM`).
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
from datetime import UTC, datetime
from typing import Final

from node.home import Home, NodeSettings
from node.log_tail import NODE_LOG

ALARM: Final = {"alarm": True}
_MAX_LOG_BYTES: Final = 64 * 1024 * 1024
_TEXT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class JsonLines(logging.Formatter):
    """One object a line: `time`, `level`, `logger`, `message` (its first line), `alarm`, and `details`, if any."""

    def format(self, record: logging.LogRecord) -> str:
        message, _, rest = record.getMessage().partition("\n")
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        details = "\n".join([part for part in (rest, trace) if part])
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        document = {
            "time": when.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": message,
            "alarm": is_alarm(record),
        }
        return json.dumps(document | ({"details": details} if details else {}))


class FirstLine(logging.Formatter):
    """The console gets one line a message; tracebacks stand in the file."""

    def format(self, record: logging.LogRecord) -> str:
        first = record.getMessage().partition("\n")[0]
        return first if record.levelno == logging.INFO else f"{record.levelname.lower()}: {first}"


class AlarmCount(logging.Handler):
    """Counts the lines to alarm on."""

    def __init__(self) -> None:
        super().__init__()
        self.alarms = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.alarms += is_alarm(record)


def is_alarm(record: logging.LogRecord) -> bool:
    """Whether somebody should read this line soon."""
    return record.levelno >= logging.CRITICAL or bool(getattr(record, "alarm", False))


def set_up_logging(home: Home, settings: NodeSettings) -> AlarmCount:
    """Everything to logs/node.log; the same lines, in short where they are text, to the console."""
    home.log_folder.mkdir(exist_ok=True)
    file = logging.handlers.RotatingFileHandler(home.log_folder / NODE_LOG, maxBytes=_MAX_LOG_BYTES, backupCount=1)
    console, count = logging.StreamHandler(sys.stderr), AlarmCount()
    as_json = settings.log_format == "json"
    file.setFormatter(JsonLines() if as_json else logging.Formatter(_TEXT))
    console.setFormatter(JsonLines() if as_json else FirstLine())
    logger = logging.getLogger("openledger")
    logger.setLevel(settings.log_level.upper())
    logger.handlers[:] = [file, console, count]
    logger.propagate = False
    return count
