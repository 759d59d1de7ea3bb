"""A gradient index: planned, built in pieces, read and checked."""
