"""The book's validators: whose keys, who has what power, who did its duty, who is punished."""

from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256

from tests.simulation.book.money import WHOLE_PPB, Money
from tests.simulation.deeds import Key

BOND_PURPOSE = 2
# Parameters of the simulated chain; what is not at its minimum is at its default.
BOND_NOPEN = 10**9
DOUBLE_SIGN_PPB, DOWNTIME_PPB, MAX_MISSED_PPB = 10**8, 10**5, 5 * 10**8
JAIL_BLOCKS, UNBOND_BLOCKS, UNBOND_SECONDS = 10, 400_000, 216_000
FEES_TO_VALIDATORS_PPB = WHOLE_PPB // 2
# With fewer there are no limits.
LIMITED_FROM = 4


class Standing(Enum):
    """How an operator stands."""

    CANDIDATE, ACTIVE, JAILED, LEAVING, LEFT, TOMBSTONED = range(6)


@dataclass
class Member:
    """One validator."""

    key: bytes
    standing: Standing
    admitted: int = 0
    jailed_height: int = 0
    listed: bool = True


@dataclass
class Row:
    """One key's deeds of an epoch."""

    signed_power: int = 0
    missed: int = 0
    proposed: int = 0
    silent: int = 0


def consensus_address(key: bytes) -> bytes:
    """CometBFT's address of a key."""
    return sha256(key).digest()[:20]


def bond_of(operator: bytes) -> Key:
    """The lock of a bond."""
    return BOND_PURPOSE, bytes(32), operator


