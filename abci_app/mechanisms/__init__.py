"""Mechanisms that many modules share and that know no module: protection of hooks, deadlines, beacon."""
