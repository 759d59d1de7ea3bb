"""`openledger attribution`: how good the attribution of a recorded model is, and the band that its codes need."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from abci_app.types import PPB
from openledger.exit_codes import ExitCode
from openledger_cli.parser import OutputFile
from openledger_cli.progress import counting
from openledger_cli.proofs.trust import add_trust_options
from openledger_cli.secrets import add_passphrase_option
from openledger_cli.text import note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from attribution.explanation.explainer import Explainer
    from attribution.lga.calibrate import Calibration, Deviations
    from attribution.lga.index.reader import GradientIndex
    from attribution.measure.certificate import Certificate
    from openledger.content.store import ContentStore
    from trainer.publish import ClientLedger

_MEASURE_EXAMPLES = """\
examples:
  openledger attribution measure --model helper                        50 + 30 halves, two seeds each: 160 retrains
  openledger attribution measure --model helper --subsets 10 --contributor-subsets 6 --queries 16
  openledger attribution measure --model helper --plot quality.svg --from alice     and record it on the chain

every retrain is kept: an interrupted measurement goes on where it was, one with more halves takes what is there
"""
_CALIBRATE_EXAMPLES = """\
examples:
  openledger attribution calibrate --model helper
  openledger attribution calibrate --model helper --device cuda        a GPU against the CPU, 256 queries

