"""`openledger data`: from files of one's own to a frozen version, and back: what people do with DataNets."""
