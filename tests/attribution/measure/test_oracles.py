"""Our numbers equal those of other people's code: SciPy, scikit-learn and dattri."""

from typing import Any

import numpy as np
import pytest

from attribution.measure.baselines import CheckpointGradients, datainf
from attribution.measure.lds import Floats, area_under_curve, linear_datamodelling_score
from attribution.measure.subsets import Mask, half_subsets

pytestmark = [pytest.mark.ml, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def _work() -> tuple[Floats, Mask, Floats]:
    generator = np.random.default_rng(11)
    # Small integers: their sums tie, and tie exactly in any order of summation.
    scores = generator.integers(-5, 6, size=(40, 7)).astype(np.float64)
    subsets = half_subsets(40, 60)
    losses = -(subsets @ scores)[:, None, :] + 20 * generator.normal(size=(60, 2, 7))
    return scores, subsets, losses


def test_lds_is_the_mean_of_scipys_rank_correlations() -> None:
    from scipy.stats import spearmanr

    scores, subsets, losses = _work()

    found = linear_datamodelling_score(scores, subsets, losses)

    predicted, observed = subsets @ scores, -losses.mean(axis=1)
    expected = [spearmanr(predicted[:, query], observed[:, query]).statistic for query in range(7)]
    assert found.value == pytest.approx(np.mean(expected), abs=1e-12)


def test_lds_is_that_of_dattri() -> None:
    import torch
    from dattri.metric import lds

    scores, subsets, losses = _work()
    rows = torch.tensor(np.stack([np.flatnonzero(line) for line in subsets]))

    expected, _ = lds(torch.tensor(scores), (torch.tensor(-losses.mean(axis=1)), rows))

    assert linear_datamodelling_score(scores, subsets, losses).value == pytest.approx(float(expected.mean()), abs=1e-9)


def test_area_under_the_curve_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    generator = np.random.default_rng(12)
    wanted = generator.random(80) < 0.3
    scores = (generator.normal(size=80) + wanted).round(1)

    assert area_under_curve(scores, wanted) == pytest.approx(roc_auc_score(wanted, scores), abs=1e-12)


def _classifier() -> tuple[Any, Any, Any]:
    """A linear classifier without bias, rows to train on, rows to ask about."""
    import torch
    from torch.utils.data import TensorDataset

    torch.manual_seed(13)
    model = torch.nn.Linear(5, 3, bias=False)
    rows = TensorDataset(torch.randn(20, 5), torch.randint(0, 3, (20,)))
    return model, rows, TensorDataset(torch.randn(4, 5), torch.randint(0, 3, (4,)))


def _gradients(model: Any, rows: Any) -> Floats:
    """Gradients of the loss of every row, [rows, entries]."""
    import torch

    def of(inputs: Any, wanted: Any) -> Floats:
        (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(model(inputs), wanted), [model.weight])
        flat: Floats = gradient.flatten().double().numpy()
        return flat

    return np.stack([of(inputs, wanted) for inputs, wanted in rows])


def _task(model: Any) -> Any:
    import torch
    from dattri.task import AttributionTask

    def loss(parameters: Any, pair: Any) -> Any:
        inputs, wanted = pair
        return torch.nn.functional.cross_entropy(torch.func.functional_call(model, parameters, inputs), wanted)

    return AttributionTask(loss_func=loss, model=model, checkpoints=model.state_dict())


def test_datainf_is_that_of_dattri() -> None:
    from dattri.algorithm.influence_function import IFAttributorDataInf
    from torch.utils.data import DataLoader

    model, rows, queries = _classifier()
    training, asked = _gradients(model, rows), _gradients(model, queries)
    strength = 0.01
    at = CheckpointGradients({"w": training}, {"w": asked}, {}, {}, 0, 1.0)

    attributor = IFAttributorDataInf(_task(model), regularization=strength)
    attributor.cache(DataLoader(rows, batch_size=20))
    expected = attributor.attribute(DataLoader(rows, batch_size=20), DataLoader(queries, batch_size=4))

    ours = datainf(at, strength / float((training**2).mean()))
    assert np.allclose(ours, expected.detach().double().numpy(), rtol=1e-3, atol=1e-3 * np.abs(ours).max())
