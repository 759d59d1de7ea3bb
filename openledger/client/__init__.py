"""Client of a node: RPC, sending, waiting, verified queries; synchronous and asynchronous over the same flows."""
