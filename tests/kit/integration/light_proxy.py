"""`cometbft light`: CometBFT's own light client, in front of a node of ours."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node import cometbft, rpc
from node.devnet import Devnet
from node.ports import free_ports
from node.rpc import NoAnswer, NodeRpcError


@contextmanager
def light_proxy(net: Devnet, primary: str, folder: Path, witness: str = "") -> Iterator[str]:
    """`cometbft light` with this primary, trusting block 2; yields its URL."""
    node = net.nodes[-1]
    trusted = node.call("commit", height="2")["signed_header"]["commit"]["block_id"]["hash"]
    port = next(free_ports())
    chain_id = node.call("status")["node_info"]["network"]
    command = [
        str(cometbft.binary_path()), "light", chain_id, "--primary", primary, "--witnesses", witness or node.rpc_url,
        "--height", "2", "--hash", trusted, "--home-dir", str(folder), "--laddr", f"tcp://127.0.0.1:{port}",
    ]  # fmt: skip
    log = folder / "light.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                rpc.call(url, "status")
                break
            except (NoAnswer, NodeRpcError):
                if time.monotonic() > deadline or process.poll() is not None:
                    raise AssertionError(f"the light client does not answer:\n{log.read_text()[-2000:]}") from None
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(10)
