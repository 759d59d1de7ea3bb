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
    ExitCode.REFUSED: "the chain refused the transaction, or it failed in its block",
    ExitCode.NOT_FOUND: "what the query asks for does not exist (proven), or a file is not in the content store",
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
