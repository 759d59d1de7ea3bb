"""What is trusted, and checking of proofs that somebody hands over."""
