"""The genesis document's `app_state`: what the chain starts with.

    {"version": 1,
     "parameters": {"fees": {"fee_per_byte_nopen": 10}, "licences": {"licence_policy": "conservative"},
                    "surcharges": {"bank.transfer": 1000}, "roles": {"models.create_model": ["builder"]}},
     "balances": [["open1...", 1000000000], ...],      addresses in bech32m or as 64 hex digits
     "members": [{"address": "open1...", "roles": ["registrar"], "name": "Alice"}],
     "peers": [{"node_id": "<40 hex digits>", "name": "validator-0"}]}

Supply is 10^18 nopen, minted here once; what the balances leave goes to the `treasury` module account.
Every error names the field.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from abci_app.accounts import ACCOUNTS, Account
from abci_app.bech32 import decode_id
from abci_app.chain.registry import MODULES, SECTIONS
from abci_app.module import BlockContext, module_account
from abci_app.modules import bank, members
from abci_app.modules.members import GenesisMember, GenesisPeer, Member, Peer, Role
from abci_app.parameters import ChainInfo, ParameterError, Parameters, read_document, write_parameters
from abci_app.state.codec import CodecError, decode, encode
from abci_app.state.table import MutableState
from abci_app.types import MAX_CHAIN_ID_LENGTH, MAX_TEXT_LENGTH, SUPPLY_NOPEN, Nopen

TREASURY_ACCOUNT = module_account("treasury")
# CometBFT reads the whole document into memory; 256 MiB hold three million accounts.
MAX_GENESIS_BYTES = 256 * 1024 * 1024
HEX_ADDRESS = re.compile(r"\A[0-9a-fA-F]{64}\Z")


class GenesisError(ValueError):
    """The genesis document cannot start a chain; the text names the field and what is wrong with it."""


class GenesisState(Struct, frozen=True, forbid_unknown_fields=True):
    """The document, typed."""

    version: Annotated[int, Meta(ge=1, le=1)] = 1
    # {section: {name: value}}, words and units as `docs/parameters.md` has them; what is left out has its default.
    parameters: dict[str, dict[str, Any]] = {}
    balances: tuple[tuple[str, Nopen], ...] = ()
    members: tuple[GenesisMember, ...] = ()
    peers: tuple[GenesisPeer, ...] = ()


_decoder = msgspec.json.Decoder(GenesisState)


def decode_genesis(data: bytes) -> GenesisState:
    """Parse and check `app_state`; raises `GenesisError` with the field named. Empty or `{}` gives the defaults."""
    if len(data) > MAX_GENESIS_BYTES:
        raise GenesisError(f"app_state has {len(data)} bytes, at most {MAX_GENESIS_BYTES} are read")
    try:
        state = _decoder.decode(data.strip() or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise GenesisError(f"app_state: {error}") from error
    chain_parameters(state.parameters)
    _check_members(state)
    _check_peers(state)
    return state


def encode_genesis(state: GenesisState) -> bytes:
    """JSON of a document."""
    return msgspec.json.encode(state)


def chain_info(chain_id: str, initial_height: int, time_seconds: int) -> ChainInfo:
    """What never changes; raises `GenesisError` for a chain id that no transaction could carry."""
    info = ChainInfo(chain_id, initial_height, time_seconds)
    try:
        return decode(ChainInfo, encode(info))
    except CodecError as error:
        raise GenesisError(
            f"chain_id {chain_id!r} must be 1 to {MAX_CHAIN_ID_LENGTH} printable ASCII characters: {error}"
        ) from error


def write_genesis(state: MutableState, genesis: GenesisState, block: BlockContext) -> None:
    """Write everything that the chain starts with; raises `GenesisError`."""
    write_parameters(state, SECTIONS, chain_parameters(genesis.parameters))
    minted_nopen = 0
    for address, balance_nopen in genesis_balances(genesis):
        minted_nopen += balance_nopen
        ACCOUNTS.set(state, address, Account(0, balance_nopen, b""))
    if minted_nopen > SUPPLY_NOPEN:
        raise GenesisError(f"app_state.balances sum to {minted_nopen} nopen, the supply is {SUPPLY_NOPEN}")
    if minted_nopen < SUPPLY_NOPEN:
        ACCOUNTS.set(state, TREASURY_ACCOUNT, Account(0, SUPPLY_NOPEN - minted_nopen, b""))
    bank.SUPPLY.set(state, bank.Supply(SUPPLY_NOPEN, 0))
    members.write_genesis(state, genesis_members(genesis), tuple([Peer(p.node_id, p.name) for p in genesis.peers]))
    for module in MODULES:
        if module.genesis:
            module.genesis(state, None, block)


def chain_parameters(document: Mapping[str, Mapping[str, object]]) -> Parameters:
    """The parameters that the document starts with; raises `GenesisError`."""
    try:
        return read_document(SECTIONS, document)
    except ParameterError as error:
        raise GenesisError(f"app_state.parameters: {error}") from None


def _role_bits(field: str, names: tuple[str, ...]) -> int:
    bits = 0
    for name in names:
        try:
            bits |= Role[name.upper()]
        except KeyError:
            known = ", ".join([role.name.lower() for role in Role])
            raise GenesisError(f"app_state.{field}: no role {name!r}; known: {known}") from None
    return bits


def genesis_address(field: str, text: str) -> bytes:
    """An address given in bech32m or as 64 hex digits."""
    try:
        if HEX_ADDRESS.match(text):
            return bytes.fromhex(text)
        return decode_id(text, "open")[1]
    except ValueError as error:
        raise GenesisError(f"app_state.{field}: {text!r} is not an address: {error}") from error


def genesis_balances(genesis: GenesisState) -> Iterator[tuple[bytes, int]]:
    """(address, balance) of each account; raises for a duplicate or a zero balance."""
    seen: dict[bytes, None] = {}
    for index, (text, balance_nopen) in enumerate(genesis.balances):
        address = genesis_address(f"balances[{index}]", text)
        if address == TREASURY_ACCOUNT:
            raise GenesisError(f"app_state.balances[{index}]: the treasury gets what the others leave, leave it out")
        if address in seen:
            raise GenesisError(f"app_state.balances[{index}]: {text} is listed twice")
        if not balance_nopen:
            raise GenesisError(f"app_state.balances[{index}]: balance of {text} is 0, leave the account out")
        seen[address] = None
        yield address, balance_nopen


def genesis_members(genesis: GenesisState) -> tuple[Member, ...]:
    """Member records of the document."""
    return tuple(
        [
            Member(
                genesis_address(f"members[{index}].address", member.address),
                _role_bits(f"members[{index}].roles", member.roles),
                member.name,
            )
            for index, member in enumerate(genesis.members)
        ]
    )


def _check_members(genesis: GenesisState) -> None:
    addresses = [member.address for member in genesis_members(genesis)]
    if len(frozenset(addresses)) != len(addresses):
        raise GenesisError("app_state.members: an address is listed twice")
    for index, member in enumerate(genesis.members):
        _check_name(f"members[{index}]", member.name)
        if not member.roles:
            raise GenesisError(f"app_state.members[{index}].roles is empty: a member has at least one role")


def _check_peers(genesis: GenesisState) -> None:
    node_ids = [peer.node_id for peer in genesis.peers]
    for index, peer in enumerate(genesis.peers):
        _check_name(f"peers[{index}]", peer.name)
        if peer.node_id in node_ids[:index]:
            raise GenesisError(f"app_state.peers[{index}]: {peer.node_id} is listed twice")


def _check_name(field: str, name: str) -> None:
    if len(name) > MAX_TEXT_LENGTH or not name.isascii() or not name.isprintable():
        raise GenesisError(f"app_state.{field}.name must be at most {MAX_TEXT_LENGTH} printable ASCII characters")
