"""How the simulated chain begins: its parameters, its validators' chains of hashes, and the book of its genesis."""

from typing import Any

from abci_app.module import TREASURY_ACCOUNT
from abci_app.types import SUPPLY_NOPEN
from tests.kit.chain import SMALL_FEES
from tests.kit.modules.consensus import BOND
from tests.kit.signing import Signer
from tests.simulation.book import Book, Money, Validators, bond_of, tagged
from tests.simulation.comet import address_of

# Reveals that one onion is good for: more than anybody proposes in a long life.
LINKS = 400
# Windows at their minimum, so that epochs, jails and draws pass quickly.
PARAMETERS = {
    "fees": SMALL_FEES,
    "licences": {"licence_policy": "permissive"},
    "roles": {"models.create_model": ["builder"]},
    "epochs": {"epoch_blocks": 10},
    "governance": {
        "voting_blocks": 20,
        "timelock_blocks": 10,
        "unlock_blocks": 40,
        "deposit_nopen": BOND,
        "electorate_floor_nopen": 0,
        "freeze_blocks": 10,
    },
    "beacon": {"silent_penalty_nopen": BOND // 20, "draw_delay_blocks": 4, "draw_limit_blocks": 10},
    "validators": {"validator_bond_nopen": BOND, "jail_blocks": 10, "jail_limit_blocks": 10_000},
}


def chain_of_links(name: str, links: dict[bytes, bytes]) -> bytes:
    """Write down a chain of hashes; its end, which is the onion."""
    link = tagged("links of the simulation", name.encode())
    for _ in range(LINKS):
        following = tagged("openledger/onion/v1", link)
        links[following], link = link, following
    return link


def book_of_genesis(
    funds: dict[bytes, int], powers: dict[bytes, int], operators: list[Signer], section: list[dict[str, Any]]
) -> Book:
    """The book as a chain begins."""
    money = Money({**funds, TREASURY_ACCOUNT: SUPPLY_NOPEN - sum(funds.values())})
    known = Validators(TREASURY_ACCOUNT)
    book = Book(money, known)
    for (key, power), who, written in zip(powers.items(), operators, section, strict=True):
        money.take(bond_of(who.address), BOND)
        known.come(who.address, key, address_of(key))
        known.admit(who.address, power)
        known.told[key] = power
        book.beacon.set_onion(who.address, bytes.fromhex(written["onion"]), 0, 0)
    book.begin()
    return book
