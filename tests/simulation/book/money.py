"""The book's balances, locks and payees. Written from the rules, not from the chain's code."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.simulation.deeds import Key, Receivers

WHOLE_PPB = 10**9
MOST_LEAVING = 8
# Purposes whose owner is an object, not an account.
POOLED = (6, 8)


@dataclass
class Held:
    """What a lock holds, and what leaves of it: [amount, height, time]."""

    amount_nopen: int = 0
    leaving: list[list[int]] = field(default_factory=list)

    @property
    def total_nopen(self) -> int:
        """All of it."""
        return self.amount_nopen + sum(entry[0] for entry in self.leaving)


@dataclass
class Money:
    """Who has how much."""

    balances: dict[bytes, int]
    locks: dict[Key, Held] = field(default_factory=dict)
    payees: dict[bytes, bytes] = field(default_factory=dict)

    def held(self, key: Key) -> Held:
        """A lock, made where there is none."""
        return self.locks.setdefault(key, Held())

    def transfer(self, source: bytes, target: bytes, amount_nopen: int) -> None:
        """Move between balances."""
        self.balances[source] = self.balances.get(source, 0) - amount_nopen
        self.balances[target] = self.balances.get(target, 0) + amount_nopen

    def receiver(self, address: bytes) -> bytes:
        """Who receives what an account is paid."""
        return self.payees.get(address, address)

    def add(self, address: bytes, amount_nopen: int) -> None:
        """Put an amount on a balance that comes out of a lock."""
        self.balances[address] = self.balances.get(address, 0) + amount_nopen

    # --- Locks; False: refused

    def take(self, key: Key, amount_nopen: int) -> bool:
        """Lock an amount of the owner's."""
        owner = key[2]
        if amount_nopen <= 0 or self.balances.get(owner, 0) < amount_nopen:
            return False
        self.balances[owner] -= amount_nopen
        self.held(key).amount_nopen += amount_nopen
        return True

    def remove(self, key: Key, amount_nopen: int) -> bool:
        """Take an amount out of a lock."""
        if amount_nopen <= 0 or self.held(key).amount_nopen < amount_nopen:
            return False
        self.held(key).amount_nopen -= amount_nopen
        return True

    def release(self, key: Key, amount_nopen: int, height: int, seconds: int) -> bool:
        """Let an amount leave until a height and a time."""
        if amount_nopen <= 0 or self.held(key).amount_nopen < amount_nopen:
            return False
        if len(self.held(key).leaving) >= MOST_LEAVING:
            return False
        self.held(key).amount_nopen -= amount_nopen
        self.held(key).leaving.append([amount_nopen, height, seconds])
        return True

    def ended_nopen(self, key: Key, height: int, seconds: int) -> int:
        """How much of a lock can be withdrawn in a block."""
        ended = [entry for entry in self.held(key).leaving if entry[1] <= height and entry[2] <= seconds]
        return sum(entry[0] for entry in ended)

    def withdraw(self, key: Key, height: int, seconds: int) -> None:
        """Pay out what has ended."""
        self.add(key[2], self.ended_nopen(key, height, seconds))
        held = self.held(key)
        held.leaving = [entry for entry in held.leaving if not (entry[1] <= height and entry[2] <= seconds)]

    def slash(self, key: Key, part_ppb: int, receivers: Receivers) -> int:
        """Take a part of everything."""
        held = self.held(key)
        before_nopen = held.total_nopen
        held.amount_nopen -= held.amount_nopen * part_ppb // WHOLE_PPB
        for entry in held.leaving:
            entry[0] -= entry[0] * part_ppb // WHOLE_PPB
        return self._deal_out(key, before_nopen, receivers)

    def fine(self, key: Key, amount_nopen: int, receivers: Receivers) -> int:
        """Take an amount as far as there is, the newest leaving first."""
        held = self.held(key)
        before_nopen, due_nopen = held.total_nopen, amount_nopen
        taken_nopen = min(due_nopen, held.amount_nopen)
        held.amount_nopen -= taken_nopen
        due_nopen -= taken_nopen
        for entry in held.leaving[::-1]:
            taken_nopen = min(due_nopen, entry[0])
            entry[0] -= taken_nopen
            due_nopen -= taken_nopen
        return self._deal_out(key, before_nopen, receivers)

    def _deal_out(self, key: Key, before_nopen: int, receivers: Receivers) -> int:
        held = self.held(key)
        taken_nopen = before_nopen - held.total_nopen
        if taken_nopen:
            held.leaving = [entry for entry in held.leaving if entry[0]]
        parts = [taken_nopen * part_ppb // WHOLE_PPB for _, part_ppb in receivers]
        left_nopen = taken_nopen - sum(parts)
        for index, (who, part_ppb) in enumerate(receivers):
            extra_nopen = 1 if left_nopen and part_ppb else 0
            left_nopen -= extra_nopen
            if isinstance(who, tuple):
                self.held(who).amount_nopen += parts[index] + extra_nopen
            else:
                self.add(self.receiver(who), parts[index] + extra_nopen)
        return taken_nopen

    def share_out(self, source: bytes, rest_to: bytes, part_ppb: int, weights: Sequence[tuple[bytes, int]]) -> None:
        """Divide a balance by weights, largest remainder first, ties by address; the rest goes to somebody."""
        held_nopen, total = self.balances.get(source, 0), sum(weight for _, weight in weights)
        shared_nopen = held_nopen * part_ppb // WHOLE_PPB if total else 0
        parts = {address: shared_nopen * weight // total for address, weight in weights} if total else {}
        remainders = {address: shared_nopen * weight % total for address, weight in weights} if total else {}
        in_order = sorted(parts, key=lambda address: (-remainders[address], address))
        for address in in_order[: shared_nopen - sum(parts.values())]:
            parts[address] += 1
        for address, part_nopen in parts.items():
            self.transfer(source, self.receiver(address), part_nopen)
        self.transfer(source, rest_to, held_nopen - shared_nopen)
