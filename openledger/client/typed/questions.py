"""The questions as generators: they yield (module, query, arguments, height) and receive answers.

`Client` and `AsyncClient` drive the same ones, so that both give the same results.
"""

import time
from collections.abc import Sequence
from typing import TypeVar

from abci_app.modules.bank import AccountQuery
from abci_app.modules.models.lineage import CleanQuery
from abci_app.modules.models.queries import VerdictQuery
from openledger.client.draft_entry import draft_entry
from openledger.client.may import ModelUse, may_of
from openledger.client.names import QuestionNames
from openledger.client.provenance import (
    Pages,
    entry_id_of_text,
    id_of_text,
    impact_pages,
    impact_question,
    lineage_pages,
    lineage_question,
)
from openledger.client.typed.make import (
    People,
    make_account,
    make_clean,
    make_impact,
    make_lineage,
    make_permission,
    make_verdict,
)
from openledger.client.typed.results import AccountFound, Clean, Impact, Lineage, MixVerdict, Permission
from openledger.errors import UsageError
from openledger.references import split_version

T = TypeVar("T")


def ask_lineage(people: People, model: str, height: int) -> Pages[Lineage]:
    """Everything that a model (NAME, NAME@VERSION) or entry (olrun1...) was made from."""
    whole = yield from lineage_pages(lineage_question(model), height, every_contribution=True)
    return make_lineage(whole, people)


def ask_impact(datanet: str, height: int, *, direct_only: bool) -> Pages[Impact]:
    """Everything that was made from a DataNet (NAME: any version, NAME@VERSION, oldata1...)."""
    question = impact_question(datanet, direct_only=direct_only)
    return make_impact((yield from impact_pages(question, height)))


def ask_clean(model: str, datanet: str, height: int) -> Pages[Clean]:
    """Whether a DataNet is among what a model was made from."""
    name, version = split_version(model)
    entry_id = entry_id_of_text(name)
    datanet_name, datanet_version = split_version(datanet)
    datanet_id = id_of_text("oldata", datanet_name)
    question = CleanQuery(
        entry_id=entry_id,
        model_name="" if entry_id else name,
        model_version=version,
        datanet_id=datanet_id,
        datanet_name="" if datanet_id else datanet_name,
        datanet_version=datanet_version,
    )
    return make_clean((yield "models", "clean", question, height))


def ask_verdict(
    inputs: Sequence[str], parents: Sequence[str], terms: str, at_seconds: int | None, height: int
) -> Pages[MixVerdict]:
    """The licence check of a mix of DataNet versions and models, before anything is trained."""
    if not inputs and not parents and not terms:
        raise UsageError('name what is mixed: verdict(inputs=["garden@1"], parents=["my-base"])')
    names = QuestionNames()
    entry = draft_entry(names, inputs=inputs, parents=parents, terms=terms)
    question = VerdictQuery(entry, int(time.time()) if at_seconds is None else at_seconds)
    return make_verdict((yield "models", "verdict", names.arguments(question), height))


def ask_permission(
    people: People, model: str, use: str, field: str, at_seconds: int | None, height: int
) -> Pages[Permission]:
    """Whether a model or entry may be put to a use: sell, serve, share, research, build or distil."""
    words = [each.name.lower() for each in ModelUse]
    if use.lower() not in words:
        raise UsageError(f"use {use!r}: one of {', '.join(words)}")
    whole = yield from lineage_pages(lineage_question(model), height, every_contribution=True)
    now = int(time.time()) if at_seconds is None else at_seconds
    judged = may_of(whole.value, ModelUse[use.upper()], at_seconds=now, field=field, complete=whole.complete)
    return make_permission(judged, whole, model, people)


def ask_account(people: People, account: str | bytes, height: int) -> Pages[AccountFound]:
    """An account, by its address (text or 32 bytes) or by what its key is called here."""
    address = account if isinstance(account, bytes) else address_named(people, account)
    return make_account((yield "bank", "account", AccountQuery(address), height), address, people)


def address_named(people: People, text: str) -> bytes:
    """The address that a text is (open1...), or that of the key which is called so here; raises `UsageError`."""
    named = [address for address, name in people.items() if name == text]
    found = named[0] if named else id_of_text("open", text)
    if not found:
        known = ", ".join(sorted(people.values())) or "none"
        raise UsageError(f"{text!r} is neither an address (open1...) nor a key that is known here ({known})")
    return found
