"""A chain that agrees with itself, terms, and DataNets of real text with reviews and versions."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from openledger_cli.demo import cast
from openledger_cli.demo.stage import Stage

if TYPE_CHECKING:
    from abci_app.modules.datanets.queries import VersionView

_CONTRIBUTORS_AT_ONCE = 4
# Copied rows that the copyist sends.
_COPIED_ROWS = 200


def show_chain(stage: Stage) -> None:
    """All validators have the same state; a light client follows the chain from its genesis document."""
    nodes = stage.net.nodes
    stage.net.wait_for_height(3)
    hashes = {node.app_hash_at(2) for node in nodes}
    stage.report.say(f"  {len(nodes)} validator(s) of {cast.CHAIN_ID}, node 0 at {nodes[0].rpc_url}")
    stage.report.check(
        f"{'all validators have' if len(nodes) > 1 else 'the validator has'} one app hash at height 2: "
        f"{min(hashes)[:16]}...",
        len(hashes) == 1,
        f"{len(hashes)} different ones",
    )
    light = stage.client.light
    assert light is not None
    found = light.header(2)
    stage.report.check(
        "the light client verified header 2 from the genesis document", found.header.height == 2, str(found)
    )
    if len(nodes) > 1:
        agreeing = sum(1 for report in found.witnesses if report.verdict == "agrees")
        stage.report.check(
            f"{len(nodes) - 1} witnesses agree with it", agreeing == len(nodes) - 1, str(found.witnesses)
        )


def register_terms(stage: Stage) -> None:
    """The terms that data and model come under."""
    from abci_app.modules.licences import terms_id_of
    from abci_app.modules.licences.handlers import RegisterTerms
    from abci_app.modules.licences.queries import TermsListQuery

    stage.send([(cast.OWNER, [RegisterTerms(terms) for terms in cast.ALL_TERMS])])
    listed = stage.query("licences", "list", TermsListQuery(b"", 50)).items
    for terms in cast.ALL_TERMS:
        stage.report.say(f"  {terms.spdx:<16} {terms.name}")
    expected = sorted(terms_id_of(terms) for terms in cast.ALL_TERMS)
    stage.report.check(f"{len(expected)} terms are on the chain, proven", [one.terms_id for one in listed] == expected)


def create_datanets(stage: Stage) -> None:
    """Three DataNets with two reviewers each, whose agreement decides."""
    from abci_app.modules.datanets.records import CreateDatanet
    from abci_app.modules.licences import terms_id_of

    reviewers = tuple(sorted(stage.address(name) for name in cast.REVIEWERS))
    messages = [
        CreateDatanet(
            name=plan.name,
            description=plan.description,
            default_terms_id=terms_id_of(plan.default_terms),
            reviewers=reviewers,
            quorum=2,
        )
        for plan in cast.DATANETS
    ]
    sent = stage.client.send(stage.signer(cast.OWNER), *messages)
    stage.settle(sent.wait().height)
    for index, plan in enumerate(cast.DATANETS):
        stage.datanets[plan.name] = sent.sent.object_id("datanet", index)


def fill_datanets(stage: Stage) -> None:
    """Rows from Python's documentation, contributed, reviewed and frozen as version 1 of each DataNet."""
    from trainer.corpus import documentation_rows, question_rows, split_among

    create_datanets(stage)
    reference = split_among(documentation_rows(), "topic", len(cast.REFERENCE_CONTRIBUTORS))
    questions = split_among(question_rows(), "module", len(cast.QUESTION_CONTRIBUTORS) + 2)
    shares = [
        *zip(cast.REFERENCE_CONTRIBUTORS, [cast.REFERENCE] * len(reference), reference, strict=True),
        *zip(cast.QUESTION_CONTRIBUTORS, [cast.QUESTIONS] * 4, questions[:4], strict=True),
        (cast.EXAM_CONTRIBUTOR, cast.EXAM, questions[5]),
    ]
    for name, datanet, rows in shares:
        stage.report.say(f"  {name:<6} contributes {len(rows):>4} rows to {datanet}")
    contribute(stage, shares)
    review(stage, [name for name, _, _ in shares])
    refuse_copy(stage, reference[0][:_COPIED_ROWS])
    create_versions(stage, list(stage.datanets))
    for plan in cast.DATANETS:
        check_version(stage, plan.name, 1, [name for name, datanet, _ in shares if datanet == plan.name])


def add_later_rows(stage: Stage) -> None:
    """One more contributor, and with him version 2 of the questions."""
    from trainer.corpus import question_rows, split_among

    rows = split_among(question_rows(), "module", len(cast.QUESTION_CONTRIBUTORS) + 2)[4]
    stage.report.say(f"  {cast.LATER_CONTRIBUTOR:<6} contributes {len(rows):>4} rows to {cast.QUESTIONS}")
    contribute(stage, [(cast.LATER_CONTRIBUTOR, cast.QUESTIONS, rows)])
    review(stage, [cast.LATER_CONTRIBUTOR])
    create_versions(stage, [cast.QUESTIONS])
    check_version(stage, cast.QUESTIONS, 1, list(cast.QUESTION_CONTRIBUTORS))
    check_version(stage, cast.QUESTIONS, 2, [*cast.QUESTION_CONTRIBUTORS, cast.LATER_CONTRIBUTOR])


