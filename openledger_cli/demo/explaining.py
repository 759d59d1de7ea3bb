"""Answers of the last model explained, an explanation checked by somebody else, and three forged ones."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from abci_app.types import PPB
from openledger.exit_codes import ExitCode
from openledger_cli.demo import cast
from openledger_cli.demo.stage import Stage, must

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_QUOTED_CHARACTERS = 300
_PROMPTS = (
    "Question: What does shutil.copytree do?\nAnswer: ",
    "Question: How do I read a configuration file in Python?\nAnswer: ",
)


def explain_answers(stage: Stage) -> None:
    """The model answers two prompts; then a row that it was trained on is given as its answer."""
    for number, prompt in enumerate(_PROMPTS, 1):
        document = _explain(stage, f"answer-{number}", "--prompt", prompt)
        _check_shares(stage, document)
    row = _training_row(stage)
    document = _explain(stage, "quotation", "--prompt", "Question: ", "--answer", row)
    spans = document["layers"][0]["spans"]
    stage.report.check(
        "an answer that quotes a training row: its span is found, and so is whose it is",
        spans["covered_tokens"] > 0 and bool(spans["by_owner"]),
        str(spans["by_owner"]),
    )


def check_explanation(stage: Stage) -> None:
    """Somebody else's check: every integer from the chain, the codes by running the recorded models again."""
    said = must(stage.command("explain", "--verify", str(_file(stage, "answer-1"))), "openledger explain --verify")
    lines = [line for line in said.output.splitlines() if line.startswith("verified: ")]
    for line in lines:
        stage.report.quote(line)
    repeated = [line for line in lines if "repeated: distance" in line]
    stage.report.check("integers hold and both models, run again, give the codes within the band", len(repeated) == 2)


def refuse_forgeries(stage: Stage) -> None:
    """One share moved, one code changed, another model's index: each is refused and named."""
    forgeries: tuple[tuple[str, Callable[[dict[str, Any]], None], str], ...] = (
        ("a share moved from one contributor to another", _move_a_share, "by_owner"),
        ("one code of the query changed", _change_a_code, "gradients"),
        ("another model's index", _exchange_the_index, "evidence"),
    )
    honest = _file(stage, "answer-1").read_bytes()
    for title, forge, field in forgeries:
        document = json.loads(honest)
        forge(document)
        path = _file(stage, "forged")
        path.write_text(json.dumps(document, sort_keys=True, separators=(",", ":")), encoding="ascii")
        said = stage.command("explain", "--verify", str(path), "--integers-only", show=False)
        reason = said.errors.strip().splitlines()[-1] if said.errors.strip() else ""
        stage.report.quote(reason)
        stage.report.check(
            f"{title}: refused, and the field is named",
            said.code in (ExitCode.NOT_VERIFIED, ExitCode.USAGE) and field in reason,
            f"exit code {said.code}",
        )


def _explain(stage: Stage, name: str, *words: str) -> dict[str, Any]:
    path = _file(stage, name)
    page = path.with_suffix(".html")
    said = must(
        stage.command("explain", "--model", cast.MODEL, *words, "--write", str(path), "--html", str(page)),
        "openledger explain",
    )
    for line in said.output.rstrip().splitlines():
        stage.report.say(f"    {line}")
    stage.report.check(
        "the page is there, and every number on it was verified",
        page.is_file() and "by the light client" in said.output and "every integer equal" in said.output,
    )
    document: dict[str, Any] = json.loads(path.read_bytes())
    return document


def _check_shares(stage: Stage, document: dict[str, Any]) -> None:
    """Everybody who may be owed something is there, and the whole is a whole."""
    names = (*cast.REFERENCE_CONTRIBUTORS, *cast.QUESTION_CONTRIBUTORS, cast.LATER_CONTRIBUTOR)
    people = {stage.address(name).hex() for name in names}
    shares = {line["owner"]: line["share_ppb"] for line in document["by_owner"]}
    stage.report.check(
        f"{len(shares)} contributors of two DataNets over two fine-tunes, no stranger; shares sum to one",
        bool(shares) and shares.keys() <= people and sum(shares.values()) + document["unexplained_ppb"] == PPB,
    )


def _training_row(stage: Stage) -> str:
    """The beginning of the longest text that the last fine-tune was trained on, as its index has it."""
    from attribution.entry import SPANS, get_commitment
    from attribution.explanation.explainer import row_text
    from attribution.spans.index import SpanIndex
    from attribution.stored import fetch_index
    from trainer.publish import ClientLedger

    ledger = ClientLedger(stage.client, prove=False)
    attribution = ledger.stored_entry(stage.entries["second"]).entry.attribution
    commitment = get_commitment(stage.store, attribution.method, attribution.commitment_root)
    folder = fetch_index(stage.store, commitment.roots[SPANS], stage.folder / "span-index")
    with SpanIndex.open(folder) as index:
        numbers = range(index.commitment.parameters.document_count)
        longest = max([index.document(number) for number in numbers], key=lambda document: document.length)
    text = row_text(ledger, stage.store, longest.contribution_id, longest.row_leaf)
    fields = json.loads(text or "{}")
    return " ".join(str(fields.get("text") or fields["answer"]).split())[:_QUOTED_CHARACTERS]


def _move_a_share(document: dict[str, Any]) -> None:
    lines = [line for line in document["by_owner"] if line["share_ppb"]]
    lines[0]["share_ppb"] -= 1
    lines[-1]["share_ppb"] += 1


def _change_a_code(document: dict[str, Any]) -> None:
    gradients = document["layers"][0]["gradients"]
    codes = bytearray(base64.b64decode(gradients["query_codes"]))
    codes[-2] ^= 1
    gradients["query_codes"] = base64.b64encode(codes).decode()


def _exchange_the_index(document: dict[str, Any]) -> None:
    own, other = (layer["gradients"] for layer in document["layers"][:2])
    own["evidence"] = other["evidence"]


def _file(stage: Stage, name: str) -> Path:
    return stage.folder / f"{name}.explanation.json"
