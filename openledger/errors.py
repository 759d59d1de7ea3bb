"""Errors of the SDK. Each prints as one line: what happened, why, and what to do.

OpenLedgerError
├── UsageError            what was asked for cannot be (an unknown field, a bad amount, a wrong chain id)
│   └── NotKnown          a name in it stands for nothing
├── KeyFailure            no such key, a damaged key file, a bad recovery phrase
│   └── WrongPassphrase
├── NodeUnreachable       nobody answers at the node's address
├── NodeFailure           the node answered with an error of its own
├── Refused               the chain's rules say no; has `code`, `codespace`, `text`, `hint`
│   ├── TransactionFailed a transaction was refused, or was committed and failed
│   │   └── WouldFail     it was tried out and not sent
│   └── QueryFailed       the node gave no answer: its word, nothing is proven by it
│       └── Denied        the answer is no, and proven
├── NotVerified           an answer does not carry the proof that it must
└── TimedOut              not (yet) in a block
"""

from abci_app.errors import Code
from openledger.exit_codes import ExitCode, exit_code_of_refusal
from openledger.shown_amounts import in_open


class OpenLedgerError(Exception):
    """Base of all errors that a user can be shown; `str(error)` is one clear line."""

    exit_code = ExitCode.FAILURE


class UsageError(OpenLedgerError):
    """The caller asked for something that cannot be."""

    exit_code = ExitCode.USAGE


class NotKnown(UsageError):
    """A name or id in what the caller gave stands for nothing, as far as the node says."""

    exit_code = ExitCode.NOT_FOUND


class KeyFailure(OpenLedgerError):
    """A key is missing, damaged or may not be used here."""

    exit_code = ExitCode.KEYS


class WrongPassphrase(KeyFailure):
    """The passphrase does not open the key file."""


class NodeUnreachable(OpenLedgerError):
    """Nobody answers at the node's address."""

    exit_code = ExitCode.NODE


class NodeFailure(OpenLedgerError):
    """The node answered with an error of its own."""

    exit_code = ExitCode.NODE


class NotVerified(OpenLedgerError):
    """An answer does not carry the proof that it must: do not act on it."""

    exit_code = ExitCode.NOT_VERIFIED


class TimedOut(OpenLedgerError):
    """A transaction was not seen in a block in time; it may still get into one."""

    exit_code = ExitCode.TIMED_OUT


class Refused(OpenLedgerError):
    """The chain's rules say no: `code` and `codespace` are stable, `text` explains, `hint` says what to do.

    `text` is the chain's own, in whole nopen; as a line for people amounts stand in OPEN.
    """

    exit_code = ExitCode.REFUSED

    def __init__(self, code: int, codespace: str, text: str) -> None:
        self.code = int(code)
        self.codespace = codespace or "openledger"
        self.text = text
        self.hint = HINTS.get(self.code, "")
        self.exit_code = exit_code_of_refusal(self.code)
        super().__init__(text)

    def __str__(self) -> str:
        hint = f"; {self.hint}" if self.hint else ""
        return f"{in_open(self.text)} ({self.codespace} code {self.code}){hint}"


class TransactionFailed(Refused):
    """A transaction was refused, or was committed and failed (its fee is then gone and `height` is set)."""

    def __init__(self, code: int, codespace: str, text: str, height: int = 0) -> None:
        super().__init__(code, codespace, text)
        self.height = height


class WouldFail(TransactionFailed):
    """A transaction that was tried out and is bound to fail: nothing was sent, no fee is lost.

    `way_out` says how to send it all the same, where there is a way.
    """

    way_out = ""

    def __str__(self) -> str:
        way_out = f" ({self.way_out})" if self.way_out else ""
        return f"{super().__str__()}; tried out and not sent, so no fee is lost{way_out}"


class QueryFailed(Refused):
    """A node gave no answer to a query. That is its word: what it says is missing may exist.

    `near` says which names are like one that it has not found, where somebody has looked.
    """

    near = ""

    def __init__(self, code: int, codespace: str, text: str) -> None:
        super().__init__(code, codespace, text)
        self.exit_code = ExitCode.UNPROVEN

    def __str__(self) -> str:
        return f"{self._refusal()}; this is the node's word, not proven"

    def _refusal(self) -> str:
        return f"{super().__str__()}{'; ' if self.near else ''}{self.near}"


class Denied(QueryFailed):
    """A query's answer is no, come to again on proven state; `evidence` is the verified answer, `note` how it is."""

    def __init__(self, code: int, codespace: str, text: str, note: str, evidence: object) -> None:
        super().__init__(code, codespace, text)
        self.note = note
        self.evidence = evidence
        self.exit_code = exit_code_of_refusal(self.code)

    def __str__(self) -> str:
        return f"{self._refusal()}; {self.note}"


# What to do, where the chain's own text does not say it already.
HINTS: dict[int, str] = {
    Code.MALFORMED: "build the transaction with this version of openledger",
    Code.TOO_LARGE: "split the messages over several transactions",
    Code.WRONG_CHAIN: "pass the chain's own id with --chain-id, see `openledger status`",
    Code.WRONG_SEQUENCE: "leave --sequence out to take the right one",
    Code.BAD_SIGNATURE: "sign with the keys of the account's policy, see `openledger query account`",
    Code.INSUFFICIENT_FEE: "leave --fee-limit out to take the estimate",
    Code.UNKNOWN_QUERY: "node and client may differ in version",
    Code.NOT_YET_PROVABLE: "wait for two blocks, or pass --unverified",
    Code.HEIGHT_UNAVAILABLE: "ask for a recent height",
    # Codes of modules by number, since this file loads none of them; tests/openledger/test_errors.py has their names.
    101: "name another recipient",
    200: "see `openledger query members list` for who is",
    501: "see `openledger data list`",
    506: "see `openledger query datanets contributions`",
    507: "ask its owner",
    511: "ask its owner",
    512: "have a contribution accepted first",
    601: "see `openledger model list`",
    602: "ask its owner, or make a model of your own",
    609: "leave one source out or agree on other terms; `openledger query verdict` checks a mix before it is trained",
    610: "see `openledger query models entries`",
    615: "see `openledger query datanets versions`",
}
