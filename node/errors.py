"""Errors of an operator's making: one clear line each, shown without a traceback."""

from __future__ import annotations

from openledger.errors import OpenLedgerError
from openledger.exit_codes import ExitCode


class NodeError(OpenLedgerError):
    """An error of the node; its one line says what went wrong, why, and what to do."""


class NoAnswer(NodeError):
    """Nobody answers at a node's address."""

    exit_code = ExitCode.NODE


class NodeRpcError(NodeError):
    """The RPC answered with an error."""

    exit_code = ExitCode.NODE


def in_one_line(error: BaseException) -> str:
    """The error and what it came from."""
    own = f"{type(error).__name__}: {error}"
    return own if error.__cause__ is None else f"{own}: {in_one_line(error.__cause__)}"
