"""Conversations as a base's own chat template writes them: in a sandbox, turn by turn, with what is learned."""
