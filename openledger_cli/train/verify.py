"""`openledger train --verify ENTRY`: retrain a recorded run, and grade it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from openledger.exit_codes import ExitCode
from openledger_cli.progress import Stages
from openledger_cli.text import note
from openledger_cli.train.progress import RunWatch

if TYPE_CHECKING:
    from openledger_cli.train.run import OpenLedger


def verify(args: argparse.Namespace, opened: OpenLedger) -> int:
    from openledger.content.new_files import check_new_folder
    from openledger.content.store import ContentStore
    from openledger.errors import UsageError
    from trainer.devices import rank_and_processes
    from trainer.verify import AttributionGrade
    from trainer.workflow import verify_entry

    if rank_and_processes()[1] > 1:
        raise UsageError("--verify runs in one process: leave torchrun out; what several computed is repeated in one")
    if args.folder:
        check_new_folder(args.folder)
    with opened(args) as ledger:
        known = ledger.entry(args.verify)
        store = ContentStore.open(args.content)
        verdict, repeated = verify_entry(
            known,
            ledger,
            store,
            output_folder=args.folder,
            with_attribution=not args.without_attribution,
            watch=RunWatch(),
            index_progress=Stages(),
            say=note,
        )
        result: dict[str, str | int | list[str]] = {
            "grade": str(verdict.grade),
            "attribution": str(verdict.attribution),
            "findings": list(verdict.findings),
            "contradictions": list(verdict.contradictions),
            "not_checked": list(verdict.unchecked),
        }
        if args.signer and verdict.contradictions:
            note("nothing is recorded, because the record contradicts itself: a grade would speak for all of it")
        elif args.signer and verdict.attribution == AttributionGrade.DIFFERS:
            # The chain's grades speak of the adapter alone: "bit-exact" would sound as if all had been found right.
            note("nothing is recorded, because the attribution differs; --without-attribution grades the adapter alone")
        elif args.signer:
            result["height"] = ledger.publish_verification(known, verdict, repeated)
    args.context.output.show(result)
    return ExitCode.NOT_VERIFIED if verdict.failed else ExitCode.OK
