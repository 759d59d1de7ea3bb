"""Words about a validator: what it is, what its operator should do, and what it can lose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from abci_app.modules.validators import ValidatorStatus, ValidatorView
from abci_app.types import PPB
from openledger.amounts import show_amount, show_share

_REASONS = {
    1: "it missed too many blocks",
    2: "it proposed blocks without revealing",
    3: "its bond fell below half of what a validator bonds",
}


@dataclass(frozen=True, slots=True)
class BondRules:
    """The parameters of the chain that say what a validator owes and risks."""

    validator_bond_nopen: int
    double_sign_slash_ppb: int
    downtime_slash_ppb: int
    max_missed_ppb: int
    jail_blocks: int
    epoch_blocks: int

    @classmethod
    def of(cls, values: Mapping[str, int]) -> BondRules:
        """The rules out of the chain's parameters by their full names."""
        return cls(
            validator_bond_nopen=values["validators.validator_bond_nopen"],
            double_sign_slash_ppb=values["validators.double_sign_slash_ppb"],
            downtime_slash_ppb=values["validators.downtime_slash_ppb"],
            max_missed_ppb=values["validators.max_missed_ppb"],
            jail_blocks=values["validators.jail_blocks"],
            epoch_blocks=values["epochs.epoch_blocks"],
        )


def standing(view: ValidatorView) -> str:
    """Say in one sentence what a validator is."""
    match view.status:
        case ValidatorStatus.CANDIDATE:
            return "a candidate: it validates when a proposal has admitted it"
        case ValidatorStatus.ACTIVE if view.power == view.admitted:
            return f"active with power {view.power}"
        case ValidatorStatus.ACTIVE:
            return f"active with power {view.power}, admitted with {view.admitted}: the rest waits for the limits"
        case ValidatorStatus.JAILED:
            return f"jailed since height {view.jailed_height}, because {_REASONS[view.jailed_for]}"
        case ValidatorStatus.LEAVING:
            return f"leaving: power {view.power} waits for the limits of an epoch, then its bond leaves"
        case ValidatorStatus.TOMBSTONED:
            return "out for ever: it signed two blocks of one height"
        case _:
            return "gone: it left, and may apply again with a new key"


def owed(view: ValidatorView, rules: BondRules) -> str:
    """Say what its operator should do now; empty when nothing is to be done."""
    missing_nopen = rules.validator_bond_nopen - view.bond_nopen
    if view.status == ValidatorStatus.JAILED:
        bond = f" after adding {show_amount(missing_nopen)} to its bond" if missing_nopen > 0 else ""
        return (
            f"come back with `openledger validator unjail`{bond}, from height {view.jailed_height + rules.jail_blocks} "
            f"on and before {view.removal_height}, when it is removed"
        )
    if view.status == ValidatorStatus.ACTIVE and 2 * view.bond_nopen < rules.validator_bond_nopen:
        return f"add {show_amount(missing_nopen)} with `openledger validator bond`: below half of it is jailed"
    if view.leaving and not view.bond_nopen:
        return "withdraw what has left of the bond when its height and time have come"
    return ""


def risks(view: ValidatorView, rules: BondRules) -> tuple[str, ...]:
    """Say what it can lose, each with the amount of today; empty for who has nothing at stake."""
    at_stake_nopen = view.bond_nopen + sum([entry.amount_nopen for entry in view.leaving])
    if not at_stake_nopen or view.status == ValidatorStatus.TOMBSTONED:
        return ()
    double_nopen = at_stake_nopen * rules.double_sign_slash_ppb // PPB
    twice = (
        f"{show_amount(double_nopen)} ({show_share(rules.double_sign_slash_ppb)}) and its place for ever, if its key "
        "signs two blocks of one height: never run two nodes with one key"
    )
    lines = [twice]
    if view.status in (ValidatorStatus.ACTIVE, ValidatorStatus.JAILED):
        downtime_nopen = at_stake_nopen * rules.downtime_slash_ppb // PPB
        most = rules.epoch_blocks * rules.max_missed_ppb // PPB
        lines.append(
            f"{show_amount(downtime_nopen)} ({show_share(rules.downtime_slash_ppb)}) and its power for "
            f"{rules.jail_blocks} blocks, if it misses more than {most} of an epoch's {rules.epoch_blocks} blocks "
            f"({view.missed} so far), or is silent in over a tenth of its proposals, three or more ({view.silent} of "
            f"{view.proposed} so far)"
        )
    return tuple(lines)
