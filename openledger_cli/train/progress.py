"""A run's progress for people, on standard error, and in the file of `--events`: both say the same."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from openledger.errors import OpenLedgerError
from openledger.exit_codes import ExitCode
from openledger_cli.pulse import name_stage
from openledger_cli.text import note
from trainer.watch import StepFacts, Watch

if TYPE_CHECKING:
    from openledger_cli.train.events import EventFile
    from trainer.evaluate import HeldOutLoss

_LOG_SECONDS = 10.0
_BAR = 24
_MINUTE, _HOUR = 60, 3600
_STAGE_WORDS = {
    "load": "loading the base",
    "measure": "measuring",
    "index": "building indexes",
}


class RunWatch(Watch):
    """Shows a run: one line that is rewritten on a terminal, a line every ten seconds elsewhere; and its events."""

    def __init__(self, events: EventFile | None = None) -> None:
        self._events = events
        self._began = self._told = 0.0
        self._first_step = 0
        self._tokens = 0
        self.saved_step = 0
        self.records = False

    def stage(self, name: str, words: str = "") -> None:
        """See base."""
        self.records = name == "record"
        self.write("stage", {"stage": name, "words": words})
        shown = f"{_STAGE_WORDS.get(name, name)}{': ' if words else ''}{words}"
        name_stage(shown)
        if name in _STAGE_WORDS:
            note(shown)

    def step(self, facts: StepFacts) -> None:
        """See base."""
        now = time.monotonic()
        if not self._first_step:
            self._first_step, self._began, self._tokens = facts.step, now, 0
        else:
            self._tokens += facts.tokens
        done = facts.step - self._first_step
        seconds_each = (now - self._began) / done if done else 0.0
        left = seconds_each * (facts.steps - facts.step)
        self.write(
            "step",
            {
                "step": facts.step,
                "steps": facts.steps,
                "loss": round(facts.loss_nats, 6),
                "learning_rate": facts.learning_rate,
                "tokens": facts.tokens,
                "seconds_left": round(left, 1),
            },
        )
        self._show(facts, now, left)

    def _show(self, facts: StepFacts, now: float, left: float) -> None:
        ends = facts.step == facts.steps
        terminal = sys.stderr.isatty()
        if not (terminal or ends or facts.step == self._first_step or now - self._told >= _LOG_SECONDS):
            return
        self._told = now
        filled = _BAR * facts.step // facts.steps
        parts = [
            f"step {facts.step:>{len(str(facts.steps))}}/{facts.steps} [{'#' * filled}{'.' * (_BAR - filled)}]",
            f"loss {facts.loss_nats:.4f}, rate {facts.learning_rate:.3g}",
        ]
        if self._tokens and now > self._began:
            parts.append(f"{self._tokens / (now - self._began):,.0f} tokens/s")
        if left and not ends:
            parts.append(f"{show_seconds(left)} left")
        text = ", ".join([" ".join(parts[:2]), *parts[2:]])
        if terminal:
            print(f"\r{text:<78}", end="\n" if ends else "", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def saved(self, step: int) -> None:
        """See base."""
        self.saved_step = step

    def evaluation(self, when: str, found: HeldOutLoss) -> None:
        """See base."""
        overall = found.overall
        values = {"when": when, "loss": overall.loss_micronats / 10**6, "interval": overall.interval_micronats / 10**6}
        self.write("evaluation", {**values, "rows": overall.sample_size})

    def write(self, event: str, values: dict[str, Any]) -> None:
        """Write an event into the file, where there is one."""
        if self._events:
            self._events.write(event, values)


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM), as by a scheduler."""


@contextmanager
def reporting(watch: RunWatch, resume: list[str]) -> Iterator[None]:
    """Write what a run ends with: `failed` for errors, `stopped` for SIGINT and SIGTERM, with how to go on."""

    def terminate(*_: object) -> None:
        raise Terminated

    # Only the main thread may ask for signals.
    main = threading.current_thread() is threading.main_thread()
    previous = signal.signal(signal.SIGTERM, terminate) if main else None
    try:
        yield
    except KeyboardInterrupt as stop:
        command = shlex.join(resume)
        where = f"goes on from step {watch.saved_step}" if watch.saved_step else "starts again"
        before = "nothing was recorded"
        if watch.records:
            before, where = "whether the run was recorded is open", "finds out, and trains nothing again"
        name = "SIGTERM" if isinstance(stop, Terminated) else "SIGINT"
        watch.write("stopped", {"signal": name, "saved_step": watch.saved_step, "resume": command})
        note(f"\n{before}; the same command {where}: {command}")
        raise
    except Exception as error:
        code = int(error.exit_code) if isinstance(error, OpenLedgerError) else int(ExitCode.FAILURE)
        watch.write("failed", {"error": " ".join(str(error).split()) or type(error).__name__, "exit_code": code})
        raise
    finally:
        if main:
            signal.signal(signal.SIGTERM, previous)


def show_seconds(seconds: float) -> str:
    """A time in its two largest units."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
