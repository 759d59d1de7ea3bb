"""Settings that make runs repeatable, the words about the machine, and missing packages."""

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from attribution.numerics import LIBRARIES, MissingLibraries, prepare
from trainer import environment
from trainer.environment import code_description, code_digest, environment_line, library_versions


def test_missing_libraries_are_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("attribution.numerics.metadata.version", absent)
    with pytest.raises(
        MissingLibraries, match=r"training needs torch, which is not installed here: run `scripts/setup demo`"
    ):
        prepare()
    assert library_versions() == dict.fromkeys(LIBRARIES, "absent")


@pytest.mark.ml
def test_settings_are_made_before_torch_is_imported_whatever_the_user_had() -> None:
    code = (
        "import os; from attribution.numerics import prepare; prepare();"
        "from trainer.environment import make_deterministic;"
        "print(os.environ['CUBLAS_WORKSPACE_CONFIG'], os.environ['HF_HUB_OFFLINE']); import torch;"
        "make_deterministic(3, 1); first = torch.rand(2).tolist(); make_deterministic(3, 1);"
        "print(torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.rand(2).tolist() == first)"
    )
    settings = {**os.environ, "CUBLAS_WORKSPACE_CONFIG": ":0:0"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=settings, capture_output=True, text=True, check=True, timeout=100
    )
    assert done.stdout.splitlines() == [":4096:8 1", "1 True True"]


def test_the_code_digest_covers_what_decides_a_run_and_changes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(environment.__file__).parent
    described = code_description()
    assert described == {
        "digest": code_digest(),
        "files": described["files"],
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
    }
    copy = shutil.copytree(folder, tmp_path / "trainer")
    monkeypatch.setattr(environment, "__file__", str(copy / "environment.py"))
    assert code_digest() == described["digest"]
    changed_loss = tmp_path / "loss.py"
    changed_loss.write_text("# another loss\n")
    for name in ("attribution/loss.py", "attribution/text_tokens.py"):
        with monkeypatch.context() as patch:
            patch.setitem(environment._SHARED_FILES, name, changed_loss)
            assert code_digest() != described["digest"]
    (copy / "describe.py").write_text("# words only\n")
    assert code_digest() == described["digest"]
    (copy / "steps.py").write_text("# other steps\n")
    assert code_digest() != described["digest"]


def test_the_machine_is_one_printable_line() -> None:
    line = environment_line()
    assert line.startswith(f"Python {sys.version.split()[0]}, torch ")
    assert f"{os.cpu_count()} CPUs" in line
    assert len(line) <= 256
    assert line.isprintable()
    assert line.isascii()
