"""A chain in one process: an application over a store, driven as CometBFT drives it."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from abci_app.accounts import Account, get_account
from abci_app.chain.application import Application
from abci_app.chain.registry import MODULES
from abci_app.chain.transaction import decode_transaction
from abci_app.pb import abci_pb2 as pb
from abci_app.state.memory_store import MemoryStore
from abci_app.state.store import Store
from abci_app.types import SUPPLY_NOPEN
from tests.kit.signing import CHAIN_ID, Signer

GENESIS_SECONDS = 1_700_000_000
BLOCK_SECONDS = 1
# A transfer costs some 3,500 nopen, so that tests can give accounts small change.
SMALL_FEES = {"fee_per_byte_nopen": 10, "fee_per_weight_nopen": 100}
# Above every printable key.
END_OF_KEYS = b"\xff"


@dataclass(slots=True)
class Chain:
    """`application` with what CometBFT would remember of it."""

    application: Application
    init: pb.RequestInitChain
    # (height, app hash) of each committed block.
    hashes: list[tuple[int, bytes]] = field(default_factory=list)
    # The request of each committed block, to replay it.
    requests: list[pb.RequestFinalizeBlock] = field(default_factory=list)
    # What CometBFT says of the next block beside its transactions.
    proposer: bytes = b""
    commit: pb.CommitInfo = field(default_factory=pb.CommitInfo)
    misbehaviour: list[pb.Misbehavior] = field(default_factory=list)
    # By how much header times are ahead of one block a second.
    ahead_seconds: int = 0

    @classmethod
    def start(
        cls,
        balances: Mapping[bytes, int] | None = None,
        *,
        store: Store | None = None,
        chain_id: str = CHAIN_ID,
        initial_height: int = 1,
        app_version: int = 0,
        signers: Mapping[bytes, int] | None = None,
        **app_state: Any,
    ) -> "Chain":
        """InitChain; `signers` are CometBFT's validators (key and power), `app_state` further sections of genesis."""
        coins = [[address.hex(), nopen] for address, nopen in (balances or {}).items()]
        document = {"balances": coins, "parameters": {"fees": SMALL_FEES}, **app_state}
        init = pb.RequestInitChain(
            chain_id=chain_id, initial_height=initial_height, app_state_bytes=json.dumps(document).encode()
        )
        init.time.seconds = GENESIS_SECONDS
        init.consensus_params.version.app = app_version
        for public_key, power in (signers or {}).items():
            init.validators.add(power=power).pub_key.ed25519 = public_key
        application = Application(store or MemoryStore())
        application.init_chain(init)
        return cls(application, init)

    @property
    def blocks(self) -> list[list[bytes]]:
        """The transactions of each committed block."""
        return [list(request.txs) for request in self.requests]

    @property
    def height(self) -> int:
        """Height of the last commit."""
        return self.application.store.height

    @property
    def next_height(self) -> int:
        """Height of the block to come."""
        return self.height + 1 if self.height else self.init.initial_height

    def seconds(self, height: int) -> int:
        """Header time of a height that comes next."""
        return GENESIS_SECONDS + BLOCK_SECONDS * height + self.ahead_seconds

    def propose(self, *transactions: bytes, max_tx_bytes: int = 2**20) -> list[bytes]:
        """PrepareProposal of the next height."""
        votes = [
            pb.ExtendedVoteInfo(validator=vote.validator, block_id_flag=vote.block_id_flag)
            for vote in self.commit.votes
        ]
        request = pb.RequestPrepareProposal(
            txs=transactions,
            height=self.next_height,
            max_tx_bytes=max_tx_bytes,
            proposer_address=self.proposer,
            local_last_commit=pb.ExtendedCommitInfo(round=self.commit.round, votes=votes),
            misbehavior=self.misbehaviour,
        )
        request.time.seconds = self.seconds(self.next_height)
        return list(self.application.prepare_proposal(request).txs)

    def accepts(self, *transactions: bytes) -> bool:
        """ProcessProposal of the next height."""
        request = pb.RequestProcessProposal(
            txs=transactions,
            height=self.next_height,
            proposer_address=self.proposer,
            proposed_last_commit=self.commit,
            misbehavior=self.misbehaviour,
        )
        request.time.seconds = self.seconds(self.next_height)
        return self.application.process_proposal(request).status == pb.ResponseProcessProposal.ACCEPT

    def finalize(self, *transactions: bytes) -> pb.ResponseFinalizeBlock:
        """FinalizeBlock of the next height, without the commit."""
        return self.application.finalize_block(self.decided(*transactions))

    def decided(self, *transactions: bytes) -> pb.RequestFinalizeBlock:
        """The request of FinalizeBlock of the next height."""
        request = pb.RequestFinalizeBlock(
            txs=transactions,
            height=self.next_height,
            proposer_address=self.proposer,
            decided_last_commit=self.commit,
            misbehavior=self.misbehaviour,
        )
        request.time.seconds = self.seconds(self.next_height)
        return request

    def block(self, *transactions: bytes) -> list[pb.ExecTxResult]:
        """Decide and commit one block."""
        return list(self.decide(*transactions).tx_results)

    def decide(self, *transactions: bytes) -> pb.ResponseFinalizeBlock:
        """Decide and commit one block; the whole answer."""
        return self.commit_block(self.decided(*transactions))

    def commit_block(self, request: pb.RequestFinalizeBlock) -> pb.ResponseFinalizeBlock:
        """Execute and commit one decided block."""
        response = self.application.finalize_block(request)
        self.application.commit(pb.RequestCommit())
        self.hashes.append((self.height, response.app_hash))
        self.requests.append(request)
        return response

    def codes(self, *transactions: bytes) -> list[int]:
        """Decide and commit one block; the code of each transaction."""
        return [result.code for result in self.block(*transactions)]

    def check(self, raw: bytes, *, recheck: bool = False) -> tuple[int, str]:
        """CheckTx: (code, log)."""
        code, log, _ = self.application.check_tx(raw, recheck)
        return int(code), log

    def query(self, path: str, data: bytes = b"", *, height: int = 0, prove: bool = False) -> pb.ResponseQuery:
        """One ABCI query."""
        return self.application.query(pb.RequestQuery(path=path, data=data, height=height, prove=prove))

    def account(self, address: bytes) -> Account:
        """An account at the last commit."""
        return get_account(self.application.store, address)

    def balance(self, who: Signer) -> int:
        """Balance at the last commit, in nopen."""
        return self.account(who.address).balance_nopen

    def state(self) -> dict[bytes, bytes]:
        """The whole committed (or genesis) state."""
        return dict(self.application.store.iterate(b"\x00", END_OF_KEYS))

    def violations(self) -> list[str]:
        """List the objections of the modules' invariants."""
        return [
            line for module in MODULES for invariant in module.invariants for line in invariant(self.application.store)
        ]


