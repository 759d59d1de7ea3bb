"""`openledger node snapshot|backup|restore|doctor`: what keeps a node and helps others to join."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openledger.errors import UsageError
from openledger_cli.node.arguments import add_command, home_of, report

if TYPE_CHECKING:
    from node.home import Home
    from node.snapshots.folder import SnapshotFolder, StoredSnapshot

_SNAPSHOT_EXAMPLES = """\
examples:
  openledger node snapshot list
  openledger node snapshot make
"""
_LIST_EXAMPLES = """\
examples:
  openledger node snapshot list
  openledger node snapshot list --home /srv/openledger --output json

Nodes that join fetch them; config/node.toml says how often they are made and how many are kept.
"""
_MAKE_EXAMPLES = """\
examples:
  openledger node snapshot make                  of the next block where the node runs, else of the last one
  openledger node snapshot make --wait 0         only ask a running node for it

Others fetch chunks of one snapshot from all nodes that have it, so those that nodes make by themselves serve them best.
"""
_BACKUP_EXAMPLES = """\
examples:
  openledger node backup --to /backup/2026-11-29
  openledger node backup --to /backup/alpha --home /srv/openledger

The node must be stopped. The backup has the state and all blocks, and no keys: keep config/priv_validator_key.json and
config/node_key.json once, offline. What the validator signed last is not in it either; a node that runs has the newest.
"""
_RESTORE_EXAMPLES = """\
examples:
  openledger node restore --from /backup/2026-11-29
  openledger node restore --from /backup/alpha --home /srv/openledger

The node must be stopped; its home keeps its keys and what they have signed. A home that knows less than the backup
about what the same key has signed is refused, since it could sign twice.
"""
_DOCTOR_EXAMPLES = """\
examples:
  openledger node doctor
  openledger node doctor --home /srv/openledger --output json

Exit code 0: nothing failed. 1: a check failed; its line says what to do.
"""
_POLL_SECONDS = 0.5


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to `openledger node`."""
    snapshot = commands.add_parser(
        "snapshot",
        help="what joining nodes fetch",
        description="what joining nodes fetch",
        epilog=_SNAPSHOT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    of_snapshot = snapshot.add_subparsers(dest="snapshot_command", required=True, metavar="COMMAND")
    add_command(of_snapshot, "list", "the snapshots on this node's disk", _LIST_EXAMPLES, _list)
    make = add_command(of_snapshot, "make", "make a snapshot now", _MAKE_EXAMPLES, _make)
    make.add_argument("--wait", type=float, default=600, metavar="SECONDS", help="for a running node (default: 600)")
    words = "copy the state and the blocks into a new folder (node stopped)"
    backup = add_command(commands, "backup", words, _BACKUP_EXAMPLES, _backup)
    backup.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="new folder of the backup")
    restore = add_command(commands, "restore", "put a backup back (node stopped)", _RESTORE_EXAMPLES, _restore)
    restore.add_argument("--from", dest="source", type=Path, required=True, metavar="FOLDER", help="a backup's folder")
    add_command(commands, "doctor", "check everything about this node, with what to do", _DOCTOR_EXAMPLES, _doctor)


def _list(args: argparse.Namespace) -> int:
    from node.snapshots.folder import SnapshotFolder

    folder = SnapshotFolder(home_of(args).snapshot_folder)
    folder.look()
    found = [_document(each) for each in folder.kept]
    rows = [[row["height"], row["chunks"], f"{row['size_bytes'] / 1e6:.1f} MB", row["made"]] for row in found]
    args.context.output.rows("", ["height", "chunks", "size", "made"], rows, found)
    return 0


def _document(stored: StoredSnapshot) -> dict[str, Any]:
    made = datetime.fromtimestamp(int(stored.folder.stat().st_mtime), UTC)
    return {
        "height": stored.height,
        "format": stored.announced.format,
        "chunks": stored.announced.chunks,
        "size_bytes": stored.size_bytes,
        "map_bytes": len(stored.announced.map_bytes),
        "hash": stored.announced.hash.hex(),
        "made": made.isoformat(),
    }


def _make(args: argparse.Namespace) -> int:
    from node.progress import while_waiting
    from node.snapshots.folder import SnapshotFolder

    home = home_of(args)
    folder = SnapshotFolder(home.snapshot_folder)
    folder.look()
    with while_waiting("making the snapshot"):
        made = _asked_for(home, folder, args.wait) if home.is_in_use() else _made_here(home)
    if made is None:
        return report(args, "asked the running node for a snapshot; see `openledger node snapshot list`", height=0)
    text = f"made the snapshot of height {made.height}: {made.announced.chunks} chunks, {made.size_bytes / 1e6:.1f} MB"
    return report(args, text, **_document(made))


def _asked_for(home: Home, folder: SnapshotFolder, wait_seconds: float) -> StoredSnapshot | None:
    """The snapshot that the running node makes of its next block."""
    from node.errors import NodeError
    from node.snapshots.service import WANTED_FILE

    before = folder.kept[0].height if folder.kept else 0
    home.snapshot_folder.mkdir(parents=True, exist_ok=True)
    (home.snapshot_folder / WANTED_FILE).touch()
    deadline = time.monotonic() + wait_seconds
    while time.monotonic() < deadline:
        folder.look()
        if folder.kept and folder.kept[0].height > before:
            return folder.kept[0]
        time.sleep(_POLL_SECONDS)
    if wait_seconds:
        raise NodeError(
            f"no new snapshot after {wait_seconds:.0f} s: see logs/node.log, and whether blocks come with "
            "`openledger node status`"
        )
    return None


def _made_here(home: Home) -> StoredSnapshot:
    """The snapshot of a stopped node's last block."""
    from node.maintenance import make_snapshot

    return make_snapshot(home)


def _backup(args: argparse.Namespace) -> int:
    from node.backup import backup
    from node.progress import while_waiting

    home = home_of(args)
    if args.to.resolve().is_relative_to(home.folder):
        raise UsageError(f"--to {args.to} lies in the home itself: name a folder outside of it, best on another disk")
    with while_waiting("copying"):
        done = backup(home, args.to)
    text = (
        f"backed up height {done.height} into {args.to}: {done.files} files, {done.size_bytes / 1e6:.1f} MB\n"
        "next: openledger node start"
    )
    return report(args, text, folder=str(args.to), height=done.height, files=done.files, size_bytes=done.size_bytes)


def _restore(args: argparse.Namespace) -> int:
    from node.backup import restore
    from node.progress import while_waiting

    home = home_of(args)
    with while_waiting("putting the backup back"):
        done = restore(home, args.source)
    text = f"{home.folder} is at height {done.height} again, with its own keys\nnext: openledger node start"
    return report(args, text, folder=str(home.folder), height=done.height, files=done.files, size_bytes=done.size_bytes)


def _doctor(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from node.doctor import Mark, examine
    from openledger.exit_codes import ExitCode
    from openledger_cli.text import printable

    found = examine(home_of(args))
    if args.context.as_json:
        args.context.output.json([asdict(check) for check in found])
    else:
        for check in found:
            print(printable(f"{check.mark.value.ljust(4)}  {check.name.ljust(9)}  {check.found}"))
            if check.remedy:
                print(printable(f"{' ' * 17}→ {check.remedy}"))
    return ExitCode.FAILURE if any(check.mark is Mark.FAIL for check in found) else ExitCode.OK
