"""A changed row, a lying node and a changed bundle are each found out; an honest bundle verifies offline."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from openledger.errors import NotVerified
from openledger.exit_codes import ExitCode
from openledger_cli.demo import cast
from openledger_cli.demo.liar import LyingNode
from openledger_cli.demo.stage import Said, Stage, must, run_module

if TYPE_CHECKING:
    from abci_app.modules.models.lineage import LineagePage, LineageQuery

# Places over a whole answer or bundle at which single bits are flipped.
_FLIPS = 32
# What the liar does to a row: the opposite of what its author wrote.
_WORDS, _OTHER_WORDS = b" is ", b" is not "


def detect_tampered_row(stage: Stage) -> None:
    """A store that serves one changed word: the recipe that trained the model does not run on it."""
    from abci_app.modules.datanets.queries import ContributionQuery

    name = cast.REFERENCE_CONTRIBUTORS[1]
    contribution_id = stage.contributions[name]
    found = stage.query("datanets", "contribution", ContributionQuery(contribution_id))
    copy = stage.folder / "content-tampered"
    shutil.copytree(stage.content_folder, copy)
    path = copy / "sha256" / found.stored.contribution.content_digest.hex()
    row, phrase = turn_around_a_row(path)
    stage.report.say(f"  {name}'s row {row}, in a copy of the content store, now says {phrase!r}")
    said = stage.command("train", str(stage.folder / "second.yaml"), "--check", "--content", str(copy))
    stage.report.quote(said.errors.strip().splitlines()[-1] if said.errors.strip() else said.output)
    # Rows of a submission are counted from 1 where people read.
    named = f"submission #{found.stored.submitted_number}: row {row + 1} " in said.errors
    stage.report.check(
        "the changed row is detected, contribution and row named",
        said.code == ExitCode.NOT_VERIFIED and named,
        f"exit code {said.code}",
    )


def turn_around_a_row(path: Path) -> tuple[int, str]:
    """Change the first row of a batch file that has `_WORDS`; its index and a piece of what it says now."""
    lines = path.read_bytes().split(b"\n")
    place = next(index for index, line in enumerate(lines) if _WORDS in line)
    lines[place] = lines[place].replace(_WORDS, _OTHER_WORDS, 1)
    path.chmod(0o644)
    path.write_bytes(b"\n".join(lines))
    at = lines[place].index(_OTHER_WORDS)
    # The first line is the file's header.
    return place - 1, lines[place][max(0, at - 20) : at + 30].decode(errors="replace")


def detect_lying_node(stage: Stage) -> None:
    """A proxy that credits somebody else with the data, and one that flips single bits all over the answer."""
    question = _question()
    stage.report.say("  a proxy between light client and node changes the answer about lineage")
    honest, other = stage.address(cast.QUESTION_CONTRIBUTORS[0]), stage.address(cast.COPYIST)
    with LyingNode(stage.net.nodes[0].rpc_url) as node:
        with stage.light_client(node.url) as light:
            answer = light.query("models", "lineage", question)
        stage.report.check("the proxy passes the truth on: verified", answer.value.entries != () and not node.lies_told)
        stage.report.check("the answer names the contributor whose data was used", honest in answer.proof)
        node.lie = lambda value: value.replace(honest, other)
        with (
            stage.light_client(node.url) as light,
            stage.report.refused("an answer that credits somebody else is detected", NotVerified),
        ):
            light.query("models", "lineage", question)
        believed = [found for place in range(_FLIPS) for found in _believed(stage, node, question, place)]
        stage.report.check(
            f"of {_FLIPS} answers with one flipped bit, at places all over them, {_FLIPS - len(believed)} are refused",
            not believed,
            "an answer was believed",
        )
        stage.report.check("the proxy did lie each time", node.lies_told >= 1 + _FLIPS, f"{node.lies_told} lies")


def _believed(stage: Stage, node: LyingNode, question: LineageQuery, place: int) -> list[LineagePage]:
    """Pages that the light client believes of an answer with one bit flipped: none, when it refuses the answer.

    A proof has one form, so that even a flip which leaves a true statement is refused.
    """
    node.lie = lambda value: flip(value, place)
    with stage.light_client(node.url) as light:
        try:
            return [light.query("models", "lineage", question).value]
        except NotVerified:
            return []


def flip(value: bytes, place: int, places: int = _FLIPS) -> bytes:
    """One bit flipped, at the `place`-th of `places` places spread over the bytes."""
    if not value:
        return value
    changed = bytearray(value)
    changed[(len(value) - 1) * place // (places - 1)] ^= 1 << place % 8
    return bytes(changed)


def verify_offline(stage: Stage) -> None:
    """The bundle in a process without network: from the genesis document, and without anything to start from."""
    said = _verify(stage, stage.bundle_file)
    shown = must(said, "openledger verify").document()
    for key in ("outcome", "chain", "header", "anchor", "path"):
        stage.report.say(f"          | {key:<8} {shown[key]}")
    size = stage.bundle_file.stat().st_size
    stage.report.fact("proof bundle", f"{size // 1024} KiB, verified offline from the genesis document")
    stage.report.check(
        "the bundle was verified offline, in a process of its own that cannot open a connection",
        (shown["outcome"], shown["chain"]) == ("verified", cast.CHAIN_ID),
    )
    stage.report.check(
        "what it proves is the lineage of the last model",
        stage.entries["second"].hex() in said.output or _text(stage) in said.output,
    )
    without = run_module(
        "openledger_cli.demo.offline",
        ["verify", str(stage.bundle_file), "--output", "json", "--home", str(stage.folder / "nobody")],
        {},
    )
    stage.report.check(
        "without an anchor of one's own it is consistent, not anchored: exit code 8",
        without.code == ExitCode.NOT_ANCHORED and without.document()["outcome"] == "consistent, not anchored",
        f"exit code {without.code}",
    )


def detect_tampered_bundle(stage: Stage) -> None:
    """Damage, and a forgery whose checksum fits, by somebody who knows the format."""
    from openledger.light.bundle import make_bundle, parse_bundle

    data = stage.bundle_file.read_bytes()
    changed = stage.folder / "tampered.bundle.json"
    undetected = [place for place in range(_FLIPS) if not _is_refused(stage, flip(data, place))]
    stage.report.check(
        f"{_FLIPS} bundles with one flipped bit, at places all over them: each is detected",
        not undetected,
        f"undetected: {undetected}",
    )
    bundle = parse_bundle(data)
    honest, other = stage.address(cast.QUESTION_CONTRIBUTORS[0]), stage.address(cast.COPYIST)
    changed.write_bytes(make_bundle(replace(bundle, proof=bundle.proof.replace(honest, other))))
    said = _verify(stage, changed)
    stage.report.quote(said.errors)
    stage.report.check(
        "a forged bundle that credits somebody else, with a checksum that fits, is detected",
        said.code == ExitCode.NOT_VERIFIED and honest in bundle.proof,
        f"exit code {said.code}",
    )


def _is_refused(stage: Stage, data: bytes) -> bool:
    """Whether a bundle fails verification, from an anchor that is not its own."""
    from openledger.light.anchors import parse_genesis
    from openledger.light.bundle import verify_bundle

    try:
        verify_bundle(data, parse_genesis(stage.genesis_file.read_bytes()), time.time_ns())
    except NotVerified:
        return True
    return False


def _verify(stage: Stage, bundle: Path) -> Said:
    """`openledger verify` in a process without network, from the genesis document."""
    words = ["verify", str(bundle), "--genesis", str(stage.genesis_file), "--output", "json"]
    return run_module("openledger_cli.demo.offline", words, {"OPENLEDGER_HOME": str(stage.folder / "nobody")})


def _question() -> LineageQuery:
    from abci_app.modules.models.lineage import LineageQuery

    return LineageQuery(
        entry_id=b"", model_name=cast.MODEL, model_version=0, frontier=(), limit=1_000, contributions_each=1_000
    )


def _text(stage: Stage) -> str:
    from trainer.publish import entry_text

    return entry_text(stage.entries["second"])
