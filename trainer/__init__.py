"""Fine-tunes language models on DataNet versions and records what was done; see `recipe` for the place to start."""
