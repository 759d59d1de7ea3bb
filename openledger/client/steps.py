"""The language of steps: generators say what to ask nodes, so that one logic serves threads, asyncio and tests.

A generator yields a step and gets its answer back, or the error where it can deal with it:

| step | answer |
|---|---|
| `Call` | its result |
| `Batch` | a list: for each call its result or `RpcRejected`; asked of one provider, 0 is the primary |
| `Together` | a list: for each batch its list or its `OpenLedgerError`; asked of several providers at once |
| `Pause` | None, later |

A flow asks one node (`Call`, `Batch`, `Pause`); the light client's steps ask several (`Batch`, `Together`, `Pause`).
"""

from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from openledger.client.rpc_calls import Call


@dataclass(frozen=True, slots=True)
class Batch:
    """Several calls at once, of one provider."""

    calls: Sequence[Call[Any]]
    provider: int = 0


@dataclass(frozen=True, slots=True)
class Together:
    """Several providers at once."""

    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait before going on."""

    seconds: float


Step = TypeVar("Step")
Result = TypeVar("Result")


def drive(steps: Generator[Step, Any, Result], perform: Callable[[Step], Any], given_back: type[Exception]) -> Result:
    """Run `steps` to their end, answering what they ask; errors of type `given_back` are raised inside them."""
    try:
        step = next(steps)
        while True:
            try:
                answer = perform(step)
            except given_back as error:
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as stop:
        result: Result = stop.value
        return result


async def drive_async(
    steps: Generator[Step, Any, Result], perform: Callable[[Step], Awaitable[Any]], given_back: type[Exception]
) -> Result:
    """Run `steps` to their end with an async `perform`, as `drive` does with a plain one."""
    try:
        step = next(steps)
        while True:
            try:
                answer = await perform(step)
            except given_back as error:
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as stop:
        result: Result = stop.value
        return result
