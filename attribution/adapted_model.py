"""A base model with one LoRA adapter in it, whose numbers can be exchanged: checkpoints of a run, a finished model."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from abci_app.integers import NumbersRefused
from attribution.adapter_config import AdapterConfig, AdapterRefused
from attribution.adapter_file import ADAPTER_FILE, check_fits, read_adapter
from attribution.lga.query import load_adapter
from attribution.loss import Tokens
from attribution.numerics import prepare
from attribution.text_tokens import end_id, open_tokenizer, padding_id, prompt_ids, text_ids
from openledger.errors import UsageError


def check_scaling(model: Any, config: AdapterConfig, adapter: str = "default") -> None:
    """Every adapted module multiplies B A by what the configuration says; raises `AdapterRefused`."""
    for name, module in model.named_modules():
        factor = getattr(module, "scaling", {}).get(adapter) if hasattr(module, "lora_A") else None
        if factor is not None and factor != config.scaling:
            raise AdapterRefused(f"{name} is scaled by {factor}, its configuration says {config.scaling}")


def open_base(base_folder: Path) -> Any:
    """A base model in float32 with eager attention; raises `UsageError` when its files are not exactly its tensors.

    Loaders fill what is missing with random numbers, and drop what they do not know; neither is this model.
    """
    prepare()
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # of loading weights: a second
    try:
        model, said = AutoModelForCausalLM.from_pretrained(
            str(base_folder),
            local_files_only=True,
            use_safetensors=True,
            dtype="float32",
            attn_implementation="eager",
            output_loading_info=True,
        )
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"the base model in {base_folder} cannot be opened: {reason}") from error
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        found = sorted(str(each) for each in said.get(what) or ())
        if found:
            words = what.replace("_keys", " tensors").replace("error_msgs", "errors")
            raise UsageError(f"the base model in {base_folder} has {words}: {found[0]} (of {len(found)})")
    return model


@dataclass
class AdaptedModel:
    """peft's model in float32 with eager attention, dropout off, and the base's tokenizer; the form of its adapters.

    A whole model, of a full fine-tune, has no adapter and no such form.
    """

    model: Any
    tokenizer: Any
    config: AdapterConfig | None

    @classmethod
    def open(cls, base_folder: Path, adapter_folder: Path) -> "AdaptedModel":
        """Load both; raises `UsageError` when the adapter is not one of this base, or is not computed with here."""
        prepare()
        from peft import LoraConfig, get_peft_model

        config, tensors = read_adapter(adapter_folder)
        tokenizer = open_tokenizer(base_folder)
        base = open_base(base_folder)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # peft on names that transformers will rename, and on absent networks
                model = get_peft_model(base, LoraConfig.from_pretrained(str(adapter_folder)))
        except ValueError as error:
            raise AdapterRefused(f"the adapter does not fit the model: {' '.join(str(error).split())}") from error
        check_fits(model, tensors)
        load_adapter(model, adapter_folder / ADAPTER_FILE)
        check_scaling(model, config)
        model.eval()
        return cls(model, tokenizer, config)

    @classmethod
    def whole(cls, folder: Path) -> "AdaptedModel":
        """A model without adapters, from its own folder; raises `UsageError` for one that cannot be opened."""
        model = open_base(folder)
        model.eval()
        return cls(model, open_tokenizer(folder), None)

    def load(self, adapter_folder: Path) -> Any:
        """Put another adapter's numbers in; returns the model. Raises `UsageError` for one of another form."""
        config, tensors = read_adapter(adapter_folder)
        form = self.config.form if self.config else "no adapter"
        if config.form != form:
            raise AdapterRefused(
                f"the adapter in {adapter_folder} has rank, scaling and modules {config.form}, the model is made for "
                f"{form}"
            )
        check_fits(self.model, tensors)
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
