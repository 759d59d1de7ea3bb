"""A small character model, its training task and what is measured on them."""
