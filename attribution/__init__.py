"""Who shaped an output of a recorded model: contributions and shares in integers that anybody can recompute."""
