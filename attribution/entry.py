"""Commitment of a provenance entry: the roots of its indexes and the rules of payout, under one root on the chain.

    lga-1     root of the gradient index's commitment, 32 bytes (attribution.lga.commitment)
    payout    canonical JSON of the payout policy (abci_app.integers.shares), fixed before anybody has seen a score
    tsa-1     root of the span index's commitment, 32 bytes (attribution.spans.commitment)

The method number of the entry says which indexes there are: 1 gradients, 2 spans, 3 both. The commitment lies in the
content store under its root, as manifests do, and each part is provable alone.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from abci_app.hashing import HASH_BYTES
from abci_app.integers.shares import PayoutPolicy
from attribution.errors import AttributionError
from openledger.content.store import ContentStore
from openledger.data.manifest import Manifest, ManifestError, to_json

GRADIENTS = "lga-1"
SPANS = "tsa-1"
METHOD_BITS = {GRADIENTS: 1, SPANS: 2}
# Three parts of a few hundred bytes.
MAX_BYTES = 4_096

_PAYOUT = "payout"
_KIND = "attribution"


@dataclass(frozen=True)
class EntryCommitment:
    """Roots by method name, and the payout policy."""

    roots: Mapping[str, bytes]
    policy: PayoutPolicy

    def __post_init__(self) -> None:
        """Raises `AttributionError`."""
        if not self.roots or not self.roots.keys() <= METHOD_BITS.keys():
            raise AttributionError("methods", f"{sorted(self.roots)}: at least one of {', '.join(METHOD_BITS)}")
        for name, root in self.roots.items():
            if len(root) != HASH_BYTES:
                raise AttributionError(name, f"a root has {HASH_BYTES} bytes, not {len(root)}")

    @property
    def method(self) -> int:
        """The number that the entry records."""
        return sum(METHOD_BITS[name] for name in self.roots)

    @property
    def manifest(self) -> Manifest:
        """The named parts."""
        policy = asdict(self.policy) | {"pool": self.policy.pool.hex()}
        return Manifest({**self.roots, _PAYOUT: to_json(policy)})

    @property
    def root(self) -> bytes:
        """The named-parts root that the entry records, 32 bytes."""
        return self.manifest.root

    @classmethod
    def of(cls, manifest: Manifest) -> "EntryCommitment":
        """Read the parts; raises `AttributionError` naming the part."""
        parts = dict(manifest.parts)
        encoded = parts.pop(_PAYOUT, b"")
        try:
            fields = json.loads(encoded)
            policy = PayoutPolicy(**(fields | {"pool": bytes.fromhex(fields["pool"])}))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise AttributionError(_PAYOUT, f"is no payout policy ({error})") from error
        commitment = cls(parts, policy)
        if commitment.manifest != manifest:
            raise AttributionError(_PAYOUT, "is not in canonical form")
        return commitment

    def put(self, store: ContentStore) -> bytes:
        """Store under the root; returns the root."""
        store.put_named(_KIND, self.root, self.manifest.encode())
        return self.root


def get_commitment(store: ContentStore, method: int, root: bytes) -> EntryCommitment:
    """The commitment of an entry that records this method and root.

    Raises `ContentMissing`, `ContentCorrupt` when it does not hash to the root, `AttributionError` for a part.
    """
    blob = store.get_named(_KIND, root, lambda data: Manifest.decode(data).root, MAX_BYTES)
    try:
        commitment = EntryCommitment.of(Manifest.decode(blob))
    except ManifestError as error:
        raise AttributionError("commitment", str(error)) from error
    if commitment.method != method:
        raise AttributionError("method", f"the entry records method {method}, its commitment is {commitment.method}")
    return commitment
