"""Transactions: damaged ones that nobody signed, and well signed ones with anything in them."""

import random

import msgspec

from abci_app.accounts import ACCOUNTS, DELEGATIONS
from abci_app.chain.block import BlockExecution, TransactionResult
from abci_app.chain.invariants import violations
from abci_app.chain.queries import MAX_QUERY_BYTES
from abci_app.chain.registry import MESSAGE_TYPES, parameters_of
from abci_app.chain.simulation import Simulation
from abci_app.chain.transaction import MAX_TRANSACTION_BYTES, decode_transaction, signed_digest
from abci_app.errors import Rejected
from abci_app.module import BlockContext
from abci_app.parameters import CHAIN
from abci_app.pb import abci_pb2 as pb
from tests.fuzz.by_type import draw
from tests.fuzz.corpus import Corpus, agreement
from tests.fuzz.mutation import Tree, damage_bytes, damage_tree, pack, unpack
from tests.fuzz.target import Target, Violation, code_name
from tests.kit.signing import CHAIN_ID, Signer

# All invariants over the whole state take some milliseconds: one accepted transaction in so many.
INVARIANTS_ONE_IN = 64
# What a transaction that failed may have changed: the payers' accounts and a delegation's spending.
PAYING_TABLES = (ACCOUNTS.prefix, DELEGATIONS.prefix)


def make_damaged(rng: random.Random, corpus: Corpus) -> bytes:
    """A valid transaction with bytes, values or parts changed after signing; now and then no transaction at all."""
    raw = rng.choice(corpus.transactions)
    chance = rng.random()
    if chance < 0.05:
        return rng.randbytes(rng.choice((0, 1, 2, 16, 200, 1_000)))
    if chance < 0.055:
        return raw + rng.randbytes(MAX_TRANSACTION_BYTES)
    if chance < 0.65:
        return damage_bytes(rng, raw, corpus.transactions)
    version, body, auths = unpack(raw)
    if chance < 0.80:
        return pack([version, pack(damage_tree(rng, unpack(body))), auths])
    if chance < 0.85:
        return pack([version, damage_bytes(rng, body, []), auths])
    other = unpack(rng.choice(corpus.transactions))
    return pack(
        damage_tree(rng, rng.choice(([version, body, auths], [version, body, other[2]], [version, other[1], auths])))
    )


def judge_damaged(corpus: Corpus, raw: bytes) -> str:
    """No phase takes it unless body and signatures are really a client's, and refused it leaves no trace."""
    application = corpus.application
    if application.check_tx(raw, recheck=False)[0] == 0:
        application.discard_uncommitted()
        _require_signed(corpus, raw)
    proposal = _proposed(corpus, raw)
    accepted = _accepts(corpus, raw)
    result, app_hash = _finalized(corpus, raw)
    if application.mempool.is_excluded(raw):
        raise Violation("a rule raised: the transaction was excluded")
    if not proposal:
        if accepted or result.code == 0 or app_hash != corpus.app_hash:
            raise Violation(
                f"left out of a proposal, yet accepted={accepted}, code {result.code}, hash {app_hash.hex()}"
            )
        return code_name(result.code, result.log, result.codespace)
    _require_signed(corpus, raw)
    return "accepted: what was signed is unchanged"


def make_signed(rng: random.Random, corpus: Corpus) -> bytes:
    """Any messages, drawn by type or damaged, in a body that is properly signed; sometimes the body is damaged too."""
    signer = rng.choice(corpus.signers)
    sequence = corpus.world.chain.account(signer.address).sequence
    messages = [_message(rng, corpus) for _ in range(rng.choice((1, 1, 1, 1, 2, 3, 17 if rng.random() < 0.02 else 1)))]
    expiry = rng.choice((0, 0, corpus.store.height, corpus.store.height + 1, 2**63 - 1))
    sponsor = rng.choice([each for each in corpus.signers if each is not signer]) if rng.random() < 0.1 else None
    body: Tree = [
        1, CHAIN_ID, signer.address, sequence, 10**9, expiry, sponsor.address if sponsor else b"",
        rng.choice((b"", b"", bytes(32))), messages,
    ]  # fmt: skip
    if rng.random() < 0.15:
        body = damage_tree(rng, body)
    packed = pack(body)
    return pack([1, packed, [_auth(corpus, each, packed) for each in (signer, sponsor) if each]])


