"""CometBFT's JSON of headers, commits and validators, both ways; everything from a node is bounded and typed here.

In that JSON 64-bit integers are strings, hashes and addresses upper-case hex, keys and signatures base64, and times
RFC 3339 with up to nine decimals.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
from msgspec import Struct

from openledger.light.blocks import PUBLIC_KEY_BYTES, BlockID, Commit, Header, Validator, ValidatorSet, Vote
from openledger.light.errors import MalformedAnswer
from openledger.light.wire import NANOSECONDS_PER_SECOND

# A permissioned chain; bounds the signatures that a hostile answer makes us check to a tenth of a second.
MAX_VALIDATORS = 1_000
# CometBFT's bound on total voting power: priorities must not overflow.
MAX_TOTAL_POWER = (2**63 - 1) // 8
MAX_CHAIN_ID_CHARACTERS = 50
MAX_SIGNATURE_BYTES = 64
KEY_TYPE = "tendermint/PubKeyEd25519"
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)
_HEX = re.compile(r"(?:[0-9A-F]{2}){0,64}")
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")

T = TypeVar("T")


class JsonParts(Struct, frozen=True):
    """Part set header."""

    total: int
    hash: str


class JsonBlockID(Struct, frozen=True):
    """Block id."""

    hash: str
    parts: JsonParts


class JsonVersion(Struct, frozen=True):
    """Consensus version; app is left out when it is 0."""

    block: str
    app: str = "0"


class JsonHeader(Struct, frozen=True):
    """Header."""

    version: JsonVersion
    chain_id: str
    height: str
    time: str
    last_block_id: JsonBlockID
    last_commit_hash: str
    data_hash: str
    validators_hash: str
    next_validators_hash: str
    consensus_hash: str
    app_hash: str
    last_results_hash: str
    evidence_hash: str
    proposer_address: str


class JsonVote(Struct, frozen=True):
    """Commit signature."""

    block_id_flag: int
    validator_address: str
    timestamp: str
    signature: bytes | None


class JsonCommit(Struct, frozen=True):
    """Commit."""

    height: str
    round: int
    block_id: JsonBlockID
    signatures: list[JsonVote]


class JsonSignedHeader(Struct, frozen=True):
    """Header with its commit."""

    header: JsonHeader
    commit: JsonCommit


class JsonPublicKey(Struct, frozen=True):
    """Typed public key."""

    type: str
    value: bytes


class JsonValidator(Struct, frozen=True):
    """Validator; CometBFT sends the address and priority too, which are not part of any hash."""

    pub_key: JsonPublicKey
    voting_power: str


class _CommitAnswer(Struct, frozen=True):
    signed_header: JsonSignedHeader


class _HeaderAnswer(Struct, frozen=True):
    header: JsonHeader


class _ValidatorsAnswer(Struct, frozen=True):
    block_height: str
    validators: list[JsonValidator]
    total: str


class ValidatorsPage(Struct, frozen=True):
    """One page of `/validators`."""

    height: int
    validators: tuple[Validator, ...]
    total: int


def decode_json(type_: type[T], data: bytes, what: str) -> T:
    """Typed JSON; raises `MalformedAnswer`."""
    try:
        return msgspec.json.decode(data, type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedAnswer(f"{what} is malformed: {error}") from error


def parse_commit_answer(data: bytes) -> tuple[Header, Commit]:
    """Result of `/commit`."""
    answer = decode_json(_CommitAnswer, data, "the node's commit").signed_header
    return parse_header(answer.header), parse_commit(answer.commit)


def parse_header_answer(data: bytes) -> Header:
    """Result of `/header`."""
    return parse_header(decode_json(_HeaderAnswer, data, "the node's header").header)


def parse_validators_answer(data: bytes) -> ValidatorsPage:
    """Result of `/validators`, one page."""
    answer = decode_json(_ValidatorsAnswer, data, "the node's validator list")
    total = integer("validators.total", answer.total)
    if not 1 <= total <= MAX_VALIDATORS:
        raise MalformedAnswer(
            f"the node's validator list says it has {total} validators; 1 to {MAX_VALIDATORS} are read"
        )
    if len(answer.validators) > total:
        raise MalformedAnswer("the node's validator list has more validators than its total")
    height = integer("validators.block_height", answer.block_height)
    return ValidatorsPage(height, tuple([_validator(each) for each in answer.validators]), total)


def parse_header(raw: JsonHeader) -> Header:
    """Header from its JSON; raises `MalformedAnswer` with the field named."""
    if not 1 <= len(raw.chain_id) <= MAX_CHAIN_ID_CHARACTERS:
        raise MalformedAnswer(
            f"header.chain_id has {len(raw.chain_id)} characters, 1 to {MAX_CHAIN_ID_CHARACTERS} allowed"
        )
    return Header(
        block_version=_unsigned("header.version.block", raw.version.block),
        app_version=_unsigned("header.version.app", raw.version.app),
        chain_id=raw.chain_id,
        height=_unsigned("header.height", raw.height),
        time_ns=parse_time(raw.time),
        last_block_id=_block_id(raw.last_block_id),
        last_commit_hash=_hash("header.last_commit_hash", raw.last_commit_hash),
        data_hash=_hash("header.data_hash", raw.data_hash),
        validators_hash=_hash("header.validators_hash", raw.validators_hash),
        next_validators_hash=_hash("header.next_validators_hash", raw.next_validators_hash),
        consensus_hash=_hash("header.consensus_hash", raw.consensus_hash),
        app_hash=_hex("header.app_hash", raw.app_hash),
        last_results_hash=_hash("header.last_results_hash", raw.last_results_hash),
        evidence_hash=_hash("header.evidence_hash", raw.evidence_hash),
        proposer_address=_hex("header.proposer_address", raw.proposer_address, 20),
    )


def parse_commit(raw: JsonCommit) -> Commit:
    """Commit from its JSON."""
    if not 1 <= len(raw.signatures) <= MAX_VALIDATORS:
        raise MalformedAnswer(f"a commit has {len(raw.signatures)} signatures, 1 to {MAX_VALIDATORS} are read")
    if not 0 <= raw.round < 2**31:
        raise MalformedAnswer(f"commit.round is {raw.round}")
    return Commit(
        height=_unsigned("commit.height", raw.height),
        round=raw.round,
        block_id=_block_id(raw.block_id),
        votes=tuple([_vote(each) for each in raw.signatures]),
    )


def parse_validators(raw: Sequence[JsonValidator]) -> ValidatorSet:
    """Validator set from its JSON."""
    return ValidatorSet(tuple([_validator(each) for each in raw]))


def dump_header(header: Header) -> JsonHeader:
    """JSON form of a header."""
    return JsonHeader(
        version=JsonVersion(str(header.block_version), str(header.app_version)),
        chain_id=header.chain_id,
        height=str(header.height),
        time=format_time(header.time_ns),
        last_block_id=_dump_block_id(header.last_block_id),
        last_commit_hash=_upper(header.last_commit_hash),
        data_hash=_upper(header.data_hash),
        validators_hash=_upper(header.validators_hash),
        next_validators_hash=_upper(header.next_validators_hash),
        consensus_hash=_upper(header.consensus_hash),
        app_hash=_upper(header.app_hash),
        last_results_hash=_upper(header.last_results_hash),
        evidence_hash=_upper(header.evidence_hash),
        proposer_address=_upper(header.proposer_address),
    )


def dump_commit(commit: Commit) -> JsonCommit:
    """JSON form of a commit."""
    votes = [
        JsonVote(
            block_id_flag=vote.flag,
            validator_address=_upper(vote.address),
            timestamp=format_time(vote.time_ns),
            signature=vote.signature or None,
        )
        for vote in commit.votes
    ]
    return JsonCommit(
        height=str(commit.height), round=commit.round, block_id=_dump_block_id(commit.block_id), signatures=votes
    )


def dump_validators(validators: ValidatorSet) -> list[JsonValidator]:
    """JSON form of a validator set."""
    return [JsonValidator(JsonPublicKey(KEY_TYPE, each.public_key), str(each.power)) for each in validators.validators]


def integer(field: str, text: str) -> int:
    """A 64-bit integer written as text, in its only form."""
    if not _INTEGER.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
        raise MalformedAnswer(f"{field} is {text[:40]!r}, not a 64-bit integer")
    return int(text)


def parse_time(text: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 time in UTC."""
    match = _TIME.fullmatch(text)
    if not match:
        raise MalformedAnswer(f"time {text[:40]!r} is not RFC 3339 in UTC")
    try:
        moment = datetime.fromisoformat(match[1])
    except ValueError:
        raise MalformedAnswer(f"time {text[:40]!r} does not exist") from None
    days = moment.toordinal() - _EPOCH_DAY
    seconds = days * 86_400 + moment.hour * 3_600 + moment.minute * 60 + moment.second
    return seconds * NANOSECONDS_PER_SECOND + int((match[2] or "").ljust(9, "0"))


