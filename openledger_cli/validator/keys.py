"""`openledger validator rotate` and `worker`: the keys that a validator signs and works with.

A new consensus key is made in the home beside the old one, and nothing that signs is touched: the old key signs until
the second block after the rotation, and the node takes the new one when it is restarted with it. CometBFT's record of
what was signed last stays as it is, whichever key signs: it is never put back and never deleted.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openledger.errors import UsageError
from openledger_cli.data.common import add_sending_options
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_reading_options, add_task, say_how, say_next, send
from openledger_cli.validator.common import (
    consensus_key_of,
    document_of,
    given_key,
    key_file,
    operator_of,
    read_validator,
    send_and_read,
)

if TYPE_CHECKING:
    from openledger_cli.context import CommandContext

_ROTATE_EXAMPLES = """\
  openledger validator rotate --from bob                     makes a new key file and rotates to it
  openledger validator rotate --from bob --new-key FILE      to a key that is there already

The old key signs until the block that the command names, so leave the node running. Then stop it, put the new file in
the place of config/priv_validator_key.json, leave data/priv_validator_state.json as it is, and start it again.
"""
_WORKER_EXAMPLES = """\
  openledger validator worker --key worker --box 5f1c... --from bob
  openledger validator worker --key worker --box 5f1c... --re-executes --from bob
  openledger validator worker --stop --from bob
"""
_BOX_BYTES = 32


def register(commands: Any) -> None:
    """Add the tasks."""
    rotate = add_task(commands, "rotate", run_rotate, "sign with a new consensus key", _ROTATE_EXAMPLES)
    rotate.add_argument("--new-key", type=Path, metavar="FILE", help="a key file (default: a new one in config/)")
    worker = add_task(commands, "worker", run_worker, "work for claims with these keys", _WORKER_EXAMPLES)
    worker.add_argument("--key", default="", metavar="KEY", help="key that its messages are signed with: name or hex")
    worker.add_argument("--box", default="", metavar="HEX", help="X25519 key that what is meant for it is sealed to")
    worker.add_argument("--re-executes", action="store_true", help="it executes models again to check claims")
    worker.add_argument("--stop", action="store_true", help="work for claims no more")
    for parser in (rotate, worker):
        add_sending_options(parser)
        add_reading_options(parser)


def run_rotate(arguments: argparse.Namespace) -> None:
    """Make the key file, send the rotation, and say what is to be done when."""
    from abci_app.modules.validators import RotateKey

    context: CommandContext = arguments.context
    path = arguments.new_key or new_key_file(key_file(context))
    key = consensus_key_of(path)
    with open_client(context, arguments) as client:
        committed = send(arguments, client, [RotateKey(key)])
        answer = read_validator(client, arguments, operator=operator_of(arguments))
    signs_from = committed.height + 2
    if context.as_json:
        context.output.json({**document_of(committed, answer), "key_file": str(path), "signs_from": signs_from})
        return
    print(f"{arguments.account or arguments.signer} signs with the key in {path} from height {signs_from} on")
    print(f"the old key signs until height {signs_from - 1}: leave the node running until then")
    print("where it has more than a third of all power, the chain waits until its node has the new key")
    say_how(context, answer)
    place = key_file(context)
    say_next(
        context,
        f"when `openledger node status` is beyond height {signs_from}, stop the node",
        f"mv {place} {place}.old && mv {path} {place}",
        "leave data/priv_validator_state.json as it is, and start the node",
        "guard the old key until the unbonding time has passed, then destroy it",
    )


def new_key_file(beside: Path) -> Path:
    """A new consensus key in a file beside the one that signs, in CometBFT's form, readable for its owner only."""
    import base64
    import hashlib
    import os

    import nacl.signing

    if not beside.parent.is_dir():
        raise UsageError(f"{beside.parent} is not there: run this in the node's home (--home), or give --new-key FILE")
    seed = nacl.signing.SigningKey.generate()
    public = bytes(seed.verify_key)
    document = {
        "address": hashlib.sha256(public).hexdigest()[:40].upper(),
        "pub_key": {"type": "tendermint/PubKeyEd25519", "value": base64.b64encode(public).decode()},
        "priv_key": {
            "type": "tendermint/PrivKeyEd25519",
            "value": base64.b64encode(bytes(seed) + public).decode(),
        },
    }
    path = beside.with_name(f"priv_validator_key.{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.json")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{path} is there already: wait a second, or give --new-key FILE") from None
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    return path


def run_worker(arguments: argparse.Namespace) -> None:
    """Set both keys, or none."""
    from abci_app.modules.validators import SetWorker
    from openledger_cli.signing import key_named

    context: CommandContext = arguments.context
    if arguments.stop == bool(arguments.key or arguments.box):
        raise UsageError("give --key and --box, or --stop")
    if arguments.stop:
        message = SetWorker(worker_key=b"", box_key=b"", capabilities=0)
    else:
        text = arguments.key
        is_key = len(text) == 2 * _BOX_BYTES and set(text.lower()) <= set("0123456789abcdef")
        worker = given_key(text) if is_key else key_named(context, text).public_keys[0]
        message = SetWorker(worker_key=worker, box_key=_box(arguments.box), capabilities=int(arguments.re_executes))
    committed, answer, _ = send_and_read(arguments, [message])
    if context.as_json:
        context.output.json(document_of(committed, answer))
        return
    works = "works for claims" if answer.value.worker_key else "works for claims no more"
    print(f"{arguments.account or arguments.signer} {works}")
    say_how(context, answer)


def _box(text: str) -> bytes:
    try:
        box = bytes.fromhex(text)
    except ValueError:
        box = b""
    if len(box) != _BOX_BYTES:
        raise UsageError(f"--box {text!r}: give the 64 hex digits of an X25519 key")
    return box
