"""NAME@VERSION in a document: the version goes to the field beside the name that takes it.

`{"datanet_id": "garden@2"}` is `{"datanet_id": "garden", "version": 2}`, and so for models and benchmarks.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from openledger.references import split_version

# Of names and ids of DataNets and models; an entry's name keeps its version, since that is what it names.
_ENDINGS = ("datanet_id", "datanet_name", "model_name", "name")


def with_versions(document: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """The document with versions taken out of names; raises `UsageError` where one contradicts its own field."""
    found = dict(document)
    for name, value in document.items():
        field = _version_field(name, fields)
        if not field or not isinstance(value, str) or "@" not in value:
            continue
        found[name], found[field] = split_version(value, _number(found.get(field)))
    return found


def _version_field(name: str, fields: Sequence[str]) -> str:
    """The field that holds the version of what a field names, or empty."""
    ending = next((each for each in _ENDINGS if name == each or name.endswith(f"_{each}")), "")
    if not ending:
        return ""
    before = name.removesuffix(ending)
    kind = ending.partition("_")[0] if "_" in ending else ""
    wanted = [f"{before}{kind}_version" if kind else "", f"{before}version", "version" if not before else ""]
    return next((each for each in wanted if each and each in fields), "")


def _number(given: object) -> int:
    """A version that was given apart; 0 where none was, or where its own field will say what is wrong with it."""
    text = str(given or 0)
    return int(text) if text.isdecimal() and text.isascii() else 0
