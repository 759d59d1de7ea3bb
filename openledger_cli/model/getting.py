"""`openledger model get`: the files of a model's version, each verified, into a folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openledger.errors import NotVerified
from openledger_cli.lines import count, show_size
from openledger_cli.progress import counting
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_reading_options, add_task, say_how, say_next
from openledger_cli.text import note

if TYPE_CHECKING:
    from abci_app.modules.models.records import StoredEntry
    from openledger.client.client import Client
    from openledger.client.results import Answer
    from openledger.content.folder import ArtefactFile
    from openledger.content.store import ContentStore
    from openledger_cli.context import CommandContext

_EXAMPLES = """\
  openledger model get gardener@2 --to ./gardener
  openledger model get tiny-llama --to ./tiny-llama

files that are there already, with the same bytes, are kept: the same command goes on where it was stopped
"""


def register(commands: Any) -> None:
    """Add the task."""
    parser = add_task(commands, "get", get, "fetch the files of a model, verified, into a folder", _EXAMPLES)
    parser.add_argument("name", metavar="NAME[@VERSION]|ENTRY", help="a model's version (default: the latest)")
    parser.add_argument("--to", required=True, type=Path, metavar="DIR", help="folder for the files")
    add_reading_options(parser, content=True)


def get(arguments: argparse.Namespace) -> None:
    """Ask which files the proven entry names, and bring them."""
    from abci_app.modules.models.kinds import EntryKind
    from openledger.content.fetching import fetch_files
    from openledger.content.store import ContentStore, calling_content

    context: CommandContext = arguments.context
    store = ContentStore.open(arguments.content)
    with open_client(context, arguments) as client:
        answer = entry_of(client, arguments.name, prove=not arguments.unverified)
    stored: StoredEntry = answer.value.stored
    with calling_content(f"the manifest of {arguments.name}, which lists its files,"):
        files = recorded_files(store, stored)
    folder = arguments.to.expanduser()
    total = sum(file.byte_count for file in files)
    if not context.as_json:
        note(f"{arguments.name}: {count(len(files), 'file')}, {show_size(total)}")
    kept = fetch_files(
        store, files, folder, overwrite=context.overwrite, progress=counting("bytes", silent_seconds=2.0)
    )
    if context.as_json:
        document = {"model": arguments.name, "folder": str(folder), "files": len(files), "kept": kept, "bytes": total}
        context.output.show({**document, "verified": answer.verified, "how": answer.note})
        return
    there = f", {kept} of them were there" if kept else ""
    print(
        f"{folder} holds {count(len(files), 'file')} of {arguments.name}{there}: each has the digest that is recorded"
    )
    if stored.entry.kind == EntryKind.LORA:
        note("it is an adapter: which base it stands on says `openledger model show`")
    if stored.superseded_by_entry_id:
        note("note: this record was superseded, see `openledger model show`")
    say_how(context, answer)
    say_next(context, f"openledger model may {arguments.name} --share")


def entry_of(client: Client, reference: str, *, prove: bool) -> Answer[Any]:
    """The entry of a model's version, or by its id; the name is resolved in the question itself."""
    from abci_app.modules.models.queries import EntryQuery
    from openledger.client.names import query_of_name
    from openledger.client.provenance import entry_id_of_text

    entry_id = entry_id_of_text(reference)
    question = ("models", "entry", EntryQuery(entry_id)) if entry_id else query_of_name("olrun", reference)
    return client.query(*question, prove=prove)


def recorded_files(store: ContentStore, stored: StoredEntry) -> tuple[ArtefactFile, ...]:
    """Files that an entry's manifest lists; raises `NotVerified` where they are not those that the entry names."""
    from openledger.content.artefact import model_signing_root
    from openledger.data.manifest import files_of, get_manifest

    entry = stored.entry
    files = files_of(get_manifest(store, entry.manifest_root))
    if model_signing_root(files) != entry.output.artefact_digest:
        raise NotVerified("the manifest of this entry lists other files than the entry says it gave: take none of them")
    return files
