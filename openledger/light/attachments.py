"""Documents and rows that travel with a bundle: each must be named, by digest or root, by what the bundle proves."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from abci_app.hashing import sha256
from abci_app.modules.datanets.records import CONTRIBUTIONS, StoredContribution
from abci_app.state.codec import CodecError, decode
from openledger.data.manifest import Manifest, ManifestError
from openledger.data.row_proof import RowProof, parse_row_proof
from openledger.errors import NotVerified
from openledger.light.errors import VerificationFailed
from openledger.light.query import naming_key

Kinds = Literal["document", "manifest", "row"]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A document that the proven state names: by SHA-256, a manifest by its root, a row by its contribution's root."""

    name: str
    data: bytes = field(repr=False)
    kind: Kinds = "document"


@dataclass(frozen=True, slots=True)
class CheckedAttachment:
    """An attachment whose digest the proven state names, directly or through a manifest.

    `label` is what the bundle calls it, which nothing proves. A row has its proof, whose root is `digest`.
    """

    kind: Kinds
    digest: bytes
    named_by: str
    label: str
    row: RowProof | None = None


def examine_attachments(
    attachments: Sequence[Attachment], rows: Sequence[tuple[bytes, bytes]]
) -> tuple[CheckedAttachment, ...]:
    """Each attachment with what names it; raises `VerificationFailed` for one that nothing proven names."""
    checked: list[CheckedAttachment] = []
    parts: list[tuple[bytes, bytes]] = []
    seen_rows: set[bytes] = set()
    for attachment in sorted(attachments, key=lambda each: each.kind != "manifest"):
        if attachment.kind == "row":
            if attachment.data in seen_rows:
                raise VerificationFailed(f"the bundle carries the row {attachment.name!r} twice")
            seen_rows.add(attachment.data)
            checked.append(_examine_row(attachment, rows))
            continue
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


def _examine_row(attachment: Attachment, rows: Sequence[tuple[bytes, bytes]]) -> CheckedAttachment:
    """A row whose root and count are those of a contribution in the proven state."""
    try:
        proof = parse_row_proof(attachment.data)
        root = proof.root
    except NotVerified as error:
        raise VerificationFailed(f"attachment {attachment.name!r}: {error}") from error
    for key, value in rows:
        if key.startswith(CONTRIBUTIONS.prefix):
            try:
                contribution = decode(StoredContribution, value).contribution
            except CodecError:
                continue
            if (contribution.rows_root, contribution.row_count) == (root, proof.count):
                return CheckedAttachment(
                    kind="row", digest=root, named_by=f"state key {key.hex()}", label=attachment.name, row=proof
                )
    raise VerificationFailed(
        f"attachment {attachment.name!r}: the row is in no contribution of the proven state: row or salt were changed, "
        "or it is of another one"
    )


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
