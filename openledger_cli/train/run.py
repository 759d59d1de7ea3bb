"""`openledger train RECIPE`: check, train and record; and `--init`, which writes a recipe to begin with."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from openledger.exit_codes import ExitCode
from openledger_cli.claimed import claimed_lines
from openledger_cli.lines import count
from openledger_cli.progress import Stages
from openledger_cli.pulse import name_stage
from openledger_cli.tasks import say_next
from openledger_cli.text import note
from openledger_cli.train.progress import RunWatch, reporting

if TYPE_CHECKING:
    from openledger.content.store import ContentStore
    from trainer.evaluate import Measurement
    from trainer.publish import ClientLedger
    from trainer.recipe import Recipe
    from trainer.train import TrainedRun

    # Opens the chain as trainer and recorder see it (openledger_cli.train.commands.open_ledger).
    OpenLedger = Callable[[argparse.Namespace], AbstractContextManager[ClientLedger]]


# Torch and transformers take their seconds before anything is done.
_LOADING = "loading the libraries that train"


def write_draft(args: argparse.Namespace, opened: OpenLedger) -> int:
    name_stage(_LOADING)
    from openledger.content.store import ContentStore
    from trainer.draft import draft_recipe

    name_stage("asking the chain")
    with opened(args) as ledger:
        text = draft_recipe(
            args.init.stem,
            args.base,
            args.data,
            ledger,
            ContentStore.open(args.content),
            model=args.model or "",
            full=args.full,
            stage=name_stage,
        )
    args.context.write(args.init, text)
    note(f"wrote {args.init}; look through it, then: openledger train {args.init} --check")
    return ExitCode.OK


def train(args: argparse.Namespace, opened: OpenLedger) -> int:
    name_stage(_LOADING)
    from openledger.errors import UsageError
    from openledger_cli.train.events import EventFile
    from trainer.devices import rank_and_processes
    from trainer.recipe import load_recipe
    from trainer.run_folder import check_output_folder

    recipe = load_recipe(args.recipe)
    if not (args.check or args.local or args.signer):
        raise UsageError("which key records the run? pass --from KEY, or --local to record nothing")
    rank, processes = rank_and_processes()
    if rank:
        return _assist(args, recipe)
    check_output_folder(_folder(args, recipe))
    if args.check:
        return _check(args, recipe, opened, processes)
    events = EventFile(args.events, recipe.digest().hex()[:16]) if args.events else None
    watch = RunWatch(events)
    try:
        with reporting(watch, _same_command(args)):
            return _run(args, recipe, opened, watch, processes)
    finally:
        if events:
            events.close()


def _assist(args: argparse.Namespace, recipe: Recipe) -> int:
    """The work of a process that is not the first one; the first one alone speaks, reads the chain and records."""
    from trainer.devices import open_devices
    from trainer.train import assist

    if not args.check:
        with open_devices(recipe.train) as devices:
            assist(devices)
    return ExitCode.OK


def _check(args: argparse.Namespace, recipe: Recipe, opened: OpenLedger, processes: int) -> int:
    from openledger.content.store import ContentStore
    from trainer.check import examine_recipe
    from trainer.devices import Devices, device_of
    from trainer.pace import time_line
    from trainer.publish import entry_text

    store = ContentStore.open(args.content)
    with opened(args) as ledger:
        if args.signer:
            ledger.check_model(recipe.output.model)
        folder, known = _folder(args, recipe), _Resolved.of(recipe, ledger)
        earlier = known.find_earlier(ledger, store)
        if args.again or not earlier:
            known.check_folder(folder)
        devices = Devices(device_of(recipe.train.device))
        summary, verdict = examine_recipe(
            recipe,
            ledger,
            store,
            output_folder=folder,
            show_examples=True,
            stage=name_stage,
            measure=lambda prepared, base_folder: time_line(prepared, base_folder, devices, processes),
        )
        for line in (*summary, *verdict.lines):
            note(line)
        if verdict.conflict:
            return ExitCode.REFUSED
    again = f"openledger train {args.recipe} --from {args.signer or 'KEY'}"
    if earlier and not args.again:
        note(f"this recipe has run already: it made {earlier[0]}, {entry_text(earlier[1])}")
        say_next(
            args.context, f"openledger model show {earlier[0]}", f"{again} --again --folder DIR    trains it again"
        )
    else:
        say_next(args.context, again)
    return ExitCode.OK


def _run(args: argparse.Namespace, recipe: Recipe, opened: OpenLedger, watch: RunWatch, processes: int) -> int:
    from openledger.content.store import ContentStore
    from trainer.check import examine_recipe
    from trainer.devices import open_devices
    from trainer.workflow import discard_checkpoint, train_recipe

    store, folder = ContentStore.open(args.content), _folder(args, recipe)
    with opened(args) as ledger:
        if args.signer:
            ledger.check_model(recipe.output.model)
        watch.stage("check")
        known = _Resolved.of(recipe, ledger)
        earlier = None if args.again else known.find_earlier(ledger, store)
        if earlier:
            _let_others_go(recipe, processes)
            return _say_earlier(args, recipe, ledger, store, watch, earlier)
        known.check_folder(folder)
        summary, verdict = examine_recipe(recipe, ledger, store, output_folder=folder, stage=name_stage)
        for line in (*summary, *verdict.lines):
            note(line)
        if verdict.conflict:
            watch.write("failed", {"error": " ".join(verdict.lines), "exit_code": int(ExitCode.REFUSED)})
            return ExitCode.REFUSED
        with open_devices(recipe.train) as devices:
            trained, record = train_recipe(
                recipe,
                ledger,
                store,
                folder,
                keep_checkpoint=True,
                devices=devices,
                index_progress=Stages(),
                watch=watch,
                say=note,
                owner=ledger.signer_address,
            )
        result: dict[str, str | int] = {
            "adapter" if recipe.method.kind == "lora" else "folder": str(folder),
            "tensors": trained.artefact.tensor_digest.hex(),
            **_losses(trained),
            "manifest_root": record.entry.manifest_root.hex(),
        }
        if not args.local:
            published = ledger.publish(record)
            result |= {"entry": published.entry, "model": record.model_name, "height": published.height}
            result |= claimed_lines(published.claim)
            watch.write("recorded", {"entry": published.entry, "model": record.model_name, "height": published.height})
            discard_checkpoint(trained, published.entry)
        watch.write("done", {"folder": str(folder), "tensors": trained.artefact.tensor_digest.hex()})
        args.context.output.show(result)
        _say_what_next(args, record.model_name)
    return ExitCode.OK


def _say_what_next(args: argparse.Namespace, model: str) -> None:
    if args.local:
        note("nothing is recorded; the same command with --from KEY for --local does it, without training again")
    say_next(args.context, *([] if args.local else [f"openledger model show {model}"]))


def _folder(args: argparse.Namespace, recipe: Recipe) -> Path:
    kind = "adapter" if recipe.method.kind == "lora" else "model"
    return args.folder or Path(f"{recipe.name.replace('/', '-')}-{kind}")


@dataclass(frozen=True, slots=True)
class _Resolved:
    """A recipe with ids for names and its run's work folder; None where it cannot be read yet: the check says why."""

    recipe: Recipe | None
    work_folder: Path | None

    @classmethod
    def of(cls, recipe: Recipe, ledger: ClientLedger) -> _Resolved:
        """Look the recipe's names up."""
        from openledger.errors import OpenLedgerError
        from trainer.workflow import resolve, run_folder

        try:
            pinned, _, base, _ = resolve(recipe, ledger)
        except (OpenLedgerError, ValueError):
            return cls(None, None)
        return cls(pinned, run_folder(pinned, base))

    def find_earlier(self, ledger: ClientLedger, store: ContentStore) -> tuple[str, bytes] | None:
        """NAME@VERSION and entry's id that this very recipe has made; None where it has not run."""
        from trainer.pinned import find_earlier_run

        found = find_earlier_run(self.recipe, ledger, store) if self.recipe else None
        return (f"{self.recipe.output.model}@{found[0]}", found[1]) if found and self.recipe else None

    def check_folder(self, folder: Path) -> None:
        """Raise `UsageError` for a folder with anything but what this very run has left there, not recorded yet."""
        from trainer.run_folder import check_output_folder

        check_output_folder(folder, self.work_folder)


