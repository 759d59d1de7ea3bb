"""How long a lineage bundle takes to verify offline, after imports, and how large it is.

    python -m benchmarks.bundle                          the demo's size: 3 entries; and 364 runs above one run
    python -m benchmarks.bundle --validators 100

The provenance log is made of real signed transactions executed in this process; headers are signed by `--validators`
keys, and the path from the genesis document to the proven header has 2 of them (a chain whose validators stay).
Each repeat reads, parses and verifies the whole file: signatures, headers, state proof, the query run again.
"""

import argparse
import base64
import gc
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from abci_app.chain.application import Application
from abci_app.modules.models.lineage import LineageQuery
from abci_app.state.memory_store import MemoryStore
from abci_app.state.views import RecordingView
from abci_app.versions import app_version_of
from benchmarks.provenance_load import CHAIN_ID, Chain, RunLoad
from benchmarks.report import print_table, spread
from openledger.light.anchors import GenesisAnchor, parse_genesis
from openledger.light.blocks import FLAG_COMMIT, BlockID, Commit, Header, LightBlock, Validator, ValidatorSet, Vote
from openledger.light.bundle import Bundle, make_bundle, verify_bundle
from openledger.light.parse import KEY_TYPE, format_time
from openledger.light.query import query_question
from openledger.light.wire import NANOSECONDS_PER_SECOND

START_NS = 1_790_000_000 * NANOSECONDS_PER_SECOND
CONTRIBUTIONS_EACH = 64


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


class Validators:
    """Keys that sign headers."""

    def __init__(self, number: int) -> None:
        keys = [crypto_sign_seed_keypair(_digest(f"validator {index}")) for index in range(number)]
        pairs = [(Validator(public, 10), secret) for public, secret in keys]
        pairs.sort(key=lambda pair: (-pair[0].power, pair[0].address))
        self.set = ValidatorSet(tuple([validator for validator, _ in pairs]))
        self.secrets = [secret for _, secret in pairs]

    def genesis_bytes(self) -> bytes:
        """The genesis document that names them."""
        document = {
            "genesis_time": format_time(START_NS),
            "chain_id": CHAIN_ID,
            "initial_height": "1",
            "validators": [
                {
                    "address": each.address.hex().upper(),
                    "pub_key": {"type": KEY_TYPE, "value": base64.b64encode(each.public_key).decode()},
                    "power": str(each.power),
                    "name": "",
                }
                for each in self.set.validators
            ],
            "app_hash": "",
            "app_state": {},
        }
        return json.dumps(document).encode()

    def block(self, height: int, app_hash: bytes) -> LightBlock:
        """A header signed by all."""
        header = Header(
            block_version=11,
            app_version=2,
            chain_id=CHAIN_ID,
            height=height,
            time_ns=START_NS + (height - 1) * NANOSECONDS_PER_SECOND,
            last_block_id=BlockID(b"", 0, b"") if height == 1 else BlockID(_digest("last"), 1, _digest("parts")),
            last_commit_hash=_digest("last commit"),
            data_hash=_digest("data"),
            validators_hash=self.set.hash,
            next_validators_hash=self.set.hash,
            consensus_hash=_digest("consensus"),
            app_hash=app_hash,
            last_results_hash=b"",
            evidence_hash=_digest(""),
            proposer_address=self.set.validators[0].address,
        )
        time_ns = header.time_ns + NANOSECONDS_PER_SECOND
        unsigned = [Vote(FLAG_COMMIT, each.address, time_ns, b"") for each in self.set.validators]
        commit = Commit(height, 0, BlockID(header.hash, 1, _digest("parts")), tuple(unsigned))
        votes = [
            Vote(vote.flag, vote.address, vote.time_ns, crypto_sign(commit.sign_bytes(CHAIN_ID, index), secret)[:64])
            for index, (vote, secret) in enumerate(zip(unsigned, self.secrets, strict=True))
        ]
        return LightBlock(header, Commit(commit.height, commit.round, commit.block_id, tuple(votes)), self.set)


def make(chain: Chain, validators: Validators, entry_id: bytes) -> tuple[bytes, int]:
    """A bundle of an entry's lineage, and how many entries it shows."""
    question = query_question("models", "lineage", LineageQuery(entry_id, "", 0, (), 4_096, CONTRIBUTIONS_EACH))
    with chain.application.store.latest() as version:
        view = RecordingView(version)
        page, _ = question.answer(view)
        proof = version.prove(view.keys, view.ranges)
        question = replace(question, app_version=app_version_of(version))
        blocks = (
            validators.block(1, _digest("state before the first block")),
            validators.block(version.height + 1, version.app_hash),
        )
        return make_bundle(Bundle(question, version.height, blocks, (), proof)), len(page.entries)


def measure(data: bytes, anchor: GenesisAnchor, now_ns: int, repeats: int) -> list[float]:
    """Milliseconds of each verification."""
    times = []
    for _ in range(repeats):
        gc.collect()
        started = time.perf_counter()
        verdict = verify_bundle(data, anchor, now_ns)
        times.append((time.perf_counter() - started) * 1_000)
        if not verdict.anchored:
            raise RuntimeError(f"the bundle was not verified: {verdict.anchor}")
    return times


_ONCE = """
import sys, time
from pathlib import Path
from openledger.light.bundle import verify_bundle
from openledger.light.anchors import parse_genesis
data, genesis, now = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]).read_bytes(), int(sys.argv[3])
anchor = parse_genesis(genesis)
import abci_app.chain.registry
started = time.perf_counter()
assert verify_bundle(data, anchor, now).anchored
print((time.perf_counter() - started) * 1_000)
"""


def measure_cold(data: bytes, validators: Validators, now_ns: int, repeats: int) -> list[float]:
    """Milliseconds of the first verification of a fresh process, after imports."""
    with tempfile.TemporaryDirectory() as folder:
        bundle, genesis = Path(folder) / "bundle.json", Path(folder) / "genesis.json"
        bundle.write_bytes(data)
        genesis.write_bytes(validators.genesis_bytes())
        command = [sys.executable, "-c", _ONCE, str(bundle), str(genesis), str(now_ns)]
        return [
            float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(repeats)
        ]


def _row(label: str, size: int, cold: Sequence[float], warm: Sequence[float]) -> list[object]:
    return [label, f"{size / 1024:,.0f}", spread(cold, 1), spread(warm, 1)]


def main() -> None:
    """Make the log, the bundles, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--validators", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    validators = Validators(options.validators)
    load = RunLoad()
    chain = Chain(Application(MemoryStore()))
    chain.start([(load.owner.address.hex(), 10**15)])
    for block in load.set_up():
        chain.block(block)
    chain.block(load.transactions_of(2, 1))
    small = load.entry_ids[-1]
    chain.block(load.deep_tree())
    now_ns = START_NS + (chain.height + 2) * NANOSECONDS_PER_SECOND
    rows = []
    for name, entry_id in (("a fine-tune of a fine-tune", small), ("364 runs above", load.deep_entry_id)):
        data, entries = make(chain, validators, entry_id)
        warm = measure(data, parse_genesis(validators.genesis_bytes()), now_ns, options.repeats)
        cold = measure_cold(data, validators, now_ns, max(options.repeats // 3, 1))
        rows.append(_row(f"{name}: {entries} entries", len(data), cold, warm))
    print_table(
        f"Lineage bundle verified offline, after imports, {options.validators} validators",
        ["lineage", "KiB", "first in a process, ms median (range)", "again, ms median (range)"],
        rows,
    )


if __name__ == "__main__":
    main()
