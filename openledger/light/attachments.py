"""Documents that travel with a bundle: each must be named, by its digest, by what the bundle proves."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from abci_app.hashing import sha256
from openledger.data.manifest import Manifest, ManifestError
from openledger.light.errors import VerificationFailed
from openledger.light.query import naming_key


@dataclass(frozen=True, slots=True)
class Attachment:
    """A document that the proven state names: by SHA-256, or for a manifest by its root."""

    name: str
    data: bytes = field(repr=False)
    kind: Literal["document", "manifest"] = "document"


@dataclass(frozen=True, slots=True)
class CheckedAttachment:
    """An attachment whose digest the proven state names, directly or through a manifest.

    `label` is what the bundle calls it, which nothing proves.
    """

    kind: Literal["document", "manifest"]
    digest: bytes
    named_by: str
    label: str


def examine_attachments(
    attachments: Sequence[Attachment], rows: Sequence[tuple[bytes, bytes]]
) -> tuple[CheckedAttachment, ...]:
    """Each attachment with what names it; raises `VerificationFailed` for one that nothing proven names."""
    checked: list[CheckedAttachment] = []
    parts: list[tuple[bytes, bytes]] = []
    for attachment in sorted(attachments, key=lambda each: each.kind != "manifest"):
        manifest = _manifest(attachment) if attachment.kind == "manifest" else None
        digest = manifest.root if manifest else sha256(attachment.data)
        if digest in [each.digest for each in checked]:
            raise VerificationFailed(f"the bundle carries the attachment {digest.hex()} twice")
        key = naming_key(rows, digest)
        named_by = f"state key {key.hex()}" if key else _naming_manifest(parts, digest)
        if not named_by:
            raise VerificationFailed(f"attachment {attachment.name!r} is not named by the proven state")
        checked.append(CheckedAttachment(kind=attachment.kind, digest=digest, named_by=named_by, label=attachment.name))
        if manifest:
            parts += [(digest, part) for part in manifest.parts.values()]
    return tuple(checked)


def _manifest(attachment: Attachment) -> Manifest:
    try:
        return Manifest.decode(attachment.data)
    except ManifestError as error:
        raise VerificationFailed(f"attachment {attachment.name!r}: {error}") from error


def _naming_manifest(parts: Sequence[tuple[bytes, bytes]], digest: bytes) -> str:
    """The manifest in which a digest stands, raw or in hex."""
    text = digest.hex().encode("ascii")
    for root, part in parts:
        if digest in part or text in part.lower():
            return f"manifest {root.hex()}"
    return ""
