"""Settings of the numeric libraries without which the same sums differ from run to run; made before torch is imported.

Some settings are read once, at import. Nothing here imports torch, so the command line starts without it.
"""

import os
import sys
from importlib import metadata

from openledger.errors import UsageError
from openledger.packages import advice

# Same sums in the same order on every run; no look-ups on the network; no thread pools of the tokenizer.
_VARIABLES = {
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Threads sleep at barriers: spinning ones stall each other as soon as a node runs on the same cores.
    "OMP_WAIT_POLICY": "PASSIVE",
    "TRANSFORMERS_VERBOSITY": "error",
}
LIBRARIES = ("torch", "transformers", "peft", "safetensors", "tokenizers", "numpy")


class MissingLibraries(UsageError):
    """A library that training needs is not installed."""


def prepare() -> None:
    """Set environment variables for determinism; raises `MissingLibraries` when torch or transformers are absent."""
    for name in LIBRARIES:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            raise MissingLibraries(advice(name, "training")) from None
    if "torch" not in sys.modules:
        # A user's own value of the first wins only if it is deterministic as well, so all are set outright.
        os.environ.update(_VARIABLES)
