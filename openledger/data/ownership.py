"""The owner that a manifest names, and the message by which this account takes an entry over from who recorded it.

Everybody who sees a run on its way to a block can record it first. A manifest that names its owner (part `owner`,
which the trainer and `openledger record` write) lets that account claim the entry afterwards; see ADR 29.
"""

from abci_app.bech32 import IdError, decode_id
from abci_app.modules.models.claims import OWNER_PART, ClaimEntry, PathStep, Side, owner_part
from openledger.data.manifest import Manifest, ManifestError


def owner_parts(owner: bytes) -> dict[str, bytes]:
    """Give the part that names an owner; none where nobody is named."""
    return {OWNER_PART: owner_part(owner)} if owner else {}


def find_owner(manifest: Manifest) -> bytes | None:
    """Address of the account that a manifest names as owner; None where it names none that could claim."""
    value = manifest.parts.get(OWNER_PART)
    if value is None:
        return None
    try:
        address = decode_id(value[1:-1].decode("ascii"), "open")[1]
    except (IdError, UnicodeDecodeError):
        return None
    return address if owner_part(address) == value else None


def make_claim(manifest: Manifest, entry_id: bytes, model_id: bytes = b"", model_version: int = 0) -> ClaimEntry:
    """Message of the account that the manifest names; raises `ManifestError` where it names none."""
    if find_owner(manifest) is None:
        raise ManifestError("the manifest names no owner: who recorded the entry first owns it")
    path = [
        PathStep(Side.LEFT if side == "left" else Side.RIGHT, sibling)
        for side, sibling in manifest.prove(OWNER_PART).path
    ]
    return ClaimEntry(entry_id=entry_id, path=tuple(path), model_id=model_id, model_version=model_version)
