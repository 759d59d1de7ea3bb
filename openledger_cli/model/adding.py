"""`openledger model add`: a model from outside, out of its folder or a hub's cache, under a licence by name."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openledger.errors import UsageError
from openledger_cli.lines import count, show_size
from openledger_cli.progress import counting
from openledger_cli.proofs.trust import open_client
from openledger_cli.pulse import name_stage
from openledger_cli.signing import open_signer, wait_until_provable
from openledger_cli.tasks import add_reading_options, add_sending_options, add_task, say_next
from openledger_cli.text import note

if TYPE_CHECKING:
    from openledger.content.hub_cache import ModelFolder
    from openledger_cli.context import CommandContext
    from trainer.importing import ImportedModel
    from trainer.publish import ClientLedger
    from trainer.run_records import RunRecord

_EXAMPLES = """\
  openledger model add tiny-llama ./tiny-llama --terms Apache-2.0 --from olga
  openledger model add tiny-llama org/tiny-llama --from-cache --terms Apache-2.0 --from olga
  openledger model add tiny-llama ~/.cache/huggingface/hub/models--org--tiny-llama --terms mit --from olga
  openledger model add tiny-llama ./tiny-llama --terms Apache-2.0 --dry-run --from olga      only check the folder
  openledger model add smollm2 --sample --terms Apache-2.0 --from olga                       the demo's, to try with

the folder is one in transformers' layout: config.json, safetensors, tokenizer; links of a hub's cache are followed
"""


def register(commands: Any) -> None:
    """Add the task."""
    parser = add_task(commands, "add", add, "add a model from outside, such as a base to train on", _EXAMPLES)
    parser.add_argument("name", metavar="NAME", help="its name here; of a model of yours it becomes the next version")
    parser.add_argument(
        "folder", nargs="?", metavar="FOLDER", help="folder with its files, or with --from-cache its name on the hub"
    )
    parser.add_argument(
        "--terms", required=True, metavar="LICENCE", help="under which you received it, such as Apache-2.0"
    )
    parser.add_argument("--from-cache", action="store_true", help="take it out of the cache of a hub client")
    parser.add_argument("--sample", action="store_true", help="SmolLM2-135M-Instruct, which the demo brings along")
    parser.add_argument("--source", default="", metavar="TEXT", help="where it came from (default: as the cache says)")
    parser.add_argument("--dry-run", action="store_true", help="only check folder and terms, store and record nothing")
    add_sending_options(parser)
    add_reading_options(parser, content=True)


def add(arguments: argparse.Namespace) -> None:
    """Check the folder, store its files, record the import as the model's next version."""
    from openledger.content.store import ContentStore
    from openledger.licences import known_licence
    from trainer.importing import check_model_name, examine_model, record_model, store_model
    from trainer.publish import ClientLedger

    context: CommandContext = arguments.context
    check_model_name(arguments.name)
    found = _found(arguments)
    store = ContentStore.open(arguments.content)
    with open_client(context, arguments) as client:
        signer = open_signer(context, arguments, arguments.signer, client.chain_id)
        ledger = ClientLedger(client, signer, prove=not arguments.unverified)
        licence = known_licence(arguments.terms) or arguments.terms
        ledger.check_model(arguments.name)
        terms_id = ledger.terms(arguments.terms)
        _say(context, f"reading {found.path}")
        name_stage("checking its tensors against its configuration")
        model = examine_model(found)
        _say_found(context, model)
        if arguments.dry_run:
            outcome = "the folder is whole, the name and the terms can be used; nothing was added: --dry-run"
            context.output.show({"model": arguments.name, **_document(model), "outcome": outcome})
            return
        record = record_model(
            arguments.name,
            model,
            terms_id=terms_id,
            licence=licence,
            source=arguments.source,
            store=store,
            now_seconds=int(time.time()),
            owner=signer.address,
        )
        version = _version_there(ledger, record)
        if version:
            _say_there(context, arguments.name, version)
            return
        store_model(model, store, counting("storing bytes", silent_seconds=2.0))
        published = ledger.publish(record)
        wait_until_provable(client, published.height)
    result = {"model": arguments.name, **_document(model), "terms": licence, "height": published.height}
    if context.as_json:
        context.output.show({**result, "entry": published.entry})
        return
    size = f"{count(len(model.artefact.files), 'file')}, {show_size(model.artefact.byte_count)}"
    print(f"{arguments.name}: {size}, received under {licence}, recorded at height {published.height}")
    print("what it was trained on is unknown here, and every lineage above it says so")
    say_next(
        context,
        f"openledger model show {arguments.name}",
        f"openledger train --init recipe.yaml --base {arguments.name} --data DATANET@VERSION",
    )


def _version_there(ledger: ClientLedger, record: RunRecord) -> str:
    """The version of this very model that has these files from this source under these terms already, or empty."""
    from abci_app.modules.models.records import entry_id_of
    from openledger.errors import QueryFailed
    from openledger.exit_codes import ExitCode
    from trainer.chain_records import to_entry

    try:
        stored = ledger.stored_entry(entry_id_of(to_entry(record.entry)))
    except QueryFailed as failure:
        if failure.exit_code not in (ExitCode.NOT_FOUND, ExitCode.UNPROVEN):
            raise
        return ""
    is_same = bool(stored.model_id) and ledger.model_name(stored.model_id) == record.model_name
    return f"{record.model_name}@{stored.model_version}" if is_same else ""


def _say_there(context: CommandContext, name: str, version: str) -> None:
    outcome = f"{version} is this very model, with these files, from there and under these terms: nothing to add"
    if context.as_json:
        context.output.show({"model": name, "version": version, "outcome": outcome})
        return
    print(outcome)
    say_next(context, f"openledger model show {version}")


def _found(arguments: argparse.Namespace) -> ModelFolder:
    from openledger.content.hub_cache import from_cache, model_folder

    if bool(arguments.folder) == arguments.sample or (arguments.sample and arguments.from_cache):
        raise UsageError("which model? name its folder, its name on the hub with --from-cache, or --sample alone")
    if arguments.sample:
        from trainer.base_model import import_base_model

        base = import_base_model()
        arguments.source = arguments.source or base.source
        return model_folder(base.folder)
    return from_cache(arguments.folder) if arguments.from_cache else model_folder(Path(arguments.folder))


def _say(context: CommandContext, text: str) -> None:
    if not context.as_json:
        note(text)


def _say_found(context: CommandContext, model: ImportedModel) -> None:
    if model.source:
        _say(context, f"it is {model.source}")
    if model.left_out:
        _say(context, f"left out, the same numbers in another form: {', '.join(model.left_out)}")
    for text in model.notes:
        _say(context, f"note: {text}")


def _document(model: ImportedModel) -> dict[str, Any]:
    return {
        "files": len(model.artefact.files),
        "bytes": model.artefact.byte_count,
        "artefact_digest": model.artefact.artefact_digest.hex(),
        "tensor_digest": model.artefact.tensor_digest.hex(),
        "source": model.source,
        "left_out": list(model.left_out),
        "notes": list(model.notes),
    }
