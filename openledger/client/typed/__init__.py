"""Typed results of what people ask most, and the questions that give them: attributes with names, ids as text."""
