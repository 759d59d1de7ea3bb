"""The `openledger` command. Each file here registers its groups; `main.py` loads only the one that is asked for."""
