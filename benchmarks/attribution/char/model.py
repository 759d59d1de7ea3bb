"""A character GPT of 115,552 parameters, its pretraining, and LoRA on its four linear layers per block."""

import hashlib
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from attribution.measure.retrain import canonical_json
from benchmarks.attribution.corpora import ALPHABET, SEQUENCE_CHARACTERS

WIDTH = 64
LAYERS = 2
HEADS = 4
CONTEXT = SEQUENCE_CHARACTERS - 1

PRETRAINING_STEPS = 2_000
PRETRAINING_BATCH = 32
PRETRAINING_STEP_SIZE = 3e-3
PRETRAINING_SEED = 20_261_121
WARMUP_STEPS = 100


class CharBlock(nn.Module):
    """Attention and feed-forward layer, each after a normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.fc1, self.fc2 = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """[batch, tokens, width] -> the same shape."""
        batch, tokens, _ = hidden.shape
        heads = self.qkv(self.norm1(hidden)).view(batch, tokens, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(heads[0], heads[1], heads[2], is_causal=True)
        hidden = hidden + self.proj(mixed.transpose(1, 2).reshape(batch, tokens, WIDTH))
        wide = functional.gelu(self.fc1(self.norm2(hidden)))
        return hidden + self.fc2(wide)  # type: ignore[no-any-return]


class CharGPT(nn.Module):
    """Logits of the next character."""

    def __init__(self) -> None:
        super().__init__()
        self.characters, self.positions = nn.Embedding(len(ALPHABET), WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(CharBlock() for _ in range(LAYERS))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(ALPHABET))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids [batch, tokens] -> logits [batch, tokens, 96]."""
        hidden = self.characters(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            hidden = block(hidden)
        return self.head(self.norm(hidden))  # type: ignore[no-any-return]


def encode(texts: Sequence[str]) -> torch.Tensor:
    """Int64 [texts, characters]."""
    place = {character: index for index, character in enumerate(ALPHABET)}
    return torch.tensor([[place[character] for character in text] for text in texts])


def batch_loss(model: nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy in nats of every next character; all sequences have one length."""
    logits = model(ids[:, :-1])
    return functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1))


def pretrained(text: str, folder: Path, progress: Callable[[int, int], None] | None = None) -> CharGPT:
    """The base model of a text: from `folder` when it was trained before, by digest of text and recipe."""
    recipe = {
        "text": hashlib.sha256(text.encode()).hexdigest(), "steps": PRETRAINING_STEPS, "batch": PRETRAINING_BATCH,
        "step_size": PRETRAINING_STEP_SIZE, "seed": PRETRAINING_SEED, "shape": [WIDTH, LAYERS, HEADS, CONTEXT],
    }  # fmt: skip
    path = folder / f"base-{hashlib.sha256(canonical_json(recipe)).hexdigest()}.pt"
    model = CharGPT()
    if not path.exists():
        trained = _pretrain(text, progress)
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        torch.save(trained.state_dict(), part)
        part.replace(path)
    model.load_state_dict(torch.load(path, weights_only=True))
    return model.eval()


def _pretrain(text: str, progress: Callable[[int, int], None] | None) -> CharGPT:
    torch.manual_seed(PRETRAINING_SEED)
    model = CharGPT()
    ids = encode([text])[0]
    optimizer = torch.optim.AdamW(model.parameters(), lr=PRETRAINING_STEP_SIZE, weight_decay=0.01)
    for step in range(PRETRAINING_STEPS):
        warm, cool = min(1.0, (step + 1) / WARMUP_STEPS), 0.5 * (1 + math.cos(math.pi * step / PRETRAINING_STEPS))
        for group in optimizer.param_groups:
            group["lr"] = PRETRAINING_STEP_SIZE * warm * (0.05 + 0.95 * cool)
        starts = torch.randint(len(ids) - SEQUENCE_CHARACTERS, (PRETRAINING_BATCH, 1))
        loss = batch_loss(model, ids[starts + torch.arange(SEQUENCE_CHARACTERS)])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if progress is not None and (step + 1) % 100 == 0:
            progress(step + 1, PRETRAINING_STEPS)
    return model


@dataclass(frozen=True)
class AdapterRecipe:
    """How an adapter is trained; step sizes fall linearly to zero, as the trainer's do.

    `start` is the seed of the adapter's first values, which belongs to the recipe of a recorded run; the seed of a
    retrain then only draws the order of the examples. With None it draws both.
    """

    start: int | None = 0
    rank: int = 4
    alpha: int = 8
    modules: tuple[str, ...] = ("fc1", "fc2", "proj", "qkv")
    step_size: float = 4e-3
    epochs: int = 4
    batch: int = 16

    def steps(self, examples: int) -> int:
        """Steps of a whole run."""
        return self.epochs * math.ceil(examples / self.batch)

    def as_json(self) -> dict[str, Any]:
        """For a recipe digest."""
        return {**asdict(self), "modules": list(self.modules)}


@dataclass(frozen=True)
class CharCheckpoint:
    """Adapter tensors after some steps, and the state of Adam then, by parameter name."""

    parameters: dict[str, torch.Tensor]
    first_moments: dict[str, torch.Tensor]
    second_moments: dict[str, torch.Tensor]
    steps: int
    step_size: float


def attach(base: CharGPT, recipe: AdapterRecipe, seed: int) -> Any:
    """A peft model around a copy of `base`, adapter drawn from `seed`, dropout none."""
    import copy

    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    config = LoraConfig(r=recipe.rank, lora_alpha=recipe.alpha, target_modules=list(recipe.modules), lora_dropout=0.0)
    return get_peft_model(copy.deepcopy(base), config).train()


def adapter_parameters(model: Any) -> dict[str, torch.Tensor]:
    """Trainable parameters by name, names sorted."""
    return {name: value for name, value in sorted(model.named_parameters()) if value.requires_grad}


def train_adapter(
    base: CharGPT, ids: torch.Tensor, recipe: AdapterRecipe, seed: int, kept_steps: Sequence[int] = ()
) -> tuple[Any, list[CharCheckpoint]]:
    """Fine-tune on the sequences `ids` [examples, characters]; checkpoints after each of `kept_steps` (from 1)."""
    model = attach(base, recipe, seed if recipe.start is None else recipe.start)
    parameters = adapter_parameters(model)
    optimizer = torch.optim.AdamW(parameters.values(), lr=recipe.step_size, weight_decay=0.0)
    generator = torch.Generator().manual_seed(seed)
    all_steps, step, checkpoints = recipe.steps(len(ids)), 0, []
    for _ in range(recipe.epochs):
        for chosen in torch.randperm(len(ids), generator=generator).split(recipe.batch):  # type: ignore[no-untyped-call]
            step_size = recipe.step_size * (1 - step / all_steps)
            optimizer.param_groups[0]["lr"] = step_size
            step += 1
            loss = batch_loss(model, ids[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if step in kept_steps:
                values = {name: value.detach().clone() for name, value in parameters.items()}
                first, second = (
                    _moments(optimizer, parameters, "exp_avg"),
                    _moments(optimizer, parameters, "exp_avg_sq"),
                )
                checkpoints.append(CharCheckpoint(values, first, second, step, step_size))
    return model.eval(), checkpoints


def _moments(optimizer: Any, parameters: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    return {key: optimizer.state[value][name].clone() for key, value in parameters.items()}


def restore(model: Any, checkpoint: CharCheckpoint) -> None:
    """Put a checkpoint's adapter tensors into the model, in place."""
    with torch.no_grad():
        for name, value in adapter_parameters(model).items():
            value.copy_(checkpoint.parameters[name])


@torch.no_grad()
def sequence_losses(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """Mean loss of every sequence in nats, float64 [sequences]."""
    logits = model(ids[:, :-1]).double()
    return functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none").mean(dim=1)
