"""Proof bundle: one JSON file with an answer and all that shows it, checked offline.

It carries the signed headers on the way to the one that holds the app hash, their validator sets, the question, the
state proof and, if wanted, documents that the proven state names by digest. It never carries what trust starts from.
Without an anchor the outcome is "consistent, not anchored".

A bundle has exactly one form: bytes other than those that its content is written as are refused. A checksum over the
rest makes damage anywhere visible, also in surplus signatures that verification would not miss. The checksum is no
protection against a liar; the signatures and hashes are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import Struct

from abci_app import versions
from abci_app.chain.names import MAX_NAMES, Name, ResolvedName
from abci_app.hashing import sha256
from openledger.exit_codes import ExitCode
from openledger.light.anchors import BlockAnchor, GenesisAnchor, HashAnchor
from openledger.light.attachments import Attachment, CheckedAttachment, Kinds, examine_attachments
from openledger.light.blocks import Header, LightBlock, ValidatorSet
from openledger.light.errors import (
    FromTheFuture,
    MalformedAnswer,
    NotEnoughTrust,
    TrustExpired,
    VerificationFailed,
)
from openledger.light.parse import (
    JsonCommit,
    JsonHeader,
    JsonValidator,
    decode_json,
    dump_commit,
    dump_header,
    dump_validators,
    integer,
    parse_commit,
    parse_header,
    parse_validators,
)
from openledger.light.path import MAX_BACKWARD_HEADERS, MAX_FETCHED_BLOCKS
from openledger.light.query import QueryQuestion, Question, ReadQuestion, prove_answer
from openledger.light.verifier import (
    DEFAULT_RULES,
    TrustRules,
    check_header,
    check_light_block,
    check_not_ahead,
    check_not_expired,
    check_own_power,
    verify_backward,
    verify_first,
    verify_follows,
    verify_forward,
)
from openledger.light.wire import NANOSECONDS_PER_SECOND

FORMAT = "openledger-proof-bundle"
VERSION = 1
# A proof of 8 MiB in base64, ten thousand headers, and room for attachments.
MAX_BUNDLE_BYTES = 64 * 1024 * 1024
MAX_ATTACHMENTS = 256
_CHANGED = "the bundle is damaged or was changed: checksum or form are not as it was written"

BundleAnchor = GenesisAnchor | HashAnchor | Sequence[BlockAnchor]


@dataclass(frozen=True, slots=True)
class Bundle:
    """The content of a bundle. `blocks` lead up; `headers` lead down, newest first; both end at the proven header."""

    question: Question
    height: int
    blocks: tuple[LightBlock, ...]
    headers: tuple[Header, ...]
    proof: bytes = field(repr=False)
    attachments: tuple[Attachment, ...] = ()

    @property
    def target(self) -> Header:
        """The header that holds the app hash: of height + 1."""
        return self.headers[-1] if self.headers else self.blocks[-1].header


@dataclass(frozen=True, slots=True)
class BundleVerdict:
    """The proven statement (a result or a `Denial`), for which height and chain, from which anchor, by which path."""

    anchored: bool
    chain_id: str
    height: int
    header: Header
    question: Question
    value: Any
    anchor: str
    path: tuple[int, ...]
    age_seconds: int
    attachments: tuple[CheckedAttachment, ...]
    # What the names in the question stand for at this height.
    names: tuple[ResolvedName, ...] = ()

    @property
    def outcome(self) -> str:
        """In words."""
        return "verified" if self.anchored else "consistent, not anchored"

    @property
    def exit_code(self) -> ExitCode:
        """0 only when something that the caller trusts vouches for it."""
        return ExitCode.OK if self.anchored else ExitCode.NOT_ANCHORED


class _JsonBlock(Struct, frozen=True, forbid_unknown_fields=True):
    header: JsonHeader
    commit: JsonCommit


class _JsonQuestion(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    module: str = ""
    name: str = ""
    args: bytes = b""
    # By the rules of which version it is meant: that of the proven state.
    app_version: int = 0
    # Kind and text of each name that the arguments hold a stand-in of.
    names: list[tuple[str, str]] = []
    keys: list[bytes] = []
    ranges: list[tuple[bytes, bytes]] = []


class _JsonAttachment(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    kind: Kinds
    data: bytes


class _JsonBundle(Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    version: int
    chain_id: str
    height: str
    question: _JsonQuestion
    validator_sets: list[list[JsonValidator]]
    blocks: list[_JsonBlock]
    headers: list[JsonHeader]
    proof: bytes
    attachments: list[_JsonAttachment]
    checksum: str


def make_bundle(bundle: Bundle, checksum: bytes = b"") -> bytes:
    """The file; `checksum` is that of the same content where it is known already."""
    sets: dict[bytes, ValidatorSet] = {block.validators.hash: block.validators for block in bundle.blocks}
    question = bundle.question
    if isinstance(question, QueryQuestion):
        names = [(each.kind, each.text) for each in question.names]
        raw_question = _JsonQuestion(
            module=question.module,
            name=question.name,
            args=question.args,
            app_version=question.app_version,
            names=names,
        )
    else:
        raw_question = _JsonQuestion(keys=list(question.keys), ranges=list(question.ranges))
    raw = _JsonBundle(
        format=FORMAT,
        version=VERSION,
        chain_id=bundle.target.chain_id,
        height=str(bundle.height),
        question=raw_question,
        validator_sets=[dump_validators(each) for each in sets.values()],
        blocks=[_JsonBlock(dump_header(each.header), dump_commit(each.commit)) for each in bundle.blocks],
        headers=[dump_header(each) for each in bundle.headers],
        proof=bundle.proof,
        # Their order says nothing, so there is one.
        attachments=sorted(
            [_JsonAttachment(each.name, each.kind, each.data) for each in bundle.attachments],
            key=lambda each: (each.kind, sha256(each.data), each.name),
        ),
        checksum="",
    )
    return _encode(raw, checksum)


def parse_bundle(data: bytes) -> Bundle:
    """The bundle in a file; raises `MalformedAnswer` and `VerificationFailed`. Nothing is proven by that."""
    if len(data) > MAX_BUNDLE_BYTES:
        raise MalformedAnswer(f"the bundle has {len(data)} bytes, at most {MAX_BUNDLE_BYTES} are read")
    raw = decode_json(_JsonBundle, data, "the bundle")
    if raw.format != FORMAT or raw.version != VERSION:
        raise MalformedAnswer(f"the file is not a proof bundle of version {VERSION}")
    if not _has_its_checksum(data):
        raise VerificationFailed(_CHANGED)
    if not raw.blocks and not raw.headers:
        raise MalformedAnswer("the bundle has no header")
    if len(raw.blocks) > MAX_FETCHED_BLOCKS or len(raw.headers) > MAX_BACKWARD_HEADERS + 1:
        raise MalformedAnswer("the bundle has too many headers")
    if len(raw.attachments) > MAX_ATTACHMENTS:
        raise MalformedAnswer(f"the bundle has {len(raw.attachments)} attachments, at most {MAX_ATTACHMENTS} are read")
    sets = [parse_validators(each) for each in raw.validator_sets]
    by_hash = {each.hash: each for each in sets}
    blocks = tuple([_parse_block(each, by_hash) for each in raw.blocks])
    if [each.hash for each in sets] != list(dict.fromkeys([block.validators.hash for block in blocks])):
        raise MalformedAnswer("the bundle's validator sets are not exactly those of its blocks, in order")
    bundle = Bundle(
        question=_parse_question(raw.question),
        height=integer("height", raw.height),
        blocks=blocks,
        headers=tuple([parse_header(each) for each in raw.headers]),
        proof=raw.proof,
        attachments=tuple([Attachment(each.name, each.data, each.kind) for each in raw.attachments]),
    )
    if raw.chain_id != bundle.target.chain_id:
        raise VerificationFailed(f"the bundle says chain {raw.chain_id!r}, its header {bundle.target.chain_id!r}")
    if make_bundle(bundle, data[_CHECKSUM]) != data:
        # Another spelling of the same values: there is one form, so that equal bundles are equal files.
        raise VerificationFailed(_CHANGED)
    return bundle


def verify_bundle(
    data: bytes, anchor: BundleAnchor | None, now_ns: int, rules: TrustRules = DEFAULT_RULES
) -> BundleVerdict:
    """Check a bundle; raises `LightError` for anything that contradicts itself, the anchor or a signature.

    `anchor` is the caller's own: genesis document, height and hash, or blocks of its trust store. `now_ns` is
    nanoseconds since 1970. A bundle that is consistent while the anchor cannot vouch for it is not an error: the
    verdict then says `anchored=False`, and why in `anchor`.
    """
    bundle = parse_bundle(data)
    target = bundle.target
    _check_consistent(bundle, rules)
    proven = prove_answer(bundle.question, bundle.proof, target.app_hash, bundle.height)
    try:
        text, path = _path_from_anchor(bundle, anchor, rules, now_ns)
        anchored = bool(path)
    except (TrustExpired, FromTheFuture) as error:
        anchored, text, path = False, str(error), ()
    return BundleVerdict(
        anchored=anchored,
        chain_id=target.chain_id,
        height=bundle.height,
        header=target,
        question=bundle.question,
        value=proven.value,
        names=proven.names,
        anchor=text,
        path=path,
        age_seconds=max(0, (now_ns - target.time_ns) // NANOSECONDS_PER_SECOND),
        attachments=examine_attachments(bundle.attachments, proven.rows),
    )


def _check_consistent(bundle: Bundle, rules: TrustRules) -> None:
    """Everything that needs no anchor: each header follows from its neighbour, and both ways end at the target."""
    target, blocks, headers = bundle.target, bundle.blocks, bundle.headers
    check_header(target, target.chain_id)
    if target.height != bundle.height + 1:
        raise VerificationFailed(f"the bundle is about height {bundle.height}, its header is of {target.height}")
    if blocks:
        check_light_block(blocks[0], target.chain_id)
        check_own_power(blocks[0])
    for trusted, block in pairwise(blocks):
        # Whether that is long ago is the anchor's question.
        verify_follows(trusted, block, rules)
    for newer, older in pairwise(headers):
        verify_backward(newer, older)
    if blocks and headers and blocks[-1].hash not in (headers[0].hash, headers[-1].hash):
        raise VerificationFailed("the bundle's blocks and headers do not meet")


def _path_from_anchor(
    bundle: Bundle, anchor: BundleAnchor | None, rules: TrustRules, now_ns: int
) -> tuple[str, tuple[int, ...]]:
    """The anchor in words with the heights from it to the target; no heights when it cannot vouch."""
    if isinstance(anchor, GenesisAnchor):
        return _from_genesis(bundle, anchor, rules, now_ns)
    if isinstance(anchor, HashAnchor):
        path = _from_hash(bundle, anchor, rules, now_ns)
        return (str(anchor), path) if path else (f"none: the bundle does not lead through height {anchor.height}", ())
    for known in sorted(anchor or (), key=lambda each: each.block.height, reverse=True):
        path = _from_block(bundle, known, rules, now_ns)
        if path:
            return str(known), path
    reason = "the trust store cannot vouch for this chain and height" if anchor else "no anchor was given"
    return f"none: {reason}", ()


def _from_genesis(bundle: Bundle, anchor: GenesisAnchor, rules: TrustRules, now_ns: int) -> tuple[str, tuple[int, ...]]:
    if bundle.target.chain_id != anchor.genesis.chain_id:
        raise VerificationFailed(
            f"the bundle is of chain {bundle.target.chain_id!r}, the genesis document of {anchor.genesis.chain_id!r}"
        )
    if not bundle.blocks or bundle.blocks[0].height != anchor.genesis.initial_height:
        return "none: the bundle does not start at the first block, so the genesis document cannot vouch for it", ()
    verify_first(anchor.genesis, bundle.blocks[0], rules, now_ns)
    check_not_ahead(bundle.blocks[-1].header, rules, now_ns)
    return str(anchor), _upward(bundle, 0)


def _from_hash(bundle: Bundle, anchor: HashAnchor, rules: TrustRules, now_ns: int) -> tuple[int, ...]:
    for index, header in enumerate(bundle.headers):
        if header.height == anchor.height:
            _require_hash(header, anchor.hash)
            return tuple([each.height for each in bundle.headers[index:]])
    for index, block in enumerate(bundle.blocks):
        if block.height == anchor.height:
            _require_hash(block.header, anchor.hash)
            if index < len(bundle.blocks) - 1:
                check_not_expired(block.header, rules, now_ns)
                check_not_ahead(bundle.blocks[-1].header, rules, now_ns)
            return _upward(bundle, index)
    return ()


def _from_block(bundle: Bundle, anchor: BlockAnchor, rules: TrustRules, now_ns: int) -> tuple[int, ...]:
    """From a block of the trust store: on the path itself, or below one of its blocks."""
    if anchor.block.header.chain_id != bundle.target.chain_id:
        return ()
    path = _from_hash(bundle, HashAnchor(anchor.block.height, anchor.block.hash), rules, now_ns)
    if path:
        return path
    for index, block in enumerate(bundle.blocks):
        if block.height > anchor.block.height:
            try:
                verify_forward(anchor.block, block, rules, now_ns)
            except (NotEnoughTrust, TrustExpired):
                return ()
            check_not_ahead(bundle.blocks[-1].header, rules, now_ns)
            return (anchor.block.height, *_upward(bundle, index))
    return ()


def _require_hash(header: Header, expected: bytes) -> None:
    if header.hash != expected:
        raise VerificationFailed(
            f"the bundle's header {header.height} is {header.hash.hex().upper()}, the anchor says "
            f"{expected.hex().upper()}: it is of another history"
        )


def _upward(bundle: Bundle, start: int) -> tuple[int, ...]:
    """Heights from block `start` up, and down again where the headers hang below the last block."""
    heights = [block.height for block in bundle.blocks[start:]]
    if bundle.headers and bundle.headers[0].hash == bundle.blocks[-1].hash:
        heights += [header.height for header in bundle.headers[1:]]
    return tuple(heights)


def _parse_block(raw: _JsonBlock, sets: dict[bytes, ValidatorSet]) -> LightBlock:
    header = parse_header(raw.header)
    validators = sets.get(header.validators_hash)
    if validators is None:
        raise VerificationFailed(f"the bundle lacks the validators of height {header.height}")
    return LightBlock(header, parse_commit(raw.commit), validators)


def _parse_question(raw: _JsonQuestion) -> Question:
    if raw.module:
        if len(raw.names) > MAX_NAMES:
            raise MalformedAnswer(f"the bundle's question has {len(raw.names)} names, at most {MAX_NAMES} are read")
        if raw.keys or raw.ranges:
            raise MalformedAnswer("the bundle asks two questions")
        try:
            names = tuple([msgspec.convert(each, Name) for each in raw.names])
        except msgspec.ValidationError as error:
            raise MalformedAnswer(f"a name in the bundle's question is malformed: {error}") from error
        if not versions.RULES.knows(raw.app_version):
            raise MalformedAnswer(
                f"the bundle's question is of rules version {raw.app_version}, this program knows {versions.RULES}: "
                "verify it with a release that knows that version"
            )
        return QueryQuestion(module=raw.module, name=raw.name, args=raw.args, names=names, app_version=raw.app_version)
    if raw.name or raw.args or raw.names or raw.app_version:
        raise MalformedAnswer("the bundle's query has no module")
    return ReadQuestion(tuple(raw.keys), tuple(raw.ranges))


# The checksum stands last, so that it can be taken out of the bytes and put into them.
_CHECKSUM_END = b'"}'
_CHECKSUM = slice(-64 - len(_CHECKSUM_END) - 1, -len(_CHECKSUM_END) - 1)


def _encode(raw: _JsonBundle, checksum: bytes = b"") -> bytes:
    """The one form: compact JSON, the checksum last, and a newline."""
    plain = msgspec.json.encode(msgspec.structs.replace(raw, checksum=""))
    checksum = checksum or sha256(plain).hex().encode()
    return b"".join((memoryview(plain)[: -len(_CHECKSUM_END)], checksum, _CHECKSUM_END, b"\n"))


def _has_its_checksum(data: bytes) -> bool:
    """Whether the file's last field is the SHA-256 of the file without it: damage is told before anything else."""
    without = b"".join((memoryview(data)[: _CHECKSUM.start], _CHECKSUM_END))
    return sha256(without).hex().encode() == data[_CHECKSUM]
