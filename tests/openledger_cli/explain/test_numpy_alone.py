"""`explain --verify --integers-only` in an environment that has numpy and no library of machine learning."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from openledger.exit_codes import ExitCode
from openledger_cli.main import main
from tests.kit.openledger.fake_ledger import use_recorded_runs
from tests.kit.repository import ROOT
from tests.kit.trainer.explained import World, prose

pytestmark = pytest.mark.ml

# Everything of the extras `ml` and `data` but numpy, and what these bring along.
_PROGRAM = """
import importlib.abc, pickle, sys
from contextlib import contextmanager

class Absent(importlib.abc.MetaPathFinder):
    names = {"torch", "transformers", "peft", "safetensors", "tokenizers", "gguf", "accelerate", "pydivsufsort",
             "regex", "pyarrow", "datasets", "huggingface_hub", "sklearn", "scipy"}

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
ledger = pickle.load(open(sys.argv[1], "rb"))

@contextmanager
def opened(args):
    yield ledger

import openledger_cli.train.commands
openledger_cli.train.commands.open_ledger = opened
from openledger_cli.main import main
sys.exit(main(sys.argv[2:]))
"""


def alone(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM, "ledger.pickle", *words],
        capture_output=True, text=True, check=False, timeout=120, env={"PYTHONPATH": str(ROOT), **_environment()},
    )  # fmt: skip


def _environment() -> dict[str, str]:
    import os

    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def test_integers_are_verified_with_numpy_alone_and_it_says_what_was_not(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_recorded_runs(world, tmp_path, world.records, monkeypatch)
    Path("ledger.pickle").write_bytes(pickle.dumps(world.records))
    words = ["explain", "--model", "second", "--prompt", "", "--answer", prose(7), "--write", "e.json"]
    assert main(words) == ExitCode.OK
    done = alone("explain", "--verify", "e.json", "--integers-only", "--html", "page.html")
    assert (done.returncode, "Traceback" in done.stderr) == (ExitCode.OK, False), done.stderr
    for line in (
        "verified: commitments, sums, scores, spans and shares: recomputed, every integer equal",
        "not checked without the model: whether the codes are those of prompt and output",
        "not checked without the model: whether the texts are those of their tokens",
        "not checked without the span index: suffix array",
        "not checked without the tokenizer: which words of the output its spans are",
        "tokens 1 to",
        "facts",
        "CC-BY-4.0",
    ):
        assert line in done.stdout
    page = Path("page.html").read_text(encoding="utf-8")
    assert prose(7) in page
    assert "which words of the output its spans are" in page
    forged = Path("e.json").read_text().replace('"explained_ppb":', '"explained_ppb":1', 1)
    Path("e.json").write_text(forged.replace('"share_ppb":', '"share_ppb":1', 1))
    refused = alone("explain", "--verify", "e.json", "--integers-only")
    assert refused.returncode in {ExitCode.USAGE, ExitCode.NOT_VERIFIED}
    assert refused.stderr.startswith("error: ")
    assert refused.stderr.count("\n") == 1


def test_what_needs_the_model_says_so_in_one_line(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_recorded_runs(world, tmp_path, world.records, monkeypatch)
    Path("ledger.pickle").write_bytes(pickle.dumps(world.records))
    assert main(["explain", "--model", "second", "--prompt", "", "--answer", prose(7), "--write", "e.json"]) == 0
    for words in (["--verify", "e.json"], ["--model", "second", "--prompt", "x"]):
        done = alone("explain", *words)
        assert done.returncode == ExitCode.USAGE
        assert "Traceback" not in done.stderr
        last = done.stderr.strip().splitlines()[-1]
        assert last.startswith("error: ")
        assert "install" in last or "set up" in last