@dataclass
class Validators:
    """All of them; `told` is what CometBFT was told."""

    treasury: bytes
    owners: dict[bytes, bytes] = field(default_factory=dict)
    members: dict[bytes, Member] = field(default_factory=dict)
    told: dict[bytes, int] = field(default_factory=dict)
    rows: dict[bytes, Row] = field(default_factory=dict)
    # Of the running epoch: its first power, and what was lost and gained since.
    epoch_power: int = 0
    lost: int = 0
    gained: int = 0
    faults: list[str] = field(default_factory=list)

    def live(self, operator: bytes) -> int:
        """Power that CometBFT was told of."""
        return self.told.get(self.members[operator].key, 0)

    def live_powers(self) -> dict[bytes, int]:
        """Operator -> power of all that have some."""
        powers = {operator: self.live(operator) for operator, member in self.members.items() if member.listed}
        return {operator: power for operator, power in powers.items() if power}

    def accuse(self, address: bytes, money: Money) -> None:
        """Punish who signed twice, once, whichever key it was."""
        operator = self.owners.get(address)
        member = self.members.get(operator) if operator is not None else None
        if operator is None or member is None or member.standing == Standing.TOMBSTONED:
            return
        member.standing, member.admitted = Standing.TOMBSTONED, 0
        money.slash(bond_of(operator), DOUBLE_SIGN_PPB, ((self.treasury, WHOLE_PPB),))

    def admit(self, operator: bytes, power: int) -> None:
        """What a proposal does."""
        member = self.members.get(operator)
        if member is None or member.standing in (Standing.LEFT, Standing.TOMBSTONED, Standing.LEAVING):
            return
        if not power:
            member.standing, member.admitted = Standing.LEAVING, 0
            return
        member.admitted = power
        if member.standing != Standing.JAILED:
            member.standing = Standing.ACTIVE

    def come(self, operator: bytes, key: bytes, address: bytes) -> None:
        """Somebody applied."""
        before = self.members.get(operator)
        if before is not None and before.standing != Standing.LEFT:
            self.faults.append(f"{operator.hex()} applied while {before.standing.name}")
        self.members[operator] = Member(key, Standing.CANDIDATE)
        self._own(operator, address)

    def rotate(self, operator: bytes, key: bytes, address: bytes) -> None:
        """A key was replaced; its power counts as lost and gained."""
        power = self.live(operator)
        self.members[operator].key = key
        self._own(operator, address)
        if power:
            self.told[key] = power

    def _own(self, operator: bytes, address: bytes) -> None:
        if address in self.owners:
            self.faults.append(f"key {address.hex()} was taken twice")
        self.owners[address] = operator

    def unjail(self, operator: bytes, address: bytes, height: int, money: Money) -> None:
        """Somebody came back."""
        member = self.members[operator]
        if member.standing != Standing.JAILED:
            self.faults.append(f"{operator.hex()} came back while {member.standing.name}")
        if height < member.jailed_height + JAIL_BLOCKS or money.held(bond_of(operator)).amount_nopen < BOND_NOPEN:
            self.faults.append(f"{operator.hex()} came back too early or without its bond")
        member.standing = Standing.ACTIVE if member.admitted else Standing.CANDIDATE
        self.rows.pop(address, None)

    # --- Duties

    def row(self, address: bytes) -> Row | None:
        """The row of a validator's key."""
        return self.rows.setdefault(address, Row()) if address in self.owners else None

    def count(self, votes: tuple[tuple[bytes, int, bool], ...], proposer: bytes, is_silent: bool) -> None:
        """A block's duties."""
        for address, power, signed in votes:
            row = self.row(address)
            if row is not None:
                row.signed_power += power if signed else 0
                row.missed += 0 if signed else 1
        row = self.row(proposer)
        if row is not None:
            row.proposed += 1
            row.silent += 1 if is_silent else 0

    def tick(self, height: int, blocks: int, money: Money, fees: bytes) -> None:
        """The end of an epoch: jail, share out, begin anew."""
        by_operator: dict[bytes, Row] = {}
        for address, row in self.rows.items():
            total = by_operator.setdefault(self.owners[address], Row())
            total.signed_power += row.signed_power
            total.missed += row.missed
            total.proposed += row.proposed
            total.silent += row.silent
        self._jail(height, blocks, by_operator, money)
        weights = [(operator, row.signed_power) for operator, row in by_operator.items() if row.signed_power]
        money.share_out(fees, self.treasury, FEES_TO_VALIDATORS_PPB, weights)
        self.rows = {}

    def _jail(self, height: int, blocks: int, rows: dict[bytes, Row], money: Money) -> None:
        powers = {operator: self.live(operator) for operator, member in self.members.items() if member.listed}
        room = max(sum(powers.values()) - 1, 0) // 3
        staying = sum(1 for each in powers if powers[each] and self.members[each].standing == Standing.ACTIVE)
        for operator in sorted(powers, key=lambda each: self.members[each].key):
            member, row, power = self.members[operator], rows.get(operator, Row()), powers[operator]
            if member.standing != Standing.ACTIVE:
                continue
            away = power and row.missed * WHOLE_PPB > MAX_MISSED_PPB * blocks
            silent = power and row.silent >= 3 and row.silent * 10 > row.proposed
            poor = 2 * money.held(bond_of(operator)).amount_nopen < BOND_NOPEN
            left = staying - (1 if power else 0)
            if not (away or silent or poor) or left < LIMITED_FROM or power > room:
                continue
            staying, room = left, room - power
            member.standing, member.jailed_height = Standing.JAILED, height
            if away or silent:
                money.slash(bond_of(operator), DOWNTIME_PPB, ((self.treasury, WHOLE_PPB),))

    # --- Powers

    def begin_epoch(self) -> None:
        """What the limits of an epoch are measured by."""
        self.epoch_power, self.lost, self.gained = sum(self.told.values()), 0, 0

    def take_updates(self, before: dict[bytes, int], updates: dict[bytes, int]) -> None:
        """What a block tells CometBFT, within the limits of an epoch."""
        for key, power in updates.items():
            if not power and key not in before:
                self.faults.append(f"CometBFT is told to remove {key.hex()}, which it does not know")
        self.told = {key: power for key, power in {**before, **updates}.items() if power}
        if not self.told:
            self.faults.append("CometBFT is told that nobody validates")
        tombstoned = [each.key for each in self.members.values() if each.standing == Standing.TOMBSTONED]
        exempt = sum(before.get(key, 0) - self.told.get(key, 0) for key in tombstoned)
        changes = [(self.told.get(key, 0) - before.get(key, 0)) for key in {**before, **self.told}]
        lost, gained = -sum(each for each in changes if each < 0), sum(each for each in changes if each > 0)
        limit = max(self.epoch_power - 1, 0) // 3
        # Limits hold while four have power; a double signer's goes at once, beyond them.
        if len(self._operators(before) & self._operators(self.told)) >= LIMITED_FROM:
            if lost > exempt and self.lost + lost - exempt > limit:
                self.faults.append(f"an epoch lost {self.lost + lost} of {self.epoch_power}, the limit is {limit}")
            if gained and self.gained + gained > limit:
                self.faults.append(
                    f"an epoch gained {self.gained + gained} of {self.epoch_power}, the limit is {limit}"
                )
        if len(before) >= LIMITED_FROM > len(self.told) and not exempt:
            self.faults.append(f"only {len(self.told)} are left to validate")
        self.lost, self.gained = self.lost + lost, self.gained + gained
        if len(self.told) > 1:
            self.faults += [f"{key.hex()} signed twice and has power" for key in tombstoned if key in self.told]

    def _operators(self, powers: dict[bytes, int]) -> set[bytes]:
        """Whose these keys are."""
        return {self.owners[consensus_address(key)] for key in powers}

    def retire(self, height: int, seconds: int, money: Money) -> list[bytes]:
        """Bonds of who has no power any more leave; returns who is gone."""
        gone: list[bytes] = []
        for operator, member in self.members.items():
            ending = member.standing in (Standing.LEAVING, Standing.TOMBSTONED)
            if not ending or not member.listed or self.live(operator):
                continue
            bond = money.held(bond_of(operator))
            until = height + UNBOND_BLOCKS, seconds + UNBOND_SECONDS
            if bond.amount_nopen and not money.release(bond_of(operator), bond.amount_nopen, *until):
                continue
            member.listed = False
            if member.standing == Standing.LEAVING:
                member.standing = Standing.LEFT
            gone.append(operator)
        return gone
