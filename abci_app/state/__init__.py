"""State of the chain: canonical codec, typed tables, overlay, Merkle trie and its proofs."""
