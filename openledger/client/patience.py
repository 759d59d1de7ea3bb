"""Asking again where a node says that it is busy: many ask it at once, and ours was not a small question.

A node answers all its callers in order on one connection. A question that waited long for those before it is told to
come again (code BUSY), so that nobody waits for a row of dear questions. Coming again at a random moment is what gives
everybody the same chance.
"""

import random
from collections.abc import Iterator
from typing import Any, Final

from abci_app.errors import Code
from openledger.client.rpc_calls import QueryAnswer

# A node spends at most some 150 ms on one question: each try meets another moment. Together at most about two seconds.
TRIES: Final = 20
_SHORTEST_WAIT_SECONDS: Final = 0.01
_LONGEST_WAIT_SECONDS: Final = 0.18


def is_busy(answer: Any) -> bool:
    """Whether a node asks to come again."""
    return isinstance(answer, QueryAnswer) and answer.code == Code.BUSY and answer.codespace == "openledger"


def waits() -> Iterator[float]:
    """How many seconds to wait before each further try."""
    for _ in range(TRIES - 1):
        yield random.uniform(_SHORTEST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS)  # noqa: S311 - no secret


def busy_places(results: list[Any]) -> list[int]:
    """Where in the results of a batch a node asks to come again."""
    return [place for place, result in enumerate(results) if is_busy(result)]
