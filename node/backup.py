"""Backups of a stopped node, and putting them back: never with an older word on what the validator has signed.

A backup is a folder: `backup.json` and copies of the application's state and of CometBFT's blocks and state, all of one
moment, each file with its size and SHA-256. Keys are not in it (they are kept once, offline), nor is the file in which
CometBFT keeps what the key signed last: put back from an older day it makes a validator sign twice. Instead the backup
says how far the key had signed, and a home whose own file says less for the same key is refused.

Putting back: everything is copied and checked first, beside the data; then a mark is made, the old parts go, the new
ones take their places, the mark goes. While the mark is there the node does not start, and `restore` is run again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from node import disk, genesis
from node.agreement import Heights, require_agreement
from node.errors import NodeError
from node.home import Home
from node.run import open_store
from openledger.content.new_files import making_folder
from openledger.content.store import file_digest

FORMAT: Final = "openledger-backup/1"
MANIFEST_FILE: Final = "backup.json"
DATABASES: Final = ("application", "blockstore.db", "state.db", "evidence.db", "tx_index.db")
# Removed before the parts of a backup take their places: they would say more than those.
_LEFT_OUT: Final = ("cs.wal", "block_times")
_COPIED_BYTES: Final = 4 * 2**20
_STAGED: Final = ".restoring"


class SignedUntil(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last vote of a key, by priv_validator_state.json."""

    address: str
    height: int
    round: int
    step: int

    @property
    def place(self) -> tuple[int, int, int]:
        """Votes come in this order."""
        return self.height, self.round, self.step


class BackupManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """backup.json: of which chain and heights, how far the key had signed, every file's size and SHA-256."""

    format: str
    chain_id: str
    genesis_sha256: str
    application_height: int
    blocks_height: int
    signed: SignedUntil
    files: dict[str, tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a backup or of putting one back."""

    folder: Path
    height: int
    files: int
    size_bytes: int


def signed_until(home: Home) -> SignedUntil:
    """How far this home's key has signed. Raises NodeError where that is not known."""
    try:
        key: dict[str, Any] = json.loads(home.validator_key_file.read_text())
        state: dict[str, Any] = json.loads(home.signing_state_file.read_text())
        return SignedUntil(
            address=str(key["address"]), height=int(state["height"]), round=int(state["round"]), step=int(state["step"])
        )
    except FileNotFoundError as error:
        raise NodeError(
            f"{error.filename} is missing: put back the newest one that exists; without it this validator could sign "
            "twice"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NodeError(f"what this validator has signed cannot be read: {error}; put back the newest file") from error


def backup(home: Home, target: Path) -> Done:
    """Copy the state and the blocks of a stopped node into a new folder. Raises NodeError and UsageError."""
    home.require_initialised()
    with home.lock():
        with open_store(home, home.settings()) as store:
            found = require_agreement(home, store, store.height)
        if not found.comet_blocks:
            raise NodeError(f"{home.folder} has no blocks yet: there is nothing to back up")
        paths = [path for name in DATABASES for path in sorted((home.data_folder / name).rglob("*")) if path.is_file()]
        need_bytes = sum(path.stat().st_size for path in paths)
        with making_folder(target) as folder:
            _require_room(folder, need_bytes)
            files = {
                str(path.relative_to(home.data_folder)): _copy(path, folder / path.relative_to(home.data_folder))
                for path in paths
                if path.name != "LOCK"
            }
            _write_manifest(folder, home, found, files)
    return Done(folder=target, height=found.comet_blocks, files=len(files), size_bytes=need_bytes)


def _write_manifest(folder: Path, home: Home, found: Heights, files: dict[str, tuple[int, str]]) -> None:
    manifest = BackupManifest(
        format=FORMAT,
        chain_id=genesis.chain_id(home.genesis_file),
        genesis_sha256=file_digest(home.genesis_file).hex(),
        application_height=found.application,
        blocks_height=found.comet_blocks,
        signed=signed_until(home),
        files=files,
    )
    shutil.copyfile(home.genesis_file, folder / "genesis.json")
    with (folder / MANIFEST_FILE).open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2))
        file.flush()
        os.fsync(file.fileno())
    disk.sync_folder(folder)


