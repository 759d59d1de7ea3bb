"""Names like one that stands for nothing: a mistake in typing is told by what there is.

One page of the chain's list is read, proven where the command's answers are, and said to be no more than that.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openledger.errors import QueryFailed

# Names of one kind that are looked at; a page of proven rows, and far more than a permissioned chain usually has.
LOOKED_AT = 200
SHOWN = 3
# "there is no model named 'gardner': ...", as the modules' queries refuse a name.
_REFUSED = re.compile(r"\bno (model|DataNet|terms) named '([^']+)'")


def add_near_names(failure: QueryFailed, arguments: argparse.Namespace) -> None:
    """Say in the failure which names are like the one that it has not found, where there are some.

    Asks the node once more; that failing changes nothing about the failure.
    """
    from openledger.errors import OpenLedgerError
    from openledger.light.errors import LightError
    from openledger.references import names_like

    refused = _REFUSED.search(failure.text)
    if refused is None or not hasattr(arguments, "unverified"):
        return
    what, text = refused.groups()
    try:
        names, is_whole = _names_of(what, arguments)
    except (OpenLedgerError, LightError, OSError):
        return
    near = names_like(text, names)
    if what == "terms":
        from openledger.licences import licences_like

        near = list(dict.fromkeys([*licences_like(text), *near]))[:SHOWN]
    if near:
        known = "" if is_whole else f", of the {len(names)} names looked at"
        failure.near = f"did you mean {' or '.join(near)}{known}?"


def _names_of(what: str, arguments: argparse.Namespace) -> tuple[list[str], bool]:
    """The first names of a kind in the chain's list, and whether those are all."""
    from openledger_cli.proofs.trust import open_client

    question, name_of = _list_of(what)
    with open_client(arguments.context, arguments) as client:
        page = client.query(*question, prove=not arguments.unverified).value
    return [name_of(item) for item in page.items], len(page.items) < LOOKED_AT


def _list_of(what: str) -> tuple[tuple[str, str, Any], Callable[[Any], str]]:
    """The question for the first page of a kind, and what gives the name of an item."""
    if what == "model":
        from abci_app.modules.models.queries import ModelListQuery

        return ("models", "list", ModelListQuery(b"", LOOKED_AT)), lambda item: str(item.model.name)
    if what == "DataNet":
        from abci_app.modules.datanets.queries import DatanetListQuery

        return ("datanets", "list", DatanetListQuery(b"", LOOKED_AT)), lambda item: str(item.datanet.name)
    from abci_app.modules.licences.queries import TermsListQuery

    return ("licences", "list", TermsListQuery(b"", LOOKED_AT)), lambda item: str(item.terms.name)
