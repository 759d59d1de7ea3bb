"""Small GGUF files, as the package gguf writes them."""

from pathlib import Path
from typing import Any

LAYERS, WIDTH, VOCABULARY = 2, 32, 6


def gguf_file(path: Path, *, layers: int = LAYERS, settings: dict[str, int] | None = None, **tensors: Any) -> Path:
    """A two-layer model with a vocabulary; `tensors` replaces some, None leaves one out."""
    import numpy as np
    from gguf import GGUFWriter

    path.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_embedding_length(WIDTH)
    writer.add_token_list([f"token {number}" for number in range(VOCABULARY)])
    for key, value in (settings or {}).items():
        writer.add_uint32(key, value)
    matrix = np.arange(1, 1 + WIDTH * VOCABULARY, dtype=np.float32).reshape(VOCABULARY, WIDTH)
    named: dict[str, Any] = {"token_embd": matrix, "output_norm": matrix[0]}
    named |= {f"blk.{number}.attn_q": matrix for number in range(layers)}
    for name, numbers in (named | tensors).items():
        if numbers is not None:
            writer.add_tensor(f"{name}.weight", numbers)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
