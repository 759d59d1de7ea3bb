"""Errors for everything that can be wrong with an answer. Every text is one line: what, why, what to do.

LightError
├── MalformedAnswer       not what CometBFT would send, or beyond a limit
├── VerificationFailed    contradicts a header, a signature or a proof
│   ├── WrongChain
│   ├── NotEnoughPower    too little of the block's own validators signed it
│   ├── NotEnoughTrust    too little of the trusted validators signed it: bisection goes on from here
│   ├── TrustExpired      the trusted block is older than the trusting period
│   ├── FromTheFuture     header time is ahead of our clock
│   └── BadStateProof
├── Divergence            two verified histories: an attack; evidence is attached
├── NoAnchor, NoWitness   what the caller has to provide
│   └── NotTrustedYet     nothing was provided: the first question here
├── StaleAnswer           the node answered for an older height than others have verified
│   └── FreshnessUnknown  nobody can prove that it did not
├── QueryRejected         the node answered with a code (its word, not proven; `openledger.errors.Denied` is proven)
└── ProviderFailed        the node could not be asked
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from openledger.errors import NodeFailure, NotVerified, OpenLedgerError, QueryFailed
from openledger.exit_codes import ExitCode

if TYPE_CHECKING:
    from openledger.light.blocks import LightBlock


class LightError(OpenLedgerError):
    """Base of everything that the light client raises."""


class MalformedAnswer(NotVerified, LightError):
    """An answer that is not well-formed, or larger than any honest one."""


class VerificationFailed(NotVerified, LightError):
    """Well-formed, but contradicted by a header, a signature or a proof."""


class WrongChain(VerificationFailed):
    """The header belongs to another chain."""


class NotEnoughPower(VerificationFailed):
    """Valid signatures of at most two thirds of the block's own validators."""


class NotEnoughTrust(VerificationFailed):
    """Valid signatures of at most the trust level of the trusted validators."""


class TrustExpired(VerificationFailed):
    """The block to start from is older than the trusting period."""


class FromTheFuture(VerificationFailed):
    """Header time is further ahead of our clock than the allowed drift."""


class BadStateProof(VerificationFailed):
    """The proof does not lead to the header's app hash, or does not cover what the query reads."""


class NoAnchor(LightError):
    """Nothing to start trusting from."""

    exit_code = ExitCode.NOT_ANCHORED


class NotTrustedYet(NoAnchor):
    """No question can be verified with what was given; raised before any node is asked, with the one thing to do."""


class NoWitness(NotVerified, LightError):
    """No independent node confirmed the header."""


class StaleAnswer(NotVerified, LightError):
    """The answer is older than what is already verified, or than the caller allows."""


class FreshnessUnknown(StaleAnswer):
    """Whether the answer is the newest cannot be told: it may be old."""


class QueryRejected(QueryFailed, LightError):
    """The node answered the query with a code and without proof: its word."""


class ProviderFailed(NodeFailure, LightError):
    """A node could not be asked: down, too slow, or an RPC error."""


class Divergence(NotVerified, LightError):
    """Two nodes gave different headers for one height, both signed: at least a third of the power signed twice."""

    def __init__(
        self, text: str, primary: tuple[LightBlock, ...], witness: tuple[LightBlock, ...], witness_name: str
    ) -> None:
        super().__init__(text)
        self.primary = primary
        self.witness = witness
        self.witness_name = witness_name
