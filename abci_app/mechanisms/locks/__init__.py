"""locks: one ledger for every amount that its owner cannot spend: gOPEN, bonds, stakes, deposits, escrows, pots.

    locks/lock/ | purpose U8 | object id | H(owner) -> Lock(owner, amount, leaving [(amount, height, time)] up to 8)
    locks/by-owner/ | H(owner) | purpose U8 | object id          the same locks by their owners

Rules:
- The balance of the module account `locks` is the sum of all locks, what is leaving included. A lock without anything
  in it does not exist.
- Modules `take` into a lock from its owner or another payer, `give_back` to its owner, `pay` somebody (through their
  payee), `move` between locks. What they ask for must be above zero and in the lock.
- `leave` begins the way out: an entry, paid to the owner by `Withdraw` in a block of at least its height **and** at
  least its time. It can still be slashed and fined. A ninth entry is refused until earlier ones are withdrawn.
- `slash` takes floor(x * part / 10^9) of the amount and of each entry, `fine` an amount as far as there is: from the
  amount first, then from entries, the newest first. Neither fails for want of money; both return what they took.
- What they take goes to receivers, accounts (through their payees) or locks, whose parts sum to 10^9: each gets its
  part rounded down, and what is missing goes one nopen each to the first receivers in the order given.

The owner of a DataNet's pot or of a model's stake is the id of that object, not an account: it can be paid out of and
moved from, and nothing is given back or leaves.
"""

from abci_app.mechanisms.locks.ledger import (
    Receiver,
    amount_of,
    find,
    fine,
    give_back,
    has_ended,
    leave,
    move,
    pay,
    slash,
    take,
)
from abci_app.mechanisms.locks.queries import INVARIANTS, QUERIES, LockQuery, LocksPage, LocksQuery, LockView
from abci_app.mechanisms.locks.records import (
    BY_OWNER,
    LOCKS,
    LOCKS_ACCOUNT,
    MAX_LEAVING,
    NO_OBJECT,
    Leaving,
    Lock,
    LockKey,
    LocksCode,
    Purpose,
)
from abci_app.mechanisms.locks.withdraw import Withdraw, Withdrawn, execute_withdraw
from abci_app.module import Module

__all__ = [
    "LOCKS_ACCOUNT",
    "MAX_LEAVING",
    "MODULE",
    "NO_OBJECT",
    "Leaving",
    "Lock",
    "LockKey",
    "LockQuery",
    "LockView",
    "LocksCode",
    "LocksPage",
    "LocksQuery",
    "Purpose",
    "Receiver",
    "Withdraw",
    "Withdrawn",
    "amount_of",
    "find",
    "fine",
    "give_back",
    "has_ended",
    "leave",
    "move",
    "pay",
    "slash",
    "take",
]

MODULE = Module(
    name="locks",
    tables=(LOCKS, BY_OWNER),
    errors=LocksCode,
    messages={Withdraw: execute_withdraw},
    events=(Withdrawn,),
    queries=QUERIES,
    invariants=INVARIANTS,
)
