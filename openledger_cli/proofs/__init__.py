"""Commands about trust, and about checking of proofs that somebody hands over."""
