"""The reference of all parameters as one document: `scripts/help` writes docs/parameters.md from it."""

from abci_app.chain.chain_module import describe
from abci_app.chain.registry import SECTIONS
from abci_app.parameters import Section

_HEAD = """# Parameters

Written by `scripts/help` from the declarations in the code; `scripts/check` refuses it when it is not current.

A parameter is a number inside a rule that can change while a chain runs, within limits that only a new version of the
program moves. Genesis may set each one: `app_state.parameters` is `{section: {name: value}}`, amounts in nopen as
integers, choices and roles by their words; what it leaves out has its default. `openledger query chain parameters`
shows the live values with a proof. The state holds one record a section, `parameters/<section>/value`, with the values
by index; values of a block are those that the block before it left.
"""


def document() -> str:
    """The whole document."""
    lines = [_HEAD]
    for section in SECTIONS:
        lines += _section(section)
    return "\n".join(lines).rstrip() + "\n"


def _section(section: Section) -> list[str]:
    """A section's table, one row a parameter."""
    rows = []
    for parameter in section.parameters:
        view = describe(parameter, parameter.default)
        rows.append(f"| {view.index} | `{parameter.name}` | {view.default} | {view.allowed} | {view.meaning} |")
    return [
        f"## {section.name}",
        "",
        "| index | name | default | may be | meaning |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]
