"""docs/settings.md, from the one table of settings: `scripts/help` writes it."""

from __future__ import annotations

from dataclasses import fields

from openledger.settings import CONFIG_FILE, SETTINGS, VARIABLES, ClientSettings

_HEAD = f"""\
# Settings

Written by `scripts/help` from openledger/settings.py; `scripts/check` refuses it when it is not current.

Everybody who asks a chain or signs for it has these settings: the command, and programs (`openledger.connect()`). The
command line counts more than a variable of the environment, that more than a line of `{CONFIG_FILE}` in the home, that
more than the default. Naming a chain (`--chain-id`) brings the node, witnesses and genesis document that
`openledger trust add` noted of it; what is named beside the chain counts more.

| setting | option | variable | in {CONFIG_FILE} | what it is |
|---|---|---|---|---|
"""
_MIDDLE = """
## Where they come from

`openledger devnet` and `openledger node init` write `settings.sh` and `client.yaml`, and print the line that uses them;
the first `openledger trust add` of a home writes `client.yaml`. None of them is written over what is there.

```sh
openledger devnet --folder ./net --account olga=1000OPEN
. ./net/settings.sh
openledger query account olga
```

A `client.yaml` has one text a line; lists are written with commas:

```yaml
chain_id: "ledger-1"
node: "https://node.example"
witnesses: "https://other.example,https://third.example"
key: "olga"
```

In Python, the same settings without a line of code:

```python
import openledger

with openledger.connect() as client:
    print(client.status().node_info.network)
```

## Other variables

| variable | for | what it is |
|---|---|---|
"""


def document() -> str:
    """The whole document."""
    defaults = {field.name: field.default for field in fields(ClientSettings)}
    assert list(defaults) == [setting.name for setting in SETTINGS]
    rows = [
        f"| {setting.name} | {f'`{setting.flag} {setting.value}`' if setting.option else ''} | `{setting.variable}` "
        f"| {f'`{setting.name}:`' if setting.file else ''} | {setting.text} |"
        for setting in SETTINGS
    ]
    others = [f"| `{name}` | {whom} | {text} |" for name, (whom, text) in VARIABLES.items()]
    return _HEAD + "\n".join(rows) + "\n" + _MIDDLE + "\n".join(others) + "\n"
