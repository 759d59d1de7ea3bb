"""Asking all providers about one height and judging what they say."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from openledger.client.rpc_calls import RpcRejected
from openledger.errors import OpenLedgerError
from openledger.light.blocks import Commit, Header, LightBlock
from openledger.light.errors import Divergence, NoWitness
from openledger.light.path import BlockFetcher, Exchange, NotThereYet, Pause, Steps, Together, bisect, commit_call
from openledger.light.results import AGREES, BEHIND, FAULTY, UNREACHABLE, Settings, WitnessReport

# A witness may lag, and a header be a block time away.
_ATTEMPTS = 10
_PAUSE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Offer:
    """What one provider showed for a height: the block or why not, and its newest block."""

    block: LightBlock | None
    failure: OpenLedgerError | None
    newest: LightBlock | None

    @property
    def is_behind(self) -> bool:
        """Whether the provider does not have the height (yet)."""
        return isinstance(self.failure, NotThereYet)


class Witnesses:
    """The providers of a session; 0 is the primary, the others are witnesses."""

    def __init__(
        self, providers: Sequence[str], fetcher: BlockFetcher, settings: Settings, clock: Callable[[], int]
    ) -> None:
        self._providers = tuple(providers)
        self._fetcher = fetcher
        self._settings = settings
        self._clock = clock

    def offers(self, height: int) -> Steps[list[Offer]]:
        """Everybody's block at `height` and newest block, asked at once; waits for who is a little behind."""
        offers: list[Offer | None] = [None] * len(self._providers)
        for attempt in range(_ATTEMPTS):
            waiting = [index for index, offer in enumerate(offers) if offer is None or offer.is_behind]
            calls = (commit_call(height), commit_call())
            answers = yield Together(tuple([Exchange(index, calls) for index in waiting]))
            for index, answer in zip(waiting, answers, strict=True):
                offers[index] = yield from self._offer(index, height, answer)
            complete = [offer for offer in offers if offer is not None]
            if not complete[0].is_behind and not self._must_wait(complete):
                break
            if attempt < _ATTEMPTS - 1:
                yield Pause(_PAUSE_SECONDS)
        return [offer for offer in offers if offer is not None]

    def _must_wait(self, offers: Sequence[Offer]) -> bool:
        """Waiting helps when witnesses are behind and none has shown the block yet."""
        witnesses = offers[1:]
        return any(each.is_behind for each in witnesses) and not any(each.block for each in witnesses)

    def _offer(self, provider: int, height: int, answer: "list[Any] | OpenLedgerError") -> Steps[Offer]:
        if isinstance(answer, OpenLedgerError):
            return Offer(None, answer, None)
        block: LightBlock | None = None
        newest: LightBlock | None = None
        failure: OpenLedgerError | None = None
        try:
            block = yield from self._fetcher.complete(provider, height, answer[0])
        except OpenLedgerError as error:
            failure = error
        try:
            newest = yield from self._fetcher.complete(provider, None, answer[1])
        except OpenLedgerError as error:
            failure = failure or (None if block else error)
        return Offer(block, failure, newest)

    def confirm(
        self, base: LightBlock | None, path: tuple[LightBlock, ...], offers: Sequence[Offer]
    ) -> Steps[tuple[WitnessReport, ...]]:
        """Compare the target with every witness's block; raises `Divergence` or `NoWitness`.

        `base` is a trusted block below the target, from which another history is judged.
        """
        target = path[-1]
        reports: list[WitnessReport] = []
        for index, offer in enumerate(offers[1:], start=1):
            name = self._providers[index]
            if offer.block is None:
                verdict = BEHIND if offer.is_behind else UNREACHABLE
                reports.append(WitnessReport(name, verdict, str(offer.failure)))
            elif offer.block.hash == target.hash:
                reports.append(WitnessReport(name, AGREES))
            else:
                reports.append((yield from self._examine(index, base, path, offer.block)))
        return self._require_witness(reports)

    def _examine(
        self, index: int, base: LightBlock | None, path: tuple[LightBlock, ...], other: LightBlock
    ) -> Steps[WitnessReport]:
        """A witness shows another block: attack if it can be verified too, else the witness is faulty."""
        name = self._providers[index]
        if base is None:
            return WitnessReport(name, FAULTY, "it shows another block than the one to start trusting from")
        try:
            theirs = yield from bisect(self._fetcher, index, base, other, self._settings.rules, self._clock())
        except OpenLedgerError as error:
            return WitnessReport(name, FAULTY, str(error))
        raise Divergence(
            f"{self._providers[0]} and {name} show different, validly signed blocks of height {other.height}: "
            "at least a third of the validators signed twice; trust neither and tell the operators",
            path,
            theirs,
            name,
        )

    def confirm_hash(self, header: Header) -> Steps[tuple[WitnessReport, ...]]:
        """Ask witnesses about a header that a hash chain already proves."""
        reports: list[WitnessReport] = []
        exchanges = [Exchange(index, (commit_call(header.height),)) for index in range(1, len(self._providers))]
        answers = yield Together(tuple(exchanges))
        for name, answer in zip(self._providers[1:], answers, strict=True):
            if isinstance(answer, OpenLedgerError) or isinstance(answer[0], RpcRejected):
                failure = answer if isinstance(answer, OpenLedgerError) else answer[0]
                reports.append(WitnessReport(name, UNREACHABLE, str(failure)))
            else:
                shown: tuple[Header, Commit] = answer[0]
                reports.append(WitnessReport(name, AGREES if shown[0].hash == header.hash else FAULTY))
        return self._require_witness(reports)

    def _require_witness(self, reports: list[WitnessReport]) -> tuple[WitnessReport, ...]:
        if not self._settings.without_witness and AGREES not in [report.verdict for report in reports]:
            said = "; ".join(f"{each.name} is {each.verdict}: {each.detail}" for each in reports)
            raise NoWitness(
                f"no second node confirms the header ({said or 'none was named'}): name one with --witness, "
                "or do without with --no-witness"
            )
        return tuple(reports)

    def latest(self, target: LightBlock, known: int, offers: Sequence[Offer]) -> Steps[int]:
        """Highest height that primary or witnesses can prove."""
        latest = max(target.height, known)
        for index, offer in enumerate(offers):
            newest = offer.newest
            if newest is None or newest.height <= latest:
                continue
            try:
                yield from bisect(self._fetcher, index, target, newest, self._settings.rules, self._clock())
            except OpenLedgerError:
                # Unproven claims about newer heights count for nothing.
                continue
            latest = newest.height
        return latest
