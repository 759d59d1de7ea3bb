"""Versions that this process has loaded, for those who record later what a model was trained on."""

import threading

from openledger.data.loading import LoadedVersion

_LOADED: dict[tuple[bytes, int], LoadedVersion] = {}
_TURN = threading.Lock()


def remember(version: LoadedVersion) -> None:
    """Note that a version was loaded; twice is once."""
    with _TURN:
        _LOADED.setdefault((version.datanet_id, version.version.version), version)


def remembered() -> tuple[LoadedVersion, ...]:
    """Every version that was loaded, in the order of first loading."""
    with _TURN:
        return tuple(_LOADED.values())


def forget() -> None:
    """Start anew, as a process that has loaded nothing."""
    with _TURN:
        _LOADED.clear()
