"""The beacon secret of a validator, its onion, and the reveal that is due (`abci_app/mechanisms/beacon`).

    config/beacon_secret.json    {"version": 1, "secret", "chains": [{"number", "length", "onion", "checkpoints"}]}

The file is the validator's secret: who reads it knows all its reveals in advance. It is written with mode 0600 and
nothing of it is ever logged. Chain `number` begins with H('openledger/onion-seed/v1', secret || number) and has 2^20
links of H('openledger/onion/v1', link); the last one is the onion that goes onto the chain. Each block that counts uses
one link, from the last to the first: with four validators and a block every 0.6 s a chain lasts four weeks.

Every 1,024th link is kept in the file (32 KiB), so that any other one costs at most 1,024 hashes, half a millisecond;
to make a chain costs 2^20, about half a second of processor time. Which link is due follows from the state alone, which
counts the reveals that an onion gave: a restart, a rollback and a restored home need nothing else than the secret.
Chains that the file lacks, because it was restored from a backup older than the last `renew`, are made again from the
secret when the chain names their onion.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import secrets
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from abci_app.bech32 import decode_id
from abci_app.hashing import TAGS, tagged_hash, uvarint
from abci_app.mechanisms.beacon import OnionInForce, OnionQuery, OnionView, next_onion
from node.application_query import ask
from node.errors import NodeError
from node.home import Home
from openledger.content.files import PRIVATE, write_whole

_LOG = logging.getLogger("openledger.beacon")

# Links of a chain, and of the stretch between two checkpoints.
LENGTH, STRETCH = 2**20, 2**10
# Chains beyond those of the file that are looked through for an onion that none of these has.
_CHAINS_AHEAD = 4
_SEED_TAG = "openledger/onion-seed/v1"
_LINK_BYTES = 32
_RENEW = "make a new one with `openledger node onion --renew`"


class _ChainFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: int
    length: int
    onion: str
    checkpoints: str


class _SecretFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    secret: str
    chains: tuple[_ChainFile, ...]


@dataclass(frozen=True, slots=True)
class OnionChain:
    """One chain: the onion at its end, and every `STRETCH`th link from its first on."""

    number: int
    length: int
    onion: bytes
    checkpoints: bytes

    def stretch(self, place: int) -> list[bytes]:
        """The links from the checkpoint before a place to the next one."""
        start = place // STRETCH * _LINK_BYTES
        links = [self.checkpoints[start : start + _LINK_BYTES]]
        for _ in range(STRETCH - 1):
            links.append(next_onion(links[-1]))
        return links


@dataclass(frozen=True, slots=True)
class BeaconSecret:
    """The secret of one home, with its chains in the order in which they were made."""

    secret: bytes
    chains: tuple[OnionChain, ...]


def make_chain(secret: bytes, number: int, length: int = LENGTH) -> OnionChain:
    """Hash a chain from its first link to its onion; `length` is a multiple of `STRETCH`."""
    if length % STRETCH or length < STRETCH:
        raise ValueError(f"a chain of {length} links is no multiple of {STRETCH}")
    # `next_onion` in one line: a call less for each of a million links.
    tag = hashlib.sha256(TAGS["beacon_onion"].encode("ascii")).digest()
    prefix, sha256 = tag + tag, hashlib.sha256
    link, checkpoints = tagged_hash(_SEED_TAG, secret + uvarint(number)), []
    for _ in range(length // STRETCH):
        checkpoints.append(link)
        for _ in range(STRETCH):
            link = sha256(prefix + link).digest()
    return OnionChain(number=number, length=length, onion=link, checkpoints=b"".join(checkpoints))


def make_secret(home: Home, length: int = LENGTH) -> bytes:
    """Make the secret of a home with its first chain, unless it has one; returns the onion of its newest chain."""
    if home.beacon_secret_file.exists():
        return read_secret(home).chains[-1].onion
    secret = secrets.token_bytes(_LINK_BYTES)
    chain = make_chain(secret, 0, length)
    _write(home, BeaconSecret(secret, (chain,)))
    return chain.onion


def renew(home: Home) -> bytes:
    """Add a chain to the secret; returns its onion, which the chain must be told (`SetOnion`)."""
    known = read_secret(home)
    chain = make_chain(known.secret, known.chains[-1].number + 1, known.chains[-1].length)
    _write(home, replace(known, chains=(*known.chains, chain)))
    return chain.onion


def read_secret(home: Home) -> BeaconSecret:
    """Read the secret of a home. Raises NodeError, which says nothing of what the file holds."""
    path = home.beacon_secret_file
    try:
        file = msgspec.json.decode(path.read_bytes(), type=_SecretFile)
        found = BeaconSecret(bytes.fromhex(file.secret), tuple([_read_chain(each) for each in file.chains]))
        if file.version != 1 or len(found.secret) != _LINK_BYTES or not found.chains:
            raise ValueError("not a secret of this version")
    except FileNotFoundError:
        raise NodeError(f"no beacon secret at {path}; put it back from its backup, or {_RENEW}") from None
    except (OSError, ValueError, msgspec.MsgspecError):  # its text could show a piece of the file
        raise NodeError(f"{path} cannot be read or is not whole; put it back from its backup") from None
    return found


def _read_chain(file: _ChainFile) -> OnionChain:
    """Raises ValueError for a chain that is not whole."""
    checkpoints = base64.b64decode(file.checkpoints, validate=True)
    chain = OnionChain(number=file.number, length=file.length, onion=bytes.fromhex(file.onion), checkpoints=checkpoints)
    if chain.length < STRETCH or len(checkpoints) * STRETCH != chain.length * _LINK_BYTES or chain.length % STRETCH:
        raise ValueError("a chain has not as many checkpoints as it needs")
    return chain


def _write(home: Home, secret: BeaconSecret) -> None:
    chains = [
        _ChainFile(
            number=each.number,
            length=each.length,
            onion=each.onion.hex(),
            checkpoints=base64.b64encode(each.checkpoints).decode(),
        )
        for each in secret.chains
    ]
    file = _SecretFile(version=1, secret=secret.secret.hex(), chains=tuple(chains))
    write_whole(home.beacon_secret_file, msgspec.json.encode(file) + b"\n", PRIVATE)


def find_left(known: BeaconSecret, onion: bytes, used: int) -> int | None:
    """How many reveals an onion has left that gave so many; None where no chain of this secret leads to it."""
    for chain in known.chains:
        place = chain.length - used
        links = [chain.onion] if place == chain.length else chain.stretch(place) if 0 <= place < chain.length else []
        if onion in links[place % STRETCH : place % STRETCH + 1]:
            return place
    return None


def of_chain(rpc_url: str, operator: str, height: int) -> OnionInForce | None:
    """The onion that the chain has of an operator (open1..., or empty) for the block after a height, None for none."""
    if not operator:
        return None
    found: OnionView | None = ask(rpc_url, "beacon", "onion", OnionQuery(decode_id(operator, "open")[1]), OnionView)
    if found is None:
        return None
    next_counts = found.next_onion and height + 1 >= found.next_from_height
    return OnionInForce(found.next_onion, 0) if next_counts else OnionInForce(found.onion, found.used)


def readable_by_others(path: Path) -> bool:
    """Whether anybody beside its owner may read or change a file."""
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


class Revealing:
    """Gives the application the reveals of this home (`LocalNode.reveal`), and says once what is wrong with them.

    Called by the consensus connection's thread alone. It never raises: a node without reveals is silent, and no more.
    """

    def __init__(self, home: Home, search: Callable[[Callable[[], None]], None] | None = None) -> None:
        self._home = home
        self._search = search or _in_background
        self._known: BeaconSecret | None = None
        self._stretch: tuple[OnionChain, int, list[bytes]] | None = None
        self._searched: set[bytes] = set()
        self._said: set[str] = set()

    def reveal(self, onion: bytes, used: int) -> bytes | None:
        """Give the link before an onion that gave `used` reveals; None, and a line in the log, where there is none."""
        try:
            return self._find(onion, used)
        except (NodeError, OSError) as error:
            self._say(f"this validator is silent: {error}")
            return None

    def _find(self, onion: bytes, used: int) -> bytes | None:
        if self._known is not None and (link := self._link(self._known, onion, used)):
            return link
        self._known = known = read_secret(self._home)  # another chain may have been added, or put back, meanwhile
        if readable_by_others(self._home.beacon_secret_file):
            self._say(f"{self._home.beacon_secret_file} is readable by others; run chmod 600 on it")
        if link := self._link(known, onion, used):
            return link
        if any(used >= chain.length and chain.checkpoints.startswith(onion) for chain in known.chains):
            self._say(f"this validator is silent: its onion has given all its {used} reveals; {_RENEW}")
            return None
        if onion not in self._searched:
            self._searched.add(onion)
            self._search(lambda: self._look_ahead(known, onion, used))
        self._say(
            f"this validator is silent: no chain in {self._home.beacon_secret_file} leads to the onion that the chain "
            f"has for it; put back the file that does, or {_RENEW}"
        )
        return None

    def _link(self, known: BeaconSecret, onion: bytes, used: int) -> bytes | None:
        for chain in known.chains:
            link = self._link_of(chain, onion, used)
            if link is not None:
                self._said.clear()
                self._say_what_is_left(chain, used + 1)
                return link
        return None

    def _link_of(self, chain: OnionChain, onion: bytes, used: int) -> bytes | None:
        place = chain.length - used - 1
        if place < 0:
            return None
        stretch = self._stretch
        if stretch is None or stretch[:2] != (chain, place // STRETCH):
            stretch = (chain, place // STRETCH, chain.stretch(place))
        link = stretch[2][place % STRETCH]
        if next_onion(link) != onion:
            return None
        self._stretch = stretch
        return link

    def _look_ahead(self, known: BeaconSecret, onion: bytes, used: int) -> None:
        """Make the chains that a later `renew` made, until one leads to the onion; then the file has them, too."""
        chains = list(known.chains)
        for _ in range(_CHAINS_AHEAD):
            chains.append(make_chain(known.secret, chains[-1].number + 1, chains[-1].length))
            if self._link_of(chains[-1], onion, used) is not None:
                _write(self._home, BeaconSecret(known.secret, tuple(chains)))
                _LOG.info("found the validator's onion in chain %d of its beacon secret", chains[-1].number)
                return

    def _say_what_is_left(self, chain: OnionChain, used: int) -> None:
        """Warn from a quarter of the chain on, and again a sixteenth of that later."""
        left, quarter = chain.length - used, chain.length // 4
        if left < quarter and left % max(quarter // 16, 1) == 0:
            _LOG.warning("%d reveals are left of this validator's onion; %s", left, _RENEW)

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            _LOG.warning("%s", text)


def _in_background(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="beacon", daemon=True).start()
