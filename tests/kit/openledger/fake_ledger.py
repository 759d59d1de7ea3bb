"""The trainer's commands without a node: the chain in a dictionary, what is published in a list."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from openledger.data.manifest import Manifest
from openledger.errors import UsageError
from tests.kit.trainer.explained import World
from tests.kit.trainer.tiny import RECIPE, TinyChain, tiny_chain
from trainer.ancestry import KnownEntry
from trainer.claiming import Claim
from trainer.run_records import RunRecord
from trainer.train import TrainedRun
from trainer.verify import RunGrade, RunVerdict
from trainer.workflow import LicenceVerdict


@dataclass
class Published:
    entry: str
    height: int
    claim: Claim | None


class FakeLedger:
    """The part of the chain that the commands see."""

    signer_address = b"\5" * 32
    chain_id = "dev-fake"

    def __init__(self, chain: TinyChain) -> None:
        self.chain = chain
        self.records: list[RunRecord] = []
        self.refusal = ""
        # Whether it tells what it has recorded.
        self.remembers = False
        # The claim that the next publication, or claiming what stands there, turns out to need.
        self.needed_claim: Claim | None = None
        self.repetitions: list[tuple[bytes, RunGrade, bytes]] = []
        self.verdict = LicenceVerdict(("terms: compatible",), conflict=False)
        self.datanet_version = chain.datanet_version
        self.entry = chain.entry
        self.measurements = chain.measurements

    def licence_verdict(self, kind: str, parents: object, inputs: object) -> LicenceVerdict:
        return self.verdict

    def terms(self, reference: str) -> bytes:
        return {"cc": b"\7" * 32, "LicenseRef-unknown": b"\6" * 32}[reference]

    def publish_verification(self, known: KnownEntry, verdict: RunVerdict, run: TrainedRun) -> int:
        self.repetitions.append((known.entry_id, verdict.grade, run.artefact.tensor_digest))
        return 9

    def model_versions(self, name: str) -> list[tuple[int, bytes]]:
        """Versions of the one model that runs are recorded as."""
        ids = [
            self.chain.add_entry(f"{name}@{number}", each.entry).entry_id for number, each in enumerate(self.records)
        ]
        return list(enumerate(ids, start=1)) if self.remembers else []

    def claim(self, entry_id: bytes, manifest: Manifest, model_name: str) -> Claim | None:
        return self.needed_claim

    def check_model(self, name: str) -> None:
        if name == "taken":
            raise UsageError("model 'taken' belongs to somebody else")

    def publish(self, record: RunRecord) -> Published:
        if self.refusal:
            raise UsageError(self.refusal)
        self.records.append(record)
        self.chain.add_entry("published", record.entry)
        return Published("published", 7, self.needed_claim)


def use_fake_ledger(folder: Path, patch: pytest.MonkeyPatch) -> FakeLedger:
    """Work in `folder`, with a recipe there, and answer the commands from a fake ledger."""
    patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    patch.chdir(folder)
    (folder / "recipe.yaml").write_text(RECIPE)
    fake = FakeLedger(tiny_chain(folder))
    answer_from(fake, patch)
    return fake


def use_recorded_runs(world: World, folder: Path, ledger: object, patch: pytest.MonkeyPatch) -> None:
    """Work in `folder` with the content of `world`, and answer the commands from `ledger`."""
    patch.setenv("OPENLEDGER_HOME", str(folder / "home"))
    patch.setenv("OPENLEDGER_CONTENT", str(world.folder / "content"))
    patch.chdir(folder)
    answer_from(ledger, patch)


def answer_from(ledger: object, patch: pytest.MonkeyPatch) -> None:
    """Commands get `ledger` instead of a client's."""

    @contextmanager
    def open_fake(args: argparse.Namespace) -> Iterator[object]:
        yield ledger

    patch.setattr("openledger_cli.train.commands.open_ledger", open_fake)
