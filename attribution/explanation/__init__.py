"""Explanations: their form, how they are made, verified and shown."""
