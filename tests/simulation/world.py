"""A simulated chain with many actors, and what they know. All randomness comes from one seed.

Every block goes the way of a real one: CheckTx, PrepareProposal, ProcessProposal, FinalizeBlock, Commit. Now and then a
careless majority decides a block with anything in it.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from abci_app.chain.application import Application
from abci_app.chain.invariants import violations
from abci_app.errors import Code
from abci_app.module import Message
from abci_app.modules.bank import SUPPLY, Burn, Supply
from abci_app.modules.licences.records import Terms
from abci_app.modules.members import MEMBERS, Role
from abci_app.modules.models.claims import ClaimEntry
from abci_app.modules.models.records import Entry
from abci_app.state.store import Store
from abci_app.types import SUPPLY_NOPEN
from tests.kit.chain import Chain
from tests.kit.modules.consensus import OPERATORS, QUICK, Consensus, consensus_key, section_of
from tests.kit.modules.ledger import Ledger
from tests.kit.signing import Key, Signer

FUNDS = 10**12
# Pays for a few transactions, then for none.
POOR_FUNDS = 20_000
# Blocks for which a validator that went away stays away, and how rarely one goes: some epochs of ten blocks.
AWAY_BLOCKS, AWAY_ONE_IN = 25, 30
NAMES = ("olga", "oleg", "ruth", "rolf", "carl", "cora", "bert", "beth")
# Windows at their minimum, so that hundreds of blocks see many proposals end.
SHORT_WINDOWS = {
    "governance": {
        "voting_blocks": 20,
        "timelock_blocks": 10,
        "unlock_blocks": 40,
        "deposit_nopen": 10**9,
        "electorate_floor_nopen": 0,
        "freeze_blocks": 10,
    },
    "epochs": {"epoch_blocks": 10},
}
# Enough that one may be jailed and another signs twice.
VALIDATORS = 6
# One transaction in this many blocks makes a handler raise.
POISON_NOPEN = 666


def nothing() -> None:
    """Nothing is learned."""


@dataclass(slots=True)
class Operation:
    """An operation that somebody tries. `hostile`: it must be refused; `learn` is called if it succeeds."""

    signer: Signer
    messages: tuple[Message, ...]
    learn: Callable[[], None] = nothing
    hostile: bool = False
    sponsor: Signer | None = None
    delegated: Key | None = None


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
    consensus: Consensus
    operators: list[Signer]
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
    burned_nopen: int = 0
    serial: int = 0
    # The height until which somebody is away.
    away_until: int = 0

    @classmethod
    def start(cls, seed: int, store: Store | None = None) -> "World":
        """A new chain; Olga is the registrar, building needs a role that she gives."""
        actors = [Signer.named(name) for name in NAMES]
        mallory, pauper, poisoner = [Signer.named(name) for name in ("mallory", "pauper", "poisoner")]
        balances = {signer.address: FUNDS for signer in [*actors, mallory, poisoner]}
        operators = list(OPERATORS[:VALIDATORS])
        powers = {consensus_key(number): 10 + number for number in range(VALIDATORS)}
        chain = Chain.start(
            {**balances, pauper.address: POOR_FUNDS, **{who.address: FUNDS for who in operators}},
            store=store,
            parameters={
                "licences": {"licence_policy": "permissive"},
                "roles": {"models.create_model": ["builder"]},
                **SHORT_WINDOWS,
                **{name: values for name, values in QUICK.items() if name in ("beacon", "validators")},
            },
            members=[{"address": actors[0].address.hex(), "roles": ["registrar"], "name": "Olga"}],
            signers=powers,
            validators=section_of(powers, operators),
        )
        return cls(
            rng=random.Random(seed),
            chain=chain,
            actors=actors,
            mallory=mallory,
            pauper=pauper,
            poisoner=poisoner,
            consensus=Consensus(Ledger(chain), {1: powers, 2: powers}),
            operators=operators,
        )

    @property
    def store(self) -> Store:
        """The last commit."""
        return self.chain.application.store

    def chance(self, one_in: int) -> bool:
        """True once in so many times."""
        return self.rng.randrange(one_in) == 0

    def fresh(self, what: str) -> str:
        """A name that nothing has yet."""
        self.serial += 1
        return f"{what}-{self.serial}"

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

    def block(self, operations: list[Operation], mischief: list[bytes]) -> None:
        """Make a block as honest validators do from the transactions that they are sent."""
        self.announce()
        signed = self.sign(operations)
        sent = [*signed, *mischief]
        admitted = [raw for raw in sent if self.chain.check(raw)[0] == 0]
        poison = [raw for raw, operation in signed.items() if operation.signer is self.poisoner]
        proposal = self.chain.propose(*admitted)
        # What CheckTx admitted pays for its place, in the order in which it was admitted.
        assert proposal == [raw for raw in admitted if raw not in poison]
        assert set(self.chain.propose(*sent)) <= {*signed} - {*poison}
        assert self.chain.accepts(*proposal)
        for raw in poison:
            assert not self.chain.accepts(*proposal, raw)
        if self.chance(6):
            # A round that failed: another proposal of the same height, executed and then not decided.
            assert self.chain.accepts(*proposal[: len(proposal) // 2])
        self._commit(proposal, signed)
        for raw in poison:
            assert self.chain.check(raw, recheck=True)[0] == Code.EXCLUDED

    def announce(self) -> None:
        """Say who proposes and who signed the block before; now and then a validator is away for some epochs."""
        consensus = self.consensus
        if self.chain.height >= self.away_until:
            consensus.absent = []
            if self.chance(AWAY_ONE_IN):
                consensus.absent = [self.rng.choice(sorted(consensus.sets[self.chain.next_height]))]
                self.away_until = self.chain.height + AWAY_BLOCKS
        consensus.announce()

    def restart(self) -> None:
        """A node that stops and starts knows its last commit and nothing else."""
        self.chain.application = Application(self.store)

    def careless_block(self, operations: list[Operation], mischief: list[bytes]) -> None:
        """A decided block with everything in it: what does not pay is refused one by one and leaves nothing."""
        self.announce()
        signed = self.sign(operations)
        block = [*signed, *mischief]
        self.rng.shuffle(block)
        self._commit(block, signed)

    def _commit(self, block: list[bytes], signed: dict[bytes, Operation]) -> None:
        before = self.next_sequences()
        response = self.chain.decide(*block)
        self.consensus.follow(response)
        results = response.tx_results
        after = self.next_sequences()
        for address, sequence in after.items():
            self.taken[address] += sequence - before[address]
        for raw, result in zip(block, results, strict=True):
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

    # --- What must hold

    def check(self) -> None:
        """Every invariant of every module, the supply, the one registrar, and that nothing was taken twice."""
        assert violations(self.store) == []
        assert [member.address for _, member in MEMBERS.iterate(self.store) if member.roles & Role.REGISTRAR] == [
            self.actors[0].address
        ]
        assert SUPPLY.get(self.store) == Supply(SUPPLY_NOPEN, self.burned_nopen)
        assert {address: self.taken[address] for address in self.next_sequences()} == self.next_sequences()
