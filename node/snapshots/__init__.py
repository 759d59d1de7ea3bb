"""Snapshots on disk: made beside consensus, served to joining nodes, restored into an empty store."""
