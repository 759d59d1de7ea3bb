"""Who owns an entry: its first recorder, unless its manifest names somebody else, who then claims it (ADR 29).

Everybody sees a run in the mempool before it is in a block, and the first to record it is its recorder. So manifests
name the account that records them in a part `owner`: canonical JSON of its address, hashed into the manifest's root
like every part. The named account shows that part once and takes over what the first recorder may do with the entry.
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import Annotated, ClassVar

from msgspec import Meta, structs

from abci_app.bech32 import encode_id
from abci_app.errors import Rejected
from abci_app.module import Context, Message
from abci_app.modules.models.codes import ModelsCode
from abci_app.modules.models.events import EntryClaimed
from abci_app.modules.models.records import ENTRIES, MODELS, SUPERSESSIONS, VERSIONS, StoredEntry
from abci_app.modules.models.terms import show_entry
from abci_app.state.codec import Record
from abci_app.state.store import StateView
from abci_app.state.tree.pages import inner_hash, leaf_hash
from abci_app.types import U32, Address, Bytes32, OptionalBytes32, words

OWNER_PART = "owner"
# The manifests that we write have at most 45 parts with names of one form: their paths are far shorter.
MAX_PATH = 64


class Side(IntEnum):
    """Place of a sibling beside the node that a path leads through."""

    LEFT = 1
    RIGHT = 2


class PathStep(Record, frozen=True, array_like=True, gc=False):
    """One step up a manifest's tree: on which side the sibling stands, and its hash."""

    side: Annotated[int, words(Side)]
    sibling: Bytes32


class ClaimEntry(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x060D):
    """Owner that an entry's manifest names, where somebody else recorded it first: take the entry over, once.

    `path` leads from the manifest's part `owner` to its root. With `model_id` the entry is shown as this version of it.
    """

    weight_each: ClassVar[int] = 14

    entry_id: Bytes32
    path: Annotated[tuple[PathStep, ...], Meta(max_length=MAX_PATH)]
    model_id: OptionalBytes32
    model_version: U32

    def validate(self) -> None:
        """A model is named with the version that the entry is of it, or not at all."""
        if len(self.model_id) not in (0, 32) or bool(self.model_id) != bool(self.model_version):
            raise Rejected(ModelsCode.BAD_CLAIM, "name a model by its id and the version that the entry is, or neither")


def owner_part(owner: bytes) -> bytes:
    """Value of the part `owner`: the account's address as canonical JSON."""
    return b'"' + encode_id("open", owner).encode("ascii") + b'"'


def root_of_owner(owner: bytes, path: Iterable[PathStep]) -> bytes:
    """Root of the manifest that names this owner and has these siblings."""
    node = leaf_hash(OWNER_PART.encode("ascii"), owner_part(owner))
    for step in path:
        left, right = (step.sibling, node) if step.side == Side.LEFT else (node, step.sibling)
        node = inner_hash(left, right)
    return node


def execute_claim_entry(context: Context, message: ClaimEntry) -> None:
    """The sender becomes the owner; model and supersession that its recorder chose count no more."""
    state, sender = context.state, context.sender
    stored = ENTRIES.get(state, message.entry_id)
    if stored is None:
        raise Rejected(ModelsCode.UNKNOWN_ENTRY, f"there is no entry {show_entry(message.entry_id)}")
    if stored.owner == sender:
        raise Rejected(ModelsCode.ALREADY_CLAIMED, "this entry is yours already: nothing is to be claimed")
    if stored.claimed_height:
        raise Rejected(
            ModelsCode.ALREADY_CLAIMED,
            f"{encode_id('open', stored.owner)} claimed this entry at height {stored.claimed_height}: only once",
        )
    if root_of_owner(sender, message.path) != stored.entry.manifest_root:
        raise Rejected(
            ModelsCode.BAD_CLAIM,
            f"the path does not show that the entry's manifest names {encode_id('open', sender)} as its owner: "
            "only the account that it names claims the entry",
        )
    _require_own_version(state, sender, message, stored.admission.number)
    if stored.superseded_by_entry_id:
        SUPERSESSIONS.delete(state, stored.admission.number)
    context.involved.append(Address(stored.owner))
    claimed = structs.replace(
        stored,
        owner=sender,
        claimed_height=context.height,
        model_id=message.model_id,
        model_version=message.model_version,
        superseded_by_entry_id=b"",
    )
    ENTRIES.set(state, message.entry_id, claimed)
    context.emit(EntryClaimed(message.entry_id, sender))


def _require_own_version(state: StateView, sender: bytes, message: ClaimEntry, number: int) -> None:
    """Raise `Rejected` unless the model named is the sender's and its version named is this entry."""
    if not message.model_id:
        return
    model = MODELS.get(state, message.model_id)
    if model is None:
        raise Rejected(ModelsCode.UNKNOWN_MODEL, f"there is no model {encode_id('olmodel', message.model_id)}")
    if model.owner != sender:
        raise Rejected(ModelsCode.NOT_OWNER, f"model {model.name!r} is not yours: name one of your own")
    version = VERSIONS.get(state, message.model_id, message.model_version)
    if version is None or version.entry_number != number:
        raise Rejected(
            ModelsCode.BAD_CLAIM,
            f"the entry is not version {message.model_version} of {model.name!r}: record the run for it first",
        )


def ownership_faults(stored: StoredEntry) -> list[str]:
    """Who recorded an entry owns it, unless somebody else claimed it."""
    if bool(stored.claimed_height) == (stored.owner == stored.admission.recorder):
        return ["owner, recorder and claim disagree"]
    return []
