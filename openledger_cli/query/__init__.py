"""Asking the chain: generic queries, lineage, impact, clean and verdict, and how their answers are shown."""
