"""Words about a run that somebody else had recorded first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openledger_cli.text import note

if TYPE_CHECKING:
    from trainer.claiming import Claim


def claimed_lines(claim: Claim | None) -> dict[str, int | str]:
    """Say that somebody else had recorded the run first, where that is so, and that it was taken over."""
    from abci_app.bech32 import encode_id

    if claim is None:
        return {}
    first = encode_id("open", claim.first_recorder)
    note(
        f"{first} had recorded this run first; its manifest names you as its owner, so you claimed it: it is yours "
        f"since height {claim.height}"
    )
    return {"recorded_first_by": first, "claimed_height": claim.height}
