"""Figures of the application for Prometheus: counted beside the blocks, read when asked, served on loopback only."""
