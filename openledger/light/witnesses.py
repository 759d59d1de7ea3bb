"""Asking all providers about one height and about how far the chain is, and judging what they say."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from openledger.client.rpc_calls import RpcRejected, status
from openledger.client.steps import Batch, Pause, Together
from openledger.errors import NotVerified, OpenLedgerError
from openledger.light.addresses import same_address
from openledger.light.blocks import Commit, Header, LightBlock
from openledger.light.errors import Divergence, FromTheFuture, NotEnoughTrust, NoWitness, TrustExpired
from openledger.light.path import BlockFetcher, NotThereYet, Steps, bisect, commit_call
from openledger.light.results import AGREES, BEHIND, FAULTY, SAME, UNREACHABLE, LightSettings, WitnessReport

# A witness may lag, and a header be a block time away.
_ATTEMPTS = 10
_PAUSE_SECONDS = 0.5
_OTHER_BLOCK = "it shows another block of that height"


@dataclass(frozen=True, slots=True)
class Offer:
    """The answer of one provider for a height: the block or the reason why not, and the provider's newest block."""

    block: LightBlock | None
    failure: OpenLedgerError | None
    newest: LightBlock | None

    @property
    def is_behind(self) -> bool:
        """Whether the provider does not have the height (yet)."""
        return isinstance(self.failure, NotThereYet)


@dataclass(frozen=True, slots=True)
class Newest:
    """How far the chain is: the highest height that is proven, and what stands in the way of knowing more.

    `vouching`: witnesses whose newest block is proven and not above that height. `unknown`: one line for each provider
    that speaks of newer blocks which can be neither proven nor refuted.
    """

    height: int
    vouching: tuple[str, ...]
    unknown: tuple[str, ...]


class Witnesses:
    """The providers of a session; 0 is the primary, the others are witnesses."""

    def __init__(
        self, providers: Sequence[str], fetcher: BlockFetcher, settings: LightSettings, clock: Callable[[], int]
    ) -> None:
        self._providers = tuple(providers)
        self._fetcher = fetcher
        self._settings = settings
        self._clock = clock
        self._ids: list[str] | None = None

    def identify(self) -> Steps[None]:
        """Ask everybody for its node id, once: a witness with another's id is the same node at another address."""
        if self._ids is not None:
            return
        exchanges = [Batch(provider=index, calls=(status(),)) for index in range(len(self._providers))]
        answers = yield Together(tuple(exchanges))
        self._ids = [
            "" if isinstance(answer, OpenLedgerError) or isinstance(answer[0], RpcRejected) else answer[0].node_info.id
            for answer in answers
        ]

    def _why_no_witness(self, index: int) -> str:
        """Why the provider at `index` cannot confirm anything; empty for a witness."""
        ids = self._ids or [""] * len(self._providers)
        if not ids[index]:
            return "it does not say which node it is"
        for other in range(index):
            who = f"{'the node asked' if other == 0 else 'the witness'} {self._providers[other]}"
            if same_address(self._providers[index], self._providers[other]):
                return f"it is {who} in another spelling" if other == 0 else f"it is {who} named twice"
            if ids[index].lower() == ids[other].lower():
                return f"it is {who} under another address (node {ids[index][:40]})"
        return ""

    def offers(self, height: int) -> Steps[list[Offer]]:
        """Everybody's block at `height` and newest block, asked at once; waits for who is a little behind."""
        yield from self.identify()
        offers: list[Offer | None] = [None] * len(self._providers)
        for attempt in range(_ATTEMPTS):
            waiting = [index for index, offer in enumerate(offers) if offer is None or offer.is_behind]
            calls = (commit_call(height), commit_call())
            answers = yield Together(tuple([Batch(provider=index, calls=calls) for index in waiting]))
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
                reports.append(self._agreement(index))
            else:
                reports.append((yield from self._examine(index, base, path, offer.block)))
        return self._require_witness(reports)

    def _agreement(self, index: int) -> WitnessReport:
        """The report on a provider that shows the same header: a witness only where it is another node."""
        why = self._why_no_witness(index)
        return WitnessReport(self._providers[index], SAME if why else AGREES, why)

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

    def confirm_below(self, header: Header, offers: Sequence[Offer]) -> tuple[WitnessReport, ...]:
        """Compare a header that a hash chain already proves with every witness's block."""
        reports: list[WitnessReport] = []
        for index, offer in enumerate(offers[1:], start=1):
            name = self._providers[index]
            if offer.block is None:
                reports.append(WitnessReport(name, BEHIND if offer.is_behind else UNREACHABLE, str(offer.failure)))
            elif offer.block.hash == header.hash:
                reports.append(self._agreement(index))
            else:
                reports.append(WitnessReport(name, FAULTY, _OTHER_BLOCK))
        return self._require_witness(reports)

    def confirm_hash(self, header: Header) -> Steps[tuple[WitnessReport, ...]]:
        """Ask witnesses about a header that a hash chain already proves."""
        yield from self.identify()
        reports: list[WitnessReport] = []
        exchanges = [
            Batch(provider=index, calls=(commit_call(header.height),)) for index in range(1, len(self._providers))
        ]
        answers = yield Together(tuple(exchanges))
        for index, answer in enumerate(answers, start=1):
            name = self._providers[index]
            if isinstance(answer, OpenLedgerError) or isinstance(answer[0], RpcRejected):
                failure = answer if isinstance(answer, OpenLedgerError) else answer[0]
                reports.append(WitnessReport(name, UNREACHABLE, str(failure)))
                continue
            shown: tuple[Header, Commit] = answer[0]
            agrees = shown[0].hash == header.hash
            reports.append(self._agreement(index) if agrees else WitnessReport(name, FAULTY, _OTHER_BLOCK))
        return self._require_witness(reports)

    def _require_witness(self, reports: list[WitnessReport]) -> tuple[WitnessReport, ...]:
        if not self._settings.without_witness and AGREES not in [report.verdict for report in reports]:
            said = "; ".join(f"{each.name} is {each.verdict}: {each.detail}" for each in reports)
            raise NoWitness(
                f"no second node confirms the header ({said or 'none was named'}): name one with --witness, "
                "or do without with --no-witness"
            )
        return tuple(reports)

    def newest(self, trusted: LightBlock, reports: Sequence[WitnessReport], offers: Sequence[Offer]) -> Steps[Newest]:
        """How far primary and witnesses can prove the chain to be from `trusted`, which must not have expired."""
        height = trusted.height
        vouching: list[str] = []
        unknown: list[str] = []
        agrees = [True, *[report.verdict == AGREES for report in reports]]
        for index, offer in enumerate(offers):
            newest, name = offer.newest, self._providers[index]
            if newest is None:
                continue
            try:
                if newest.height > trusted.height:
                    yield from bisect(self._fetcher, index, trusted, newest, self._settings.rules, self._clock())
            except OpenLedgerError as error:
                if not _refutes(error):
                    unknown.append(f"{name} speaks of height {newest.height}, which cannot be proven: {error}")
                # Else it shows what no validators signed: its claim counts for nothing, and nor does it.
                continue
            height = max(height, newest.height)
            if index and agrees[index]:
                vouching.append(name)
        return Newest(height, tuple(vouching), tuple(unknown))


def _refutes(error: OpenLedgerError) -> bool:
    """Whether a block that failed like this is false, rather than one that this client cannot judge."""
    return isinstance(error, NotVerified) and not isinstance(error, NotEnoughTrust | FromTheFuture | TrustExpired)
