"""The parts that touch the world for an operator: ABCI socket server, store on disk, homes, CometBFT, devnets."""
