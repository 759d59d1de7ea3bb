"""The one map from gradients to codes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from attribution.errors import AttributionError
from attribution.lga.basis import ModuleBasis, ModuleScale
from attribution.lga.codes import CODE_LIMIT, MAX_CODES, Codes
from attribution.lga.features import (
    FeatureMap,
    FeatureSettings,
    ModuleMap,
    cap_norms,
    features,
    fit_in_memory,
    norm_cap_millionths,
    norms,
    without_unused_directions,
)

pytestmark = pytest.mark.ml
COUNT = 40


def some_gradients(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "b": torch.randn(COUNT, 5, 2, generator=generator) * torch.tensor([3.0, 1.0]),
        "a": torch.randn(COUNT, 4, 2, generator=generator),
    }


def test_features_are_whitened_concatenated_and_sorted_by_module_name() -> None:
    gradients = some_gradients(1)
    index = fit_in_memory([gradients], FeatureSettings(directions=8, norm_cap_medians=0))
    (modules,) = index.map.checkpoints
    assert [module.name for module in modules] == ["a", "b"]
    assert index.map.code_count == 4 * 2 + 5 * 2
    expected = []
    for module in modules:
        coordinates = module.basis.coordinates(gradients[module.name]).numpy()
        second = (coordinates**2).mean(axis=0)
        unit = (gradients[module.name].double() ** 2).mean().item()
        expected.append((coordinates / np.sqrt(second + unit)).reshape(COUNT, -1))
    assert np.allclose(index.features, np.concatenate(expected, axis=1), rtol=1e-6)
    assert np.array_equal(features([gradients], index.map), index.features)


def test_whitening_makes_the_second_moment_of_a_code_about_one() -> None:
    index = fit_in_memory([some_gradients(1)], FeatureSettings(damping_ppb=0, norm_cap_medians=0))
    assert np.allclose((index.features**2).mean(axis=0), 1.0, rtol=1e-6)


def test_a_product_over_checkpoints_is_the_sum_of_the_products_of_each() -> None:
    both = [some_gradients(1), some_gradients(2)]
    settings = FeatureSettings(norm_cap_medians=0)
    whole = fit_in_memory(both, settings).features
    single = [fit_in_memory([one], settings).features for one in both]
    assert np.allclose(whole @ whole.T, sum(part @ part.T for part in single), rtol=1e-12, atol=1e-12)


def test_codes_are_the_features_in_sixteen_bits() -> None:
    index = fit_in_memory([some_gradients(1)])
    assert np.abs(np.ldexp(index.codes.astype(float), -index.map.exponent) - index.features).max() <= 2.0 ** -(
        index.map.exponent + 1
    )
    assert CODE_LIMIT // 2 <= np.abs(index.codes).max() <= CODE_LIMIT
    query = index.map.query_codes(index.features[0] / 1000)
    assert isinstance(query, Codes)
    assert query.exponent > index.map.exponent
    assert query.exponent == index.map.query_codes(index.features[0] / 1000).exponent


def test_only_the_coordinates_that_vary_most_give_codes_and_products_are_those_of_the_kept() -> None:
    gradients = some_gradients(1)
    whole = fit_in_memory([gradients], FeatureSettings(0, norm_cap_medians=0))
    some = fit_in_memory([gradients], FeatureSettings(7, norm_cap_medians=0))
    assert (whole.map.code_count, some.map.code_count) == (4 * 2 + 5 * 2, 7)
    kept = np.concatenate([module.kept.ravel() for module in some.map.checkpoints[0]])
    assert np.allclose(some.features, whole.features[:, kept], rtol=1e-8)


def test_bases_are_cut_after_the_last_direction_that_a_checkpoint_uses() -> None:
    gradients = [some_gradients(1), some_gradients(2)]
    found = fit_in_memory(gradients, FeatureSettings(3, norm_cap_medians=0)).map
    cut = replace(found, checkpoints=without_unused_directions(found.checkpoints))
    assert np.array_equal(cut.features(gradients), found.features(gradients))
    for before, after in zip(zip(*found.checkpoints, strict=True), zip(*cut.checkpoints, strict=True), strict=True):
        used = [row + 1 for module in before for row in np.flatnonzero(module.kept.any(axis=1))]
        assert {module.basis.shape[0] for module in after} == {max(used, default=1)}


def test_an_outlier_is_shortened_to_eight_median_norms() -> None:
    gradients = some_gradients(1)
    for value in gradients.values():
        value[3] *= 1000
    index = fit_in_memory([gradients])
    free = fit_in_memory([gradients], FeatureSettings(norm_cap_medians=0))
    lengths = np.sort(norms(free.features))
    cap = index.map.norm_cap_millionths
    assert cap == int(8 * lengths[(COUNT - 1) // 2] * 10**6)
    assert norms(index.features)[3] == pytest.approx(cap / 10**6, rel=1e-12)
    assert np.array_equal(np.delete(index.features, 3, axis=0), np.delete(free.features, 3, axis=0))
    assert norm_cap_millionths(np.zeros(0), 4) == 0
    assert np.array_equal(cap_norms(np.zeros((1, 2)), 5), np.zeros((1, 2)))


def one_module(name: str, directions: int = 1) -> ModuleMap:
    basis = ModuleBasis(np.ones((2, directions), np.int16), 0, np.ones((2, 1), np.int16), 0)
    return ModuleMap(name, basis, ModuleScale(np.ones((directions, 1), np.int32), 0))


@pytest.mark.parametrize("large", [1e160, float("inf"), float("nan")])
def test_features_without_a_norm_are_refused(large: float) -> None:
    """A scale of 2^631 fits its file: what it gives would be shortened to zero without a word."""
    with pytest.raises(AttributionError, match="features: are too large to have a norm"):
        cap_norms(np.array([[1.0, 2.0], [large, large]]), 1_000_000)


def test_a_map_that_has_no_defined_order_or_size_is_refused() -> None:
    with pytest.raises(AttributionError, match="basis/0001: modules must be there, sorted by name"):
        FeatureMap(((one_module("a"),), (one_module("b"), one_module("a"))))
    with pytest.raises(AttributionError, match="checkpoints: 1 to 16, not 0"):
        FeatureMap(())
    with pytest.raises(AttributionError, match=r"scales.a: has shape \[1, 1\], its basis gives \[2, 1\]"):
        replace(one_module("a", 2), scale=one_module("a").scale)
    FeatureMap(((one_module("a", MAX_CODES),),))
    with pytest.raises(AttributionError, match=f"directions: give {MAX_CODES + 1} codes an example"):
        FeatureMap(((one_module("a", MAX_CODES + 1),),))


def test_gradients_of_another_model_are_refused() -> None:
    index = fit_in_memory([some_gradients(1)])
    with pytest.raises(AttributionError, match="gradients: of 2 checkpoints, the map has 1"):
        index.map.features([some_gradients(1)] * 2)
    with pytest.raises(AttributionError, match="gradients: and basis differ in module c"):
        index.map.features([some_gradients(1) | {"c": torch.zeros(COUNT, 1, 1)}])
