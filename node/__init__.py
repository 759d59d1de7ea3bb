"""What touches the world for an operator: the ABCI socket server, the store on disk, homes, CometBFT, devnets."""
