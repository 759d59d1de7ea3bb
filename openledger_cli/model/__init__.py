"""`openledger model`: models by their names."""
