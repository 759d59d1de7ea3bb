"""Running nodes: home, genesis, devnet, status."""
