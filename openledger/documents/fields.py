"""Meaning of fields by their names: kinds of ids, types of messages."""

from functools import cache
from typing import Any

from msgspec import inspect

from abci_app.chain.registry import MESSAGE_NAMES

_WORDS_OF_PREFIX: dict[str, tuple[str, ...]] = {
    "open": (
        "account", "address", "contributor", "creator", "delegate", "evaluator", "holder", "member", "operator",
        "owner", "payee", "payer", "proposer", "recipient", "recorder", "registrar", "reproducer", "reviewer", "sender",
        "sponsor", "submitter",
    ),
    "oldata": ("datanet", "benchmark"),
    "olrun": ("ancestor", "child", "descendant", "entry", "entries", "head", "parent", "run", "supersedes"),
    "olmodel": ("model",),
    "olterms": ("terms",),
    "olcontrib": ("contribution",),
}  # fmt: skip
_PREFIX_OF_WORD = {word: prefix for prefix, words in _WORDS_OF_PREFIX.items() for word in words}
# Joined terms are computed, not registered: their id must not pass for that of terms. CometBFT's addresses are hex.
_NOT_IDS = frozenset({"joined_terms", "consensus_address"})
# Fields that hold what a key of the caller is made of: people write the name of the key.
KEY_FIELDS: dict[str, str] = {"public_key": "public-key", "policy": "policy"}
MESSAGE_TYPE_FIELDS = frozenset({"message_type", "message_types"})
ID_BYTES = 32
NAME_OF_TAG: dict[int, str] = {tag: name for name, tag in MESSAGE_NAMES.items()}


def id_prefix(field: str, struct: str = "") -> str:
    """Which kind of id a field of this name holds, or empty: `benchmark_datanet_id` -> `oldata`."""
    stem = field.removesuffix("_ids").removesuffix("_id")
    if stem in ("id", "ids"):
        stem = struct.lower()
        for word in ("datanet", "contribution", "entry", "model", "terms"):
            if stem.startswith(word):
                return _PREFIX_OF_WORD[word]
        return ""
    if stem in _NOT_IDS:
        return ""
    last = stem.rsplit("_", 1)[-1]
    return _PREFIX_OF_WORD.get(last) or _PREFIX_OF_WORD.get(last.removesuffix("s"), "")


_type_info = cache(inspect.type_info)


def type_info(struct: Any) -> Any:
    """msgspec's description of a struct type."""
    return _type_info(struct)
