"""A chain with something of everything on it, and honest inputs to start from."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from abci_app.chain.application import Application
from abci_app.chain.names import Name, Named
from abci_app.chain.registry import all_queries
from abci_app.chain.transaction import KeySignature, Transaction, decode_transaction
from abci_app.modules.datanets.queries import VersionQuery
from abci_app.modules.models.lineage import CleanQuery
from abci_app.modules.models.queries import EntryQuery, ModelQuery
from abci_app.pb import abci_pb2 as pb
from abci_app.state.codec import encode
from abci_app.state.store import Store
from openledger.client.light_client import LightClient
from openledger.client.provenance import lineage_question
from openledger.client.rpc_calls import Call
from openledger.errors import Denied
from openledger.light.anchors import GenesisAnchor
from tests.fuzz.by_type import Known
from tests.fuzz.mutation import Tree, unpack
from tests.kit.modules.drafts import digest
from tests.kit.openledger.story import Story
from tests.kit.signing import Signer
from tests.kit.simulated_chain import SimulatedChain, SimulatedNode
from tests.simulation.life import begun, simulate
from tests.simulation.questions import questions
from tests.simulation.rules import RULES, never_sent
from tests.simulation.world import World

# Enough blocks that every message type mostly succeeds; another seed is taken where one does not.
CORPUS_SEED, CORPUS_BLOCKS = 11, 150
MAX_SEEDS = 10
# Decoded transactions that an application keeps are bounded by design; here far lower, so that a leak shows.
CACHE_BYTES = 512 * 1024


# The signed digest, and each account with its signatures.
Agreement = tuple[bytes, tuple[tuple[bytes, tuple[KeySignature, ...]], ...]]


def agreement(transaction: Transaction) -> Agreement:
    """All of a transaction that nobody but its signers may change; a presented policy is not part of it."""
    return transaction.signed_digest, tuple([(auth.account, auth.signatures) for auth in transaction.auths])


@dataclass
class BundleCase:
    """Honest bundles of one chain, what vouches for them and when they are judged."""

    chain: SimulatedChain
    honest: tuple[bytes, ...]

    @property
    def now_ns(self) -> int:
        """Just after the chain's newest block."""
        return self.chain.now_ns

    @cached_property
    def genesis(self) -> GenesisAnchor:
        """The chain's genesis document."""
        return self.chain.genesis


@dataclass
class Corpus:
    """The chain stands still: every input is judged against the same last commit."""

    world: World
    application: Application
    store: Store
    app_hash: bytes
    # Valid transactions that could come next, each alone.
    transactions: list[bytes]
    messages: list[Tree]
    queries: list[pb.RequestQuery]
    frames: list[bytes]
    known: Known
    # What honest clients signed, and how.
    signed: set[Agreement] = field(default_factory=set)
    # What a target keeps from one input to the next, by its name.
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def signers(self) -> list[Signer]:
        """Accounts with funds."""
        return [*self.world.actors, self.world.mallory]

    @property
    def last_seconds(self) -> int:
        """Header time of the last block."""
        return self.world.chain.seconds(self.store.height)

    @cached_property
    def bundle(self) -> BundleCase:
        """Raw state, an answer with names, a lineage and a proven no, under signed headers of a simulated chain."""
        chain = SimulatedChain.holding(self.story.ledger.chain.state(), blocks_above=12)
        client = LightClient(
            SimulatedNode(chain, "primary"),
            [SimulatedNode(chain, "witness")],
            anchor=chain.genesis,
            clock=lambda: chain.now_ns,
        )
        raw = client.bundle(client.read([b"number/now", b"absent"], [(b"number/", b"number0")]))
        tutor = Name("olrun", "tutor")
        named = client.bundle(client.query("models", "entry", Named(EntryQuery(tutor.stand_in()), (tutor,))))
        lineage = client.bundle(client.query("models", "lineage", lineage_question("tutor")))
        return BundleCase(chain, (raw, named, lineage, client.bundle(_proven_no(client))))

    @cached_property
    def story(self) -> Story:
        """A small chain with provenance, for questions with several pages."""
        return Story.tell()

    @cached_property
    def light_answers(self) -> list[bytes]:
        """List answers of a node's RPC to a light client, and a genesis document."""
        chain = SimulatedChain()
        chain.make_blocks(3)
        node = SimulatedNode(chain)
        answers = [chain.genesis_bytes()]
        calls: tuple[tuple[str, dict[str, Any]], ...] = (("commit", {}), ("header", {}), ("validators", {"page": "1"}))
        for method, params in calls:
            answers += node.send_batch([Call(method, params, bytes)])
        return answers


def _proven_no(client: LightClient) -> Any:
    """A verified answer that there is no such model."""
    try:
        return client.query("models", "model", ModelQuery(b"", "nobody"))
    except Denied as denied:
        return denied.evidence


def world_with_everything(seed: int, blocks: int) -> World:
    """A world in which every message type succeeded; of this seed, or of one of the next ones."""
    missing: list[str] = []
    for tried in range(seed, seed + MAX_SEEDS):
        with begun(tried, has_workshop=False) as world:
            simulate(world, blocks, only_blocks=True)
        missing = never_sent(world)
        if not missing:
            return world
    raise RuntimeError(f"{missing} never succeeded in {MAX_SEEDS} simulations: the simulation lacks a rule for it")


