"""One light client's trust: anchor, verified blocks, witnesses, freshness. Generators, so it opens nothing itself.

Rules: a header is accepted when it follows from the anchor by `verifier` rules and at least one witness shows the same
header (no witness only if the caller said so). Two signed histories are an attack: `Divergence`, with both attached.
An answer for "now" must not be older than the highest header that primary and witnesses can prove, less two; where
nobody can tell (all trust has expired, a claim can be neither proven nor refuted), that is unknown, and refused.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from openledger.client.rpc_calls import QueryAnswer, RpcRejected, abci_query
from openledger.client.steps import Batch
from openledger.light.anchors import HASH_ANCHOR_KIND, Anchor, FirstUseAnchor, GenesisAnchor, HashAnchor
from openledger.light.blocks import Header, LightBlock
from openledger.light.errors import (
    FreshnessUnknown,
    LightError,
    NoAnchor,
    QueryRejected,
    StaleAnswer,
    TrustExpired,
    VerificationFailed,
    WrongChain,
)
from openledger.light.path import BlockFetcher, Steps, bisect, walk_back
from openledger.light.query import Question, prove_answer
from openledger.light.results import Freshness, LightSettings, Trusted, Verified, VerifiedHeader
from openledger.light.verifier import (
    check_light_block,
    check_not_expired,
    check_own_power,
    verify_first,
)
from openledger.light.wire import NANOSECONDS_PER_SECOND
from openledger.light.witnesses import Newest, Offer, Witnesses

# An answer proves the state before the newest header, and a block or two may be made while we ask.
STALE_AFTER_HEIGHTS = 2
# The anchor and the newest blocks are kept: enough to go on from, and to start a path for a bundle.
MAX_TRUSTED_BLOCKS = 16
# A slow client sees a few blocks pass between its question and its look at the newest block.
_ATTEMPTS = 3


class Session:
    """The verified blocks of one chain, and the steps that add to them."""

    def __init__(
        self,
        anchor: Anchor | None,
        providers: Sequence[str],
        clock: Callable[[], int],
        settings: LightSettings | None = None,
        trusted: Trusted | None = None,
    ) -> None:
        """`providers` are names for reports, the primary first; `clock` gives nanoseconds since 1970."""
        self.settings = settings or LightSettings()
        self._anchor = anchor
        self._providers = tuple(providers)
        self._clock = clock
        self._fetcher = BlockFetcher()
        self._witnesses = Witnesses(self._providers, self._fetcher, self.settings, clock)
        self._anchored = False
        self._origin = ""
        self._origin_id = ""
        self._blocks: dict[int, LightBlock] = {}
        if trusted is not None:
            self._origin, self._origin_id = trusted.anchor, trusted.anchor_id
            self._keep(trusted.blocks)

    @property
    def trusted(self) -> Trusted:
        """To be stored."""
        blocks = tuple([self._blocks[height] for height in sorted(self._blocks)])
        return Trusted(self._origin, blocks, self._origin_id)

    def header_at(self, height: int) -> Steps[VerifiedHeader]:
        """A verified header; 0 means the newest of the primary, refused where it is old or nobody can tell."""
        yield from self._ensure_anchored()
        if height:
            return (yield from self._header(height))
        newest = yield from self._fetcher.fetch(0, None)
        verified, newest_known = yield from self._newest_header(newest.height)
        self._check_fresh(newest.height, verified, newest_known)
        return verified

    def _header(self, height: int) -> Steps[VerifiedHeader]:
        """The header of a height that somebody chose: from a trusted block below, or by hashes from one above."""
        base = self._base_below(height)
        if base is None:
            return (yield from self._header_below(height))
        offers = yield from self._witnesses.offers(height)
        target = self._offered(offers)
        path = yield from self._path(base, target)
        witnesses = yield from self._witnesses.confirm(self._strictly_below(height), path, offers)
        self._keep(path)
        return VerifiedHeader(
            header=target.header,
            blocks=path,
            headers=(),
            anchor=self._origin,
            latest_height=max(self._blocks),
            freshness=Freshness.CHOSEN,
            witnesses=witnesses,
        )

    def _newest_header(self, height: int) -> Steps[tuple[VerifiedHeader, Newest]]:
        """The header of a height that the primary says is the newest, and how far everybody can prove the chain to be.

        Newer blocks can be proven only from a block that has not expired: without one nothing tells new from old.
        """
        if all(self._is_expired(each.header) for each in self._blocks.values()) and not self.settings.allow_stale:
            check_not_expired(self._blocks[max(self._blocks)].header, self.settings.rules, self._clock())
        offers = yield from self._witnesses.offers(height)
        base = self._base_below(height)
        if base is None:
            target = self._offered(offers).header
            top = self._nearest_above(height)
            headers = yield from walk_back(0, top.header, height)
            if headers[-1].hash != target.hash:
                raise VerificationFailed(f"{self._providers[0]} shows two blocks of height {height}")
            blocks: tuple[LightBlock, ...] = (top,)
            witnesses = self._witnesses.confirm_below(target, offers)
        else:
            block, headers = self._offered(offers), ()
            target = block.header
            blocks = yield from self._path(base, block)
            witnesses = yield from self._witnesses.confirm(self._strictly_below(height), blocks, offers)
            self._keep(blocks)
        found = yield from self._witnesses.newest(self._blocks[max(self._blocks)], witnesses, offers)
        freshness = self._freshness(height - 1, found)
        return VerifiedHeader(
            header=target,
            blocks=blocks,
            headers=headers,
            anchor=self._origin,
            latest_height=found.height,
            freshness=freshness,
            witnesses=witnesses,
        ), found

    def _offered(self, offers: Sequence[Offer]) -> LightBlock:
        if offers[0].block is None:
            raise offers[0].failure or LightError("the primary has no answer")
        return offers[0].block

    def _freshness(self, height: int, found: Newest) -> Freshness:
        """Judge how new the state after block `height` is; the header of that state is one higher."""
        if height < found.height - STALE_AFTER_HEIGHTS:
            return Freshness.STALE
        if all(self._is_expired(each.header) for each in self._blocks.values()) or found.unknown:
            return Freshness.UNKNOWN
        if self.settings.without_witness:
            return Freshness.UNWITNESSED
        return Freshness.PROVEN if found.vouching else Freshness.UNKNOWN

    def _path(self, base: LightBlock, target: LightBlock) -> Steps[tuple[LightBlock, ...]]:
        if base.height == target.height:
            if base.hash != target.hash:
                raise VerificationFailed(
                    f"{self._providers[0]} shows another block of height {base.height} than the one verified earlier"
                )
            return (base,)
        return (yield from bisect(self._fetcher, 0, base, target, self.settings.rules, self._clock()))

    def ask(self, question: Question, height: int = 0) -> Steps[Verified[Any]]:
        """A verified answer, be it a result or a `Denial`; height 0 asks for the newest provable state."""
        yield from self._ensure_anchored()
        answer = yield from self._query(question, height)
        if height:
            verified = yield from self._header(answer.height + 1)
        else:
            answer, verified = yield from self._newest_answer(question, answer)
        header = verified.header
        age_seconds = max(0, (self._clock() - header.time_ns) // NANOSECONDS_PER_SECOND)
        self._check_age(age_seconds)
        proven = prove_answer(question, answer.value, header.app_hash, answer.height)
        return Verified(
            value=proven.value,
            height=answer.height,
            chain_id=header.chain_id,
            header=header,
            anchor=self._origin,
            path=verified.path,
            age_seconds=age_seconds,
            latest_height=verified.latest_height,
            freshness=verified.freshness,
            witnesses=verified.witnesses,
            question=proven.question,
            proof=answer.value,
            names=proven.names,
        )

    def _newest_answer(self, question: Question, answer: QueryAnswer) -> Steps[tuple[QueryAnswer, VerifiedHeader]]:
        """The answer under a header that is the newest; asked again where blocks were made meanwhile."""
        attempts = 0
        while True:
            attempts += 1
            verified, found = yield from self._newest_header(answer.height + 1)
            if attempts == _ATTEMPTS or verified.freshness in (Freshness.PROVEN, Freshness.UNWITNESSED):
                break
            answer = yield from self._query(question, 0)
        self._check_fresh(answer.height, verified, found)
        return answer, verified

    def full_path(self, height: int) -> Steps[tuple[tuple[LightBlock, ...], tuple[Header, ...]]]:
        """The way to a height from the oldest block that may still vouch for it: what a bundle carries.

        Blocks up and, when the height lies below what is trusted, headers down from the last of them.
        """
        yield from self._ensure_anchored()
        verified = yield from self._header(height)
        top = verified.blocks[-1]
        for trusted_height in sorted(self._blocks):
            base = self._blocks[trusted_height]
            if trusted_height < top.height and not self._is_expired(base.header):
                return (yield from self._path(base, top)), verified.headers
        return (top,), verified.headers

    def headers_down(self, top: int, height: int) -> Steps[tuple[Header, ...]]:
        """Headers from a verified `top` down to `height`: what a bundle needs for an anchor above its height."""
        if top < height:
            raise NoAnchor(f"an anchor above must be at height {height} or higher, {top} was given")
        verified = yield from self._header(top)
        return (yield from walk_back(0, verified.header, height))

    def _check_fresh(self, height: int, verified: VerifiedHeader, found: Newest) -> None:
        if self.settings.allow_stale:
            return
        if verified.freshness == Freshness.STALE:
            raise StaleAnswer(
                f"{self._providers[0]} answered for height {height}, but height {found.height} is verified: "
                "it lags or hides blocks; ask another node, or pass --allow-stale"
            )
        if verified.freshness == Freshness.UNKNOWN:
            why = "; ".join(found.unknown) or "no witness shows its newest block"
            raise FreshnessUnknown(
                f"whether height {height} is the newest cannot be told ({why}): ask again, name another witness with "
                "--witness, pass a newer HEIGHT:HASH with --trust, or --allow-stale to take an answer that may be old"
            )

    def _check_age(self, age_seconds: int) -> None:
        limit = self.settings.max_age_seconds
        if limit is not None and age_seconds > limit:
            raise StaleAnswer(f"the newest verified header is {age_seconds} s old, more than the allowed {limit} s")

    def _query(self, question: Question, height: int) -> Steps[QueryAnswer]:
        (answer,) = yield Batch(provider=0, calls=(abci_query(question.path, question.data, height, True),))
        if isinstance(answer, RpcRejected):
            raise answer
        if answer.code and not answer.value:
            raise QueryRejected(answer.code, answer.codespace, answer.log)
        # With a proof the code says nothing: running the query again does.
        if answer.height < 1 or (height and answer.height != height):
            raise VerificationFailed(f"asked for height {height}, the node answered for height {answer.height}")
        return answer  # type: ignore[no-any-return]

    # Anchors

    def _ensure_anchored(self) -> Steps[None]:
        """Make sure that some block is trusted, and that what is trusted agrees with the anchor."""
        if self._anchored:
            return
        if isinstance(self._anchor, HashAnchor):
            yield from self._start_from_hash(self._anchor)
        elif isinstance(self._anchor, GenesisAnchor):
            yield from self._start_from_genesis(self._anchor)
        elif isinstance(self._anchor, FirstUseAnchor):
            yield from self._start_from_first_use(self._anchor)
        elif not self._blocks:
            raise NoAnchor(
                "nothing to start trusting from: pass the genesis file (--genesis), HEIGHT:HASH from somebody you "
                "trust (--trust), or --trust-on-first-use"
            )
        self._anchored = True

    def _start_from_hash(self, anchor: HashAnchor) -> Steps[None]:
        known = self._blocks.get(anchor.height)
        if self._origin_id != anchor.id:
            # What was verified from elsewhere does not rest on this anchor.
            self._blocks = {} if known is None else {anchor.height: known}
        block = known or (yield from self._fetcher.fetch(0, anchor.height))
        if block.hash != anchor.hash:
            source = "the trust store has" if known else "the node gives"
            raise VerificationFailed(
                f"{source} {block.hash.hex().upper()} for height {anchor.height}, not the hash given: "
                "check the hash, or whether somebody is deceiving you"
            )
        if known is None:
            check_light_block(block, self._chain_id(block))
            check_own_power(block)
            self._keep((block,))
        self._origin, self._origin_id = str(anchor), anchor.id

    def _start_from_genesis(self, anchor: GenesisAnchor) -> Steps[None]:
        genesis = anchor.genesis
        if self.settings.chain_id not in ("", genesis.chain_id):
            raise WrongChain(f"the genesis file is of {genesis.chain_id!r}, expected {self.settings.chain_id!r}")
        if self._origin_id != anchor.id and not self._origin_id.startswith(HASH_ANCHOR_KIND):
            # First use of a node, or another document: not what the caller trusts now.
            self._blocks.clear()
        first = self._blocks.get(genesis.initial_height)
        if first is not None and first.header.validators_hash != genesis.validators.hash:
            raise VerificationFailed("the trust store is of another chain than the genesis file: use another folder")
        if self._blocks and not all(self._is_expired(each.header) for each in self._blocks.values()):
            return
        block = yield from self._fetcher.fetch(0, genesis.initial_height)
        verify_first(genesis, block, self.settings.rules, self._clock())
        self._keep((block,))
        self._origin, self._origin_id = str(anchor), anchor.id

    def _start_from_first_use(self, anchor: FirstUseAnchor) -> Steps[None]:
        if self._blocks:
            return
        block = yield from self._fetcher.fetch(0, None)
        check_light_block(block, self._chain_id(block))
        check_own_power(block)
        check_not_expired(block.header, self.settings.rules, self._clock())
        self._keep((block,))
        self._origin = f"{anchor} ({self._providers[0]} at height {block.height})"
        self._origin_id = anchor.id

    def _chain_id(self, block: LightBlock) -> str:
        return self.settings.chain_id or block.header.chain_id

    # Blocks

    def _keep(self, blocks: Iterable[LightBlock]) -> None:
        for block in blocks:
            self._blocks[block.height] = block
            self._fetcher.remember(block.validators)
        heights = sorted(self._blocks)
        for height in heights[1 : max(1, len(heights) - MAX_TRUSTED_BLOCKS + 1)]:
            del self._blocks[height]

    def _is_expired(self, header: Header) -> bool:
        try:
            check_not_expired(header, self.settings.rules, self._clock())
        except TrustExpired:
            return True
        return False

    def _base_below(self, height: int) -> LightBlock | None:
        """The nearest trusted block at or below that may vouch for `height`; None when only one above can."""
        below = [each for each in self._blocks if each <= height]
        above = [each for each in self._blocks if each > height]
        if below:
            base = self._blocks[max(below)]
            if base.height == height or not self._is_expired(base.header):
                return base
        if above:
            return None
        check_not_expired(self._blocks[max(below)].header, self.settings.rules, self._clock())
        raise NoAnchor("nothing is trusted")

    def _strictly_below(self, height: int) -> LightBlock | None:
        below = [each for each in self._blocks if each < height]
        return self._blocks[max(below)] if below else None

    def _nearest_above(self, height: int) -> LightBlock:
        return self._blocks[min(each for each in self._blocks if each > height)]

    def _header_below(self, height: int) -> Steps[VerifiedHeader]:
        """Walk back from the nearest trusted block above."""
        top = self._nearest_above(height)
        headers = yield from walk_back(0, top.header, height)
        target = headers[-1]
        witnesses = yield from self._witnesses.confirm_hash(target)
        latest = max(self._blocks)
        return VerifiedHeader(
            header=target,
            blocks=(top,),
            headers=headers,
            anchor=self._origin,
            latest_height=latest,
            freshness=Freshness.CHOSEN,
            witnesses=witnesses,
        )
