"""`openledger node init`: a new home with keys, settings and a genesis document."""

from __future__ import annotations

from pathlib import Path

from node import cometbft, genesis, onions
from node.errors import NodeError
from node.home import Home, NodeSettings
from openledger.content.files import write_whole


def initialise(
    folder: Path,
    chain_id: str,
    *,
    moniker: str = "",
    rpc_port: int = 26657,
    p2p_port: int = 26656,
    settings: NodeSettings | None = None,
    document: bytes | None = None,
    comet: cometbft.Changes | None = None,
) -> Home:
    """Make a home that is complete but for validators (`genesis.add_declarations`). Raises NodeError.

    `document` is the genesis document of a chain that exists, taken as it is; `comet` changes config.toml.
    """
    home = Home(folder.resolve())
    if home.initialised():
        raise NodeError(f"{folder} is a node's home already; delete it, or give another --home")
    for name, port in (("rpc", rpc_port), ("p2p", p2p_port)):
        if not 1 <= port <= 65535:
            raise NodeError(f"--{name}-port is {port}; give 1 to 65535")
    settings = settings or NodeSettings()
    skeleton = genesis.skeleton(chain_id)
    binary = cometbft.binary_path(settings.cometbft_binary)
    home.folder.mkdir(parents=True, exist_ok=True)
    changes: dict[tuple[str, str], cometbft.Value] = {
        ("", "moniker"): moniker or folder.name,
        ("rpc", "laddr"): f"tcp://127.0.0.1:{rpc_port}",
        ("p2p", "laddr"): f"tcp://127.0.0.1:{p2p_port}",
    }
    cometbft.make_files(binary, home, {**changes, **(comet or {})})
    home.write_settings(settings)
    onions.make_secret(home)
    if document is None:
        genesis.write(home.genesis_file, skeleton)
    else:
        write_whole(home.genesis_file, document)
        genesis.validate_file(home.genesis_file)
    return home
