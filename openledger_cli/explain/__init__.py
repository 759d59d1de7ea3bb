"""Who shaped an answer, and how good the attribution of a model is."""
