"""A chain and its nodes in memory: real Ed25519 signatures, real state proofs, no network. Mutated by attribute.

chain = SimulatedChain()
chain.make_blocks(10)
node = SimulatedNode(chain, "primary")
node.replaced[7] = forged_block        # it lies about height 7
node.newest = 5                        # it lags
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from abci_app.chain.names import NamedArguments, run_query
from abci_app.chain.registry import query_named
from abci_app.errors import Rejected
from abci_app.state.codec import decode
from abci_app.state.memory_store import MemoryStore
from abci_app.state.views import RecordingView
from openledger.client.rpc_calls import Call, RpcRejected
from openledger.errors import OpenLedgerError
from openledger.light.anchors import GenesisAnchor, parse_genesis
from openledger.light.blocks import (
    ABSENT_VOTE,
    FLAG_COMMIT,
    BlockID,
    Commit,
    Header,
    LightBlock,
    Validator,
    ValidatorSet,
    Vote,
)
from openledger.light.parse import KEY_TYPE, dump_commit, dump_header, dump_validators, format_time
from openledger.light.wire import NANOSECONDS_PER_SECOND as SECOND

START_NS = 1_790_000_000 * SECOND
EMPTY_BLOCK_ID = BlockID(b"", 0, b"")


def digest(text: str) -> bytes:
    """32 bytes that depend on a text."""
    return hashlib.sha256(text.encode()).digest()


@dataclass(frozen=True, slots=True)
class SimulatedValidator:
    """A validator's key, made from its name."""

    name: str
    power: int = 10

    @property
    def keys(self) -> tuple[bytes, bytes]:
        """Public key, secret key."""
        return crypto_sign_seed_keypair(digest(self.name))

    @property
    def validator(self) -> Validator:
        """The public part of this validator."""
        return Validator(self.keys[0], self.power)

    def vote(self, chain_id: str, commit: Commit, time_ns: int) -> Vote:
        """Its precommit for the commit's block."""
        unsigned = dataclasses.replace(commit, votes=(Vote(FLAG_COMMIT, self.validator.address, time_ns, b""),))
        signed = unsigned.sign_bytes(chain_id, 0)
        signature = crypto_sign(signed, self.keys[1])[:64]
        return Vote(FLAG_COMMIT, self.validator.address, time_ns, signature)


def validators(*names: str, power: int = 10) -> list[SimulatedValidator]:
    """Validators of equal power."""
    return [SimulatedValidator(name, power) for name in names]


def validator_set(members: Sequence[SimulatedValidator]) -> ValidatorSet:
    """In CometBFT's order."""
    ordered = sorted([each.validator for each in members], key=lambda each: (-each.power, each.address))
    return ValidatorSet(tuple(ordered))


def sign(header: Header, members: Sequence[SimulatedValidator], signers: Sequence[SimulatedValidator]) -> LightBlock:
    """The header with a commit of `signers`; the others of `members` are absent."""
    by_address = {each.validator.address: each for each in members}
    signing = {each.validator.address for each in signers}
    unsigned = Commit(header.height, 0, BlockID(header.hash, 1, digest("parts")), ())
    votes = []
    for index, validator in enumerate(validator_set(members).validators):
        if validator.address in signing:
            member = by_address[validator.address]
            votes.append(member.vote(header.chain_id, unsigned, header.time_ns + SECOND + index))
        else:
            votes.append(ABSENT_VOTE)
    return LightBlock(header, dataclasses.replace(unsigned, votes=tuple(votes)), validator_set(members))


class SimulatedChain:
    """Blocks a second apart; `next_members` become the signers one block later."""

    def __init__(self, members: Sequence[SimulatedValidator] | None = None, chain_id: str = "dev-simulated") -> None:
        self.chain_id = chain_id
        self.members = list(members or validators("ann", "bob", "cat", "dan"))
        self.next_members = list(self.members)
        self.genesis_members = list(self.members)
        self.store = MemoryStore()
        self.blocks: dict[int, LightBlock] = {}
        self.salt = ""

    @classmethod
    def holding(cls, state: Mapping[bytes, bytes], blocks_above: int = 4) -> SimulatedChain:
        """A chain whose first block makes this state, with blocks above it."""
        chain = cls()
        chain.make_block(list(state.items()))
        chain.make_blocks(blocks_above)
        return chain

    @property
    def height(self) -> int:
        """Height of the newest block."""
        return max(self.blocks, default=0)

    @property
    def now_ns(self) -> int:
        """Just after the newest block."""
        return START_NS + (self.height + 1) * SECOND

    def make_block(
        self, changes: Sequence[tuple[bytes, bytes | None]] = (), signers: Sequence[SimulatedValidator] | None = None
    ) -> LightBlock:
        """Add a block; its header holds the state before it, and `changes` make the state after it."""
        height = self.height + 1
        last = self.blocks.get(height - 1)
        header = Header(
            block_version=11,
            app_version=2,
            chain_id=self.chain_id,
            height=height,
            time_ns=START_NS + (height - 1) * SECOND,
            last_block_id=last.commit.block_id if last else EMPTY_BLOCK_ID,
            last_commit_hash=digest("last commit"),
            data_hash=digest(f"data {height} {self.salt}"),
            validators_hash=validator_set(self.members).hash,
            next_validators_hash=validator_set(self.next_members).hash,
            consensus_hash=digest("consensus"),
            app_hash=self.store.app_hash,
            last_results_hash=b"",
            evidence_hash=digest(""),
            proposer_address=self.members[0].validator.address,
        )
        block = sign(header, self.members, self.members if signers is None else signers)
        self.blocks[height] = block
        self.members = list(self.next_members)
        self.store.commit(self.store.stage(height, sorted(changes)))
        return block

    def make_blocks(self, count: int) -> None:
        """Add blocks that each change one key."""
        for _ in range(count):
            self.make_block([(b"number/now", str(self.height + 1).encode())])

    def genesis_bytes(self) -> bytes:
        """The genesis document."""
        document = {
            "genesis_time": format_time(START_NS),
            "chain_id": self.chain_id,
            "initial_height": "1",
            "validators": [
                {
                    "address": each.validator.address.hex().upper(),
                    "pub_key": {"type": KEY_TYPE, "value": base64.b64encode(each.keys[0]).decode()},
                    "power": str(each.power),
                    "name": each.name,
                }
                for each in self.genesis_members
            ],
            "app_hash": "",
            "app_state": {},
        }
        return json.dumps(document).encode()

    @property
    def genesis(self) -> GenesisAnchor:
        """The genesis document as an anchor."""
        return parse_genesis(self.genesis_bytes())


