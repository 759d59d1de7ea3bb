"""The judge that is not ours: `scripts/build-proofcheck` makes a program around ICS-23's and CometBFT's libraries."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

_PROGRAM = os.environ.get("OPENLEDGER_PROOFCHECK", "")
needs_proofcheck = pytest.mark.skipif(
    not _PROGRAM, reason="set OPENLEDGER_PROOFCHECK to what scripts/build-proofcheck prints"
)


def proofcheck(kind: str, **fields: bytes | str | None) -> str:
    """`ok`, or `fail: REASON`; bytes travel as hex, a value of None asks for absence."""
    request = {name: value.hex() if isinstance(value, bytes) else value for name, value in fields.items()}
    result = subprocess.run([_PROGRAM, kind], input=json.dumps(request), capture_output=True, text=True, check=False)
    if result.returncode not in (0, 1):
        raise AssertionError(f"proofcheck did not understand the request: {result.stderr}")
    return result.stdout.strip()
