"""`training_args.bin` read without running it.

transformers saves its arguments as a pickle, which runs code when it is opened as usual. Here every class and function
that the pickle names becomes an inert stand-in, so that only plain values and the names of enumerations come out.
"""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any, Self

from trainer.recording.facts import FactsError

# Arguments of a run have some 5 kB.
MAX_PICKLE_BYTES = 2**20
MAX_ARCHIVE_ENTRIES = 100
# Values of a run's arguments, some hundred; a list may stand in a list many times over.
MAX_VALUES = 10_000
MAX_DEPTH = 8
_PICKLE_NAME = "data.pkl"


class _StandIn:
    """Takes the place of any class, function or instance of a pickle."""

    value: str | None
    fields: dict[str, Any]

    def __new__(cls, *values: object) -> Self:
        made = super().__new__(cls)
        # An enumeration is stored as its class called with its value.
        made.value = values[0] if len(values) == 1 and isinstance(values[0], str) else None
        made.fields = {}
        return made

    def __setstate__(self, state: object) -> None:
        """Keep the fields of an object."""
        if isinstance(state, dict):
            self.fields = {key: value for key, value in state.items() if isinstance(key, str)}


class _InertUnpickler(pickle.Unpickler):
    """An unpickler that knows no class and no function."""

    def find_class(self, module: str, name: str) -> type[_StandIn]:
        """Give the stand-in for every name."""
        return _StandIn

    def persistent_load(self, pid: object) -> None:
        """Leave out tensors and other things beside the pickle."""


def read_saved_arguments(path: Path) -> dict[str, Any]:
    """The arguments in a `training_args.bin`, plain values and words of enumerations only; raises `FactsError`."""
    try:
        loaded = _InertUnpickler(io.BytesIO(_pickle_of(path))).load()
    except FactsError:
        raise
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise FactsError(f"{path} cannot be read: {error}") from None
    except Exception as error:  # noqa: BLE001 - a damaged pickle raises anything at all
        raise FactsError(f"{path} is damaged: {type(error).__name__}: {error}") from None
    if not isinstance(loaded, _StandIn) or not loaded.fields:
        raise FactsError(f"{path} holds no training arguments")
    reading = _PlainValues(path)
    found = {name: reading.plain(value) for name, value in loaded.fields.items() if not name.startswith("_")}
    return {name: value for name, value in found.items() if value is not None}


def _pickle_of(path: Path) -> bytes:
    """The pickle in the archive that torch writes."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if len(entries) > MAX_ARCHIVE_ENTRIES:
            raise FactsError(f"{path} is an archive of {len(entries)} parts; training arguments have a few")
        entry = next((item for item in entries if item.filename.rpartition("/")[2] == _PICKLE_NAME), None)
        if entry is None or entry.file_size > MAX_PICKLE_BYTES:
            raise FactsError(f"{path} holds no training arguments that torch has saved")
        with archive.open(entry) as source:
            # What the directory says of the size is anybody's word.
            data = source.read(MAX_PICKLE_BYTES + 1)
    if len(data) > MAX_PICKLE_BYTES:
        raise FactsError(f"{path} holds more than {MAX_PICKLE_BYTES} bytes of training arguments")
    return data


class _PlainValues:
    """Takes plain values out of what was unpickled, as many as there may be."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left = MAX_VALUES

    def plain(self, value: object, depth: int = 0) -> Any:
        """A plain value as it is, an enumeration as its word; None for everything else."""
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:
            raise FactsError(f"{self._path} holds more than {MAX_VALUES} values, or {MAX_DEPTH} levels of them")
        if isinstance(value, _StandIn):
            return value.value
        if isinstance(value, str | int | float | bool):
            return value
        if isinstance(value, list | tuple):
            return [item for item in (self.plain(inner, depth + 1) for inner in value) if item is not None]
        if isinstance(value, dict):
            pairs = [(str(key), self.plain(inner, depth + 1)) for key, inner in value.items()]
            return {key: plain for key, plain in pairs if plain is not None}
        return None
