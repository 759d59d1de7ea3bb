"""From a trusted block to another height, as generators: they yield what they need to know and get it sent in.

So the same logic serves a blocking client, an asyncio client and tests. A failed exchange is thrown into the
generator as its `OpenLedgerError`.
"""

from collections.abc import Generator
from typing import Any, NoReturn, TypeVar, cast

from openledger.client.rpc_calls import MAX_BATCH_CALLS, VALIDATORS_PER_PAGE, Call, RpcRejected
from openledger.client.steps import Batch, Pause, Together
from openledger.light.blocks import Commit, Header, LightBlock, Validator, ValidatorSet
from openledger.light.errors import MalformedAnswer, NotEnoughTrust, ProviderFailed
from openledger.light.parse import (
    MAX_VALIDATORS,
    ValidatorsPage,
    parse_commit_answer,
    parse_header_answer,
    parse_validators_answer,
)
from openledger.light.verifier import TrustRules, verify_backward, verify_forward

T = TypeVar("T")
# Bisection halves the gap; every validator set change costs a few blocks. Bounds what a hostile node can make us fetch.
MAX_FETCHED_BLOCKS = 1_000
# Three hours of blocks a second apart; each header is about 1 kB of JSON.
MAX_BACKWARD_HEADERS = 10_000
# Where bisection looks next, as a part of the gap (CometBFT's choice).
_PIVOT_NUMERATOR, _PIVOT_DENOMINATOR = 9, 16
# Verified by their hash, so they may be kept; bounded because each may be large.
_MAX_KNOWN_SETS = 64


Ask = Batch | Together | Pause
Steps = Generator[Ask, Any, T]


class NotThereYet(ProviderFailed):
    """The node does not have this height yet."""


def commit_call(height: int | None = None) -> Call[tuple[Header, Commit]]:
    """Header and commit of a height; the newest without one."""
    return Call("commit", {} if height is None else {"height": str(height)}, parse_commit_answer)


def header_call(height: int) -> Call[Header]:
    """Header of a height."""
    return Call("header", {"height": str(height)}, parse_header_answer)


def validators_call(height: int, page: int) -> Call[ValidatorsPage]:
    """One page of a height's validators."""
    params = {"height": str(height), "page": str(page), "per_page": str(VALIDATORS_PER_PAGE)}
    return Call("validators", params, parse_validators_answer)


class BlockFetcher:
    """Fetches light blocks; a validator set that was seen before is not fetched again."""

    def __init__(self) -> None:
        self._known_sets: dict[bytes, ValidatorSet] = {}

    def remember(self, validators: ValidatorSet) -> None:
        """Keep a set under its own hash."""
        if len(self._known_sets) >= _MAX_KNOWN_SETS:
            del self._known_sets[next(iter(self._known_sets))]
        self._known_sets[validators.hash] = validators

    def fetch(self, provider: int, height: int | None) -> Steps[LightBlock]:
        """The provider's light block; nothing about it is verified but its height."""
        (answer,) = yield Batch(provider=provider, calls=(commit_call(height),))
        return (yield from self.complete(provider, height, answer))

    def complete(self, provider: int, height: int | None, answer: object) -> Steps[LightBlock]:
        """Add the validators to an answer to `commit_call(height)`."""
        if isinstance(answer, RpcRejected):
            raise_rejection(answer)
        header, commit = cast("tuple[Header, Commit]", answer)
        if height is not None and header.height != height:
            raise MalformedAnswer(f"asked for height {height}, the node answered with {header.height}")
        validators = self._known_sets.get(header.validators_hash)
        if validators is None:
            validators = yield from _fetch_validators(provider, header.height)
            self.remember(validators)
        return LightBlock(header, commit, validators)


def raise_rejection(rejection: RpcRejected) -> NoReturn:
    """Turn a node's refusal of a height into ours."""
    text = f"{rejection.message} {rejection.data}"
    if "must be less than or equal to the current blockchain height" in text:
        raise NotThereYet(f"the node does not have that height yet: {rejection}") from rejection
    raise ProviderFailed(f"the node refused: {rejection}") from rejection


def _fetch_validators(provider: int, height: int) -> Steps[ValidatorSet]:
    validators: list[Validator] = []
    total = 1
    page = 0
    while len(validators) < total:
        page += 1
        (answer,) = yield Batch(provider=provider, calls=(validators_call(height, page),))
        if isinstance(answer, RpcRejected):
            raise_rejection(answer)
        if answer.height != height or not answer.validators or page > MAX_VALIDATORS // VALIDATORS_PER_PAGE + 1:
            raise MalformedAnswer(f"the node's list of validators of height {height} is incomplete")
        total = answer.total
        validators += answer.validators
    return ValidatorSet(tuple(validators))


def bisect(
    fetcher: BlockFetcher, provider: int, trusted: LightBlock, target: LightBlock, rules: TrustRules, now_ns: int
) -> Steps[tuple[LightBlock, ...]]:
    """Verify `target` from `trusted`, with blocks in between where needed; the path includes both ends."""
    path = [trusted]
    pending = [target]
    fetched = 0
    while pending:
        base, candidate = path[-1], pending[-1]
        try:
            verify_forward(base, candidate, rules, now_ns)
        except NotEnoughTrust:
            fetched += 1
            if fetched > MAX_FETCHED_BLOCKS:
                raise
            pivot = base.height + (candidate.height - base.height) * _PIVOT_NUMERATOR // _PIVOT_DENOMINATOR
            pending.append((yield from fetcher.fetch(provider, pivot)))
        else:
            path.append(pending.pop())
    return tuple(path)


def walk_back(provider: int, trusted: Header, height: int) -> Steps[tuple[Header, ...]]:
    """Headers from `trusted` down to `height` along last_block_id, both included."""
    if trusted.height - height > MAX_BACKWARD_HEADERS:
        raise ProviderFailed(
            f"height {height} lies {trusted.height - height} below the trusted block, at most {MAX_BACKWARD_HEADERS} "
            f"headers are walked back: pass a HEIGHT:HASH closer to it with --trust"
        )
    headers = [trusted]
    while headers[-1].height > height:
        top = headers[-1].height
        wanted = range(top - 1, max(height, top - MAX_BATCH_CALLS) - 1, -1)
        answers = yield Batch(provider=provider, calls=tuple([header_call(each) for each in wanted]))
        for answer in answers:
            if isinstance(answer, RpcRejected):
                raise_rejection(answer)
            verify_backward(headers[-1], answer)
            headers.append(answer)
    return tuple(headers)
