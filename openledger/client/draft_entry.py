"""A draft of an entry from references, for the chain's licence check: nothing is recorded."""

from collections.abc import Sequence

from abci_app.hashing import HASH_BYTES
from abci_app.modules.models.kinds import ADAPTER, BASE, RULES, EntryKind, Undeclared
from abci_app.modules.models.records import Attribution, Entry, Input, Output, Parent, check_entry
from abci_app.types import PPB
from openledger.client.names import QuestionNames
from openledger.client.provenance import id_of_text
from openledger.errors import UsageError
from openledger.references import split_version


def draft_entry(
    names: QuestionNames,
    *,
    inputs: Sequence[str] = (),
    parents: Sequence[str] = (),
    terms: str = "",
    kind: EntryKind | None = None,
    undeclared: Undeclared = Undeclared.NOTHING,
) -> Entry:
    """An entry with these sources; names in it become names of the question. Raises `UsageError`, `Rejected`.

    Its digests are empty and its shares equal: the check looks at neither.
    """
    nothing = bytes(HASH_BYTES)
    kind = kind or _kind_of(inputs, parents)
    versions = [split_version(text) for text in inputs]
    for name, version in versions:
        if not version:
            raise UsageError(f"input {name!r}: write DATANET@VERSION, for example {name}@1")
    # What is undeclared needs a part, however small: the check looks at no weights.
    weights = _equal_shares(len(versions), PPB - int(undeclared.has_inputs))
    shares = _equal_shares(len(parents), PPB - int(undeclared.has_parents))
    mix = [
        Input(
            datanet_id=_identify(names, "oldata", name),
            version=version,
            weight_ppb=share,
            rows_used=0,
            rows_used_root=b"",
        )
        for (name, version), share in zip(versions, weights, strict=True)
    ]
    roles = [RULES[kind].needed_role or BASE, *[ADAPTER] * len(parents)]
    above = [
        Parent(_identify(names, "olrun", name), role, share)
        for name, role, share in zip(parents, roles, shares, strict=False)
    ]
    entry = Entry(
        kind=kind,
        parents=tuple(above),
        inputs=tuple(mix),
        undeclared=undeclared,
        terms_id=_identify(names, "olterms", terms) if terms else b"",
        manifest_root=nothing,
        output=Output(artefact_digest=nothing, tensor_digest=nothing, byte_count=0, format="draft"),
        attribution=Attribution(0, b""),
    )
    check_entry(entry)
    return entry


def _kind_of(inputs: Sequence[str], parents: Sequence[str]) -> EntryKind:
    """A kind that takes these parents and inputs; the licence check is the same for all but imports."""
    if not parents:
        return EntryKind.PRETRAIN if inputs else EntryKind.IMPORT
    if inputs:
        return EntryKind.LORA
    return EntryKind.MERGE if len(parents) > 1 else EntryKind.QUANTISE


def _equal_shares(number: int, whole: int) -> list[int]:
    """Shares that sum to the whole; the first takes what does not divide."""
    return [whole - whole // number * (number - 1), *[whole // number] * (number - 1)] if number else []


def _identify(names: QuestionNames, prefix: str, text: str) -> bytes:
    """The id in a text, or what holds the place of the name that it is."""
    return id_of_text(prefix, text) or names.stand_in(prefix, text) or b""
