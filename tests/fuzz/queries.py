"""Queries of every path with damaged or drawn arguments, and the proofs that they answer with."""

import random

from abci_app.chain.registry import all_queries, query_named
from abci_app.pb import abci_pb2 as pb
from abci_app.state import proof
from abci_app.state.views import RecordingView
from tests.fuzz.by_type import draw
from tests.fuzz.corpus import Corpus
from tests.fuzz.mutation import TEXTS, damage_bytes, damage_tree, pack, unpack
from tests.fuzz.target import Target, Violation, code_name

QUERY_NAMES = tuple(all_queries())


def make_query(rng: random.Random, corpus: Corpus) -> bytes:
    """A request of the query connection, encoded."""
    if rng.random() < 0.4:
        module, name = rng.choice(QUERY_NAMES)
        tree = draw(rng, query_named(module, name).args_type, corpus.known)
        path, data = f"/query/{module}/{name}", pack(damage_tree(rng, tree) if rng.random() < 0.3 else tree)
    else:
        chosen = rng.choice(corpus.queries)
        path, data = chosen.path, chosen.data
        if path.startswith("/query/") and rng.random() < 0.5:
            data = pack(damage_tree(rng, unpack(data)))
        elif rng.random() < 0.9:
            data = damage_bytes(rng, data, [])
    if rng.random() < 0.08:
        path = rng.choice(
            (path + "/", path[:-1], path.upper(), path + rng.choice(TEXTS), rng.choice(TEXTS), "/query//")
        )
    top = corpus.store.height
    height = rng.choice((0, 0, 0, 0, top, top - 1, rng.randint(0, top + 1), -1, 2**63 - 1, -(2**63)))
    return pb.RequestQuery(path=path, data=data, height=height, prove=rng.random() < 0.4).SerializeToString()


def judge_query(corpus: Corpus, encoded: bytes) -> str:
    """A documented code, or an answer whose proof holds against the app hash of the height that it names."""
    request = pb.RequestQuery.FromString(encoded)
    answer = corpus.application.query(request)
    if answer.code:
        return (
            "peer filter" if request.path.startswith("/p2p/") else code_name(answer.code, answer.log, answer.codespace)
        )
    proves = request.path == "/store/openledger/multi" or (request.prove and request.path.startswith("/query/"))
    if proves:
        with corpus.store.version(answer.height) as version:
            proof.verify(answer.value, version.app_hash)
        return "answered with a proof"
    return "answered"


def make_proof(rng: random.Random, corpus: Corpus) -> bytes:
    """A damaged native proof of something on the chain."""
    with corpus.store.latest() as version:
        recording = RecordingView(version)
        keys = rng.sample(_keys(corpus), 2)
        recording.get(keys[0])
        recording.get(keys[1] + b"\x00")
        first, last = sorted(keys)
        for number, _ in enumerate(recording.iterate(first, last)):
            if number == 3:
                break
        honest = version.prove(recording.keys, recording.ranges)
    if rng.random() < 0.5:
        return damage_bytes(rng, honest, [])
    return pack(damage_tree(rng, unpack(honest)))


def _keys(corpus: Corpus) -> list[bytes]:
    return [query.data for query in corpus.queries if query.path == "/store/openledger/key"]


def judge_proof(corpus: Corpus, data: bytes) -> str:
    """It proves nothing, or only what is true."""
    with corpus.store.latest() as version:
        try:
            proven = proof.verify(data, version.app_hash)
        except proof.ProofError as error:
            if not str(error) or "\n" in str(error):
                raise Violation(f"refused with {str(error)[:200]!r}, which is not one line") from error
            return "refused"
        for key, value in proven.entries.items():
            if version.get(key) != value:
                raise Violation(f"proves {value.hex()} for key {key.hex()}, which has another value")
        for start, end in proven.ranges:
            if list(proven.iterate(start, end)) != list(version.iterate(start, end)):
                raise Violation(f"proves another content of the range {start.hex()} to {end.hex()}")
    return "holds, and is true"


TARGETS = (
    Target("query", 18, make_query, judge_query),
    Target("proof", 5, make_proof, judge_proof),
)
