"""The tree over the state: pages on disk, reading and changing them."""
