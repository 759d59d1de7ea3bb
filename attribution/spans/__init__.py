"""TSA-1: spans of an output that stand word for word in training text, with proofs."""
