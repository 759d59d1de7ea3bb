"""A run tells how far it is to its watch: stages, steps, evaluations. The trainer prints nothing itself."""

from dataclasses import dataclass

from trainer.evaluate import HeldOutLoss

# Stages in their order, with what is done in them; a resumed run passes some of them again.
STAGES = {
    "check": "recipe, base, data, terms and needs are checked",
    "fetch": "rows and models are fetched and checked against the chain",
    "load": "the base is loaded and rows become tokens",
    "measure": "held-out rows are measured, before or after training",
    "train": "steps of the optimizer",
    "index": "indexes for attribution are built",
    "record": "the run is written to the content store and the chain",
}


@dataclass(frozen=True, slots=True)
class StepFacts:
    """A finished step of a run (1-based): its loss in nats, the learning rate, how many tokens it took."""

    step: int
    steps: int
    loss_nats: float
    learning_rate: float
    tokens: int


class Watch:
    """Is told; this one keeps it to itself."""

    def stage(self, name: str, words: str = "") -> None:
        """A stage begins; `words` say more than its name."""

    def step(self, facts: StepFacts) -> None:
        """A step is done."""

    def saved(self, step: int) -> None:
        """The run can go on from here after an interruption."""

    def evaluation(self, when: str, found: HeldOutLoss) -> None:
        """Held-out rows were measured `before` or `after` training."""