def format_time(time_ns: int) -> str:
    """RFC 3339 in UTC, decimals without trailing zeros, as Go writes it."""
    seconds, nanos = divmod(time_ns, NANOSECONDS_PER_SECOND)
    days, rest = divmod(seconds, 86_400)
    day = datetime.fromordinal(days + _EPOCH_DAY)
    decimals = f".{nanos:09d}".rstrip("0") if nanos else ""
    date = f"{day.year:04d}-{day.month:02d}-{day.day:02d}"
    return f"{date}T{rest // 3_600:02d}:{rest % 3_600 // 60:02d}:{rest % 60:02d}{decimals}Z"


_EPOCH_DAY = datetime(1970, 1, 1, tzinfo=UTC).toordinal()


def _unsigned(field: str, text: str) -> int:
    value = integer(field, text)
    if value < 0:
        raise MalformedAnswer(f"{field} is negative")
    return value


def _hex(field: str, text: str, size_bytes: int | None = None) -> bytes:
    if not _HEX.fullmatch(text) or (size_bytes is not None and len(text) != 2 * size_bytes):
        expected = "" if size_bytes is None else f" of {size_bytes} bytes"
        raise MalformedAnswer(f"{field} is {text[:80]!r}, not upper-case hex{expected}")
    return bytes.fromhex(text)


