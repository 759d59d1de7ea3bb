"""The reference of the protocol's bytes leaves no table, message, query or record out, and no link leads nowhere."""

import re

from abci_app.chain.registry import MESSAGE_NAMES, TABLES, all_queries
from abci_app.hashing import LIST_KINDS, TAGS
from openledger_cli.protocol import protocol_reference


def test_every_table_message_query_and_tag_has_its_line() -> None:
    text = protocol_reference()
    missing = [table.prefix.decode() for table in TABLES if f"| `{table.prefix.decode()}" not in text]
    missing += [name for name in MESSAGE_NAMES if f"### {name}, tag 0x" not in text]
    missing += [f"{module}/{name}" for module, name in all_queries() if f"### `/query/{module}/{name}`" not in text]
    missing += [tag for tag in TAGS.values() if f"`{tag}`" not in text]
    missing += [kind for kind in LIST_KINDS if f"`openledger/list/{kind}/v1`" not in text]
    assert missing == []


def test_every_link_leads_to_a_record() -> None:
    text = protocol_reference()
    targets = {line[4:].lower() for line in text.splitlines() if line.startswith("### ")}
    assert {link for link in re.findall(r"\]\(#([^)]+)\)", text) if link not in targets} == set()


def test_a_record_shows_its_tag_and_its_fields_in_order() -> None:
    text = protocol_reference()
    shown = text[text.index("### Supply\n") :].split("\n\n")[2].splitlines()
    assert shown[2:] == [
        "| 0 | | integer 1 |",
        "| 1 | `minted_nopen` | integer 0 to 2^63 - 1 |",
        "| 2 | `burned_nopen` | integer 0 to 2^63 - 1 |",
    ]


def test_it_is_the_same_each_time() -> None:
    assert protocol_reference() == protocol_reference()
