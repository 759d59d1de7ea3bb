"""Parents and inputs as they stand on the command line, with their shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openledger.content.store import ContentStore
    from trainer.publish import ClientLedger
    from trainer.run_records import DeclaredInput, ParentRecord


def parse_parents(
    ledger: ClientLedger, texts: list[str], kind: str = "lora", *, left_out: bool = False
) -> list[ParentRecord]:
    """`ENTRY[:ROLE[:SHARE]]`; shares that are left out divide what remains equally.

    With `left_out` there are undeclared parents besides: their share is what the given ones leave.
    """
    from abci_app.modules.models.kinds import BASE, RULES, EntryKind
    from trainer.run_records import ParentRecord

    split = [(*text.split(":", 2), "", "")[:3] for text in texts]
    shares = divide([share for _, _, share in split], "--parent", left_out=left_out)
    # A word that is no kind is refused by name later.
    usual_role = RULES[EntryKind[kind.upper()]].needed_role if kind.upper() in EntryKind.__members__ else ""
    return [
        ParentRecord(ledger.entry(entry).entry_id, role or usual_role or BASE, share)
        for (entry, role, _), share in zip(split, shares, strict=True)
    ]


def parse_inputs(
    ledger: ClientLedger, texts: list[str], steps: tuple[str, ...], *, left_out: bool = False
) -> list[DeclaredInput]:
    """`DATANET@VERSION[:WEIGHT]`; weights that are left out divide what remains equally.

    With `left_out` there are undeclared inputs besides: their weight is what the given ones leave.
    """
    from openledger.errors import UsageError
    from trainer.run_records import DeclaredInput

    names = [(*text.split(":", 1), "")[:2] for text in texts]
    weights = divide([weight for _, weight in names], "--input", left_out=left_out)
    inputs = []
    for (name, _), weight in zip(names, weights, strict=True):
        datanet, separator, version = name.rpartition("@")
        if not separator or not version.isdecimal():
            raise UsageError(f"--input {name}: write DATANET@VERSION, for example oldata1...@3")
        found = ledger.datanet_version(datanet, int(version))
        inputs.append(DeclaredInput(datanet_id=found.datanet_id, version=found.version, weight_ppb=weight, steps=steps))
    return inputs


def with_all_rows(ledger: ClientLedger, item: DeclaredInput, store: ContentStore) -> DeclaredInput:
    """The input with number and root of all rows of its version, each checked against the chain."""
    from dataclasses import replace

    from abci_app.hashing import list_root
    from trainer.dataset import load_rows

    version = ledger.datanet_version(item.datanet_id.hex(), item.version)
    leaves = [row.leaf for row in load_rows(store, version)]
    return replace(item, rows_used=len(leaves), rows_used_root=list_root("rows-used", leaves))


def divide(texts: list[str], option: str, *, left_out: bool = False) -> list[int]:
    """Shares in parts per billion from texts such as `60%`; empty ones divide the rest, most to the first.

    With `left_out` every share must be given, and together they must leave a part.
    """
    from abci_app.types import PPB
    from openledger.amounts import parse_share
    from openledger.errors import UsageError

    given = [parse_share(text) if text else None for text in texts]
    rest = PPB - sum(share for share in given if share is not None)
    open_places = given.count(None)
    if not texts:
        return []
    if left_out and (open_places or rest <= 0):
        raise UsageError(f"{option}: give every one its share, and leave a part for those that are undeclared")
    if left_out:
        return [share for share in given if share is not None]
    if rest < 0 or (open_places == 0 and rest != 0):
        raise UsageError(f"the shares of {option} sum to {PPB - rest} parts per billion; they must sum to {PPB} (100%)")
    each, remainder = divmod(rest, open_places) if open_places else (0, 0)
    shares = []
    for share in given:
        shares.append(each + remainder if share is None else share)
        remainder = 0 if share is None else remainder
    return shares
