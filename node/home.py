"""A node's home folder: where everything of one node lives, and the lock that keeps a second node out.

    config/config.toml  genesis.json  node_key.json  priv_validator_key.json    CometBFT's, see node.cometbft
    config/node.toml                                                            ours, see NodeSettings
    config/beacon_secret.json                                                   ours and secret, see node.onions
    data/               CometBFT's databases; data/application is the application's state,
                        data/snapshots what joining nodes fetch
    logs/node.log  cometbft.log
    abci.sock  cometbft.pid  lock                                               only while the node runs

CometBFT's own home is the same folder, so `cometbft ... --home HOME` works on it.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from node.errors import NodeError
from openledger.content.files import naming, write_whole

# A unix socket's path holds at most this many bytes on every system that we know (104 on some).
_MAX_SOCKET_PATH_BYTES = 100
# Three tries within a fifth of a second outlast every `node status` that looks at the lock.
_LOCK_ATTEMPTS = 3
_LOCK_PAUSE_SECONDS = 0.1
# As many as CometBFT tells its peers of.
MAX_SNAPSHOTS_KEPT = 10
# Nodes that were away for a moment fetch what they missed.
MIN_KEEP_BLOCKS = 1_000
_LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("text", "json")
_SETTINGS_HELP = """\
# NodeSettings of this node that are ours. CometBFT's are in config.toml. Read once, at start.