def _let_others_go(recipe: Recipe, processes: int) -> None:
    """Tell the other processes that there is nothing to do."""
    from trainer.devices import open_devices

    if processes > 1:
        with open_devices(recipe.train) as devices:
            devices.tell(None)


def _say_earlier(
    args: argparse.Namespace,
    recipe: Recipe,
    ledger: ClientLedger,
    store: ContentStore,
    watch: RunWatch,
    earlier: tuple[str, bytes],
) -> int:
    """The recipe has run: say what it made, and claim it where the command that recorded it did not come to that."""
    from openledger.data.manifest import get_manifest
    from trainer.publish import entry_text

    version, entry_id = earlier
    note(f"this recipe has run already: it made {version}; nothing was trained (--again trains it once more)")
    result: dict[str, str | int] = {"model": version, "entry": entry_text(entry_id), "trained": "no"}
    if args.signer and not args.local:
        manifest = get_manifest(store, ledger.entry(entry_id.hex()).record.manifest_root)
        result |= claimed_lines(ledger.claim(entry_id, manifest, recipe.output.model))
    watch.write("done", {"folder": "", "tensors": ""})
    args.context.output.show(result)
    say_next(args.context, f"openledger model show {version}")
    return ExitCode.OK


def _same_command(args: argparse.Namespace) -> list[str]:
    """The words with which a run goes on."""
    words = ["openledger", "train", str(args.recipe)]
    words += ["--local"] if args.local else ["--from", args.signer]
    for name in ("folder", "content", "events"):
        value = getattr(args, name)
        words += [f"--{name}", str(value)] if value else []
    return words


def _losses(trained: TrainedRun) -> dict[str, str]:
    """Losses of the summary, in nats."""
    from trainer.describe import loss

    losses = {"training_loss": f"{loss(trained.loss_trace_micronats[0])} to {loss(trained.loss_trace_micronats[-1])}"}
    if trained.before and trained.after:
        before, after = trained.before.overall, trained.after.overall
        losses["held_out_loss"] = (
            f"{loss(before.loss_micronats)} to {loss(after.loss_micronats)} "
            f"({_interval(after)}, {count(after.sample_size, 'row')})"
        )
    return losses


def _interval(measured: Measurement) -> str:
    """Half the width of the 95 % interval; of one row there is none, and 0 would claim that nothing is in doubt."""
    from trainer.describe import loss

    return f"± {loss(measured.interval_micronats)}" if measured.sample_size > 1 else "interval unknown"