@dataclass
class SimulatedNode:
    """Answers as a CometBFT node of the chain would, in its JSON, unless told to lie."""

    chain: SimulatedChain
    name: str = "node"
    newest: int | None = None
    replaced: dict[int, LightBlock] = field(default_factory=dict)
    down: OpenLedgerError | None = None
    raw: dict[str, bytes] = field(default_factory=dict)
    change_answer: Callable[[dict[str, Any]], None] | None = None
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def send_batch(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """Answer calls as `RpcClient.send_batch` does."""
        if self.down is not None:
            raise self.down
        results: list[Any] = []
        for call in calls:
            self.asked.append((call.method, dict(call.params)))
            try:
                results.append(call.read(self.raw.get(call.method) or self._answer(call)))
            except RpcRejected as rejection:
                results.append(rejection)
        return results

    @property
    def height(self) -> int:
        """Newest height that it shows."""
        return self.chain.height if self.newest is None else self.newest

    def block(self, height: int) -> LightBlock:
        """Give the block that this node shows for a height."""
        return self.replaced.get(height) or self.chain.blocks[height]

    def _answer(self, call: Call[Any]) -> bytes:
        if call.method == "status":
            return json.dumps(self._status()).encode()
        if call.method == "abci_query":
            return self._query(call.params)
        height = int(cast("str", call.params.get("height", self.height)))
        if height > self.height:
            text = f"height {height} must be less than or equal to the current blockchain height {self.height}"
            raise RpcRejected(call.method, -32603, "Internal error", text)
        if height < 1:
            raise RpcRejected(call.method, -32603, "Internal error", "height must be greater than 0")
        block = self.block(height)
        if call.method == "header":
            return msgspec.json.encode({"header": dump_header(block.header)})
        if call.method == "commit":
            signed = {"header": dump_header(block.header), "commit": dump_commit(block.commit)}
            return msgspec.json.encode({"signed_header": signed, "canonical": True})
        if call.method == "validators":
            page = int(cast("str", call.params["page"]))
            members = dump_validators(block.validators)
            shown = members[(page - 1) * 100 : page * 100]
            document = {
                "block_height": str(height),
                "validators": shown,
                "count": str(len(shown)),
                "total": str(len(members)),
            }
            return msgspec.json.encode(document)
        raise RpcRejected(call.method, -32601, "Method not found", "")

    def _status(self) -> dict[str, Any]:
        return {
            "node_info": {"id": digest(self.name)[:20].hex(), "network": self.chain.chain_id, "version": "0.38.25"},
            "sync_info": {
                "latest_block_hash": self.block(self.height).hash.hex().upper(),
                "latest_app_hash": self.block(self.height).header.app_hash.hex().upper(),
                "latest_block_height": str(self.height),
                "latest_block_time": format_time(self.block(self.height).header.time_ns),
                "catching_up": False,
            },
        }

    def _query(self, params: Any) -> bytes:
        height = int(params["height"]) or (self.height - 1)
        response = {"code": 0, "log": "", "key": None, "proofOps": None, "height": str(height), "codespace": ""}
        response |= self._prove(params["path"], bytes.fromhex(params["data"]), height)
        if self.change_answer is not None:
            self.change_answer(response)
        return msgspec.json.encode({"response": response})

    def _prove(self, path: str, data: bytes, height: int) -> dict[str, Any]:
        """Answer as abci_app/chain/queries.py does with prove: a refusal of the query comes with its proof, too."""
        refusal: dict[str, Any] = {}
        with self.chain.store.version(height) as version:
            view = RecordingView(version)
            if path == "/store/openledger/multi":
                keys, ranges = msgspec.msgpack.decode(data)
                for key in keys:
                    view.get(key)
                for start, end in ranges:
                    list(view.iterate(start, end))
            else:
                _, kind, module, name = path.split("/")
                asked = decode(NamedArguments, data) if kind == "named" else NamedArguments(data, ())
                try:
                    run_query(view, query_named(module, name), asked.args, asked.names)
                except Rejected as rejection:
                    refusal = {"code": int(rejection.code), "log": rejection.text, "codespace": "openledger"}
            return {**refusal, "value": version.prove(view.keys, view.ranges)}
