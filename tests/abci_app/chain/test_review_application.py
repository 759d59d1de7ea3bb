"""Blocks under attack: what a hostile proposer can make others do."""

from abci_app.chain.application import Application
from abci_app.chain.block import Decoder
from abci_app.chain.transaction import Transaction
from abci_app.errors import Code
from abci_app.modules.bank import Burn
from tests.kit.chain import Chain, accounts_with
from tests.kit.signing import Signer

FUNDS = 10**9


def decoded_by(application: Application) -> list[bytes]:
    """Fills with every transaction that the application decodes from now on."""
    seen: list[bytes] = []
    decode: Decoder = application._decode

    def note(raw: bytes) -> Transaction:
        seen.append(raw)
        return decode(raw)

    application._decode = note
    return seen


def test_a_proposal_is_refused_at_its_first_transaction_that_does_not_pay() -> None:
    """A block of four megabytes that pay nothing would keep every other validator busy for seconds."""
    alice, stranger = Signer.named("alice"), Signer.named("stranger")
    chain = Chain.start(accounts_with(FUNDS, [alice]))
    good = alice.transaction(Burn(1))
    unpaid = [stranger.transaction(Burn(1)) for _ in range(10)]
    seen = decoded_by(chain.application)
    assert not chain.accepts(good, *unpaid)
    assert seen == [good, unpaid[0]]
    decided = chain.finalize(good, *unpaid)
    assert [result.code for result in decided.tx_results] == [
        Code.OK, Code.INSUFFICIENT_FUNDS, *[Code.WRONG_SEQUENCE] * 9,
    ]  # fmt: skip
    assert not chain.accepts(good, *unpaid), "whether or not the block was executed before"