def contribute(
    stage: Stage, shares: list[tuple[str, str, list[dict[str, str]]]], *, allow_copies: bool = False
) -> None:
    """Everybody contributes a file of their own by the function behind `openledger data add`, side by side."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_CONTRIBUTORS_AT_ONCE) as pool:
        tasks = [pool.submit(_contribute, stage, *share, allow_copies) for share in shares]
        for task, (name, _, _) in zip(tasks, shares, strict=True):
            stage.contributions[name] = task.result()
    stage.settle(int(stage.client.status().sync_info.latest_block_height))


def _contribute(stage: Stage, name: str, datanet: str, rows: list[dict[str, str]], allow_copies: bool) -> bytes:
    """One person's file becomes one contribution; its id. Notes of what is sent go to a home of their own."""
    import json

    from abci_app.bech32 import encode_id
    from abci_app.modules.licences import terms_id_of
    from openledger.data.contribute.add import AddOptions, add

    home = stage.folder / "people" / name
    home.mkdir(parents=True, exist_ok=True)
    file = home / f"{datanet}.jsonl"
    file.write_text("".join([json.dumps(row, ensure_ascii=False) + "\n" for row in rows]), encoding="utf-8")
    own_terms = cast.OWN_TERMS.get(name)
    options = AddOptions(
        terms=encode_id("olterms", terms_id_of(own_terms)) if own_terms else "",
        allow_copies=allow_copies,
        processes=0,
    )
    added = add(stage.client, stage.signer(name), datanet, [file], options, store=stage.store, home=home)
    (item,) = added.items
    return item.contribution_id


def review(stage: Stage, names: list[str], *, accept: bool = True) -> None:
    """Both reviewers give the same verdict on each contribution."""
    from abci_app.modules.datanets.records import Decision, Reason, ReviewContribution

    decision, reason = (Decision.ACCEPT, Reason.NONE) if accept else (Decision.REJECT, Reason.PLAGIARISM)
    messages = [ReviewContribution(stage.contributions[name], int(decision), int(reason)) for name in names]
    # The second verdict decides, so it must not overtake the first.
    for reviewer in cast.REVIEWERS:
        stage.send([(reviewer, messages)])


def refuse_copy(stage: Stage, rows: list[dict[str, str]]) -> None:
    """Rows that another contributor brought already: the sketches on the chain show it, the reviewers reject them."""
    from abci_app.modules.datanets.queries import ContributionQuery, ContributionsQuery
    from abci_app.modules.datanets.records import Status
    from openledger.data.sketch import sketch_similarity_ppb

    contribute(stage, [(cast.COPYIST, cast.REFERENCE, rows)], allow_copies=True)
    page = stage.query(
        "datanets", "contributions", ContributionsQuery(datanet_id=b"", name=cast.REFERENCE, after_number=0, limit=50)
    )
    sketches = {item.stored.contribution.contributor: item.stored.contribution.sketch for item in page.contributions}
    pairs = {
        (one, other): sketch_similarity_ppb(sketches[stage.address(one)], sketches[stage.address(other)])
        for one, other in combinations([*cast.REFERENCE_CONTRIBUTORS, cast.COPYIST], 2)
    }
    (one, other), overlap_ppb = max(pairs.items(), key=lambda pair: pair[1])
    stage.report.check(
        f"the sketches on the chain show whose rows {cast.COPYIST} sent: overlap with {one} about "
        f"{overlap_ppb // 10**7} %, no other pair above {sorted(pairs.values())[-2] // 10**7} %",
        other == cast.COPYIST and one == cast.REFERENCE_CONTRIBUTORS[0] and sorted(pairs.values())[-2] < overlap_ppb,
    )
    review(stage, [cast.COPYIST], accept=False)
    found = stage.query("datanets", "contribution", ContributionQuery(stage.contributions.pop(cast.COPYIST)))
    stage.report.check(
        f"{' and '.join(cast.REVIEWERS)} rejected them as plagiarism, proven",
        (found.stored.status, len(found.reviews)) == (Status.REJECTED, 2),
    )


def create_versions(stage: Stage, datanets: list[str]) -> None:
    """Freeze what is accepted now."""
    from abci_app.modules.datanets.records import CreateVersion

    stage.send([(cast.OWNER, [CreateVersion(stage.datanets[name], "demo") for name in datanets])])


def check_version(stage: Stage, datanet: str, version: int, names: list[str]) -> None:
    """A version holds exactly these contributors' rows, with the root that they give."""
    from abci_app.modules.datanets import version_root
    from abci_app.modules.datanets.queries import VersionQuery

    view: VersionView = stage.query(
        "datanets", "version", VersionQuery(datanet_id=b"", name=datanet, version=version, after_number=0, limit=100)
    )
    ids = sorted(item.accepted.contribution_id for item in view.contributions)
    expected = sorted(stage.contributions[name] for name in names)
    root, through = view.record.contributions_root, view.record.accepted_through
    numbered = {item.number: item.accepted.contribution_id for item in view.contributions}
    stage.report.check(
        f"{datanet} version {version}: {view.record.row_count} rows of {', '.join(names)}; root {root.hex()[:16]}...",
        ids == expected and root == version_root(numbered, through),
        f"contributions {[one.hex()[:8] for one in ids]}",
    )
