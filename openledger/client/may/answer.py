"""The answer to "may we?", with everything that it rests on, and the same in one line for people."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from abci_app.modules.models.kinds import EntryKind, Undeclared
from openledger.amounts import show_share
from openledger.client.may.sources import TermsSource, joined_names
from openledger.exit_codes import ExitCode

# Reasons, and people to credit, that fit into one line; the details list all of them.
_SHOWN_IN_LINE = 3
Naming = Callable[[bytes], str]


class ModelUse(IntEnum):
    """A use that somebody wants to make of a model that exists."""

    # Pass it on for money.
    SELL = 1
    # Offer or run it for money or at work, and keep its files.
    SERVE = 2
    # Pass it on for nothing.
    SHARE = 3
    # Use it for research alone.
    RESEARCH = 4
    # Train or merge it further.
    BUILD = 5
    # Train another model on what it says.
    DISTIL = 6


class MayAnswer(IntEnum):
    """Three answers; there is no fourth for "nobody looked"."""

    YES = 1
    ASK = 2
    NO = 3


@dataclass(frozen=True, slots=True)
class MayReason:
    """Why not, or what must be asked first: the sources that it rests on (two where they clash), and the reason."""

    text: str
    sources: tuple[TermsSource, ...]
    # Whom to ask: contributors and recorders, as addresses.
    people: tuple[bytes, ...] = ()

    def in_words(self, name_of: Naming) -> str:
        """`garden@1 from dana (CC-BY-NC-4.0): for non-commercial use only`."""
        where = " against ".join([source.in_words(name_of) for source in self.sources])
        if where:
            return f"{where}: {self.text}"
        return f"{self.text} (from {joined_names(self.people, name_of)})" if self.people else self.text


@dataclass(frozen=True, slots=True)
class SourceCredit:
    """Who has to be named, and under which terms: a contributor (address), or a model from outside (by name)."""

    address: bytes
    model: str
    terms: str

    def in_words(self, name_of: Naming) -> str:
        """`dana (CC-BY-4.0)`."""
        return f"{self.model or name_of(self.address)} ({self.terms})"


@dataclass(frozen=True, slots=True)
class RevenueClaim:
    """Terms that claim a share of what the model earns, and the people under them."""

    terms: str
    share_ppb: int
    people: tuple[bytes, ...]

    def in_words(self, name_of: Naming) -> str:
        """`5% to dana and erik (garden terms)`."""
        return f"{show_share(self.share_ppb)} to {joined_names(self.people, name_of) or 'its owners'} ({self.terms})"


@dataclass(frozen=True, slots=True)
class UnknownBelow:
    """An entry of which something is not on this chain: what it is called, and what is missing."""

    entry_id: bytes
    name: str
    kind: EntryKind
    undeclared: Undeclared
    text: str


@dataclass(frozen=True, slots=True)
class May:
    """An answer for one use of one model, at one time."""

    use: ModelUse
    answer: MayAnswer
    entry_id: bytes
    at_seconds: int
    # Why not (NO), or what to ask (ASK); empty for YES.
    because: tuple[MayReason, ...]
    credits: tuple[SourceCredit, ...]
    # What goes with it: notices, licences to pass on under, lists of uses, limits.
    conditions: tuple[str, ...]
    owed: tuple[RevenueClaim, ...]
    unknown: tuple[UnknownBelow, ...]
    # What is worth knowing and decides nothing.
    remarks: tuple[str, ...]
    sources: tuple[TermsSource, ...]

    @property
    def exit_code(self) -> ExitCode:
        """The command's exit code: a no and a question have codes of their own."""
        return {MayAnswer.YES: ExitCode.OK, MayAnswer.ASK: ExitCode.ASK_FIRST, MayAnswer.NO: ExitCode.MAY_NOT}[
            self.answer
        ]

    @property
    def is_whole(self) -> bool:
        """Whether everything that the model was made from is known here, so that the answer speaks of all of it."""
        return not self.unknown

    def in_words(self, name_of: Naming) -> str:
        """The answer in one line: `Yes. Credit: dana (CC-BY-4.0). Unknown: below the imported base tiny@1.`"""
        if self.answer == MayAnswer.YES:
            parts = ["Yes." if self.is_whole else "Yes, as far as it is declared."]
            if self.credits:
                parts.append(f"Credit: {_few([each.in_words(name_of) for each in self.credits])}.")
            if self.owed:
                parts.append(f"Owed: {_few([each.in_words(name_of) for each in self.owed])}.")
        else:
            head = "No" if self.answer == MayAnswer.NO else "Ask"
            parts = [f"{head}: {_few([each.in_words(name_of) for each in self.because], '; ')}."]
        if self.unknown:
            parts.append(f"Unknown: {_few([each.text for each in self.unknown])}.")
        return " ".join(parts)


def _few(texts: list[str], between: str = ", ") -> str:
    """The first few, and how many more there are."""
    more = len(texts) - _SHOWN_IN_LINE
    return between.join(texts[:_SHOWN_IN_LINE]) + (f"{between}and {more} more" if more > 0 else "")
