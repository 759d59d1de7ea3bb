"""`RunFacts`: the facts about a run that its tool's own files show, in one form for all tools.

A field that the files do not show is empty. Names of base and datasets are the tool's words, never taken for names of
this chain. `training` becomes the manifest's part of that name, and lineage shows it in words.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from openledger.errors import UsageError

# Losses of a run that are kept; a longer run is thinned evenly, first and last kept.
MAX_LOGGED_LOSSES = 100_000
# Configuration files and states are read by people; what is larger is something else.
MAX_CONFIGURATION_BYTES = 4 * 2**20


class FactsError(UsageError, ValueError):
    """A tool's file is not what it should be; the text names it."""


@dataclass(frozen=True, slots=True)
class LoggedLoss:
    """One training loss, as logged at a step: the mean of the steps since the one before."""

    step: int
    loss_micronats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """The facts about one run; times are Unix seconds, 0 = not known."""

    framework: str
    # Configuration as the tool has it, and the file or run that it was read from.
    recipe: bytes
    source: str
    # Folder that the result was saved to.
    output_folder: Path | None = None
    # Words for the base and the data: paths and names of the tool.
    base: str = ""
    datasets: tuple[str, ...] = ()
    # `lora` or `full`, as far as known.
    kind: str = ""
    training: Mapping[str, int | str] = field(default_factory=dict)
    losses: tuple[LoggedLoss, ...] = ()
    evaluation_loss_micronats: int | None = None
    started_seconds: int = 0
    finished_seconds: int = 0


def thinned(losses: list[LoggedLoss]) -> tuple[LoggedLoss, ...]:
    """At most `MAX_LOGGED_LOSSES` of them, spread evenly, with the first and the last."""
    if len(losses) <= MAX_LOGGED_LOSSES:
        return tuple(losses)
    last = len(losses) - 1
    return tuple([losses[last * at // (MAX_LOGGED_LOSSES - 1)] for at in range(MAX_LOGGED_LOSSES)])


def read_text(path: Path, what: str) -> bytes:
    """A configuration file, bounded; raises `FactsError`."""
    try:
        with path.open("rb") as source:
            data = source.read(MAX_CONFIGURATION_BYTES + 1)
    except OSError as error:
        raise FactsError(f"{path} cannot be read: {error.strerror}") from None
    if not data or len(data) > MAX_CONFIGURATION_BYTES:
        raise FactsError(f"{path} has {len(data)} bytes; {what} has 1 to {MAX_CONFIGURATION_BYTES}")
    return data


def read_json(path: Path, what: str) -> dict[str, Any]:
    """A JSON object in a file, bounded; raises `FactsError`."""
    try:
        value = json.loads(read_text(path, what))
    except (ValueError, RecursionError) as error:
        raise FactsError(f"{path} is not JSON ({error}): is it {what}?") from None
    if not isinstance(value, dict):
        raise FactsError(f"{path} is no JSON object: is it {what}?")
    return value


def read_yaml(path: Path, what: str) -> tuple[bytes, dict[str, Any]]:
    """A YAML mapping in a file with its bytes, bounded; raises `FactsError`."""
    import yaml

    data = read_text(path, what)
    try:
        value = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise FactsError(f"{path} is not YAML ({str(error).splitlines()[0]}): is it {what}?") from None
    if not isinstance(value, dict):
        raise FactsError(f"{path} holds no fields: is it {what}?")
    return data, {str(key): item for key, item in value.items()}


def plain_number(value: object) -> str:
    """A number as plain decimal text without trailing zeros; empty for what is none."""
    if isinstance(value, bool) or value is None:
        return ""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return ""
    if not number.is_finite() or abs(number.adjusted()) > 30:
        return ""
    return f"{number.normalize():f}"


def whole_number(value: object) -> int | None:
    """A whole number from 0, given as one or as its text; None for anything else."""
    if isinstance(value, bool):
        return None
    text = plain_number(value)
    return int(text) if text.isdecimal() and len(text) <= 18 else None
