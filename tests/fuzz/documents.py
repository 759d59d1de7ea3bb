"""Documents from strangers: proof bundles, what a lying node answers to a light client, genesis documents."""

import base64
import json
import random
from typing import Any

import msgspec

from abci_app.chain import genesis
from abci_app.chain.genesis import GenesisState
from abci_app.errors import GenesisError
from abci_app.state.overlay import Overlay
from abci_app.state.views import EmptyView
from openledger.errors import OpenLedgerError
from openledger.light.anchors import parse_genesis
from openledger.light.bundle import _encode, _JsonBundle, parse_bundle, verify_bundle
from openledger.light.bundle import make_bundle as make_bundle_again
from openledger.light.parse import parse_commit_answer, parse_header_answer, parse_validators_answer
from tests.fuzz.corpus import Corpus
from tests.fuzz.mutation import Tree, damage_bytes, damage_tree
from tests.fuzz.target import Target, Violation
from tests.kit.signing import CHAIN_ID

PARSERS = (parse_genesis, parse_commit_answer, parse_header_answer, parse_validators_answer)


def dump_json(tree: Tree) -> bytes:
    """Write the tree that damage left as JSON; bytes as base64."""
    return json.dumps(tree, default=lambda value: base64.b64encode(bytes(value)).decode(), skipkeys=True).encode()


def make_bundle(rng: random.Random, corpus: Corpus) -> bytes:
    """Damaged as a file, or in its values with a checksum that fits again."""
    honest = rng.choice(corpus.bundle.honest)
    if rng.random() < 0.3:
        return damage_bytes(rng, honest, [])
    damaged = dump_json(damage_tree(rng, json.loads(honest)))
    try:
        return _encode(msgspec.json.decode(damaged, type=_JsonBundle))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return damaged


def judge_bundle(corpus: Corpus, data: bytes) -> str:
    """Refused in one line; or what it says, to the honest question or another one, is true on the chain."""
    case = corpus.bundle
    try:
        verdict = verify_bundle(data, case.genesis, case.now_ns)
    except OpenLedgerError as error:
        return _refusal(error)
    if not verdict.anchored:
        return "consistent, not anchored"
    if make_bundle_again(parse_bundle(data)) != data:
        raise Violation("verified in a form that is not the one it is written in")
    with case.chain.store.version(verdict.height) as version:
        truth = verdict.question.answer(version)
    if (verdict.value, verdict.names) != truth:
        raise Violation(f"verified {verdict.value!r} instead of {truth!r}")
    return "verified, and is true"


def make_answer(rng: random.Random, corpus: Corpus) -> bytes:
    """The first byte says which parser reads it."""
    place = rng.randrange(len(PARSERS))
    honest = corpus.light_answers[place]
    if rng.random() < 0.4:
        return bytes((place,)) + damage_bytes(rng, honest, corpus.light_answers)
    return bytes((place,)) + dump_json(damage_tree(rng, json.loads(honest)))


def judge_answer(corpus: Corpus, data: bytes) -> str:
    """Parsed, or refused in one line."""
    try:
        parsed: Any = PARSERS[data[0] % len(PARSERS)](data[1:])
    except OpenLedgerError as error:
        return _refusal(error)
    return f"parsed as {type(parsed).__name__}"


def make_genesis(rng: random.Random, corpus: Corpus) -> bytes:
    """An app_state drawn by its type with real addresses, names and hosts, or damaged."""
    tree = _genesis_tree(rng, corpus)
    damaged = dump_json(damage_tree(rng, tree) if rng.random() < 0.7 else tree)
    return damage_bytes(rng, damaged, []) if rng.random() < 0.3 else damaged


def _genesis_tree(rng: random.Random, corpus: Corpus) -> Tree:
    signers = rng.sample(corpus.signers, 3)
    fields: dict[str, Tree] = {
        "version": 2,
        "balances": [[signer.address.hex(), rng.randrange(10**17)] for signer in signers],
        "members": [{"address": signers[0].address.hex(), "roles": ["registrar", "builder"], "name": "Olga"}],
        "peers": [{"node_id": f"{rng.randrange(2**160):040x}", "name": "node"}],
        "peers_closed": rng.random() < 0.5,
        "validators": [{"public_key": f"{rng.randrange(2**256):064x}", "power": 1}] if rng.random() < 0.3 else [],
        "parameters": {
            "fees": {"fee_per_byte_nopen": 3},
            "surcharges": {"bank.transfer": 5},
            "roles": {"models.create_model": ["builder"]},
            "licences": {"licence_policy": "permissive"},
        },
    }
    chosen = rng.sample(sorted(fields), rng.randint(1, len(fields)))
    return {name: fields[name] for name in chosen}


def judge_genesis(corpus: Corpus, data: bytes) -> str:
    """A state with the whole supply in it, or a refusal that names the field."""
    try:
        document: GenesisState = genesis.decode_genesis(data)
        state = Overlay(EmptyView())
        context = genesis.genesis_context(
            chain_id=CHAIN_ID,
            initial_height=1,
            time_seconds=1_700_000_000,
            app_version=0,
            validators=[],
            document=document,
        )
        genesis.write_genesis(state, document, context)
    except GenesisError as error:
        return _refusal(error)
    return "a chain could start from it"


def _refusal(error: Exception) -> str:
    text = str(error)
    if not text or len(text) > 2_000 or "\n" in text:
        raise Violation(f"refused with {text[:200]!r}, which is not one short line") from error
    return f"refused: {type(error).__name__}"


TARGETS = (
    Target("bundle", 2, make_bundle, judge_bundle),
    Target("light-answer", 4, make_answer, judge_answer),
    Target("genesis", 2, make_genesis, judge_genesis),
)
