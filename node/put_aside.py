"""Tell what the chain put aside because of a bug, as a node's state and log have it: one line for who watches a node.

Hooks that fail and deadlines that are stuck stand in the state, alike on every node, until the bug is mended. Critical
lines of the running node's log are about this node alone, or about what leaves nothing in the state.
"""

from __future__ import annotations

from pathlib import Path

from abci_app.mechanisms.hooks import FailingHook, FailingHooksQuery, FailingHooksView
from abci_app.mechanisms.module import MAX_PAGE, StuckPage, StuckQuery
from node.application_query import ask
from node.errors import NodeRpcError
from node.log_tail import CRITICAL, STARTED, last_lines

# Told by the state, or by how CometBFT stands.
_SAID_ELSEWHERE = (".node: hook ", ".node: deadline of kind ", " is not running: ")


def put_aside(rpc_url: str) -> tuple[int, str]:
    """Ask for hooks that fail and work that is stuck: how many of both, and a line that names them; 0 and "" for none.

    Where the node does not tell, that is the line. Raises NoAnswer where none answers at all.
    """
    try:
        hooks: FailingHooksView | None = ask(rpc_url, "deadlines", "failing", FailingHooksQuery(), FailingHooksView)
        page: StuckPage | None = ask(rpc_url, "deadlines", "stuck", StuckQuery(0, MAX_PAGE), StuckPage)
    except NodeRpcError as error:
        return 0, f"the node does not tell what was put aside ({error})"
    failing = hooks.hooks if hooks else ()
    stuck = len(page.stuck) if page else 0
    parts = [_hook_in_words(hook) for hook in failing]
    if page and stuck:
        more = " or more" if page.next_number else ""
        parts.append(f"{stuck}{more} scheduled works are stuck (the first at height {page.stuck[0].stuck_height})")
    line = f"put aside because of a bug: {'; '.join(parts)}: see `openledger query deadlines stuck` and `failing`"
    return len(failing) + stuck, line if parts else ""


def _hook_in_words(hook: FailingHook) -> str:
    times = "once" if hook.failures == 1 else f"{hook.failures} times"
    return f"hook {hook.name} fails since height {hook.since_height} ({times})"


def log_alarm(log_file: Path) -> str:
    """Count the critical lines since this node started that the state does not tell of, with the last; "" for none."""
    lines = last_lines(log_file)
    begin = max([place for place, line in enumerate(lines) if STARTED in line], default=0)
    found = [line.partition(CRITICAL)[2] for line in lines[begin:] if CRITICAL in line]
    found = [line for line in found if not any(said in line for said in _SAID_ELSEWHERE)]
    if not found:
        return ""
    return f"critical lines in {log_file.name} since this start: {len(found)}, the last: {found[-1].partition(': ')[2]}"
