"""`openledger export`: what the chain proves, in the formats of other tools, with the proof beside."""
