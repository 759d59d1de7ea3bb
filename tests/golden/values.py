"""How vectors write values: bytes as lower-case hex, integers that do not fit a double as decimal text."""

from __future__ import annotations

from typing import Any

import msgspec

LARGEST_EXACT_DOUBLE = 2**53 - 1


def plain(value: Any, before_bytes: str = "") -> Any:
    """Records become objects of their fields in order, lists stay lists."""
    if isinstance(value, bytes):
        return before_bytes + value.hex()
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(value)
        named = {field.name: plain(getattr(value, field.name), before_bytes) for field in fields}
        tag = value.__struct_config__.tag
        return named if tag is None else {"tag": tag} | named
    if isinstance(value, (tuple, list)):
        return [plain(item, before_bytes) for item in value]
    if isinstance(value, int):
        return int(value) if abs(value) <= LARGEST_EXACT_DOUBLE else str(int(value))
    return value


def typed(value: Any) -> Any:
    """Where texts stand beside bytes: bytes carry 0x."""
    return plain(value, "0x")