def build_corpus(seed: int = CORPUS_SEED) -> Corpus:
    """Run a world and take from it what is needed; about two seconds."""
    world = world_with_everything(seed, CORPUS_BLOCKS)
    world.chain.block()  # an application that has just started knows no header time
    application = world.chain.application
    application.discard_uncommitted()
    application._cache._max_generation_bytes = CACHE_BYTES
    transactions = _next_transactions(world)
    decoded = [decode_transaction(raw) for raw in [*transactions, *world.done]]
    messages = [unpack(encode(message)) for transaction in decoded for message in transaction.body.messages]
    queries = sample_queries(world)
    return Corpus(
        world=world,
        application=application,
        store=application.store,
        app_hash=application.store.app_hash,
        transactions=transactions,
        messages=_one_of_each_and_more(messages),
        queries=queries,
        frames=_frames(transactions, queries),
        known=_known(world),
        signed={agreement(transaction) for transaction in decoded},
    )


def _next_transactions(world: World) -> list[bytes]:
    """One valid next transaction of each kind that somebody can send now."""
    signed: list[bytes] = []
    for rule in RULES:
        operation = rule(world)
        if operation is not None:
            signed += world.sign([operation])
    return signed


def _one_of_each_and_more(messages: list[Tree]) -> list[Tree]:
    """All, in an order that does not depend on how often each kind occurs."""
    by_tag: dict[int, list[Tree]] = {}
    for message in messages:
        by_tag.setdefault(message[0], []).append(message)
    return [message for same in by_tag.values() for message in same[:12]]


def sample_queries(world: World) -> list[pb.RequestQuery]:
    asked = [(f"/query/{module}/{name}", encode(args)) for _ in range(16) for module, name, args in questions(world)]
    named = [VersionQuery(b"", net.name, 1, 0, 10) for net in world.nets.values() if net.versions]
    for query in ("version", "version_contributions", "datasheet"):
        asked += [(f"/query/datanets/{query}", encode(args)) for args in named[:4]]
    net = next(iter(world.nets))
    about = [CleanQuery(entry, "", 0, net, "", 0) for entry in list(world.entries)[:4]]
    asked += [("/query/models/clean", encode(args)) for args in about]
    if {path for path, _ in asked} != {f"/query/{module}/{name}" for module, name in all_queries()}:
        raise RuntimeError("a query is missing among the questions of the simulation")
    keys = [key for key, _ in world.store.iterate(b"\x00", b"\xff")]
    chosen = keys[:: max(1, len(keys) // 24)]
    for key in chosen:
        asked += [("/store/openledger/key", key), ("/store/openledger/ics23", key)]
    asked.append(("/store/openledger/multi", encode([chosen, [[chosen[0], chosen[1]], [b"members/", b"members0"]]])))
    asked += [("/store/openledger/multi", encode([[key, key + b"\x00"], []])) for key in chosen]
    asked += [("/simulate", world.done[0]), ("/simulate", world.done[-1])]
    asked += [("/local/next-sequence", world.actors[0].address), ("/p2p/filter/id/" + "0" * 40, b"")]
    asked += [("/p2p/filter/addr/127.0.0.1:1", b""), ("", b""), ("/", b"")]
    return [pb.RequestQuery(path=path, data=data) for path, data in asked]


def _frames(transactions: list[bytes], queries: list[pb.RequestQuery]) -> list[bytes]:
    """Requests of every kind, without their length."""
    requests = [pb.Request(check_tx=pb.RequestCheckTx(tx=raw)) for raw in transactions]
    requests += [pb.Request(query=query) for query in queries[::3]]
    header: dict[str, Any] = {"height": 7, "hash": bytes(32), "proposer_address": bytes(20)}
    proposal = {"txs": transactions[:3], "next_validators_hash": bytes(32), **header}
    requests += [
        pb.Request(echo=pb.RequestEcho(message="hello")),
        pb.Request(flush=pb.RequestFlush()),
        pb.Request(info=pb.RequestInfo(version="0.38.25", block_version=11, p2p_version=8, abci_version="2.0.0")),
        pb.Request(init_chain=pb.RequestInitChain(chain_id="x", app_state_bytes=b"{}", initial_height=1)),
        pb.Request(prepare_proposal=pb.RequestPrepareProposal(max_tx_bytes=10**6, txs=transactions[:2], height=7)),
        pb.Request(process_proposal=pb.RequestProcessProposal(**proposal)),
        pb.Request(finalize_block=pb.RequestFinalizeBlock(**proposal)),
        pb.Request(extend_vote=pb.RequestExtendVote(hash=bytes(32), height=7)),
        pb.Request(verify_vote_extension=pb.RequestVerifyVoteExtension(height=7, vote_extension=b"x")),
        pb.Request(commit=pb.RequestCommit()),
        pb.Request(list_snapshots=pb.RequestListSnapshots()),
        pb.Request(offer_snapshot=pb.RequestOfferSnapshot(app_hash=bytes(32))),
        pb.Request(load_snapshot_chunk=pb.RequestLoadSnapshotChunk(height=1, format=1, chunk=1)),
        pb.Request(apply_snapshot_chunk=pb.RequestApplySnapshotChunk(index=1, chunk=b"chunk", sender="peer")),
    ]
    return [request.SerializeToString() for request in requests]


def _known(world: World) -> Known:
    contributions = [key for net in world.nets.values() for key in net.contributors]
    ids = [*world.nets, *world.models, *world.entries, *world.terms, *contributions[:50], digest("nothing")]
    ids += [signer.address for signer in [*world.actors, world.mallory, world.pauper]] * 4
    names = [net.name for net in world.nets.values()]
    return Known(tuple(ids), (*names, "safetensors", "accuracy", "base", ""))
