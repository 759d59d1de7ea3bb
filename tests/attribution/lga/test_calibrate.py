"""Deviations of codes between ways to compute them, on a random Llama with LoRA; the model is left as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from attribution.errors import AttributionError
from attribution.lga.calibrate import LARGEST_BAND_PPB, SMALLEST_BAND_PPB, Calibration, Deviations, calibrate
from attribution.lga.calibration_ways import Way, default_ways, device_ways
from attribution.lga.features import FeatureMap, fit_in_memory
from attribution.lga.gradients import GradientCollector
from attribution.loss import Tokens
from tests.kit.attribution.tiny import tiny_examples, tiny_lora

pytestmark = [pytest.mark.ml, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_lora()


@pytest.fixture(scope="module")
def feature_map(model: Any) -> FeatureMap:
    return fit_in_memory([GradientCollector(model).collect_tokens(tiny_examples(30))]).map


@pytest.fixture(scope="module")
def calibration(model: Any, feature_map: FeatureMap) -> Calibration:
    return calibrate([model], feature_map, tiny_examples(6, seed=9))


def _of(calibration: Calibration, name: str) -> Deviations:
    return next(item for item in calibration.deviations if item.way == name)


def test_every_way_is_measured_once(calibration: Calibration) -> None:
    assert [item.way for item in calibration.deviations] == [way.name for way in default_ways()]
    assert calibration.queries == 6
    assert calibration.against_float32 == ()


def test_honest_float32_is_inside_the_band(calibration: Calibration) -> None:
    honest = [item for item in calibration.deviations if not item.control and item.precision == "float32"]

    assert len(honest) == 7
    assert all(0 < item.median_ppb <= item.largest_ppb < calibration.band_ppb for item in honest)
    assert SMALLEST_BAND_PPB <= calibration.band_ppb <= LARGEST_BAND_PPB


def test_float64_gives_equal_codes_in_any_order_of_sums(calibration: Calibration) -> None:
    exact = [item for item in calibration.deviations if item.precision == "float64"]

    assert [(item.changed_codes, item.largest_code_difference) for item in exact] == [(0, 0)] * 3
    assert all(item.largest_ppb <= 1 for item in exact)


def test_short_numbers_in_linear_layers_are_outside(calibration: Calibration) -> None:
    tf32, bfloat16 = _of(calibration, "TF32 in linear layers"), _of(calibration, "bfloat16 in linear layers")

    assert calibration.band_ppb < tf32.median_ppb < bfloat16.median_ppb
    assert tf32.changed_codes > tf32.all_codes // 2


def test_the_model_is_left_as_it_was(model: Any, feature_map: FeatureMap) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    threads, kernel = torch.get_num_threads(), model.get_base_model().config._attn_implementation

    calibrate([model], feature_map, tiny_examples(2, seed=9))

    after = model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not any("forward" in vars(module) for module in model.modules())
    assert (torch.get_num_threads(), model.get_base_model().config._attn_implementation) == (threads, kernel)


def test_a_control_that_cannot_be_told_apart_is_named(model: Any, feature_map: FeatureMap) -> None:
    found = calibrate([model], feature_map, tiny_examples(3), [Way("honest"), Way("a quiet one", control=True)])

    assert found.advice == "does not tell from honest work on these queries: a quiet one"


def test_a_model_that_float32_cannot_hold_gets_no_wider_band(model: Any, feature_map: FeatureMap) -> None:
    @contextmanager
    def shaken(model: Any, _: Any) -> Iterator[None]:
        with torch.no_grad():
            weight = next(value for name, value in model.named_parameters() if name.endswith("lora_A.default.weight"))
            kept = weight.clone()
            weight *= 1.01
            yield
            weight.copy_(kept)

    found = calibrate([model], feature_map, tiny_examples(3), [Way("shaken", change=shaken)])

    assert found.band_ppb == LARGEST_BAND_PPB
    assert "too much for a band; settle claims in float64" in found.advice


def test_progress_counts_ways_and_checkpoints(model: Any, feature_map: FeatureMap) -> None:
    seen: list[tuple[int, int]] = []

    calibrate(
        [model], feature_map, tiny_examples(3), [Way("two at a time", batch=2)],
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip

    assert seen == [(1, 6), (2, 6), (3, 6), (5, 6), (6, 6)]


def test_queries_of_different_lengths_are_padded_in_batches_and_counted(model: Any, feature_map: FeatureMap) -> None:
    lengths = (4, 9, 9, 5)
    queries = [Tokens(tuple(range(1, length + 1)), 2) for length in lengths]
    ways = [Way("honest", batch=2), Way("float64, padded", "float64", batch=4)]

    found = calibrate([model], feature_map, queries, ways)

    # In batches of four the two of nine are the longest.
    assert (found.queries, found.shortest_tokens, found.longest_tokens, found.padded_queries) == (4, 4, 9, 2)
    assert found.advice == "all honest ways are inside, all controls outside"
    assert [(item.largest_code_difference <= 1, item.largest_ppb < found.band_ppb) for item in found.deviations] == [
        (True, True), (True, True),
    ]  # fmt: skip
    assert found.deviations[1].changed_codes == 0


def test_it_is_said_when_no_batch_needed_padding(model: Any, feature_map: FeatureMap) -> None:
    queries = [Tokens((1, 2, 3, 4), 1), Tokens((4, 3, 2, 1), 1)]

    found = calibrate([model], feature_map, queries, [Way("honest", batch=2)])

    assert found.padded_queries == 0
    assert found.advice.endswith("; but all queries of a batch have one length: padding was not tried")


def test_another_device_is_compared_with_both_precisions_of_the_cpu(model: Any, feature_map: FeatureMap) -> None:
    """The CPU itself stands for the other device: in order, it has to give what the CPU gives."""
    found = calibrate([model], feature_map, tiny_examples(9, seed=9), device_ways("cpu"))

    names = [way.name for way in device_ways("cpu")]
    assert [item.way for item in found.deviations] == names
    assert [item.way for item in found.against_float32] == names[1:]
    on_the_cpu, on_the_device = found.deviations[:2]
    assert (on_the_cpu.way, on_the_device.way) == ("float32 on the CPU", "float32 on cpu")
    assert on_the_cpu.largest_ppb == on_the_device.largest_ppb > 0
    assert (found.against_float32[0].largest_ppb, found.against_float32[0].changed_codes) == (0, 0)
    assert all(item.largest_ppb < found.band_ppb for item in found.deviations if not item.control)
    assert _of(found, "TF32 in linear layers on cpu").median_ppb > found.band_ppb
    assert next(model.parameters()).device.type == "cpu"


def test_what_does_not_fit_is_refused_by_field(model: Any, feature_map: FeatureMap) -> None:
    with pytest.raises(AttributionError, match="queries: 1 to 10000 of them, not 0"):
        calibrate([model], feature_map, [])
    with pytest.raises(AttributionError, match="models: the index has 1 checkpoints, more models were given"):
        calibrate([model, model], feature_map, tiny_examples(1), [Way("one")])
    with pytest.raises(AttributionError, match="models: 0 for 1 checkpoints of the index"):
        calibrate([], feature_map, tiny_examples(1), [Way("one")])
    with pytest.raises(AttributionError, match="ways: need at least one honest float32 way"):
        calibrate([model], feature_map, tiny_examples(1), [Way("one", control=True)])
