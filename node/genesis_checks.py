"""Checks the parts of a genesis document that are CometBFT's; each error names the field and what to give."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from abci_app import versions
from abci_app.modules.validators import EVIDENCE_BLOCKS, EVIDENCE_SECONDS
from node.errors import NodeError

# Total power must stay below 2^63/8; a bound per validator keeps any sum of 100 far below.
MAX_POWER = 10**12
KEY_TYPE = "tendermint/PubKeyEd25519"


def validator_address(public_key: str) -> str:
    """CometBFT's address of a base64 ed25519 key: 40 upper-case hex digits."""
    return hashlib.sha256(base64.b64decode(public_key)).hexdigest()[:40].upper()


def text_of(document: Mapping[str, Any], field: str) -> str:
    """The field's text; raises NodeError for anything else."""
    value = document.get(field)
    if not isinstance(value, str):
        raise NodeError(f"{field} is {value!r}; give a text")
    return value


def check_name_and_power(name: str, power: int) -> None:
    """Raises NodeError for a name or power that a validator cannot have."""
    if not re.fullmatch(r"[ -~]{1,64}", name):
        raise NodeError(f"name is {name!r}; give 1 to 64 printable ASCII characters")
    if not 1 <= power <= MAX_POWER:
        raise NodeError(f"power is {power}; give 1 to {MAX_POWER}")


def check_time(text: str) -> None:
    """Raises NodeError for anything but a time with its zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise NodeError(f"genesis_time is {text!r}; give a time such as 2026-01-31T12:00:00Z") from None
    if moment.tzinfo is None:
        raise NodeError(f"genesis_time is {text!r}; give a time zone, such as the Z of UTC")


def check_consensus_parameters(parameters: object) -> None:
    """Raises NodeError for parameters that this application does not work with."""
    if not isinstance(parameters, dict):
        raise NodeError(f"consensus_params is {parameters!r}; give an object")
    _check_app_version((parameters.get("version") or {}).get("app"))
    key_types = (parameters.get("validator") or {}).get("pub_key_types")
    if key_types != ["ed25519"]:
        raise NodeError(
            f"consensus_params.validator.pub_key_types is {key_types!r}; this application needs ['ed25519']"
        )
    _check_evidence_age(parameters.get("evidence") or {})
    max_bytes = str((parameters.get("block") or {}).get("max_bytes"))
    if not max_bytes.isdigit() or not 1024 * 1024 <= int(max_bytes) <= 100 * 1024 * 1024:
        raise NodeError(f"consensus_params.block.max_bytes is {max_bytes!r}; give 1048576 to 104857600")


def _check_evidence_age(evidence: Mapping[str, Any]) -> None:
    """Raises NodeError for evidence that could come when the bonds of its time have left already."""
    for field, most in (
        ("max_age_num_blocks", EVIDENCE_BLOCKS),
        ("max_age_duration", EVIDENCE_SECONDS * 10**9),
    ):
        value = str(evidence.get(field))
        if not value.isdigit() or not 0 < int(value) <= most:
            raise NodeError(
                f"consensus_params.evidence.{field} is {value!r}; give 1 to {most}: bonds stay a bit longer"
            )


def _check_app_version(found: object) -> None:
    """Raises NodeError unless this program knows the rules that a chain with this version starts with."""
    if found in [str(version) for version in range(versions.RULES.oldest, versions.RULES.newest + 1)]:
        return
    if found == "1":
        raise NodeError(
            "consensus_params.version.app is '1': the chain is of version 1, which was never released and is not read "
            f"any more; make a new home with `openledger node init` (version {versions.RULES.newest})"
        )
    raise NodeError(f"consensus_params.version.app is {found!r}; this program knows versions {versions.RULES}")


def power_of_validators(validators: object) -> int:
    """Their total power; raises NodeError with the index of the bad one."""
    if not isinstance(validators, list) or not validators:
        raise NodeError("validators is empty; add one with `openledger genesis add-validator` or `collect`")
    total, seen = 0, set()
    for index, validator in enumerate(validators):
        field = f"validators[{index}]"
        try:
            kind, key = validator["pub_key"]["type"], validator["pub_key"]["value"]
            power, address = int(validator["power"]), validator.get("address", "")
            length = len(base64.b64decode(key, validate=True))
        except (KeyError, TypeError, ValueError) as error:
            raise NodeError(f"{field}: {type(error).__name__} {error}; give pub_key.type, .value and power") from None
        if kind != KEY_TYPE or length != 32:
            raise NodeError(f"{field}.pub_key: type {kind!r} with {length} bytes; give {KEY_TYPE} with 32")
        if address not in ("", validator_address(key)):
            raise NodeError(f"{field}.address is {address!r}; its key has {validator_address(key)}")
        if not 1 <= power <= MAX_POWER:
            raise NodeError(f"{field}.power is {power}; give 1 to {MAX_POWER}")
        if key in seen:
            raise NodeError(f"{field}.pub_key: the key is listed twice")
        seen.add(key)
        total += power
    return total
