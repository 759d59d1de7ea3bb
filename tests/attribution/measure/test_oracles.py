"""The same numbers as other people's code: SciPy, scikit-learn, and dattri where somebody installed it."""

import numpy as np
import pytest

from attribution.measure.lds import Floats, area_under_curve, linear_datamodelling_score
from attribution.measure.subsets import Mask, half_subsets

pytestmark = [pytest.mark.ml, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def _work() -> tuple[Floats, Mask, Floats]:
    generator = np.random.default_rng(11)
    # Small integers: their sums tie, and tie exactly whatever the order of summation.
    scores = generator.integers(-5, 6, size=(40, 7)).astype(np.float64)
    subsets = half_subsets(40, 60)
    losses = -(subsets @ scores)[:, None, :] + 20 * generator.normal(size=(60, 2, 7))
    return scores, subsets, losses


def test_lds_is_the_mean_of_scipys_rank_correlations() -> None:
    spearman = pytest.importorskip("scipy.stats").spearmanr
    scores, subsets, losses = _work()

    found = linear_datamodelling_score(scores, subsets, losses)

    predicted, observed = subsets @ scores, -losses.mean(axis=1)
    expected = [spearman(predicted[:, query], observed[:, query]).statistic for query in range(7)]
    assert found.value == pytest.approx(np.mean(expected), abs=1e-12)


def test_lds_is_that_of_dattri() -> None:
    dattri = pytest.importorskip("dattri.metric", reason="dattri 0.3.0 is an oracle only: pip install --no-deps dattri")
    import torch

    scores, subsets, losses = _work()
    rows = torch.tensor(np.stack([np.flatnonzero(line) for line in subsets]))

    expected, _ = dattri.lds(torch.tensor(scores), (torch.tensor(-losses.mean(axis=1)), rows))

    assert linear_datamodelling_score(scores, subsets, losses).value == pytest.approx(float(expected.mean()), abs=1e-9)


def test_area_under_the_curve_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(12)
    wanted = generator.random(80) < 0.3
    scores = (generator.normal(size=80) + wanted).round(1)

    assert area_under_curve(scores, wanted) == pytest.approx(metrics.roc_auc_score(wanted, scores), abs=1e-12)
