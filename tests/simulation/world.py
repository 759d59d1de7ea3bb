"""A simulated chain with many actors, and what they know. All randomness comes from one seed.

Every block goes the way of a real one: CheckTx, PrepareProposal, ProcessProposal, FinalizeBlock, Commit. Now and then a
careless majority decides a block with anything in it.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from abci_app.chain.application import Application
from abci_app.chain.invariants import violations
from abci_app.chain.queries import LocalNode
from abci_app.chain.transaction import decode_transaction
from abci_app.errors import Code
from abci_app.mechanisms.beacon import is_reveal, reveal_transaction
from abci_app.module import Message
from abci_app.modules.bank import SUPPLY, Burn, Supply
from abci_app.modules.licences.records import Terms
from abci_app.modules.members import MEMBERS, Role
from abci_app.modules.models.claims import ClaimEntry
from abci_app.modules.models.records import Entry
from abci_app.pb import abci_pb2 as pb
from abci_app.state.store import Store
from abci_app.types import SUPPLY_NOPEN
from tests.kit.chain import Chain, fee_of
from tests.kit.modules.consensus import BOND, OPERATORS, consensus_key
from tests.kit.signing import Key, Signer
from tests.simulation.beginning import PARAMETERS, book_of_genesis, chain_of_links
from tests.simulation.book import Book, Facts, Sent
from tests.simulation.comet import Comet
from tests.simulation.deeds import Deed
from tests.simulation.workshop import Workshop

FUNDS = 10**12
# Pays for a few transactions, then for none.
POOR_FUNDS = 20_000
NAMES = ("olga", "oleg", "ruth", "rolf", "carl", "cora", "bert", "beth")
# Enough that one may be jailed and another signs twice.
VALIDATORS = 6
# One transaction in this many blocks makes a handler raise.
POISON_NOPEN = 666
# [2, reveal] in canonical MessagePack: a list of two, the tag, and the head of 32 bytes.
REVEAL_HEAD_BYTES = 4
BOOK_DIFFERS = "the book differs: "


def nothing() -> None:
    """Nothing is learned."""


@dataclass(slots=True)
class Operation:
    """An operation that somebody tries. `hostile`: it must be refused; `learn` is called if it succeeds."""

    signer: Signer
    messages: tuple[Message, ...]
    learn: Callable[[], None] = nothing
    hostile: bool = False
    # It must succeed.
    certain: bool = False
    sponsor: Signer | None = None
    delegated: Key | None = None


class Phase(Enum):
    """Where a node may stop within a block."""

    PREPARED, PROCESSED, EXECUTED = range(3)


@dataclass(slots=True)
class Net:
    """The facts about a DataNet that its people know."""

    name: str
    owner: Signer
    reviewers: list[Signer]
    default_terms_id: bytes
    # Contribution id -> who contributed it.
    contributors: dict[bytes, Signer] = field(default_factory=dict)
    versions: int = 0


def _sent(raw: bytes, result: pb.ExecTxResult) -> Sent:
    """What a transaction did to money; what did not pay cannot even be read, perhaps."""
    if not any(event.type == "tx" for event in result.events):
        return Sent(b"", b"", 0, (), paid=False, succeeded=False)
    body = decode_transaction(raw).body
    return Sent(body.sender, body.sponsor, fee_of(raw), tuple(body.messages), paid=True, succeeded=result.code == 0)


@dataclass(slots=True)
class World:
    """The chain, its actors and their knowledge."""

    rng: random.Random
    chain: Chain
    actors: list[Signer]
    mallory: Signer
    pauper: Signer
    poisoner: Signer
    # What CometBFT knows, and the operators of the first validators.
    comet: Comet
    operators: list[Signer]
    workshop: Workshop
    book: Book
    terms: dict[bytes, Terms] = field(default_factory=dict)
    nets: dict[bytes, Net] = field(default_factory=dict)
    # Model id -> owner.
    models: dict[bytes, Signer] = field(default_factory=dict)
    # Entry -> what it says, and who owns it.
    entries: dict[bytes, tuple[Entry, Signer]] = field(default_factory=dict)
    # Entry -> the account that its manifest names, and the claim by which it takes the entry over.
    claims: dict[bytes, tuple[Signer, ClaimEntry]] = field(default_factory=dict)
    agents: dict[bytes, Key] = field(default_factory=dict)
    # How often each account's transactions were taken; that is what its sequence must be.
    taken: Counter[bytes] = field(default_factory=Counter)
    # Transactions that succeeded.
    done: list[bytes] = field(default_factory=list)
    codes: Counter[int] = field(default_factory=Counter)
    succeeded: Counter[str] = field(default_factory=Counter)
    has_workshop: bool = True
    burned_nopen: int = 0
    serial: int = 0
    # Link of somebody's chain of hashes -> the one before it, which its owner's node knows.
    links: dict[bytes, bytes] = field(default_factory=dict)
    # Operators that keep their reveals to themselves in this block.
    silent: list[bytes] = field(default_factory=list)

    @classmethod
    def start(cls, seed: int, store: Store | None = None) -> "World":
        """A new chain; Olga is the registrar, building needs a role that she gives."""
        actors = [Signer.named(name) for name in NAMES]
        mallory, pauper, poisoner = [Signer.named(name) for name in ("mallory", "pauper", "poisoner")]
        balances = {signer.address: FUNDS for signer in [*actors, mallory, poisoner]}
        operators = list(OPERATORS[:VALIDATORS])
        powers = {consensus_key(number): 10 + number for number in range(VALIDATORS)}
        links = dict[bytes, bytes]()
        section = [
            {
                "public_key": key.hex(),
                "power": power,
                "operator": who.address.hex(),
                "bond_nopen": BOND,
                "onion": chain_of_links(f"onion {number}", links).hex(),
            }
            for number, ((key, power), who) in enumerate(zip(powers.items(), operators, strict=True))
        ]
        funds = {**balances, pauper.address: POOR_FUNDS, **{who.address: FUNDS for who in operators}}
        chain = Chain.start(
            funds,
            store=store,
            parameters=PARAMETERS,
            members=[
                {"address": actors[0].address.hex(), "roles": ["registrar"], "name": "Olga"},
                *[{"address": who.address.hex(), "roles": ["validator"], "name": ""} for who in operators],
            ],
            signers=powers,
            validators=section,
        )
        world = cls(
            rng=random.Random(seed),
            chain=chain,
            actors=actors,
            mallory=mallory,
            pauper=pauper,
            poisoner=poisoner,
            comet=Comet(chain, {1: powers, 2: powers}),
            operators=operators,
            workshop=Workshop(),
            book=book_of_genesis(funds, powers, operators, section),
            links=links,
        )
        world.chain.application.local = world.node
        return world

    @property
    def node(self) -> LocalNode:
        """What the proposer's node knows: its chain of hashes, unless it keeps silent."""
        return LocalNode(reveal=lambda onion, used: None if self.is_silent else self.links.get(onion))

    @property
    def is_silent(self) -> bool:
        """Whether the proposer of the block to come keeps its reveal to itself."""
        return self.book.validators.owners.get(self.chain.proposer) in self.silent

    def new_onion(self) -> bytes:
        """The end of a new chain of hashes."""
        return chain_of_links(self.fresh("onion"), self.links)

    @property
    def store(self) -> Store:
        """The last commit."""
        return self.chain.application.store

    def chance(self, one_in: int) -> bool:
        """True once in so many times."""
        return self.rng.randrange(one_in) == 0

    def fresh(self, what: str) -> str:
        """A name that nothing has yet."""
        return f"{what}-{self.next_serial()}"

    def next_serial(self) -> int:
        """A number that nothing has yet."""
        self.serial += 1
        return self.serial

    def next_sequences(self) -> dict[bytes, int]:
        """Sequence of everybody's next transaction."""
        everybody = [*self.actors, self.mallory, self.pauper, self.poisoner, *self.operators]
        return {signer.address: self.chain.account(signer.address).sequence for signer in everybody}

    def sign(self, operations: list[Operation]) -> dict[bytes, Operation]:
        """Raw transactions in order, each with the sequence after the sender's one before."""
        sequences, signed = self.next_sequences(), dict[bytes, Operation]()
        for operation in operations:
            signer = operation.signer
            signer.sequence = sequences[signer.address]
            sequences[signer.address] += 1
            signed[self._sign_one(operation)] = operation
        return signed

    def _sign_one(self, operation: Operation) -> bytes:
        signer, limit = operation.signer, 10**8
        if operation.delegated:
            return signer.delegated_transaction(operation.delegated, *operation.messages, fee_limit_nopen=limit)
        sponsor = operation.sponsor
        return signer.transaction(
            *operation.messages,
            fee_limit_nopen=limit,
            sponsor=sponsor,
            expiry_height=self.chain.height + 5 if sponsor else 0,
            with_policy=not signer.sequence and not self.chain.account(signer.address).policy,
            sponsor_policy=sponsor is not None and not self.chain.account(sponsor.address).policy,
        )

    # --- Blocks

    def do(self, *deeds: Deed) -> None:
        """Let rules of later modules do this in the next block."""
        self.do_at(self.chain.next_height, *deeds)

    def do_at(self, height: int, *deeds: Deed) -> None:
        """Let rules of later modules do this at a height that is to come."""
        if self.has_workshop:
            self.workshop.deeds.setdefault(height, []).extend(deeds)

    def block(self, operations: list[Operation], mischief: list[bytes], restart: Phase | None = None) -> None:
        """Make a block as honest validators do from the transactions that they are sent.

        Rounds before the one that decides fail: their proposals are executed and forgotten. `restart`: the node stops
        after this phase and begins again.
        """
        signed = self.sign(operations)
        sent = [*signed, *mischief]
        admitted = [raw for raw in sent if self.chain.check(raw)[0] == 0]
        poison = [raw for raw, operation in signed.items() if operation.signer is self.poisoner]
        for number in range(self.comet.this_round):
            self._fail_round(admitted, number)
        self.comet.announce(self.comet.this_round)
        proposal = self.chain.propose(*admitted)
        # What CheckTx admitted pays for its place, in the order in which it was admitted.
        reveal = [raw for raw in proposal[:1] if is_reveal(raw)]
        assert proposal == [*reveal, *[raw for raw in admitted if raw not in poison]]
        assert {raw for raw in self.chain.propose(*sent) if not is_reveal(raw)} <= {*signed} - {*poison}
        self.restart_after(Phase.PREPARED, restart)
        if self.chain.misbehaviour or self.chance(4):
            if not poison:
                self.restart()  # as a validator that did not make the proposal: it remembers nothing of it
            self._see_rivals(proposal)
        assert self.chain.accepts(*proposal)
        for raw in poison:
            assert not self.chain.accepts(*proposal, raw)
        self.restart_after(Phase.PROCESSED, restart)
        if restart == Phase.EXECUTED:
            self.chain.finalize(*proposal)
        self.restart_after(Phase.EXECUTED, restart)
        self._commit(proposal, signed)
        for raw in poison:
            assert self.chain.check(raw, recheck=True)[0] == Code.EXCLUDED

    def _fail_round(self, admitted: list[bytes], in_round: int) -> None:
        """A round that comes to nothing: its proposal is executed and forgotten, and its reveal is known to all."""
        self.comet.announce(in_round)
        proposal = self.chain.propose(*admitted[: len(admitted) // 2])
        assert self.chain.accepts(*proposal)

    def _see_rivals(self, proposal: list[bytes]) -> None:
        """The proposer sends others the same block with another commit, or without the evidence."""
        evidence, commit = self.chain.misbehaviour, self.chain.commit
        self.chain.misbehaviour = []
        assert self.chain.accepts(*proposal)
        self.chain.misbehaviour, self.chain.commit = evidence, self.comet.with_another_absent(commit)
        assert self.chain.accepts(*proposal)
        self.chain.commit = commit

    def restart_after(self, phase: Phase, wanted: Phase | None) -> None:
        """Stop the node here if that is wanted."""
        if phase == wanted:
            self.restart()

    def restart(self) -> None:
        """A node that stops and starts knows its last commit and nothing else."""
        self.chain.application = Application(self.store, self.node)

    def careless_block(self, operations: list[Operation], mischief: list[bytes], reveal: bytes = b"") -> None:
        """A decided block with everything in it: what does not pay is refused one by one and leaves nothing.

        It may begin with a reveal, true or false.
        """
        self.comet.announce(self.comet.this_round)
        signed = self.sign(operations)
        block = [*signed, *mischief]
        self.rng.shuffle(block)
        self._commit([reveal_transaction(reveal), *block] if reveal else block, signed)

    def _commit(self, block: list[bytes], signed: dict[bytes, Operation]) -> None:
        before = self.next_sequences()
        response = self.chain.decide(*block)
        updates = self.comet.follow(response)
        results = list(response.tx_results)
        after = self.next_sequences()
        for address, sequence in after.items():
            self.taken[address] += sequence - before[address]
        self.book.follow(self._facts(block, results, updates))
        found = self.book.differences(self.store)
        assert found == [], BOOK_DIFFERS + "; ".join(found[:4])
        for raw, result in zip(block, results, strict=True):
            if is_reveal(raw) and raw is block[0]:
                continue
            assert (result.data, result.gas_wanted, result.gas_used) == (b"", 0, 0)
            self.codes[result.code] += 1
            operation = signed.get(raw)
            if operation is None:
                assert result.code, "mischief succeeded"
            elif result.code == 0:
                assert not operation.hostile, operation.messages
                self.done.append(raw)
                operation.learn()
                self.burned_nopen += sum([each.amount_nopen for each in operation.messages if isinstance(each, Burn)])
                self.succeeded.update([type(message).__name__ for message in operation.messages])
            else:
                assert not operation.certain, f"{operation.messages} were refused: {result.log}"

    def _facts(self, block: list[bytes], results: list[pb.ExecTxResult], updates: dict[bytes, int]) -> Facts:
        """What the block that was just committed shows."""
        request = self.chain.requests[-1]
        first = block[0] if block and is_reveal(block[0]) else b""
        return Facts(
            height=request.height,
            seconds=request.time.seconds,
            decided_round=request.decided_last_commit.round,
            votes=tuple(
                [
                    (each.validator.address, each.validator.power, each.block_id_flag == pb.BLOCK_ID_FLAG_COMMIT)
                    for each in request.decided_last_commit.votes
                ]
            ),
            proposer=request.proposer_address,
            accused=tuple([each.validator.address for each in request.misbehavior]),
            deeds=tuple(self.workshop.deeds.get(request.height, [])),
            reveal=first[REVEAL_HEAD_BYTES:],
            reveal_taken=bool(first) and results[0].code == 0,
            sent=tuple([_sent(raw, result) for raw, result in zip(block, results, strict=True) if raw is not first]),
            updates=updates,
        )

    # --- What must hold

    def check(self) -> None:
        """Every invariant of every module, the supply, the one registrar, and that nothing was taken twice."""
        assert violations(self.store) == []
        assert [member.address for _, member in MEMBERS.iterate(self.store) if member.roles & Role.REGISTRAR] == [
            self.actors[0].address
        ]
        assert SUPPLY.get(self.store) == Supply(SUPPLY_NOPEN, self.burned_nopen)
        assert {address: self.taken[address] for address in self.next_sequences()} == self.next_sequences()
