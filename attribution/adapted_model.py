"""A base model with one LoRA adapter in it, whose numbers can be exchanged: checkpoints of a run, a finished model."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from abci_app.integers import NumbersRefused
from attribution.lga.query import load_adapter
from attribution.loss import Tokens
from attribution.numerics import prepare
from attribution.text_tokens import end_id, open_tokenizer, padding_id, prompt_ids, text_ids
from openledger.errors import UsageError

# Names that peft gives to the files of an adapter.
ADAPTER_FILE = "adapter_model.safetensors"
CONFIG_FILE = "adapter_config.json"


@dataclass
class AdaptedModel:
    """peft's model in float32 with eager attention, dropout off, and the base's tokenizer."""

    model: Any
    tokenizer: Any

    @classmethod
    def open(cls, base_folder: Path, adapter_folder: Path) -> "AdaptedModel":
        """Load both; raises `UsageError` when the adapter is not one of this base."""
        prepare()
        from peft import PeftModel
        from transformers import AutoModelForCausalLM
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # of loading weights: a second
        tokenizer = open_tokenizer(base_folder)
        base = AutoModelForCausalLM.from_pretrained(
            str(base_folder), local_files_only=True, dtype="float32", attn_implementation="eager"
        )
        if not (adapter_folder / CONFIG_FILE).is_file():
            raise UsageError(f"{adapter_folder} holds no adapter ({CONFIG_FILE} is missing)")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peft on names that transformers will rename, and on absent networks
            model = PeftModel.from_pretrained(base, str(adapter_folder))
        model.eval()
        return cls(model, tokenizer)

    def load(self, adapter_folder: Path) -> Any:
        """Put another adapter's numbers in; returns the model. Raises `UsageError` for one of another form."""
        try:
            load_adapter(self.model, adapter_folder / ADAPTER_FILE)
        except NumbersRefused as error:
            raise UsageError(f"the adapter in {adapter_folder} cannot be used: {error}") from error
        self.model.eval()
        return self.model

    @property
    def padding_id(self) -> int:
        """Token that fills short rows of a batch."""
        return padding_id(self.tokenizer)

    def check_length(self, tokens: int) -> None:
        """Raises `UsageError` for more tokens than the model has positions for."""
        window = getattr(self.model.config, "max_position_embeddings", None)
        if window is not None and tokens > window:
            raise UsageError(f"prompt and output have {tokens} tokens, the model reads {window} at most: shorten them")

    def exchange_tokens(self, prompt: str, output: str) -> Tokens:
        """Prompt and output as token ids, read as rows are; the loss counts on the output."""
        asked = prompt_ids(self.tokenizer, prompt)
        return Tokens((*asked, *text_ids(self.tokenizer, output)), len(asked))

    def answer(self, prompt: str, max_tokens: int) -> Tokens:
        """Greedy continuation: always the likeliest token, ties to the smaller id, up to the end-of-sequence token."""
        import torch

        ids = list(prompt_ids(self.tokenizer, prompt))
        if not ids:
            raise UsageError("an empty prompt cannot be answered: give --prompt some text")
        prompt_length = len(ids)
        self.check_length(prompt_length + 1)
        cache = None
        pending = ids
        with torch.no_grad():
            for _ in range(max_tokens):
                result = self.model(input_ids=torch.tensor([pending]), past_key_values=cache, use_cache=True)
                cache = result.past_key_values
                token = int(result.logits[0, -1].argmax())
                if token == end_id(self.tokenizer):
                    break
                ids.append(token)
                pending = [token]
        return Tokens(tuple(ids), prompt_length)
