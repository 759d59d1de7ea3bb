"""Errors of an operator's making: one clear line each, shown without a traceback."""

from __future__ import annotations


class NodeError(Exception):
    """What went wrong, why, and what to do, in one line."""
