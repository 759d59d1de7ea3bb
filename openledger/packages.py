"""Packages that an installation may lack, and the level of scripts/setup that has them.

Our advice names no package to take from an index: a name there may be somebody else's, and so is its version.
"""

from importlib.util import find_spec

# Module -> the smallest level that has it.
LEVEL_WITH: dict[str, str] = {
    "plyvel": "node",
    **dict.fromkeys(("detect_secrets", "phonenumbers", "pyarrow", "stdnum"), "data"),
    **dict.fromkeys(
        ("gguf", "jinja2", "numpy", "peft", "regex", "safetensors", "tokenizers", "torch", "transformers"), "demo"
    ),
    **dict.fromkeys(("datasets", "mlflow", "trl"), "full"),
}


def is_installed(module: str) -> bool:
    """Whether a module could be imported here; it is not."""
    return find_spec(module) is not None


def advice(module: str, what: str = "this") -> str:
    """One line: what needs which package, and the command that installs it as it is locked here."""
    name = module.split(".", maxsplit=1)[0]
    return f"{what} needs {name}, which is not installed here: run `scripts/setup {LEVEL_WITH.get(name, 'full')}`"
