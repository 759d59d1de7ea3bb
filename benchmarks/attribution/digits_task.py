"""Handwritten digits of scikit-learn: logistic regression and a network of one hidden layer, for retraining."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from attribution.lga.features import Gradients
from attribution.lga.gradients import GradientCollector
from attribution.measure.retrain import Outputs

PIXELS, CLASSES, HIDDEN = 64, 10, 64
TRAINING, QUERIES = 600, 200


@dataclass(frozen=True)
class DigitsRecipe:
    """A model of the digits and how it is trained; `hidden` 0 is logistic regression, which starts from zero."""

    name: str
    hidden: int
    step_size: float
    epochs: int
    batch: int
    momentum: float
    weight_decay: float
    start: int = 0


LOGISTIC = DigitsRecipe("digits LR", 0, 0.5, 60, 50, 0.9, 1e-3)
NETWORK = DigitsRecipe("digits MLP 64-64-10", HIDDEN, 0.1, 30, 50, 0.9, 1e-4)


@cache
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels [1797, 64] in 0..1, centred, and classes [1797], shuffled once for ever."""
    from sklearn.datasets import load_digits

    pixels, classes = load_digits(return_X_y=True)
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))
    inputs = torch.tensor(pixels, dtype=torch.float32)[order] / 16
    return inputs - inputs.mean(dim=0), torch.tensor(classes)[order]


@dataclass(frozen=True)
class DigitsTask:
    """One recipe on rows with these classes; `flipped` says which classes were made wrong."""

    settings: DigitsRecipe
    classes: torch.Tensor
    flipped: torch.Tensor

    @classmethod
    def open(cls, settings: DigitsRecipe, flipped_share: float = 0.0) -> "DigitsTask":
        """The first 600 digits; a share of them gets another class, drawn once for ever."""
        classes = digits()[1][:TRAINING].clone()
        generator = torch.Generator().manual_seed(1)
        chosen = torch.randperm(TRAINING, generator=generator)[: round(flipped_share * TRAINING)]
        moved = torch.randint(1, CLASSES, (len(chosen),), generator=generator)
        classes[chosen] = (classes[chosen] + moved) % CLASSES
        flipped = torch.zeros(TRAINING, dtype=torch.bool)
        flipped[chosen] = True
        return cls(settings, classes, flipped)

    def recipe(self) -> dict[str, object]:
        """Settings that decide a retrain."""
        sizes = [TRAINING, QUERIES, int(self.flipped.sum())]
        named = {"task": "digits, version 1", "sizes": sizes, "torch": torch.__version__.split("+")[0]}
        return {**named, **asdict(self.settings)}

    def train(self, rows: Sequence[int], seed: int, kept_steps: Sequence[int] = ()) -> tuple[nn.Module, list[Any]]:
        """Model, and states after these steps, after training on these rows alone."""
        settings, chosen = self.settings, torch.tensor(list(rows))
        inputs, classes = digits()[0][chosen], self.classes[chosen]
        model = _model(settings)
        options = {"lr": settings.step_size, "momentum": settings.momentum, "weight_decay": settings.weight_decay}
        optimizer = torch.optim.SGD(model.parameters(), **options)  # type: ignore[arg-type]
        generator = torch.Generator().manual_seed(seed)
        states, step, all_steps = [], 0, self.steps(len(rows))
        for _ in range(settings.epochs):
            for part in torch.randperm(len(rows), generator=generator).split(settings.batch):  # type: ignore[no-untyped-call]
                optimizer.param_groups[0]["lr"] = settings.step_size * (1 - step / all_steps)
                step += 1
                optimizer.zero_grad()
                functional.cross_entropy(model(inputs[part]), classes[part]).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                if step in kept_steps:
                    states.append({name: value.clone() for name, value in model.state_dict().items()})
        return model, states

    def steps(self, rows: int) -> int:
        """Steps of a whole run."""
        return self.settings.epochs * -(-rows // self.settings.batch)

    def train_and_measure(self, rows: Sequence[int], seed: int) -> Outputs:
        """Loss of every query after training on these rows alone."""
        model, _ = self.train(rows, seed)
        inputs, classes = (part[TRAINING : TRAINING + QUERIES] for part in digits())
        with torch.no_grad():
            return functional.cross_entropy(model(inputs).double(), classes, reduction="none").numpy()

    def gradients(self, model: nn.Module, state: Any) -> tuple[Gradients, Gradients]:
        """Weight gradients [examples, out, in] of training rows and of queries, by module, at a state."""
        model.load_state_dict(state)
        names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
        collector = GradientCollector(model, names)
        query_inputs, query_classes = (part[TRAINING : TRAINING + QUERIES] for part in digits())
        return (
            collector.collect(lambda: _losses(model, digits()[0][:TRAINING], self.classes)),
            collector.collect(lambda: _losses(model, query_inputs, query_classes)),
        )


def _losses(model: nn.Module, inputs: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(model(inputs).double(), classes, reduction="none")


def _model(settings: DigitsRecipe) -> nn.Module:
    torch.manual_seed(settings.start)
    if settings.hidden:
        return nn.Sequential(nn.Linear(PIXELS, settings.hidden), nn.ReLU(), nn.Linear(settings.hidden, CLASSES))
    model = nn.Sequential(nn.Linear(PIXELS, CLASSES))
    for value in model.parameters():
        nn.init.zeros_(value)
    return model
