"""Answers out of proof bundles: the same results as a client's, without any node or network.

    found = openledger.read_bundles("lineage.json", genesis="genesis.json")
    found.contributors, found.verified

Several files are the pages of one answer, in order. Trust comes from the caller, never from the bundle.
"""

import time
from pathlib import Path
from typing import Any

from openledger.client.provenance import Whole
from openledger.client.replay import IMPACT, LINEAGE, Page, is_first, replay
from openledger.client.results import Answer
from openledger.client.typed.make import make_account, make_clean, make_impact, make_lineage, make_verdict
from openledger.errors import Denied, UsageError
from openledger.light.anchors import Anchor, BlockAnchor, parse_genesis, parse_trust
from openledger.light.bundle import MAX_BUNDLE_BYTES, BundleVerdict, parse_bundle, verify_bundle
from openledger.light.errors import MalformedAnswer, NoAnchor
from openledger.light.parse import format_time
from openledger.light.query import Denial, QueryQuestion
from openledger.settings import load_settings


def read_bundles(*paths: str | Path, genesis: str | Path = "", trust: str = "") -> Any:
    """The verified result: `Lineage`, `Impact`, `Clean`, `MixVerdict`, `AccountFound`, or the query's own record.

    `genesis` is the chain's genesis document, `trust` HEIGHT:HASH of a header; without both, blocks that this home has
    verified before vouch for it. Raises `NoAnchor` where nothing does, `Denied` for a proven no, and `LightError`.
    """
    if not paths:
        raise UsageError("name the bundle: read_bundles('lineage.json', genesis='genesis.json')")
    data = [_read(Path(path)) for path in paths]
    verdicts = [_verified(each, genesis, trust) for each in data]
    first = verdicts[0]
    if isinstance(first.value, Denial):
        raise Denied(first.value.code, first.value.codespace, first.value.text, in_words(first), first)
    pages = [_page(verdict) for verdict in verdicts]
    query = pages[0].query
    if query in (LINEAGE, IMPACT):
        if not is_first(pages[0]):
            raise UsageError(f"{paths[0]} is a further page: give the first one before it, and all in order")
        return _whole(query, replay(pages), first)
    if len(verdicts) > 1:
        raise UsageError("these are several answers: read one at a time; only pages of one answer go together")
    return _single(query, pages[0], first)


def in_words(verdict: BundleVerdict) -> str:
    """How a bundle was verified."""
    header = f"header {verdict.header.height} of {format_time(verdict.header.time_ns)} signed by its validators"
    return (
        f"verified offline: state after block {verdict.height} of {verdict.chain_id}, {header}, trusted from "
        f"{verdict.anchor}; it was so then, {verdict.age_seconds} s ago"
    )


def _verified(data: bytes, genesis: str | Path, trust: str) -> BundleVerdict:
    verdict = verify_bundle(data, _anchor(data, genesis, trust), time.time_ns())
    if not verdict.anchored:
        raise NoAnchor(f"the bundle is consistent, and nothing that you trust vouches for it: {verdict.anchor}")
    return verdict


def _anchor(data: bytes, genesis: str | Path, trust: str) -> Any:
    from openledger.client.trust_store import FileTrustStore

    if genesis and trust:
        raise UsageError("genesis and trust: give one of them")
    anchor: Anchor
    if trust:
        anchor = parse_trust(trust)
        return anchor
    if genesis:
        try:
            anchor = parse_genesis(_read(Path(genesis)))
        except MalformedAnswer as error:
            raise UsageError(f"{genesis} is no genesis document: {error}") from None
        return anchor
    trusted = FileTrustStore(load_settings().home_folder / "light").load(parse_bundle(data).target.chain_id)
    return [BlockAnchor(block, trusted.anchor) for block in trusted.blocks] if trusted else None


def _page(verdict: BundleVerdict) -> Page:
    question = verdict.question
    if not isinstance(question, QueryQuestion) or isinstance(verdict.value, Denial):
        raise UsageError("this bundle holds raw state, no answer to a question: `openledger verify` shows it")
    return Page(
        query=(question.module, question.name), args=question.arguments(), height=verdict.height, value=verdict.value
    )


def _answer(page_value: Any, verdict: BundleVerdict) -> Answer[Any]:
    return Answer(
        value=page_value,
        height=verdict.height,
        verified=True,
        note=in_words(verdict),
        evidence=verdict,
        names=verdict.names,
    )


def _whole(query: tuple[str, str], whole: Whole[Any], first: BundleVerdict) -> Any:
    answers = tuple([_answer(answer.value, first) for answer in whole.answers])
    whole = Whole(whole.value, answers, whole.complete)
    return make_lineage(whole, {}) if query == LINEAGE else make_impact(whole)


def _single(query: tuple[str, str], page: Page, verdict: BundleVerdict) -> Any:
    answer = _answer(page.value, verdict)
    if query == ("models", "clean"):
        return make_clean(answer)
    if query == ("models", "verdict"):
        return make_verdict(answer)
    if query == ("bank", "account"):
        return make_account(answer, page.args.address, {})
    return page.value


def _read(path: Path) -> bytes:
    try:
        with path.expanduser().open("rb") as file:
            return file.read(MAX_BUNDLE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
