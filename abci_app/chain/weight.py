"""Weight: the work that a transaction asks of every validator, known before it is done.

A unit stands for 10 us of the reference machine's time. Each message class states what one of it (or of its items)
weighs, at its dearest: `benchmarks/messages` measures it, and finds it wrong when a block of the dearest transactions
that fits takes more than 0.5 s. Beside its messages a transaction weighs what its bytes, signatures and keys cost.
A block holds at most `MAX_BLOCK_WEIGHT`, so that no mix of transactions holds consensus up; fees are charged for weight
beside bytes, so that filling blocks costs (ADR 17). Hooks come on top: they have limits of their own.
"""

from collections.abc import Sequence

from abci_app.errors import Code, Rejected
from abci_app.module import Message
from abci_app.policy import DelegatedKey, Policy

# 0.3 s of the reference machine, less than the 0.5 s between two blocks.
MAX_BLOCK_WEIGHT = 30_000
# Envelope, sequence, funds, the sender's record and its event.
ENVELOPE_WEIGHT = 2
# One verification of Ed25519 and a policy of up to ten keys around it.
SIGNATURE_WEIGHT = 4
# A sponsor's record beside its signature: another account read, charged and written.
SPONSOR_WEIGHT = 2
# A delegated key's bounds: read, compared with the policy that made them, and written with what it spent.
DELEGATED_KEY_WEIGHT = 2
# One key of a presented policy: whether it is a point of the curve.
KEY_WEIGHT = 6
# Decoding, checking that the bytes are canonical, hashing.
BYTES_PER_UNIT = 512
# No transaction weighs less.
LIGHTEST = ENVELOPE_WEIGHT + SIGNATURE_WEIGHT


def weight_of(
    size_bytes: int, signatures: int, presented: Sequence[Policy | DelegatedKey | None], messages: Sequence[Message]
) -> int:
    """Units of work of a transaction; `presented` has one place for its sender, then one for its sponsor."""
    own = ENVELOPE_WEIGHT + size_bytes // BYTES_PER_UNIT + SIGNATURE_WEIGHT * signatures
    own += SPONSOR_WEIGHT * (len(presented) - 1)
    for policy in presented:
        if isinstance(policy, DelegatedKey):
            own += DELEGATED_KEY_WEIGHT
        elif policy is not None:
            own += KEY_WEIGHT * len(policy.keys)
    return own + sum([message.weight() for message in messages])


def require_fits_a_block(weight: int) -> None:
    """Raises `Rejected(TOO_HEAVY)` for a transaction that no block can hold."""
    if weight > MAX_BLOCK_WEIGHT:
        raise Rejected(
            Code.TOO_HEAVY,
            f"transaction weighs {weight} units, a block holds {MAX_BLOCK_WEIGHT}: send its messages in several "
            "transactions",
        )
