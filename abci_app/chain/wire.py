"""Protobuf bytes that are written by hand because they are made once per transaction: results and their events.

Field numbers: cometbft.md 2.5. Building 5,000 results with message objects takes about 40 ms of a block, this about 10.
"""

from collections.abc import Sequence
from functools import lru_cache

from abci_app.chain.block import BlockResult, TransactionResult
from abci_app.hashing import uvarint
from abci_app.module import ConsensusUpdate, LastCommit, LastCommitVote, Misbehaviour
from abci_app.pb import abci_pb2 as pb
from abci_app.pb import crypto_pb2, params_pb2

# CometBFT's word for no limit of gas: this chain counts weight itself.
NO_GAS_LIMIT = -1


def repeated_bytes_size(size_bytes: int) -> int:
    """Bytes that an element of `repeated bytes` takes: tag, length, content (how max_tx_bytes is counted)."""
    return 1 + len(uvarint(size_bytes)) + size_bytes


def _field(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    return bytes((tag,)) + uvarint(length) + content


@lru_cache(maxsize=1024)
def _text_field(tag: int, text: str) -> bytes:
    return _field(tag, text.encode("utf-8"))


def _event(name: str, attributes: Sequence[tuple[str, str, bool]]) -> bytes:
    content = _text_field(0x0A, name)
    for key, value, indexed in attributes:
        attribute = _text_field(0x0A, key) + _field(0x12, value.encode("utf-8"))
        content += _field(0x12, attribute + b"\x18\x01" if indexed else attribute)
    return content


def transaction_result(result: TransactionResult) -> bytes:
    """ExecTxResult; `data` and gas stay empty, since they are hashed into headers."""
    content = b""
    if result.code:
        content += b"\x08" + uvarint(result.code)
    if result.log:
        content += _field(0x1A, result.log.encode("utf-8"))
    for name, attributes in result.events:
        content += _field(0x3A, _event(name, attributes))
    if result.codespace:
        content += _text_field(0x42, result.codespace)
    return content


def finalize_block_response(result: BlockResult, app_hash: bytes) -> pb.ResponseFinalizeBlock:
    """ResponseFinalizeBlock with one result a transaction, in order, and what hooks handed out."""
    parts = [_field(0x0A, _event(name, attributes)) for name, attributes in result.events]
    parts += [_field(0x12, transaction_result(each)) for each in result.results]
    parts.append(_field(0x2A, app_hash))
    response = pb.ResponseFinalizeBlock.FromString(b"".join(parts))
    for public_key, power in result.powers:
        response.validator_updates.add(pub_key=crypto_pb2.PublicKey(ed25519=public_key), power=power)
    if result.consensus is not None:
        _set_consensus(response.consensus_param_updates, result.context.app_version, result.consensus)
    return response


def _set_consensus(updates: params_pb2.ConsensusParams, app_version: int, change: ConsensusUpdate) -> None:
    """Name the version in every update: what CometBFT is not told here it takes as 0 (cometbft.md 3.4)."""
    updates.version.app = change.app_version or app_version
    if change.max_block_bytes:
        updates.block.max_bytes, updates.block.max_gas = change.max_block_bytes, NO_GAS_LIMIT


def validators_of(request: pb.RequestInitChain) -> list[tuple[bytes, int]]:
    """(Ed25519 key, or empty for a key of another type, power) of each validator that InitChain names, in its order."""
    return [(each.pub_key.ed25519, each.power) for each in request.validators]


def block_context_parts(
    request: pb.RequestPrepareProposal | pb.RequestProcessProposal | pb.RequestFinalizeBlock,
) -> tuple[bytes, LastCommit, tuple[Misbehaviour, ...]]:
    """Proposer, last commit and misbehaviour of a block, the same whichever request brings it."""
    if isinstance(request, pb.RequestPrepareProposal):
        commit: pb.ExtendedCommitInfo | pb.CommitInfo = request.local_last_commit
    elif isinstance(request, pb.RequestProcessProposal):
        commit = request.proposed_last_commit
    else:
        commit = request.decided_last_commit
    votes = [
        LastCommitVote(vote.validator.address, vote.validator.power, vote.block_id_flag == pb.BLOCK_ID_FLAG_COMMIT)
        for vote in commit.votes
    ]
    misbehaviour = [
        Misbehaviour(
            kind=int(each.type),
            address=each.validator.address,
            height=each.height,
            time_seconds=each.time.seconds,
        )
        for each in request.misbehavior
    ]
    return request.proposer_address, LastCommit(commit.round, tuple(votes)), tuple(misbehaviour)
