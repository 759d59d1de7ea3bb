"""The reference of all commands as one document, from the parsers themselves: `scripts/help` writes docs/commands.md.

Formatted here rather than by argparse, whose layout differs between versions of Python and widths of terminals.
"""

import argparse
from collections.abc import Iterator
from typing import Any

from openledger.exit_codes import MEANINGS
from openledger_cli.main import GLOBAL_OPTIONS, GROUPS, build_parser

# Groups of options that many commands share: described once, and named where they apply.
SHARED = {
    "verification": "Options of every verified answer",
    "transaction": "Options of every transaction",
    "sending": "Options of everything that is sent",
}


def reference() -> str:
    """The whole document."""
    parsers = {group: _subparsers(build_parser(group)).choices[group] for group in GROUPS}
    shared: dict[str, argparse._ArgumentGroup] = {}
    body: list[str] = []
    for group, parser in parsers.items():
        body += _section(f"openledger {group}", parser, GROUPS[group][1], 2, shared)
    lines = [
        "# Commands",
        "",
        "Written by `scripts/help` from the commands themselves; `scripts/check` refuses it when it is not current.",
        "",
        "## Options of every command",
        "",
        "Anywhere on the line; also as `OPENLEDGER_<NAME>` or as a line in `<home>/client.yaml`.",
        "",
        *[f"- `--{name.replace('_', '-')} {value}`: {text}" for name, (value, text) in GLOBAL_OPTIONS.items()],
        "",
        "## Exit codes",
        "",
        "A number never changes its meaning.",
        "",
        "| code | meaning |",
        "|---|---|",
        *[f"| {int(code)} | {text} |" for code, text in MEANINGS.items()],
        "",
    ]
    for title, heading in SHARED.items():
        lines += [f"## {heading}", "", *_options(shared[title]._group_actions), ""]
    return "\n".join(lines + body).rstrip() + "\n"


def _section(
    name: str, parser: argparse.ArgumentParser, text: str, level: int, shared: dict[str, argparse._ArgumentGroup]
) -> Iterator[str]:
    """A command: what it does, its arguments, its examples, its commands."""
    yield from (f"{'#' * min(level, 4)} {name}", "", _sentence(text), "")
    actions = [action for action in parser._actions if not isinstance(action, _NOT_SHOWN)]
    applies = []
    for group in parser._action_groups:
        title = group.title or ""
        if title in SHARED and group._group_actions:
            shared.setdefault(title, group)
            applies.append(SHARED[title])
            actions = [action for action in actions if action not in group._group_actions]
    if actions:
        yield from (*_options(actions), "")
    if applies:
        links = [f"[{heading.lower()}](#{heading.lower().replace(' ', '-')})" for heading in applies]
        yield from (f"And the {', '.join(links)}.", "")
    if parser.epilog:
        yield from ("```", parser.epilog.rstrip(), "```", "")
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for command, below in action.choices.items():
                if command in helps:
                    yield from _section(f"{name} {command}", below, helps[command], level + 1, shared)


_NOT_SHOWN = (argparse._HelpAction, argparse._SubParsersAction, argparse._VersionAction)


def _options(actions: Any) -> Iterator[str]:
    """One item an option or argument."""
    for action in actions:
        if isinstance(action, _NOT_SHOWN):
            continue
        value = action.metavar if isinstance(action.metavar, str) else "|".join(map(str, action.choices or ()))
        value = value or (action.dest.upper() if action.nargs != 0 else "")
        flags = ", ".join(sorted(action.option_strings, key=len))
        shown = f"{flags} {value}".strip() if flags and action.nargs != 0 else flags or value
        required = ", required" if action.required and action.option_strings else ""
        text = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%").replace("|", "\\|")
        yield f"- `{shown}`{required}{f': {text}' if text else ''}"


def _sentence(text: str) -> str:
    """Turn a text into a sentence of its own."""
    plain = " ".join(text.replace("%%", "%").split())
    return plain[:1].upper() + plain[1:] + ("" if plain.endswith((".", "!", "?")) else ".")


def _subparsers(parser: argparse.ArgumentParser) -> Any:
    (found,) = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return found