def _hash(field: str, text: str) -> bytes:
    """Empty or 32 bytes."""
    return _hex(field, text, 32) if text else b""


def _block_id(raw: JsonBlockID) -> BlockID:
    if not 0 <= raw.parts.total < 2**32:
        raise MalformedAnswer(f"block_id.parts.total is {raw.parts.total}")
    return BlockID(_hash("block_id.hash", raw.hash), raw.parts.total, _hash("block_id.parts.hash", raw.parts.hash))


def _vote(raw: JsonVote) -> Vote:
    signature = raw.signature or b""
    if raw.block_id_flag not in (1, 2, 3):
        raise MalformedAnswer(f"block_id_flag is {raw.block_id_flag}, must be 1, 2 or 3")
    address = _hex("validator_address", raw.validator_address)
    absent = raw.block_id_flag == 1
    if len(address) != (0 if absent else 20) or bool(signature) == absent or len(signature) > MAX_SIGNATURE_BYTES:
        raise MalformedAnswer("a commit signature has an address or a signature of the wrong size")
    return Vote(flag=raw.block_id_flag, address=address, time_ns=parse_time(raw.timestamp), signature=signature)


def _validator(raw: JsonValidator) -> Validator:
    if raw.pub_key.type != KEY_TYPE or len(raw.pub_key.value) != PUBLIC_KEY_BYTES:
        raise MalformedAnswer(f"validator key of type {raw.pub_key.type[:60]!r}; this chain has {KEY_TYPE}")
    power = integer("voting_power", raw.voting_power)
    if not 1 <= power <= MAX_TOTAL_POWER:
        raise MalformedAnswer(f"voting power {power} is outside 1 to {MAX_TOTAL_POWER}")
    return Validator(raw.pub_key.value, power)


def _upper(data: bytes) -> str:
    return data.hex().upper()


def _dump_block_id(block_id: BlockID) -> JsonBlockID:
    return JsonBlockID(_upper(block_id.hash), JsonParts(block_id.parts_total, _upper(block_id.parts_hash)))
