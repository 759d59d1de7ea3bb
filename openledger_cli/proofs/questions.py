"""Questions and the names in them as documents: what was asked, and what each name stands for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from abci_app.bech32 import encode_id

if TYPE_CHECKING:
    from abci_app.chain.names import ResolvedName
    from openledger.light.query import Question


def describe_names(names: Sequence[ResolvedName]) -> list[dict[str, str]]:
    """Each name with the id that it stands for at the answer's height."""
    return [{"name": each.text, "id": encode_id(each.kind, each.id)} for each in names]


def describe_question(question: Question, names: Sequence[ResolvedName]) -> Any:
    """Describe a question: arguments by name, keys and ranges in hex; a name stands where the arguments hold one."""
    from openledger.documents import to_document
    from openledger.light.query import QueryQuestion

    if not isinstance(question, QueryQuestion):
        ranges = [[start.hex(), end.hex()] for start, end in question.ranges]
        return {"keys": [key.hex() for key in question.keys], "ranges": ranges}
    ids = {(each.kind, each.text): encode_id(each.kind, each.id) for each in names}
    shown: dict[str, str] = {}
    for each in question.names:
        found = ids.get((each.kind, each.text))
        text = f"{each.text} ({found})" if found else f"{each.text} (a name that stands for nothing)"
        shown |= {encode_id(each.kind, each.stand_in()): text, each.stand_in().hex(): text}
    document = to_document(question.arguments())
    return {"query": f"{question.module}/{question.name}", **_with_names(document, shown)}


def _with_names(document: Any, shown: dict[str, str]) -> Any:
    """The document with names in place of their stand-ins."""
    if isinstance(document, dict):
        return {name: _with_names(item, shown) for name, item in document.items()}
    if isinstance(document, list):
        return [_with_names(item, shown) for item in document]
    return shown.get(document, document) if isinstance(document, str) else document