queries are held-out rows of the recipe, then rows that were trained on; in batches they are padded to one length.
The deviations are those of this machine; a band for others needs tables of other machines, too.
"""
# Queries of a calibration; with another device more: its own work is fast, and rare deviations count.
CALIBRATION_QUERIES, DEVICE_QUERIES = 32, 256


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    parser = subparsers.add_parser("attribution", help="measure quality, calibrate the band of query codes")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    measure = actions.add_parser(
        "measure",
        help="retrain on halves; LDS of this and other methods with intervals; a certificate",
        epilog=_MEASURE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    measure.add_argument("--subsets", type=int, default=50, metavar="N", help="halves of the rows (50)")
    measure.add_argument("--contributor-subsets", type=int, default=30, metavar="N", help="halves of contributors (30)")
    measure.add_argument("--seeds", type=int, default=2, metavar="N", help="retrains of each half, 2 to 16 (2)")
    measure.add_argument("--write", type=OutputFile, metavar="FILE", help="write the certificate")
    measure.add_argument("--plot", type=OutputFile, metavar="FILE", help="write a chart (SVG)")
    measure.add_argument("--from", dest="signer", metavar="KEY", help="key that records the result on the chain")
    add_passphrase_option(measure)
    measure.set_defaults(run=_measure)
    calibrate = actions.add_parser(
        "calibrate",
        help="deviation of query codes between ways to compute them here, and the band",
        epilog=_CALIBRATE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    calibrate.add_argument("--device", default="", metavar="NAME", help="compare this device, as torch names it: cuda")
    calibrate.set_defaults(run=_calibrate, signer=None)
    measure.add_argument("--queries", type=int, default=32, metavar="N", help="held-out rows to ask with (32)")
    calibrate.add_argument(
        "--queries",
        type=int,
        metavar="N",
        help=f"rows to ask with ({CALIBRATION_QUERIES}, with --device {DEVICE_QUERIES})",
    )
    for action in (measure, calibrate):
        action.add_argument("--model", required=True, metavar="MODEL", help="model or entry with a gradient index")
        action.add_argument("--content", metavar="URL", help="content store, folder or URL ($OPENLEDGER_CONTENT)")
        add_trust_options(action, one_answer=False)


def _open(args: argparse.Namespace, ledger: ClientLedger, store: ContentStore) -> tuple[Explainer, GradientIndex]:
    """The recorded run and its gradient index."""
    from attribution.explanation.explainer import Explainer
    from attribution.explanation.facts import read_facts
    from openledger.errors import UsageError
    from trainer.outputs import output_source

    if not 1 <= args.queries <= 10_000:
        raise UsageError("--queries is 1 to 10000")
    explainer = Explainer(read_facts(ledger, args.model), store, note, output_source(store))
    index = explainer.indexes(explainer.entries.facts.entry_id).gradients
    if index is None:
        raise UsageError(f"{args.model} has no gradient index: add lga-1 to attribution.methods of its recipe")
    return explainer, index


def _measure(args: argparse.Namespace) -> int:
    from attribution.measure.certificate import certify
    from attribution.measure.measurement import Protocol, ground_truth
    from attribution.measure.plot import chart
    from attribution.measure.retrain import RetrainCache
    from attribution.numerics import prepare
    from openledger.content.files import cache_home
    from openledger.content.store import ContentStore
    from openledger.errors import UsageError
    from openledger_cli.explain.commands import write_file
    from openledger_cli.train.commands import open_ledger
    from trainer.quality import (
        METHOD,
        MeasuredRun,
        RetrainRun,
        committed_scores,
        compared_scores,
        publish_quality,
    )
    from trainer.workflow import repeatable_run

    prepare()
    if not 2 <= args.subsets <= 10_000 or not 2 <= args.contributor_subsets <= 10_000 or not 2 <= args.seeds <= 16:
        raise UsageError("--subsets and --contributor-subsets are 2 to 10000 (ranks are compared), --seeds 2 to 16")
    store = ContentStore.open(args.content)
    with open_ledger(args) as ledger:
        explainer, index = _open(args, ledger, store)
        entry_id = explainer.entries.facts.entry_id
        repeatable = repeatable_run(entry_id, ledger, store, queries=args.queries)
        run = MeasuredRun.of(*repeatable, explainer.tokenizer, args.queries)
        protocol = Protocol(args.subsets, args.contributor_subsets, tuple(range(1, args.seeds + 1)))
        note(f"{len(run.rows)} rows, {len(set(run.owners))} contributors, {len(run.queries)} queries")
        scores = {METHOD: committed_scores(explainer, index, run, counting("queries"))}
        task = RetrainRun(run)
        scores |= compared_scores(task, counting("gradients of the other methods"))
        cache = RetrainCache(task, cache_home() / "attribution-retrains", len(run.queries))
        truth = ground_truth(cache, run.owners, protocol, counting)
        certificate = certify(run.prepared.recipe.name, task, len(set(run.owners)), protocol, truth, scores)
        if args.write:
            write_file(args, args.write, certificate.encode())
        if args.plot:
            write_file(args, args.plot, chart(certificate).encode())
        height = publish_quality(ledger, explainer.entries, certificate, store) if args.signer else 0
    _show_certificate(args, certificate, height)
    return ExitCode.OK


def _show_certificate(args: argparse.Namespace, certificate: Certificate, height: int) -> None:
    import json

    document = json.loads(certificate.encode()) | {"digest": certificate.digest.hex()}
    if height:
        document["height"] = height
    rows = [(item.method, _interval(item.examples), _interval(item.contributors)) for item in certificate.methods]
    top = certificate.ceiling
    rows.append(("one seed of the retrains against the other", _interval(top.examples), _interval(top.contributors)))
    title = f"LDS with 95 % intervals, {certificate.queries} queries, {certificate.rows} rows"
    args.context.output.rows(title, ("method", "halves of the rows", "halves of the contributors"), rows, document)
    if not args.context.as_json:
        print(f"certificate {certificate.digest.hex()}" + (f", recorded at height {height}" if height else ""))


def _interval(interval: Any) -> str:
    value, low, high = (number / PPB for number in (interval.value_ppb, interval.low_ppb, interval.high_ppb))
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def _calibrate(args: argparse.Namespace) -> int:
    from attribution.lga.calibrate import calibrate
    from attribution.lga.calibration_ways import default_ways, device_ways
    from attribution.numerics import prepare
    from openledger.content.store import ContentStore
    from openledger_cli.train.commands import open_ledger
    from trainer.quality import calibration_queries
    from trainer.workflow import repeatable_run

    prepare()
    ways = device_ways(args.device) if args.device else default_ways()
    if args.queries is None:
        args.queries = DEVICE_QUERIES if args.device else CALIBRATION_QUERIES
    store = ContentStore.open(args.content)
    with open_ledger(args) as ledger:
        explainer, index = _open(args, ledger, store)
        entry_id = explainer.entries.facts.entry_id
        prepared, _, _ = repeatable_run(entry_id, ledger, store, queries=args.queries)
        queries = calibration_queries(prepared, explainer.tokenizer, args.queries)
        note(f"{len(queries)} queries in {len(ways) + 1} ways")
        models = explainer.models(entry_id)
        result = calibrate(models, index.feature_map, queries, ways, counting("queries in all ways"))
    _show_calibration(args, result)
    return ExitCode.OK


def _show_calibration(args: argparse.Namespace, result: Calibration) -> None:
    from dataclasses import asdict

    if args.context.as_json:
        args.context.output.show(asdict(result))
        return
    asked = (
        f"{result.queries} queries of {result.shortest_tokens} to {result.longest_tokens} tokens, "
        f"{result.padded_queries} of them padded in the largest batches"
    )
    _show_deviations(args, f"Deviation of query codes from float64 on the CPU, {asked}", result.deviations)
    if result.against_float32:
        _show_deviations(args, "Deviation of query codes from float32 on the CPU", result.against_float32)
    print(f"band {result.band_ppb / PPB:.1e}: {result.advice}")


def _show_deviations(args: argparse.Namespace, title: str, deviations: Sequence[Deviations]) -> None:
    rows = [
        (
            item.way,
            f"{item.median_ppb / PPB:.1e}",
            f"{item.largest_ppb / PPB:.1e}",
            f"{100 * item.changed_codes / item.all_codes:.3f} %",
            item.largest_code_difference,
            "must be rejected" if item.control else "",
        )
        for item in deviations
    ]
    columns = ("way", "median", "largest", "codes changed", "by at most", "")
    args.context.output.rows(title, columns, rows, {})
