"""Exit codes of the `openledger` command: stable, so that scripts can rely on them."""

from enum import IntEnum


class ExitCode(IntEnum):
    """0 is success; a number never changes its meaning."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    NODE = 3
    REFUSED = 4
    NOT_FOUND = 5
    KEYS = 6
    NOT_VERIFIED = 7
    NOT_ANCHORED = 8
    TIMED_OUT = 9
    UNPROVEN = 10
    STANDS_STILL = 11
    ALARM = 12
    MAY_NOT = 14
    ASK_FIRST = 15
    INTERRUPTED = 130


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "done; every check held",
    ExitCode.FAILURE: "something else went wrong, see the message",
    ExitCode.USAGE: "the command line, a file or a value in it is wrong",
    ExitCode.NODE: "no node answers, or it answers with an error of its own",
    ExitCode.REFUSED: "the chain's rules say no: to a transaction, to a draft of it, or in its block",
    ExitCode.NOT_FOUND: "what is named does not exist (proven, or refused in a transaction), or is not in the store",
    ExitCode.KEYS: "no such key, wrong passphrase, damaged key file",
    ExitCode.NOT_VERIFIED: "an answer or a bundle failed verification",
    ExitCode.NOT_ANCHORED: "consistent, but nothing trusted vouches for it",
    ExitCode.TIMED_OUT: "not in a block in time; it may still come",
    ExitCode.UNPROVEN: "the node refuses to answer or says that there is nothing; it proves neither",
    ExitCode.STANDS_STILL: "the node runs and the chain stands still on it: waiting for power, stuck, disk full",
    ExitCode.ALARM: "the node runs and the chain goes on, but something met a bug or a critical error: see `alarm`",
    ExitCode.MAY_NOT: "the answer is no: terms of something that it was made from forbid it (`model may`)",
    ExitCode.ASK_FIRST: "the answer is neither yes nor no: somebody has to be asked first (`model may`)",
    ExitCode.INTERRUPTED: "stopped by the user",
}

# One kind of refusal has one exit code, whichever command meets it and in whichever way: a query, a dry run, a check
# before training, a transaction. Codes of the chain by number, since this file loads no module; every other one is a
# rule that says no. tests/openledger/test_errors.py holds them against the modules.
REFUSALS: dict[int, ExitCode] = {
    # A query that cannot be (Code.BAD_QUERY).
    21: ExitCode.USAGE,
    # The chain has nothing of that name or id: account, object, delegation, role, peer, section; terms, DataNet,
    # contribution, model, parent, input, entry, benchmark; a validator's capability, a proposal and what it is about.
    **dict.fromkeys(
        (13, 22, 60, 70, 201, 203, 313, 401, 501, 502, 506, 601, 603, 604, 606, 610, 615, 912, 922), ExitCode.NOT_FOUND
    ),
}


def exit_code_of_refusal(code: int) -> ExitCode:
    """The exit code of a code by which the chain refuses."""
    return REFUSALS.get(int(code), ExitCode.REFUSED)
