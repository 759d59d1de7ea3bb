"""Exports among the files that `openledger verify` is given: found, and compared with what their bundles prove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openledger.exports import ProofReference
    from openledger.light.bundle import BundleVerdict

# A bundle has one form, which begins so.
_BUNDLE_START = b'{"format":"openledger-proof-bundle"'


@dataclass(frozen=True, slots=True)
class CheckedExport:
    """An export beside its proof: of what it is, in which fields it differs, and what in it nobody proves."""

    name: str
    differs: tuple[str, ...]
    beside: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether it says what its bundles prove."""
        return not self.differs


def find_reference(data: bytes) -> ProofReference | None:
    """The proof that a file names; None for a bundle and for every other file."""
    from openledger.exports import read_reference

    return None if data.startswith(_BUNDLE_START) else read_reference(data)


def compare_export(
    data: bytes, reference: ProofReference, files: Sequence[bytes], verdicts: Sequence[BundleVerdict]
) -> CheckedExport:
    """Write the export again from its bundles, and compare; raises `NotVerified` where the bundles are no whole."""
    from openledger.errors import UsageError
    from openledger.exports import differences, facts_of

    facts = facts_of(files, verdicts, reference.bundles)
    try:
        found = differences(reference.form, data, facts)
    except UsageError as error:
        return CheckedExport(facts.name, (f"its bundles cannot give it: {error}",), ())
    return CheckedExport(facts.name, found.differs, found.beside)
