"""Examples for the help of every command: written out where people use them daily, made from the fields elsewhere."""

from __future__ import annotations

import shlex
from typing import Any

from msgspec import inspect

from openledger.documents.fields import KEY_FIELDS, MESSAGE_TYPE_FIELDS, id_prefix
from openledger.words import is_flag, words, words_of_type

_WRITTEN: dict[str, tuple[str, ...]] = {
    "keys add": (
        "openledger keys add alice",
        "openledger keys add team --shared alice,bob,carol --threshold 2",
        "openledger keys add watched --policy alice",
    ),
    "keys list": ("openledger keys list", "openledger keys list --output json"),
    "keys show": ("openledger keys show alice",),
    "keys recover": (
        "openledger keys recover alice",
        "openledger keys recover alice < words.txt     numbered lists, commas, line breaks: any layout",
    ),
    "keys import": ("openledger keys import robot < secret.txt",),
    "keys export": ("openledger keys export robot --yes",),
    "keys delete": ("openledger keys delete robot --yes",),
    "tx build": ("openledger tx build --from team --messages messages.json --draft draft.json",),
    "tx sign": ("openledger tx sign draft.json --with alice --draft alice.json",),
    "tx combine": ("openledger tx combine alice.json bob.json --draft signed.json",),
    "tx show": ("openledger tx show draft.json",),
    "tx broadcast": ("openledger tx broadcast signed.json",),
    "tx simulate": ("openledger tx simulate draft.json",),
    "tx send": (
        "openledger tx send --from alice --messages messages.json",
        "openledger tx send --from alice --messages messages.json --dry-run",
    ),
    "query account": ("openledger query account alice", "openledger query account open1... --output json"),
    "query tx": ("openledger query tx 864E9C9B1D3BEAD3BE4525F08B317E5517803799F05FCECFDF7BEEE1DEA34DE1",),
    "query txs": ("openledger query txs --account alice", "openledger query txs --account alice --page 2"),
    "query clean": (
        "openledger query clean my-model my-datanet         any version of it",
        "openledger query clean my-model@2 my-datanet@1",
    ),
    "status": ("openledger status", "openledger status --node http://127.0.0.1:26657 --output json"),
}
# What people write for an id, by its prefix.
_NAMED = {
    "open": "bob",
    "oldata": "my-datanet",
    "olrun": "my-model@1",
    "olmodel": "my-model",
    "olterms": "CC-BY-4.0",
    "olcontrib": "olcontrib1...",
}


def written(command: str) -> str:
    """The epilog of a command whose examples are written out: `keys add`."""
    return _epilog(_WRITTEN[command])


def of_message(module: str, message: type[Any], name: str, option_of: Any, needed: list[Any]) -> str:
    """The epilog of a message's command: with the fields that it needs, and the same tried out."""
    given = [f"{option_of(field.name)} {value_of(field.type, field.name, message.__name__)}" for field in needed]
    line = " ".join(["openledger tx", module, name.replace("_", "-"), "--from alice", *given])
    return _epilog((line, f"{line} --dry-run"))


def of_query(module: str, query: Any, name: str, option_of: Any, needed: list[Any]) -> str:
    """The epilog of a query's command."""
    struct = query.args_type.__name__
    given = [f"{option_of(field.name)} {value_of(field.type, field.name, struct)}" for field in needed]
    line = " ".join(["openledger query", module, name.replace("_", "-"), *given])
    return _epilog((line, f"{line} --output json"))


def value_of(info: Any, field: str, struct: str = "") -> str:
    """A value that a person may write for a field."""
    marked, info = info, info.type if isinstance(info, inspect.Metadata) else info
    if isinstance(info, inspect.VarTupleType | inspect.ListType):
        return value_of(info.item_type, field, struct)
    if isinstance(info, inspect.BytesType):
        if field in KEY_FIELDS:
            return "bob"
        return _NAMED.get(id_prefix(field, struct), "@digest.bin")
    if isinstance(info, inspect.IntType):
        return _integer(marked, field)
    if isinstance(info, inspect.StrType):
        return "my-name" if field == "name" else shlex.quote("in words")
    return f"@{field.replace('_', '-')}.json"


def _integer(marked: Any, field: str) -> str:
    kind = words_of_type(marked)
    if kind is not None:
        return words(kind)[0]
    if is_flag(marked):
        return "yes"
    if field in MESSAGE_TYPE_FIELDS:
        return "bank.transfer"
    if field.endswith("_nopen"):
        return "1.5OPEN"
    if field.endswith("_ppb"):
        return "12.5%"
    return "registrar" if field == "roles" else "1"


def _epilog(lines: tuple[str, ...]) -> str:
    return "\n".join(["examples:", *[f"  {line}" for line in lines]]) + "\n"
