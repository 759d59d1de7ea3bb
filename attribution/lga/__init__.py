"""LGA-1: gradients of examples as integer codes, their index, scores of queries (`docs/attribution.md`)."""
