"""The genesis document: made, filled by several parties, checked.

CometBFT's part (chain id, time, consensus parameters, validators) is written here; `app_state` is typed in
`abci_app.chain.genesis`. Every party runs `node init` for itself. One of them, the coordinator, adds accounts to its
document. A validator's operator declares it in a small file signed with the validator's consensus key (so nobody can
register a key that is not theirs), with the account that is answerable for it and its bond; the coordinator collects
those files, and everybody starts from the same document.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import nacl.signing

from abci_app import versions
from abci_app.chain import genesis as application_genesis
from abci_app.chain.genesis import GenesisState
from abci_app.errors import GenesisError
from abci_app.genesis_fields import read_address
from abci_app.modules.members import GenesisMember
from abci_app.modules.validators import EVIDENCE_BLOCKS, EVIDENCE_SECONDS, VALIDATOR_BOND
from node import cometbft, onions
from node.bonds import check_operators, section_of
from node.declarations import Declaration, read_declaration, write_declaration
from node.errors import NodeError
from node.genesis_checks import (
    KEY_TYPE,
    check_consensus_parameters,
    check_name_and_power,
    check_time,
    power_of_validators,
    text_of,
    validator_address,
)
from node.home import Home
from openledger.content.files import write_whole

# CometBFT's own limit.
_MAX_CHAIN_ID = 50
# A block of four mebibytes holds about 15,000 transfers; larger ones only lengthen rounds.
BLOCK_MAX_BYTES = 4 * 1024 * 1024
# Beyond this nobody reads a document, and spaces make a quarter of it.
_READABLE_BYTES = 1024 * 1024

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Summary:
    """Summary of the chain that a valid document starts."""

    chain_id: str
    genesis_time: str
    validators: int
    total_power: int
    accounts: int
    members: int
    # Of the file's bytes: the digest that sha256sum and the light client's genesis anchor give, too.
    sha256: str


def skeleton(chain_id: str, app_state: GenesisState | None = None, time: datetime | None = None) -> Document:
    """A document without validators. Raises NodeError for a chain id that CometBFT would not take."""
    if not re.fullmatch(rf"[a-z0-9][a-z0-9-]{{0,{_MAX_CHAIN_ID - 1}}}", chain_id):
        raise NodeError(
            f"chain id {chain_id!r}: give 1 to {_MAX_CHAIN_ID} characters, lower-case letters, digits and '-'"
        )
    state = application_genesis.encode_genesis(app_state or GenesisState())
    return {
        "genesis_time": (time or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "chain_id": chain_id,
        "initial_height": "1",
        "consensus_params": {
            "block": {"max_bytes": str(BLOCK_MAX_BYTES), "max_gas": "-1"},
            "evidence": {
                "max_age_num_blocks": str(EVIDENCE_BLOCKS),
                "max_age_duration": str(EVIDENCE_SECONDS * 10**9),
                "max_bytes": str(1024 * 1024),
            },
            "validator": {"pub_key_types": ["ed25519"]},
            "version": {"app": str(versions.RULES.newest)},
            "abci": {"vote_extensions_enable_height": "0"},
        },
        "validators": [],
        "app_hash": "",
        "app_state": msgspec.json.decode(state),
    }


def read(path: Path) -> Document:
    """A document as it stands in the file. Raises NodeError when it is missing or not a JSON object."""
    try:
        document = msgspec.json.decode(path.read_bytes())
    except FileNotFoundError:
        raise NodeError(f"no genesis document at {path}; run `openledger node init` first") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NodeError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise NodeError(f"{path} is not a JSON object")
    return document


class _Head(msgspec.Struct):
    """The one field that every start needs; the rest, which may be large, is skipped."""

    chain_id: str = ""


class _EvidenceFields(msgspec.Struct):
    max_age_num_blocks: str
    max_age_duration: str


class _ConsensusFields(msgspec.Struct):
    evidence: _EvidenceFields


class _ConsensusHead(msgspec.Struct):
    consensus_params: _ConsensusFields


class EvidenceAge(NamedTuple):
    """How old evidence of misbehaviour may be; it expires when it is older than both."""

    blocks: int
    seconds: int


def evidence_age(path: Path) -> EvidenceAge:
    """The document's limits of evidence. Raises NodeError."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_ConsensusHead).consensus_params.evidence
        return EvidenceAge(int(found.max_age_num_blocks), -(-int(found.max_age_duration) // 10**9))
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise NodeError(f"{path}: consensus_params.evidence cannot be read: {error}") from error


# How `write` begins a document: a start need not read a million accounts to learn the chain's name.
_BEGINNING = re.compile(rb'\A\{\s*"genesis_time":\s*"[^"\\]*",\s*"chain_id":\s*"([a-z0-9-]+)"')
_BEGINNING_BYTES = 1024


def chain_id(path: Path) -> str:
    """The document's chain id. Raises NodeError when there is no readable document."""
    try:
        with path.open("rb") as file:
            beginning = _BEGINNING.match(file.read(_BEGINNING_BYTES))
        if beginning:
            return beginning[1].decode()
        return msgspec.json.decode(path.read_bytes(), type=_Head).chain_id
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NodeError(f"{path}: {error}; run `openledger node init`, or restore the file") from error


def write(path: Path, document: Document) -> None:
    """Write the document, readable by a person when it is small."""
    write_whole(path, _written(document))


def _written(document: Document) -> bytes:
    data = msgspec.json.encode(document)
    small = len(data) <= _READABLE_BYTES
    return (msgspec.json.format(data, indent=2) if small else data) + b"\n"


def require_not_started(home: Home) -> None:
    """Raises NodeError once CometBFT has taken the document: another one would be another chain on these blocks."""
    if (home.data_folder / "blockstore.db").exists():
        raise NodeError(
            f"{home.folder} has started its chain, so its genesis document stays as it is; for another chain make "
            "another home with `openledger node init`"
        )


def add_account(path: Path, address: str, amount_nopen: int) -> None:
    """Give an account a balance at genesis. Raises NodeError for a bad address, amount, or a second entry."""
    document = read(path)
    state = _state(document)
    try:
        read_address("balances", address)
        state = msgspec.structs.replace(state, balances=(*state.balances, (address, amount_nopen)))
        _replace_state(document, state)
    except GenesisError as error:
        raise NodeError(f"cannot add {address}: {error}") from error
    write(path, document)


def fund_operator(path: Path, address: str, amount_nopen: int) -> bool:
    """Give an operator a balance where the document gives it none; whether it was needed. Raises NodeError."""
    known = [read_address("balances", each) for each, _ in _state(read(path)).balances]
    if read_address("balances", address) in known:
        return False
    add_account(path, address, amount_nopen)
    return True


def add_member(path: Path, address: str, roles: Iterable[str], name: str = "") -> None:
    """Make an account a member with roles at genesis. Raises NodeError."""
    document = read(path)
    state = _state(document)
    member = GenesisMember(address=address, roles=tuple(roles), name=name)
    try:
        _replace_state(document, msgspec.structs.replace(state, members=(*state.members, member)))
    except GenesisError as error:
        raise NodeError(f"cannot add {address}: {error}") from error
    write(path, document)


def bond_of(document: Document) -> int:
    """The bond that each operator of this document needs, in nopen."""
    return application_genesis.chain_parameters(_state(document).parameters)[VALIDATOR_BOND]


def declare_validator(
    home: Home,
    name: str,
    power: int,
    peer_address: str = "",
    *,
    operator: str = "",
    bond_nopen: int = 0,
    onion: str = "",
) -> Declaration:
    """This home's validator, signed with its consensus key.

    `peer_address` defaults to the p2p listener's, `onion` to the newest one of the home where there is an operator.
    """
    check_name_and_power(name, power)
    key = json.loads(home.validator_key_file.read_text())
    host, port = cometbft.listen_addresses(home)["p2p"]
    unsigned = Declaration(
        chain_id=chain_id(home.genesis_file),
        name=name,
        power=power,
        public_key=key["pub_key"]["value"],
        node_id=cometbft.node_id(home),
        peer_address=peer_address or f"{host}:{port}",
        operator=operator,
        bond_nopen=bond_nopen,
        onion=onion or (onions.read_secret(home).chains[-1].onion.hex() if operator else ""),
    )
    seed = base64.b64decode(key["priv_key"]["value"])[:32]
    signature = nacl.signing.SigningKey(seed).sign(unsigned.signed_bytes()).signature
    return dataclasses.replace(unsigned, signature=base64.b64encode(signature).decode())


def add_declarations(home: Home, declarations: Iterable[Declaration]) -> Document:
    """Keep these beside the ones the home already has, one a node, and `collect` them all. Raises NodeError."""
    folder = home.config_folder / "declarations"
    known = {each.node_id: each for each in map(read_declaration, sorted(folder.glob("*.json")))}
    added = {each.node_id: each for each in declarations}
    document = collect(home, {**known, **added}.values())
    folder.mkdir(exist_ok=True)
    for declaration in added.values():
        write_declaration(folder / f"{declaration.node_id}.json", declaration)
    return document


def collect(home: Home, declarations: Iterable[Declaration]) -> Document:
    """Set the home's validators to these, and its persistent peers to their nodes. Raises NodeError."""
    chosen = sorted(declarations, key=lambda declaration: validator_address(declaration.public_key))
    document = read(home.genesis_file)
    for declaration in chosen:
        if declaration.chain_id != document.get("chain_id"):
            raise NodeError(
                f"validator {declaration.name!r} was declared for chain {declaration.chain_id!r}, "
                f"this document is for {document.get('chain_id')!r}"
            )
    _require_none_dropped(document, chosen)
    validators, section = [_validator(declaration) for declaration in chosen], section_of(chosen)
    state = _state(document)
    if validators != document.get("validators") or section != state.validators:
        require_not_started(home)
        document["validators"] = validators
        if section != state.validators:
            try:
                _replace_state(document, msgspec.structs.replace(state, validators=section))
            except GenesisError as error:
                raise NodeError(str(error)) from error
        validate(document)
        write(home.genesis_file, document)
    cometbft.change_config(home, {("p2p", "persistent_peers"): peers(chosen, without=cometbft.node_id(home))})
    return document


def _require_none_dropped(document: Document, declarations: Iterable[Declaration]) -> None:
    """Raises NodeError for a validator of the document whose declaration is not here."""
    declared = {declaration.public_key for declaration in declarations}
    for validator in document.get("validators") or ():
        key = (validator.get("pub_key") or {}).get("value") if isinstance(validator, dict) else None
        if key not in declared:
            name = validator.get("name") if isinstance(validator, dict) else validator
            raise NodeError(
                f"the document has validator {name!r}, whose declaration is not among these: collect its file too, or "
                "take it out of `validators` first"
            )


def peers(declarations: Iterable[Declaration], without: str = "") -> str:
    """CometBFT's `persistent_peers` for these nodes, leaving one out."""
    return ",".join(f"{each.node_id}@{each.peer_address}" for each in declarations if each.node_id != without)


def validate_file(path: Path) -> Summary:
    """Check the document in a file. Raises NodeError that names the field."""
    return dataclasses.replace(validate(read(path)), sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def validate(document: Document) -> Summary:
    """Check a whole document. Raises NodeError that names the field."""
    skeleton(text_of(document, "chain_id"))
    check_time(text_of(document, "genesis_time"))
    if str(document.get("initial_height", "1")) not in ("0", "1"):
        raise NodeError(f"initial_height is {document['initial_height']!r}; this application starts at 1")
    if document.get("app_hash"):
        raise NodeError("app_hash must be empty: the application computes it from app_state")
    check_consensus_parameters(document.get("consensus_params"))
    power = power_of_validators(document.get("validators"))
    state = _state(document)
    check_operators(document, state)
    return Summary(
        chain_id=document["chain_id"],
        genesis_time=document["genesis_time"],
        validators=len(document["validators"]),
        total_power=power,
        accounts=len(state.balances),
        members=len(state.members),
        sha256=hashlib.sha256(_written(document)).hexdigest(),
    )


def _validator(declaration: Declaration) -> Document:
    return {
        "address": validator_address(declaration.public_key),
        "pub_key": {"type": KEY_TYPE, "value": declaration.public_key},
        "power": str(declaration.power),
        "name": declaration.name,
    }


def _state(document: Document) -> GenesisState:
    try:
        return application_genesis.decode_genesis(msgspec.json.encode(document.get("app_state", {})))
    except GenesisError as error:
        raise NodeError(str(error)) from error


def _replace_state(document: Document, state: GenesisState) -> None:
    encoded = application_genesis.encode_genesis(state)
    application_genesis.decode_genesis(encoded)  # raises for anything that is wrong in a section
    document["app_state"] = msgspec.json.decode(encoded)
