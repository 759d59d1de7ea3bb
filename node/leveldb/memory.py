"""How much memory a state store may take: the limit of each of its caches, and what LevelDB takes beside them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreMemory:
    """Limits of a store's caches. Each fills up as blocks come: only then does a node's memory stay where it is."""

    pages_bytes: int = 192 * 2**20
    # Pages of all heights that queries read; the top of the tree is in memory for consensus anyway.
    query_pages_bytes: int = 16 * 2**20
    # Latest values: about 100,000 accounts.
    values_bytes: int = 32 * 2**20
    # LevelDB's own memory beside its block cache: two write buffers at worst, and indexes of open files.
    block_cache_bytes: int = 32 * 2**20
    write_buffer_bytes: int = 32 * 2**20
    # Files of 2 MiB, each with about 60 KiB of index and filter in memory while it is open: 30 MiB at worst.
    open_files: int = 512


DEFAULT_MEMORY = StoreMemory()