def replay(chain: Chain, make_store: Callable[[], Store] = MemoryStore) -> list[tuple[int, bytes]]:
    """(height, app hash) of the same genesis and blocks executed by a fresh application."""
    application = Application(make_store())
    application.init_chain(chain.init)
    copy = Chain(application, chain.init)
    for request in chain.requests:
        copy.commit_block(request)
    return copy.hashes


def accounts_with(nopen: int, signers: Iterable[Signer]) -> dict[bytes, int]:
    """Genesis balances: the same for each."""
    return {signer.address: nopen for signer in signers}


def changed(before: dict[bytes, bytes], after: dict[bytes, bytes]) -> dict[bytes, bytes | None]:
    """Keys whose value differs, with the value after (None: removed)."""
    return {key: after.get(key) for key in sorted({*before, *after}) if before.get(key) != after.get(key)}


def treasury_nopen(*balances_nopen: int) -> int:
    """Amount that genesis leaves in the treasury."""
    return SUPPLY_NOPEN - sum(balances_nopen)


def fee_of(raw: bytes) -> int:
    """Fee for a transaction's bytes and weight at the fees of the tests."""
    per_byte, per_weight = SMALL_FEES["fee_per_byte_nopen"], SMALL_FEES["fee_per_weight_nopen"]
    return per_byte * len(raw) + per_weight * decode_transaction(raw).weight


def refused(chain: Chain, raw: bytes) -> tuple[int, str]:
    """Code and log of a transaction that must leave no trace, in CheckTx and in a block alike."""
    before = chain.state()
    checked = chain.check(raw)
    (result,) = chain.block(raw)
    assert changed(before, chain.state()) == {}
    assert checked == (result.code, result.log)
    return result.code, result.log