def _message(rng: random.Random, corpus: Corpus) -> Tree:
    message = draw(rng, rng.choice(MESSAGE_TYPES), corpus.known) if rng.random() < 0.6 else rng.choice(corpus.messages)
    return damage_tree(rng, message) if rng.random() < 0.35 else message


def _auth(corpus: Corpus, signer: Signer, body: bytes) -> Tree:
    digest = signed_digest(body)
    policy = b"" if corpus.world.chain.account(signer.address).policy else signer.policy
    return [signer.address, policy, [[index, signer.keys[index].sign(digest)] for index in signer.signs_with]]


def judge_signed(corpus: Corpus, raw: bytes) -> str:
    """A dry run and an execution agree, a failure changes no more than who pays, a success breaks no invariant."""
    application = corpus.application
    admitted, log, codespace = application.check_tx(raw, recheck=False)
    if admitted == 0:
        application.discard_uncommitted()
    else:
        code_name(admitted, log, codespace)
    if len(raw) > MAX_QUERY_BYTES:
        return "larger than any query"
    answer = application.query(pb.RequestQuery(path="/simulate", data=raw))
    if answer.code:
        raise Violation(f"the dry run was refused with code {answer.code}: {answer.log}")
    context = _next_block(corpus)
    execution = BlockExecution(corpus.store, context, decode_transaction)
    result = execution.execute(raw)
    changes = execution.state.changes()
    _check_against_dry_run(corpus, raw, answer, result)
    if admitted == 0 and not result.paid:
        raise Violation(f"admitted, and would not pay: code {result.code}: {result.log}")
    if result.code == 0:
        execution.finish()
        if raw[-1] % INVARIANTS_ONE_IN == 0 and (broken := violations(execution.state)):
            raise Violation(f"invariants broken: {broken[:3]}")
        return "executed"
    allowed = PAYING_TABLES if result.paid else ()
    if any(not key.startswith(allowed) for key, _ in changes) or (changes and not result.paid):
        raise Violation(f"failed with code {result.code} and changed {[key for key, _ in changes][:3]}")
    return code_name(result.code, result.log, result.codespace)


def _check_against_dry_run(corpus: Corpus, raw: bytes, answer: pb.ResponseQuery, result: TransactionResult) -> None:
    dry = msgspec.msgpack.decode(answer.value, type=Simulation)
    outcome = (dry.code, dry.fee_nopen, dry.log)
    # The dry run believes every signature; all else is the same.
    if outcome != (result.code, result.fee_nopen, result.log) and result.codespace != "openledger":
        raise Violation(f"the dry run said {outcome}, execution {(result.code, result.fee_nopen, result.log)}")


def _next_block(corpus: Corpus) -> BlockContext:
    chain, parameters = CHAIN.get(corpus.store), parameters_of(corpus.store)
    if chain is None or parameters is None:
        raise RuntimeError("the corpus has no chain")
    return BlockContext(chain.chain_id, corpus.store.height + 1, corpus.last_seconds, parameters)


def _require_signed(corpus: Corpus, raw: bytes) -> None:
    """Raises unless body and signatures are byte for byte those of an honest client."""
    try:
        agreed = agreement(decode_transaction(raw))
    except Rejected as rejection:
        raise Violation(f"accepted although it does not decode: {rejection}") from rejection
    if agreed not in corpus.signed:
        raise Violation("accepted although nobody signed it")


def _proposed(corpus: Corpus, raw: bytes) -> bool:
    request = pb.RequestPrepareProposal(txs=[raw], height=corpus.store.height + 1, max_tx_bytes=2**20)
    request.time.seconds = corpus.last_seconds
    return len(corpus.application.prepare_proposal(request).txs) > 0


def _accepts(corpus: Corpus, raw: bytes) -> bool:
    request = pb.RequestProcessProposal(txs=[raw], height=corpus.store.height + 1)
    request.time.seconds = corpus.last_seconds
    return corpus.application.process_proposal(request).status == pb.ResponseProcessProposal.ACCEPT


def _finalized(corpus: Corpus, raw: bytes) -> tuple[pb.ExecTxResult, bytes]:
    request = pb.RequestFinalizeBlock(txs=[raw], height=corpus.store.height + 1)
    request.time.seconds = corpus.last_seconds
    response = corpus.application.finalize_block(request)
    return response.tx_results[0], response.app_hash


TARGETS = (
    Target("damaged-transaction", 33, make_damaged, judge_damaged),
    Target("signed-transaction", 22, make_signed, judge_signed),
)
