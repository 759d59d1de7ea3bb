"""Anchors that trust starts from, never anything that the node or the bundle under check brought itself."""

import re
from dataclasses import dataclass

from msgspec import Struct

from abci_app.hashing import sha256
from openledger.light.blocks import LightBlock, ValidatorSet
from openledger.light.errors import MalformedAnswer, NoAnchor
from openledger.light.parse import JsonPublicKey, JsonValidator, decode_json, integer, parse_time, parse_validators
from openledger.light.verifier import Genesis, check_validator_set

# Three million accounts (abci_app/chain/genesis.py); only the head of the document is kept.
MAX_GENESIS_BYTES = 256 * 1024 * 1024
# How the id of an anchor shows that the user named a hash.
HASH_ANCHOR_KIND = "hash:"
_TRUST = re.compile(r"([1-9][0-9]{0,18}):([0-9a-fA-F]{64})")


@dataclass(frozen=True, slots=True)
class GenesisAnchor:
    """The genesis document: its validators vouch for the first block, inside the trusting period."""

    genesis: Genesis
    digest: bytes

    def __str__(self) -> str:
        return f"genesis document {self.digest.hex()[:16]} of {self.genesis.chain_id}"

    @property
    def id(self) -> str:
        """The text that a trust store compares; words are for people only."""
        return f"genesis:{self.digest.hex()}"


@dataclass(frozen=True, slots=True)
class HashAnchor:
    """A height and its header hash, from somebody whom the user trusts."""

    height: int
    hash: bytes

    def __str__(self) -> str:
        return f"given hash {self.height}:{self.hash.hex().upper()}"

    @property
    def id(self) -> str:
        """The text that a trust store compares; words are for people only."""
        return f"{HASH_ANCHOR_KIND}{self.height}:{self.hash.hex()}"


@dataclass(frozen=True, slots=True)
class FirstUseAnchor:
    """An anchor that is the queried node's first word. It is used only on explicit demand, and always reported."""

    def __str__(self) -> str:
        return "first use: the queried node itself, unchecked"

    @property
    def id(self) -> str:
        """The text that a trust store compares; words are for people only."""
        return "first-use"


@dataclass(frozen=True, slots=True)
class BlockAnchor:
    """A block that this machine verified earlier, from its trust store."""

    block: LightBlock
    origin: str

    def __str__(self) -> str:
        return f"block {self.block.height}:{self.block.hash.hex().upper()} verified earlier ({self.origin})"


Anchor = GenesisAnchor | HashAnchor | FirstUseAnchor


class _GenesisValidator(Struct, frozen=True):
    pub_key: JsonPublicKey
    power: str


class _GenesisHead(Struct, frozen=True):
    chain_id: str
    genesis_time: str
    validators: list[_GenesisValidator]
    initial_height: str = "1"


def parse_genesis(data: bytes) -> GenesisAnchor:
    """CometBFT's genesis document; raises `MalformedAnswer`."""
    if len(data) > MAX_GENESIS_BYTES:
        raise MalformedAnswer(f"the genesis document has {len(data)} bytes, at most {MAX_GENESIS_BYTES} are read")
    head = decode_json(_GenesisHead, data, "the genesis document")
    raw = [JsonValidator(each.pub_key, each.power) for each in head.validators]
    validators = parse_validators(raw).validators
    ordered = ValidatorSet(tuple(sorted(validators, key=lambda each: (-each.power, each.address))))
    check_validator_set(ordered)
    initial_height = integer("genesis.initial_height", head.initial_height) or 1
    genesis = Genesis(
        chain_id=head.chain_id, initial_height=initial_height, time_ns=parse_time(head.genesis_time), validators=ordered
    )
    return GenesisAnchor(genesis, sha256(data))


def parse_trust(text: str) -> HashAnchor:
    """`HEIGHT:HASH`; raises `NoAnchor`."""
    match = _TRUST.fullmatch(text.strip())
    if not match:
        raise NoAnchor(f"trust {text[:100]!r}: give HEIGHT:HASH, the hash as 64 hex digits")
    return HashAnchor(int(match[1]), bytes.fromhex(match[2]))
