"""Runs the generators that say what to ask a node, so that the same steps serve threads and asyncio.

A generator yields what it wants done and gets the answer back, or the error where it can deal with it.
"""

from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

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
    """The same with an async `perform`."""
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