def read_manifest(source: Path) -> BackupManifest:
    """The manifest of a backup. Raises NodeError for a folder that is none."""
    try:
        found = msgspec.json.decode((source / MANIFEST_FILE).read_bytes(), type=BackupManifest)
    except FileNotFoundError:
        raise NodeError(
            f"{source} holds no {MANIFEST_FILE}: name a folder that `openledger node backup` made"
        ) from None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NodeError(f"{source / MANIFEST_FILE} cannot be read: {error}") from error
    if found.format != FORMAT:
        raise NodeError(f"{source} has the form {found.format!r}, this program reads {FORMAT}")
    for name in found.files:
        parts = Path(name).parts
        if Path(name).is_absolute() or ".." in parts or len(parts) < 2 or parts[0] not in DATABASES:
            raise NodeError(f"{source / MANIFEST_FILE} names {name!r}, which is no part of a node's data")
    return found


def restore(home: Home, source: Path) -> Done:
    """Put a backup back into the home of a stopped node, which keeps its keys and their votes. Raises NodeError."""
    home.require_initialised()
    manifest = read_manifest(source)
    with home.lock():
        _require_same_chain(home, source, manifest)
        _require_signing_state(home, manifest.signed)
        size_bytes = sum(size for size, _ in manifest.files.values())
        staged = home.data_folder / _STAGED
        shutil.rmtree(staged, ignore_errors=True)
        _require_room(home.data_folder, size_bytes)
        for name, (size, digest) in manifest.files.items():
            path = source / name
            if not path.is_file() or _copy(path, staged / name) != (size, digest):
                shutil.rmtree(staged, ignore_errors=True)
                raise NodeError(f"{path} is not what was backed up: use another backup; nothing was changed")
        _swap(home, staged)
    return Done(folder=home.folder, height=manifest.blocks_height, files=len(manifest.files), size_bytes=size_bytes)


def _swap(home: Home, staged: Path) -> None:
    """The mark, the old parts, the new ones, no mark: killed anywhere, the mark says that this is to be done again."""
    home.unfinished_restore_file.touch()
    disk.sync_folder(home.data_folder)
    for name in (*DATABASES, *_LEFT_OUT):
        path = home.data_folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for path in sorted(staged.iterdir()):
        path.rename(home.data_folder / path.name)
    disk.sync_folder(home.data_folder)
    home.unfinished_restore_file.unlink()
    staged.rmdir()
    disk.sync_folder(home.data_folder)


def _require_same_chain(home: Home, source: Path, manifest: BackupManifest) -> None:
    chain_id = genesis.chain_id(home.genesis_file)
    if manifest.chain_id != chain_id or manifest.genesis_sha256 != file_digest(home.genesis_file).hex():
        raise NodeError(
            f"{source} is of chain {manifest.chain_id} and {home.genesis_file} is another document (of {chain_id}): "
            f"copy {source / 'genesis.json'} there if that is the chain you mean"
        )


def _require_signing_state(home: Home, signed: SignedUntil) -> None:
    """Raises NodeError where this home knows less than the backup about what the same key has signed."""
    own = signed_until(home)
    if own.address == signed.address and own.place < signed.place:
        raise NodeError(
            f"{home.signing_state_file} says that this validator signed until height {own.height}, the backup knows of "
            f"height {signed.height}: put back the newest one that exists; with this one it could sign twice. If that "
            "is lost, join with a new key (`openledger node init`, then rotate the validator's key)"
        )


def _require_room(folder: Path, need_bytes: int) -> None:
    free = disk.free_bytes(folder)
    if free < need_bytes + disk.RESUME_ABOVE_BYTES:
        raise NodeError(
            f"{free // 2**20} MiB are free in {folder}, {(need_bytes + disk.RESUME_ABOVE_BYTES) // 2**20} MiB are "
            "needed: free space, or name another disk"
        )


def _copy(source: Path, target: Path) -> tuple[int, str]:
    """Copy a file durably; its size and SHA-256."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as reader, target.open("wb") as writer:
        while piece := reader.read(_COPIED_BYTES):
            digest.update(piece)
            size += len(piece)
            writer.write(piece)
        writer.flush()
        os.fsync(writer.fileno())
    return size, digest.hexdigest()


def document_of(done: Done) -> dict[str, str | int]:
    """The result as it is printed."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(done).items()}
