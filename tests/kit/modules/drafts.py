"""Well-formed terms, contributions, entries and runs; a test names only what it is about."""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgpack  # type: ignore[import-untyped]  # an independent codec
from msgspec import structs

from abci_app.hashing import TAGS, tagged_hash
from abci_app.modules.datanets.records import Contribute, Contribution, contribution_id_of
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.facts import is_own
from abci_app.modules.licences.records import Stated, Terms, UseClass
from abci_app.modules.models.kinds import RULES, EntryKind, Undeclared
from abci_app.modules.models.records import Attribution, Entry, Input, Output, Parent, Run, RunDraft
from abci_app.state.codec import encode
from abci_app.types import PPB
from tests.kit.signing import CHAIN_ID

FREE = Terms(
    name="CC BY 4.0",
    spdx="CC-BY-4.0",
    use_class=UseClass.ANY,
    attribution=Stated.YES,
    share_alike=Stated.NO,
    no_derivatives=Stated.NO,
    training=Stated.YES,
    redistribution=Stated.YES,
    approval_required=Stated.NO,
    behavioural=Stated.NO,
    private=Stated.NO,
    opt_out_reserved=Stated.NO,
    notice=Stated.YES,
    outputs_restricted=Stated.NO,
    irrevocable=Stated.YES,
    fields_of_use=(),
    excluded_domains=(),
    text_digest=b"",
    behavioural_digest=b"",
    revenue_share_ppb=0,
    expiry_seconds=0,
    jurisdiction="",
)


def digest(text: str) -> bytes:
    """32 bytes that depend on a text."""
    return hashlib.sha256(text.encode()).digest()


def independent_hash(tag: str, record: list[Any]) -> str:
    """H(tag, record) by another codec and from the definition, in hex."""
    prefix = hashlib.sha256(tag.encode()).digest()
    return hashlib.sha256(prefix + prefix + msgpack.packb(record)).hexdigest()


def terms(**changes: Any) -> Terms:
    """Terms that allow everything for attribution, but for `changes`: then they are words of one's own."""
    if changes.keys() - {"name", "jurisdiction"} and "spdx" not in changes:
        changes["spdx"] = "LicenseRef-own"
    if changes.get("share_alike") == Stated.YES and is_own(changes["spdx"]) and "text_digest" not in changes:
        changes["text_digest"] = digest(changes["spdx"])
    return structs.replace(FREE, **changes)


def new_id(kind: str, sender: bytes, sequence: int, message_index: int = 0) -> bytes:
    """Id of an object that a message creates (design 3)."""
    return tagged_hash(TAGS[f"{kind}_id"], encode((CHAIN_ID, sender, sequence, message_index)))


def contribute(datanet_id: bytes, name: str, **changes: Any) -> Contribute:
    """A batch of three rows that nobody else has."""
    message = Contribute(datanet_id, digest(f"rows {name}"), 3, 300, digest(f"file {name}"), b"", b"", b"", 0)
    return structs.replace(message, **changes)


def contribution_of(message: Contribute, contributor: bytes, default_terms_id: bytes) -> Contribution:
    """The record that a message makes."""
    return Contribution(
        message.datanet_id,
        contributor,
        message.payee or contributor,
        message.rows_root,
        message.row_count,
        message.byte_count,
        message.content_digest,
        message.sketch,
        message.terms_id or default_terms_id,
        message.form,
    )


def contribution_id(message: Contribute, contributor: bytes, default_terms_id: bytes) -> bytes:
    """Id of the contribution that a message makes."""
    return contribution_id_of(contribution_of(message, contributor, default_terms_id))


def split_ppb(count: int) -> list[int]:
    """`count` shares that sum to 10^9; the first takes what the others leave."""
    each = PPB // max(count, 1)
    return [PPB - each * (count - 1), *[each] * (count - 1)] if count else []


def inputs(*versions: tuple[bytes, int]) -> tuple[Input, ...]:
    """Equal weights over (DataNet, version) pairs."""
    shares = split_ppb(len(versions))
    return tuple(
        [
            Input(datanet_id, version, share, 3, digest("rows used"))
            for (datanet_id, version), share in zip(versions, shares, strict=True)
        ]
    )


def parents(*entry_ids: bytes, first_role: str = "base") -> tuple[Parent, ...]:
    """Equal shares over entries: the first is the base (or has another role), the others are adapters."""
    roles = [first_role, *["adapter"] * (len(entry_ids) - 1)]
    given = zip(entry_ids, roles, split_ppb(len(entry_ids)), strict=False)
    return tuple([Parent(entry_id, role, share) for entry_id, role, share in given])


def output(name: str) -> Output:
    """An artefact of its own."""
    return Output(digest(f"artefact {name}"), digest(f"tensors {name}"), 1_000, "safetensors")


def entry(
    name: str,
    *,
    kind: EntryKind = EntryKind.LORA,
    data: Sequence[tuple[bytes, int]] = (),
    made_from: Sequence[bytes] = (),
    terms_id: bytes = b"",
    **changes: Any,
) -> Entry:
    """An entry whose output nobody else has; where its kind needs more than is given, it says that it declares less."""
    rule = RULES[kind]
    without_inputs = rule.needs_inputs and not data
    named = parents(*made_from, first_role=rule.needed_role or "base")
    undeclared = undeclared_of(parents=len(made_from) < rule.least_parents, inputs=without_inputs)
    if undeclared.has_parents:
        # What is listed leaves a part for what is not.
        named = tuple([structs.replace(parent, share_ppb=parent.share_ppb // 2) for parent in named])
    drafted = Entry(
        kind=kind,
        parents=named,
        inputs=inputs(*data),
        undeclared=undeclared,
        terms_id=terms_id or (terms_id_of(FREE) if undeclared else b""),
        manifest_root=digest(f"manifest {name}"),
        output=output(name),
        attribution=Attribution(0, b""),
    )
    return structs.replace(drafted, **changes)


def undeclared_of(*, parents: bool, inputs: bool) -> Undeclared:
    """Name the things that an entry has to say it does not declare."""
    return Undeclared(parents * Undeclared.PARENTS + inputs * Undeclared.INPUTS)


RUN = Run(1_699_990_000, 1_699_999_000, digest("environment"), "one H100", "accuracy", 812_000)


def run_of(drafted: Entry, *, model_id: bytes = b"", label: str = "", run: Run = RUN) -> RunDraft:
    """A run to record."""
    return RunDraft(drafted, run, model_id, label)