# Path of the CometBFT binary; empty: the one that scripts/build-cometbft made.
cometbft_binary = "{cometbft_binary}"
# How many past heights can be queried with proofs.
history_heights = {history_heights}
# Memory for decoded pages of the state tree.
cache_mebibytes = {cache_mebibytes}
# A snapshot for joining nodes at each multiple of this height, the same on all nodes; 0: none.
snapshot_interval_heights = {snapshot_interval_heights}
# How many of the newest snapshots stay on the disk.
snapshots_kept = {snapshots_kept}
# How many of the newest blocks stay, and all that evidence, snapshots and light clients need; 0: all blocks.
keep_blocks = {keep_blocks}
# debug, info, warning or error.
log_level = "{log_level}"
# text, or json: one object a line in logs/node.log and on the console.
log_format = "{log_format}"
# Port on 127.0.0.1 at which Prometheus reads /metrics; 0: none.
metrics_port = {metrics_port}
"""


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """config/node.toml."""

    cometbft_binary: str = ""
    history_heights: int = 128
    cache_mebibytes: int = 128
    snapshot_interval_heights: int = 2_000
    snapshots_kept: int = 2
    keep_blocks: int = 0
    log_level: str = "info"
    log_format: str = "text"
    metrics_port: int = 0

    def __post_init__(self) -> None:
        """Raises NodeError for a value out of range; the text names the setting."""
        if not 2 <= self.history_heights <= 100_000:
            raise NodeError(f"config/node.toml: history_heights is {self.history_heights}; give 2 to 100000")
        if not 1 <= self.cache_mebibytes <= 1_000_000:
            raise NodeError(f"config/node.toml: cache_mebibytes is {self.cache_mebibytes}; give 1 to 1000000")
        if self.snapshot_interval_heights < 0:
            raise NodeError(
                f"config/node.toml: snapshot_interval_heights is {self.snapshot_interval_heights}; give 0 (none) or "
                "more"
            )
        if not 1 <= self.snapshots_kept <= MAX_SNAPSHOTS_KEPT:
            raise NodeError(
                f"config/node.toml: snapshots_kept is {self.snapshots_kept}; give 1 to {MAX_SNAPSHOTS_KEPT}"
            )
        if self.keep_blocks and self.keep_blocks < MIN_KEEP_BLOCKS:
            raise NodeError(
                f"config/node.toml: keep_blocks is {self.keep_blocks}; give 0 (all) or at least {MIN_KEEP_BLOCKS}"
            )
        if self.log_level not in _LOG_LEVELS:
            raise NodeError(f"config/node.toml: log_level is {self.log_level!r}; give one of {', '.join(_LOG_LEVELS)}")
        if self.log_format not in LOG_FORMATS:
            raise NodeError(
                f"config/node.toml: log_format is {self.log_format!r}; give one of {', '.join(LOG_FORMATS)}"
            )
        if not 0 <= self.metrics_port <= 65535:
            raise NodeError(f"config/node.toml: metrics_port is {self.metrics_port}; give 0 (none) to 65535")


@dataclass(frozen=True, slots=True)
class Home:
    """Paths below one home folder."""

    folder: Path

    @property
    def config_folder(self) -> Path:
        return self.folder / "config"

    @property
    def data_folder(self) -> Path:
        return self.folder / "data"

    @property
    def log_folder(self) -> Path:
        return self.folder / "logs"

    @property
    def store_folder(self) -> Path:
        return self.data_folder / "application"

    @property
    def unfinished_restore_file(self) -> Path:
        """Stands there while the parts of a backup take their places."""
        return self.data_folder / "UNFINISHED_RESTORE"

    @property
    def snapshot_folder(self) -> Path:
        return self.data_folder / "snapshots"

    @property
    def comet_config_file(self) -> Path:
        return self.config_folder / "config.toml"

    @property
    def settings_file(self) -> Path:
        return self.config_folder / "node.toml"

    @property
    def genesis_file(self) -> Path:
        return self.config_folder / "genesis.json"

    @property
    def node_key_file(self) -> Path:
        return self.config_folder / "node_key.json"

    @property
    def validator_key_file(self) -> Path:
        return self.config_folder / "priv_validator_key.json"

    @property
    def beacon_secret_file(self) -> Path:
        """Holds the secret from which this validator's beacon reveals follow."""
        return self.config_folder / "beacon_secret.json"

    @property
    def pid_file(self) -> Path:
        """Holds the process id of the supervised CometBFT."""
        return self.folder / "cometbft.pid"

    @property
    def signing_state_file(self) -> Path:
        """File in which CometBFT keeps the last vote that this validator signed."""
        return self.data_folder / "priv_validator_state.json"

    def initialised(self) -> bool:
        return self.comet_config_file.is_file() and self.genesis_file.is_file()

    def require_initialised(self) -> None:
        """Raises NodeError when `node init` has not been run here."""
        if not self.initialised():
            raise NodeError(
                f"{self.folder} is not a node's home; run `openledger node init --home {self.folder}` first"
            )

    def settings(self) -> NodeSettings:
        """Reads config/node.toml; a missing file gives the defaults. Raises NodeError, naming the setting."""
        if not self.settings_file.is_file():
            return NodeSettings()
        try:
            values = tomllib.loads(self.settings_file.read_text())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise NodeError(f"{self.settings_file}: {error}; correct the file or delete it") from error
        known = {field.name: field.type for field in fields(NodeSettings)}
        for name, value in values.items():
            if name not in known:
                raise NodeError(f"{self.settings_file}: no setting {name!r}; known: {', '.join(known)}")
            if type(value).__name__ != known[name]:
                raise NodeError(f"{self.settings_file}: {name} is {value!r}; give a value of type {known[name]}")
        return NodeSettings(**values)

    def write_settings(self, settings: NodeSettings) -> None:
        values = {field.name: getattr(settings, field.name) for field in fields(settings)}
        write_whole(self.settings_file, _SETTINGS_HELP.format(**values))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold this home; a second holder gets a NodeError that names the first one's process."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                _lock_exclusively(descriptor)
            except BlockingIOError:
                holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
                raise NodeError(
                    f"{self.folder} is in use by process {holder}; stop that node, or give another --home"
                ) from None
            with naming(self.folder / "lock"):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
            os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def is_in_use(self) -> bool:
        """Whether a process holds this home."""
        try:
            descriptor = os.open(self.folder / "lock", os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    @contextmanager
    def socket_path(self) -> Iterator[Path]:
        """Where the ABCI socket goes: in the home, or in a private temporary folder when the home's path is long."""
        path = self.folder.resolve() / "abci.sock"
        if len(os.fsencode(path)) <= _MAX_SOCKET_PATH_BYTES:
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="openledger-") as folder:
            yield Path(folder) / "abci.sock"


def _lock_exclusively(descriptor: int) -> None:
    """Raises BlockingIOError where another node holds the home; who only looks (`is_in_use`) holds it for a moment."""
    for _ in range(_LOCK_ATTEMPTS - 1):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(_LOCK_PAUSE_SECONDS)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
