"""Report of a run of the demo: parts with their times, checks, and the summary at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

from openledger.errors import OpenLedgerError

_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Check:
    """Something that the demo claims, and whether it turned out to be so."""

    part: str
    claim: str
    held: bool


@dataclass(slots=True)
class Report:
    """Collects and prints; a run is good only if every check held and every part came to its end."""

    parts_expected: int
    stream: IO[str] = field(default_factory=lambda: sys.stdout)
    checks: list[Check] = field(default_factory=list)
    # Title and seconds of every part that has ended.
    parts: list[tuple[str, float]] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    stopped_by: str = ""
    _part: str = ""

    @contextmanager
    def part(self, title: str) -> Iterator[None]:
        """One part of the story. An error that users can be shown ends it as a check that failed."""
        started = time.monotonic()
        self._part = title
        self.say(f"\n== {len(self.parts) + 1}/{self.parts_expected}  {title}")
        try:
            yield
        except BaseException as error:
            self.stopped_by = f"{title}: {' '.join(str(error).split()) or type(error).__name__}"
            raise
        finally:
            self.parts.append((title, time.monotonic() - started))
            self._part = ""

    def say(self, text: str) -> None:
        """A line for people."""
        print(text, file=self.stream, flush=True)

    def check(self, claim: str, held: bool, otherwise: str = "") -> None:
        """Record whether a claim holds; `otherwise` says what was found instead."""
        self.checks.append(Check(self._part, claim, held))
        self.say(f"  ok      {claim}" if held else f"  FAILED  {claim}" + (f": {otherwise}" if otherwise else ""))

    @contextmanager
    def refused(self, claim: str, kind: type[OpenLedgerError], *, named: tuple[str, ...] = ()) -> Iterator[None]:
        """The body must raise `kind`, with every text of `named` in its message; anything else fails the check."""
        try:
            yield
        except kind as error:
            text = " ".join(str(error).split())
            missing = [name for name in named if name not in text]
            self.check(claim, not missing, f"the message does not name {', '.join(missing)}")
            self.quote(text)
        else:
            self.check(claim, False, "it was accepted")

    def fact(self, name: str, value: str) -> None:
        """Something for the summary."""
        self.facts.append((name, value))

    def quote(self, text: str) -> None:
        """Somebody's words, indented and folded."""
        words, line = text.split(), ""
        for word in words:
            if line and len(line) + len(word) + 1 > _WIDTH - 12:
                self.say(f"          | {line}")
                line = ""
            line = f"{line} {word}".strip()
        self.say(f"          | {line}")

    @property
    def good(self) -> bool:
        """Whether the whole story was told and every check in it held."""
        complete = len(self.parts) == self.parts_expected and not self.stopped_by
        return complete and bool(self.checks) and all(check.held for check in self.checks)

    def summary(self) -> None:
        """Times, facts and the outcome."""
        self.say(f"\n{'=' * _WIDTH}\nSummary")
        for title, seconds in self.parts:
            failed = [check for check in self.checks if check.part == title and not check.held]
            held = sum(1 for check in self.checks if check.part == title and check.held)
            checks = f"{held} checks held" + (f", {len(failed)} FAILED" if failed else "")
            self.say(f"  {seconds:6.1f} s  {title:<62} {checks}")
        total = sum(seconds for _, seconds in self.parts)
        self.say(f"  {total:6.1f} s  in all")
        width = max([len(name) for name, _ in self.facts], default=0)
        for name, value in self.facts:
            self.say(f"  {name.ljust(width)}  {value}")
        for check in self.checks:
            if not check.held:
                self.say(f"  FAILED  {check.claim}")
        if self.stopped_by:
            self.say(f"  STOPPED in {self.stopped_by}")
        if self.good:
            self.say(f"\nAll {len(self.checks)} checks held.")
        else:
            self.say("\nThe demo FAILED: see above.")
