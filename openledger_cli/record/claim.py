"""`openledger record --claim ENTRY`: take over an entry that somebody else recorded first."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from openledger.exit_codes import ExitCode
from openledger_cli.claimed import claimed_lines
from openledger_cli.tasks import say_next

if TYPE_CHECKING:
    from openledger.data.manifest import Manifest


def claim_entry(args: argparse.Namespace) -> int:
    """Claim by the manifest in the content store, as the version that the entry is of a model of one's own."""
    from openledger.content.store import ContentStore
    from openledger.data.manifest import get_manifest
    from openledger.errors import UsageError
    from openledger_cli.train.commands import open_ledger
    from trainer.publish import entry_text

    if args.source or args.mlflow or args.mlflow_experiment:
        raise UsageError("--claim takes over an entry that is recorded: name no folder and no run with it")
    store = ContentStore.open(args.content)
    with open_ledger(args) as ledger:
        entry_id = ledger.entry_id(args.claim)
        entry, stored = entry_text(entry_id), ledger.stored_entry(entry_id)
        shown: dict[str, int | str] = {"entry": entry, "model": args.model}
        if stored.owner == ledger.signer_address:
            args.context.output.show(shown | {"outcome": "it is yours already: nothing was to be claimed"})
            return ExitCode.OK
        manifest = get_manifest(store, stored.entry.manifest_root)
        _require_named(manifest, entry, ledger.signer_address)
        if entry_id not in [found for _, found in ledger.model_versions(args.model)]:
            raise UsageError(
                f"no version of {args.model!r} is this run yet: give the command that records it (`openledger train` "
                "or `openledger record`) once more; it claims the entry, too"
            )
        claim = ledger.claim(entry_id, manifest, args.model)
        args.context.output.show(shown | {"outcome": "claimed"} | claimed_lines(claim))
    say_next(args.context, f"openledger query lineage {args.model}")
    return ExitCode.OK


def _require_named(manifest: Manifest, entry: str, address: bytes) -> None:
    """Raise `UsageError` unless the manifest names this account as owner."""
    from abci_app.bech32 import encode_id
    from openledger.data.ownership import find_owner
    from openledger.errors import UsageError

    owner = find_owner(manifest)
    if owner == address:
        return
    named = f"names {encode_id('open', owner)} as its owner" if owner else "names no owner"
    who = "only that account can claim it" if owner else "it belongs to the account that recorded it first"
    raise UsageError(f"the manifest of {entry} {named}: {who}")
