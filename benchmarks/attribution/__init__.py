"""Quality and cost of attribution; each file prints its tables."""
