"""The book's beacon: onions, the value, draws that wait."""

import hashlib
from dataclasses import dataclass, field

DELAY_BLOCKS, LIMIT_BLOCKS = 4, 10
ENOUGH_REVEALS = 4
MOST_DRAWS_A_BLOCK = 64


def tagged(tag: str, data: bytes) -> bytes:
    """The tagged hash of BIP-340."""
    prefix = hashlib.sha256(tag.encode()).digest()
    return hashlib.sha256(prefix + prefix + data).digest()


def onion_after(link: bytes) -> bytes:
    """The link that follows in a chain of hashes."""
    return tagged("openledger/onion/v1", link)


@dataclass
class OnionInBook:
    """An owner's onion, and the one that follows it from a height on."""

    onion: bytes
    next_onion: bytes = b""
    next_height: int = 0

    def at(self, height: int) -> bytes:
        """The onion that counts at a height."""
        return self.next_onion if self.next_onion and height >= self.next_height else self.onion


@dataclass
class Waiting:
    """A draw that was asked for."""

    object_id: bytes
    height: int
    reveals: int
    at_stake_nopen: int


@dataclass
class Drawing:
    """A draw that was made."""

    value: bytes
    weak: int


@dataclass
class BeaconBook:
    """The beacon from outside."""

    value: bytes = bytes(32)
    reveals: int = 0
    shown: bytes = b""
    shown_by: bytes = b""
    onions: dict[bytes, OnionInBook] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    made: dict[bytes, Drawing] = field(default_factory=dict)
    # Object -> (value, weak, height at which its work took it).
    taken: dict[bytes, tuple[bytes, int, int]] = field(default_factory=dict)

    @property
    def at_stake_nopen(self) -> int:
        """What all draws that wait decide about."""
        return sum(each.at_stake_nopen for each in self.waiting)

    def count(self, decided_round: int, height: int) -> None:
        """Begin a block: what the last one showed counts if that one was decided in its first round."""
        if self.shown and decided_round == 0:
            self.value = tagged("openledger/beacon/v1", self.value + self.shown)
            self.reveals += 1
            found = self.onions.get(self.shown_by)
            if found is not None and found.at(height - 1) == onion_after(self.shown):
                self.onions[self.shown_by] = (
                    OnionInBook(self.shown)
                    if found.at(height - 1) != found.onion
                    else OnionInBook(self.shown, found.next_onion, found.next_height)
                )
        self.shown = self.shown_by = b""

    def set_onion(self, owner: bytes, onion: bytes, height: int, two_epochs: int) -> None:
        """A first onion counts at once, another one in two epochs."""
        found = self.onions.get(owner)
        if found is None:
            self.onions[owner] = OnionInBook(onion)
        else:
            self.onions[owner] = OnionInBook(found.at(height), onion, height + two_epochs)

    def is_valid(self, owner: bytes | None, reveal: bytes, height: int) -> bool:
        """Whether a proposer may show this."""
        found = self.onions.get(owner) if owner is not None else None
        return found is not None and onion_after(reveal) == found.at(height)

    def ask(self, object_id: bytes, height: int, at_stake_nopen: int) -> None:
        """Ask for a draw."""
        self.waiting.append(Waiting(object_id, height, self.reveals, at_stake_nopen))

    def fine_nopen(self, penalty_nopen: int, bond_nopen: int) -> int:
        """What a block without its reveal costs."""
        if not self.waiting:
            return 0
        return min(max(penalty_nopen, self.at_stake_nopen // 100), bond_nopen // 10)

    def draw(self, height: int, voters: int) -> list[bytes]:
        """The draws of a block, in order; returns their objects."""
        drawn: list[bytes] = []
        while self.waiting and len(drawn) < MOST_DRAWS_A_BLOCK:
            first = self.waiting[0]
            enough = self.reveals - first.reveals >= min(ENOUGH_REVEALS, max(voters, 1))
            earliest = first.height + DELAY_BLOCKS
            if height < earliest or not (enough or height >= earliest + LIMIT_BLOCKS):
                break
            self.waiting.pop(0)
            self.made[first.object_id] = Drawing(self.value, 0 if enough else 1)
            drawn.append(first.object_id)
        return drawn
