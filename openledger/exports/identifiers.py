"""Ids as text, remembered: a lineage of thousands of entries writes each of them many times."""

from functools import lru_cache

from abci_app import bech32

# Ids of a large lineage with its contributors; 200 bytes each.
_REMEMBERED = 2**16

encode_id = lru_cache(maxsize=_REMEMBERED)(bech32.encode_id)
