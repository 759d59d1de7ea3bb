"""A provenance log of any size, made of real signed transactions executed by the application in this process.

Every run has 3 inputs (DataNet versions) and 2 parents; one DataNet version is used by exactly 30 runs; one run has
364 runs above it: 5 levels of 3 parents each (363), and below those the base model.
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec import structs

from abci_app.chain.application import Application
from abci_app.chain.genesis import GenesisState, encode_genesis
from abci_app.hashing import TAGS, tagged_hash
from abci_app.module import Message
from abci_app.modules.datanets.records import (
    Contribute,
    Contribution,
    CreateDatanet,
    CreateVersion,
    Decision,
    ReviewContribution,
    contribution_id_of,
)
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.models.kinds import EntryKind, Undeclared
from abci_app.modules.models.records import (
    Attribution,
    Entry,
    Input,
    Output,
    Parent,
    RecordRuns,
    Run,
    RunDraft,
    entry_id_of,
)
from abci_app.pb import abci_pb2 as pb
from abci_app.state.codec import encode
from benchmarks.load import LoadAccount
from openledger.licences import complete_terms

CHAIN_ID = "openledger-dev-benchmark"
FEE_LIMIT_NOPEN = 10**9
DATANETS = 200
HITS = 30
# Rows of each contribution; a run uses all of them.
ROWS = 4_096
RUNS_A_TRANSACTION = 64
RUNS_A_BLOCK = 1_920
LEVELS = 5
GENESIS_TIME_SECONDS = 1_790_000_000
OPEN_TERMS = complete_terms(name="Benchmark terms", spdx="CC-BY-4.0")


def digest(text: str) -> bytes:
    """32 bytes that depend on a text."""
    return hashlib.sha256(text.encode()).digest()


@dataclass(slots=True)
class Chain:
    """The application driven block by block, without CometBFT."""

    application: Application
    height: int = 0
    keep: list[bytes] = field(default_factory=list)

    def start(self, balances: Sequence[tuple[str, int]]) -> None:
        """InitChain."""
        state = encode_genesis(GenesisState(balances=tuple(balances)))
        request = pb.RequestInitChain(chain_id=CHAIN_ID, app_state_bytes=state, initial_height=1)
        request.time.seconds = GENESIS_TIME_SECONDS
        self.application.init_chain(request)

    def block(self, transactions: Sequence[bytes]) -> None:
        """One block; every transaction must succeed."""
        self.height += 1
        request = pb.RequestFinalizeBlock(height=self.height, txs=transactions)
        request.time.seconds = GENESIS_TIME_SECONDS + self.height
        response = self.application.finalize_block(request)
        failed = [result.log for result in response.tx_results if result.code]
        if failed:
            raise RuntimeError(f"{len(failed)} transactions failed, the first: {failed[0]}")
        self.application.commit(pb.RequestCommit())


class RunLoad:
    """Makes the set-up and the runs; the same in every execution."""

    def __init__(self) -> None:
        self.owner = LoadAccount.numbered(0)
        self.datanet_ids: list[bytes] = []
        self.entry_ids: list[bytes] = []
        self.special_datanet_id = b""
        self.deep_entry_id = b""
        # Runs on the special DataNet so far.
        self.hits = 0
        self._random = random.Random(11)

    def sign(self, *messages: Message) -> bytes:
        """A transaction of the one account that records everything."""
        raw = self.owner.sign(CHAIN_ID, messages, FEE_LIMIT_NOPEN)
        self.owner.policy_is_stored = True
        return raw

    def _object_id(self, kind: str, message_index: int) -> bytes:
        place = encode((CHAIN_ID, self.owner.address, self.owner.sequence, message_index))
        return tagged_hash(TAGS[f"{kind}_id"], place)

    def set_up(self) -> list[list[bytes]]:
        """Blocks that make terms, DataNets with one version each, and the base model."""
        terms_id = terms_id_of(OPEN_TERMS)
        blocks = [[self.sign(RegisterTerms(OPEN_TERMS))]]
        created, filled, reviewed, versions = [], [], [], []
        for number in range(DATANETS + 1):
            datanet_id = self._object_id("datanet", 0)
            created.append(self.sign(CreateDatanet(f"datanet-{number}", "", terms_id, (), 1)))
            self.datanet_ids.append(datanet_id)
        for number, datanet_id in enumerate(self.datanet_ids):
            root, content = digest(f"rows {number}"), digest(f"content {number}")
            filled.append(self.sign(Contribute(datanet_id, root, ROWS, 400_000, content, b"", b"", b"", 0)))
            contribution = Contribution(
                datanet_id, self.owner.address, self.owner.address, root, ROWS, 400_000, content, b"", terms_id, 0
            )
            reviewed.append(ReviewContribution(contribution_id_of(contribution), Decision.ACCEPT, 0))
            versions.append(CreateVersion(datanet_id, ""))
        blocks += [created, filled]
        blocks += [[self.sign(message) for message in reviewed], [self.sign(message) for message in versions]]
        self.special_datanet_id = self.datanet_ids.pop()
        base = Entry(
            kind=EntryKind.IMPORT,
            parents=(),
            inputs=(),
            undeclared=Undeclared.NOTHING,
            terms_id=terms_id,
            manifest_root=digest("base"),
            output=self._output(0),
            attribution=Attribution(0, b""),
        )
        blocks.append([self.sign(RecordRuns((self._draft(base),)))])
        self.entry_ids.append(entry_id_of(base))
        return blocks

    def _output(self, number: int) -> Output:
        return Output(digest(f"artefact {number}"), digest(f"tensors {number}"), 1_843_200, "safetensors")

    def _draft(self, entry: Entry) -> RunDraft:
        run = Run(
            GENESIS_TIME_SECONDS, GENESIS_TIME_SECONDS + 600, digest("environment"), "8 x H200", "loss", 1_234_567
        )
        return RunDraft(entry, run, b"", "")

    def _entry(self, parents: Sequence[bytes], special: bool = False) -> Entry:
        number = len(self.entry_ids)
        chosen = self._random.sample(self.datanet_ids, 3)
        if special:
            chosen[0] = self.special_datanet_id
        weights = (500_000_000, 300_000_000, 200_000_000)
        inputs = [
            Input(datanet_id, 1, weight, ROWS, digest(f"used {number} {weight}"))
            for datanet_id, weight in zip(chosen, weights, strict=True)
        ]
        share = 10**9 // len(parents)
        shares = [share + (10**9 - share * len(parents) if index == 0 else 0) for index in range(len(parents))]
        linked = tuple([Parent(parent, "base", part) for parent, part in zip(parents, shares, strict=True)])
        manifest_root = digest(f"manifest {number}")
        return Entry(
            kind=EntryKind.LORA if len(parents) == 1 else EntryKind.MERGE,
            parents=linked,
            inputs=tuple(inputs),
            undeclared=Undeclared.NOTHING,
            terms_id=b"",
            manifest_root=manifest_root,
            output=self._output(number),
            attribution=Attribution(0, b""),
        )

    def transactions_of(
        self, count: int, runs_a_transaction: int = RUNS_A_TRANSACTION, signers: Sequence[LoadAccount] = ()
    ) -> list[bytes]:
        """The next `count` runs, signed in turn by `signers` (else the owner); their parents were made before."""
        raw: list[bytes] = []
        recent = self.entry_ids[-100_000:]
        for start in range(0, count, runs_a_transaction):
            drafts = []
            for _ in range(min(runs_a_transaction, count - start)):
                number = len(self.entry_ids)
                parents = self._random.sample(recent, min(2, len(recent)))
                special = number % 600 == 7 and self.hits < HITS
                self.hits += special
                entry = self._entry(parents, special)
                self.entry_ids.append(entry_id_of(entry))
                drafts.append(self._draft(entry))
            account = signers[len(raw) % len(signers)] if signers else self.owner
            raw.append(account.sign(CHAIN_ID, (RecordRuns(tuple(drafts)),), FEE_LIMIT_NOPEN))
        return raw

    def deep_tree(self) -> list[bytes]:
        """Transactions of the run with 364 runs above it; its lowest level stands on the base model."""
        level = [self._tree_entry([self.entry_ids[0]], f"leaf {index}") for index in range(3**LEVELS)]
        entries = list(level)
        for depth in range(LEVELS - 1, -1, -1):
            ids = [entry_id_of(entry) for entry in level]
            level = [self._tree_entry(ids[3 * i : 3 * i + 3], f"level {depth} {i}") for i in range(3**depth)]
            entries += level
        self.deep_entry_id = entry_id_of(entries[-1])
        raw: list[bytes] = []
        for start in range(0, len(entries), RUNS_A_TRANSACTION):
            drafts = tuple([self._draft(entry) for entry in entries[start : start + RUNS_A_TRANSACTION]])
            raw.append(self.sign(RecordRuns(drafts)))
        return raw

    def _tree_entry(self, parents: Sequence[bytes], name: str) -> Entry:
        entry = self._entry(parents)
        return structs.replace(entry, manifest_root=digest(name))
