"""The genesis document's `app_state`: what the chain starts with. Each section belongs to one module.

    {"version": 2,
     "parameters": {"fees": {"fee_per_byte_nopen": 10}, "licences": {"licence_policy": "conservative"},
                    "surcharges": {"bank.transfer": 1000}, "roles": {"models.create_model": ["builder"]}},
     "balances": [["open1...", 1000000000], ...],      addresses in bech32m or as 64 hex digits
     "members": [{"address": "open1...", "roles": ["registrar"], "name": "Alice"}],
     "peers": [{"node_id": "<40 hex digits>", "name": "validator-0"}], "peers_closed": true,
     "validators": [{"public_key": "<64 hex digits>", "power": 10, "operator": "open1...", "bond_nopen": 10^14}]}

Supply is 10^18 nopen, minted here once; what the balances leave goes to the `treasury` module account. Every error
names the field, and a section that no module has is refused by its name.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from abci_app import versions
from abci_app.chain.registry import MODULES, SECTIONS
from abci_app.chain.validator_set import record_validators
from abci_app.errors import GenesisError
from abci_app.module import BlockContext, GenesisContext, GenesisSection
from abci_app.parameters import CHAIN, ChainInfo, ParameterError, Parameters, read_document, write_parameters
from abci_app.state.codec import CodecError, decode, encode
from abci_app.state.table import MutableState
from abci_app.types import MAX_CHAIN_ID_LENGTH
from abci_app.versions import APP_VERSION, AppVersion

# CometBFT reads the whole document into memory; 256 MiB hold three million accounts.
MAX_GENESIS_BYTES = 256 * 1024 * 1024
# Version of the document's layout.
DOCUMENT_VERSION = 2
GENESIS_SECTIONS: tuple[GenesisSection, ...] = tuple([section for module in MODULES for section in module.genesis])

# {section: {name: value}}, words and units as docs/parameters.md has them; what is left out has its default.
ParametersDocument = dict[str, dict[str, Any]]

if TYPE_CHECKING:

    class GenesisState(Struct, frozen=True):
        """The document, typed: version, parameters, and one field a section."""

        version: int = DOCUMENT_VERSION
        parameters: ParametersDocument = {}

        def __init__(
            self, *, version: int = DOCUMENT_VERSION, parameters: Mapping[str, Any] = {}, **sections: Any
        ) -> None: ...

        def __getattr__(self, name: str) -> Any: ...

else:
    GenesisState = msgspec.defstruct(
        "GenesisState",
        [
            ("version", int, DOCUMENT_VERSION),
            ("parameters", ParametersDocument, msgspec.field(default_factory=dict)),
            *[(section.name, section.type, section.default) for section in GENESIS_SECTIONS],
        ],
        frozen=True,
        forbid_unknown_fields=True,
    )

_decoder = msgspec.json.Decoder(GenesisState)


def decode_genesis(data: bytes) -> GenesisState:
    """Parse and check `app_state`; raises `GenesisError` with the field named. Empty or `{}` gives the defaults."""
    if len(data) > MAX_GENESIS_BYTES:
        raise GenesisError(f"app_state has {len(data)} bytes, at most {MAX_GENESIS_BYTES} are read")
    try:
        state = _decoder.decode(data.strip() or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise GenesisError(f"app_state: {error}") from error
    if state.version != DOCUMENT_VERSION:
        raise GenesisError(
            f"app_state.version is {state.version}, this program reads {DOCUMENT_VERSION}: make the document anew"
        )
    chain_parameters(state.parameters)
    for section in GENESIS_SECTIONS:
        section.check(getattr(state, section.name))
    return state


def encode_genesis(state: GenesisState) -> bytes:
    """JSON of a document."""
    return msgspec.json.encode(state)


def genesis_context(
    *,
    chain_id: str,
    initial_height: int,
    time_seconds: int,
    app_version: int,
    validators: Sequence[tuple[bytes, int]],
    document: GenesisState,
) -> GenesisContext:
    """Collect the facts about the chain's start that modules may know; raise `GenesisError` where no chain can start.

    `app_version` is that of CometBFT's consensus parameters, 0 where it names none.
    """
    _require_chain_id(chain_id)
    version = app_version or versions.RULES.newest
    if not versions.RULES.knows(version):
        raise GenesisError(
            f"consensus_params.version.app is {version}, this program knows {versions.RULES}: "
            "a chain of another version needs that version's program"
        )
    block = BlockContext(
        chain_id=chain_id,
        height=initial_height,
        time_seconds=time_seconds,
        parameters=chain_parameters(document.parameters),
        app_version=version,
    )
    return GenesisContext(block, tuple(sorted(validators)))


def _require_chain_id(chain_id: str) -> None:
    """Raises `GenesisError` for a chain id that no transaction could carry."""
    try:
        decode(ChainInfo, encode(ChainInfo(chain_id, 1, 0)))
    except CodecError as error:
        raise GenesisError(
            f"chain_id {chain_id!r} must be 1 to {MAX_CHAIN_ID_LENGTH} printable ASCII characters: {error}"
        ) from error


def write_genesis(state: MutableState, document: GenesisState, context: GenesisContext) -> None:
    """Write everything that the chain starts with; raises `GenesisError`."""
    block = context.block
    CHAIN.set(state, ChainInfo(block.chain_id, block.height, block.time_seconds))
    APP_VERSION.set(state, AppVersion(block.app_version, 0, 0))
    write_parameters(state, SECTIONS, block.parameters, block.app_version)
    record_validators(state, context)
    for section in GENESIS_SECTIONS:
        section.write(state, getattr(document, section.name), context)
    for module in MODULES:
        if module.at_genesis is not None:
            module.at_genesis(state, context)


def chain_parameters(document: Mapping[str, Mapping[str, object]]) -> Parameters:
    """The parameters that the document starts with; raises `GenesisError`."""
    try:
        return read_document(SECTIONS, document)
    except ParameterError as error:
        raise GenesisError(f"app_state.parameters: {error}") from None
