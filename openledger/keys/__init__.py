"""Keys: recovery phrases (BIP-39), derivation (SLIP-0010), encrypted key files."""
