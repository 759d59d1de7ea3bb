"""Transactions for `benchmarks.messages` of members and validators, each at its dearest."""

from collections.abc import Sequence

from msgspec import structs

from abci_app.mechanisms import epochs, locks
from abci_app.module import Message
from abci_app.modules.members import MEMBERS, Member, Role, SetBoxKey
from abci_app.modules.validators import (
    AddBond,
    Apply,
    Leave,
    RotateKey,
    SetOnion,
    SetOwnPeers,
    SetWorker,
    Unjail,
    ValidatorStatus,
)
from abci_app.modules.validators.handlers import new_validator, take_key
from abci_app.modules.validators.parameters import JAIL_BLOCKS, PARAMETERS, VALIDATOR_BOND
from abci_app.modules.validators.records import (
    DUTIES,
    LIST,
    MAX_DUTIES,
    MAX_LISTED,
    TURNOVER,
    VALIDATORS,
    Duties,
    Duty,
    JailReason,
    Turnover,
    ValidatorList,
    ValidatorsCode,
    bond_key,
    consensus_address,
)
from abci_app.parameters import ParameterRecord, ParameterValue
from abci_app.state.overlay import Overlay
from benchmarks.load import LoadAccount
from benchmarks.message_cases import node_id, sixteen
from benchmarks.message_world import Case, digest

# The least that a validator of this chain bonds.
BOND_NOPEN = 10**9


def key(*what: object) -> bytes:
    """A consensus key: a point of the curve."""
    return LoadAccount.numbered(int.from_bytes(digest("consensus", *what)[:6], "big")).secret[32:]


def write_parameters(state: Overlay) -> None:
    """Small bonds and no time in jail: the chain of the benchmark is young."""
    values = {each.index: each.default for each in PARAMETERS.parameters}
    values |= {VALIDATOR_BOND.index: BOND_NOPEN, JAIL_BLOCKS.index: 0}
    record = ParameterRecord(tuple([ParameterValue(index, value) for index, value in values.items()]))
    PARAMETERS.table.set(state, record)


def members(state: Overlay, senders: Sequence[LoadAccount], count: int) -> None:
    """Every sender is a member, and the list is full."""
    write_parameters(state)
    for sender in senders[:count]:
        MEMBERS.set(state, sender.address, Member(sender.address, int(Role.VALIDATOR), "m" * 256, 0, b""))
    LIST.set(state, ValidatorList(tuple([digest("listed", number) for number in range(MAX_LISTED)])))


def validators(state: Overlay, senders: Sequence[LoadAccount], count: int) -> None:
    """Every sender is an active validator; the list, which holds 64, has the first of them, all with power."""
    write_parameters(state)
    for place, sender in enumerate(senders[:count]):
        consensus_key = key("first", place)
        take_key(state, sender.address, consensus_key)
        locks.take(state, bond_key(sender.address), BOND_NOPEN)
        active = structs.replace(
            new_validator(sender.address, consensus_key), status=int(ValidatorStatus.ACTIVE), admitted=1, live=1
        )
        VALIDATORS.set(state, sender.address, active)
    LIST.set(state, ValidatorList(tuple([sender.address for sender in senders[: min(count, MAX_LISTED)]])))


def turned_over(state: Overlay, senders: Sequence[LoadAccount], count: int) -> None:
    """Every sender is active, 64 are listed, and the epoch has no room for another key."""
    validators(state, senders, count)
    number = epochs.current(state).number
    TURNOVER.set(state, Turnover(epoch=number, power_total=MAX_LISTED, lost=MAX_LISTED, gained=MAX_LISTED))


def jailed(state: Overlay, senders: Sequence[LoadAccount], count: int) -> None:
    """Every sender is jailed since long, and the record of duties is as long as it may be."""
    validators(state, senders, count)
    for sender in senders[:count]:
        found = VALIDATORS.get(state, sender.address)
        assert found is not None
        changed = structs.replace(
            found, status=int(ValidatorStatus.JAILED), jailed_height=1, jailed_for=int(JailReason.MISSED), live=0
        )
        VALIDATORS.set(state, sender.address, changed)
    rows = sorted([consensus_address(key("first", place)) for place in range(MAX_DUTIES)])
    duties = [Duty(address=row, signed_power=10**15, missed=10**4, proposed=10**4, silent=10**4) for row in rows]
    DUTIES.set(state, Duties(tuple(duties)))


def one(make: Message) -> tuple[Message, ...]:
    """A transaction of one message."""
    return (make,)


VALIDATOR_CASES: tuple[Case, ...] = (
    Case("members.set_box_key, 16", sixteen(lambda p, n: SetBoxKey(digest(p, n))), members),
    # At most 64 of them can succeed before the list is full, however many a block holds.
    Case(
        "validators.apply", lambda _, p: one(Apply(key("new", p), digest(p), BOND_NOPEN)), members,
        code=int(ValidatorsCode.LIST_FULL),
    ),
    Case("validators.add_bond, 16", sixteen(lambda p, n: AddBond(1)), validators),
    Case("validators.leave", lambda _, p: one(Leave()), validators),
    Case("validators.unjail", lambda _, p: one(Unjail()), jailed),
    # Few succeed in an epoch; whose key finds no room is found out at the same cost.
    Case(
        "validators.rotate_key", lambda _, p: one(RotateKey(key("next", p))), turned_over,
        code=int(ValidatorsCode.ROTATION_TOO_LARGE),
    ),
    Case("validators.set_onion, 16", sixteen(lambda p, n: SetOnion(digest(p, n))), validators),
    Case(
        "validators.set_worker, 16", sixteen(lambda p, n: SetWorker(key("worker", p, n), digest(p, n), 1)), validators,
    ),
    Case(
        "validators.set_own_peers, 16",
        sixteen(lambda p, n: SetOwnPeers(tuple([node_id(p, n, k) for k in range(4)]))),
        validators,
    ),
)  # fmt: skip
