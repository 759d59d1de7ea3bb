"""Deterministic settings of the numeric libraries, and a description of where a run takes place.

`attribution.numerics.prepare` must run before torch is imported. Nothing here imports torch at module level, so the
command line starts without it.
"""

import os
import platform
from importlib import metadata
from pathlib import Path

from attribution import loss, numerics, text_tokens
from attribution.numerics import LIBRARIES
from attribution.payout import clusters
from openledger.content.artefact import model_signing_root
from openledger.content.folder import ArtefactFile
from openledger.content.store import file_digest
from openledger.data import forms, look_alikes, normalised, row_json

# The source files whose change can change a result; the code digest covers exactly these and `_SHARED_FILES`.
_CODE_FILES = (
    "base_check.py", "chat/alignment.py", "chat/encoding.py", "chat/renderer.py", "chat/sandbox.py", "chat/writer.py",
    "copies.py", "dataset.py", "devices.py", "environment.py", "evaluate.py", "examples.py", "held_out.py", "method.py",
    "optimise.py", "partition.py", "placeholders.py", "preparation.py", "recipe.py", "recipe_fields.py",
    "row_values.py", "schedule.py", "shorthand.py", "step_loss.py", "steps.py", "stretches.py", "train.py",
    "trainee.py", "turns.py",
)  # fmt: skip
_SHARED = (loss, numerics, text_tokens, clusters, forms, look_alikes, normalised, row_json)
_SHARED_FILES = {f"{path.parent.name}/{path.name}": path for path in [Path(str(module.__file__)) for module in _SHARED]}


def make_deterministic(seed: int, threads: int, *, strict: bool = True) -> None:
    """Fix threads, algorithms and seeds of torch; call before the first random number (adapter initialisation).

    On GPUs some operations have no deterministic form: without `strict` they are computed all the same, with a warning.
    """
    import torch
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # ours is the only one
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=not strict)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.manual_seed(seed)


def code_files() -> tuple[ArtefactFile, ...]:
    """The source files that decide what a run gives, with their digests."""
    folder = Path(__file__).parent
    files = {name: folder / name for name in _CODE_FILES} | _SHARED_FILES
    return tuple([ArtefactFile(name, file_digest(path), path.stat().st_size) for name, path in files.items()])


def code_digest() -> str:
    """Model-signing root over the training code's source files, hex."""
    return model_signing_root(code_files()).hex()


def library_versions() -> dict[str, str]:
    """Versions of the numeric libraries by name."""
    return {name: _version(name) for name in LIBRARIES}


def code_description() -> dict[str, object]:
    """The manifest's part `code`: digest of the training code, its files, versions of the libraries."""
    return {
        "digest": code_digest(),
        "files": [{"name": file.name, "sha256": file.digest.hex()} for file in code_files()],
        "libraries": library_versions(),
    }


def environment_line() -> str:
    """Machine and libraries in one printable line of at most 256 characters, for the run event."""
    processor = platform.machine()
    line = (
        f"Python {platform.python_version()}, torch {_version('torch')}, transformers {_version('transformers')}, "
        f"peft {_version('peft')}, {platform.system()} {processor}, {os.cpu_count()} CPUs, {_processor_name()}"
    )
    return "".join(character if " " <= character <= "~" else "?" for character in line)[:256]


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return platform.processor() or "unknown processor"
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown processor"
