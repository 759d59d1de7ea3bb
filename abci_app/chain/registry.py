"""The modules in execution order, and the tables made from them. A new module is one line here."""

from collections.abc import Callable, Mapping

from abci_app.chain.chain_module import FEES, make_chain_module, make_sections
from abci_app.errors import Code, Rejected
from abci_app.mechanisms import beacon, epochs, freezes, locks
from abci_app.mechanisms import module as deadlines
from abci_app.mechanisms.deadlines import kinds_by_number
from abci_app.module import DeadlineKind, Handler, Message, Module, Query, snake_case
from abci_app.modules import accounts, bank, datanets, governance, licences, members, models, validators
from abci_app.parameters import SURCHARGES, Parameters, Section, read_parameters
from abci_app.state.store import StateView
from abci_app.state.table import Table


def _sections() -> tuple[Section, ...]:
    return SECTIONS


def _kinds() -> Mapping[int, DeadlineKind]:
    return kinds_by_number([kind for module in MODULES for kind in module.deadlines])


_MODULES: tuple[Module, ...] = (
    beacon.MODULE,
    epochs.MODULE,
    locks.MODULE,
    freezes.MODULE,
    accounts.MODULE,
    bank.MODULE,
    members.MODULE,
    validators.MODULE,
    licences.MODULE,
    datanets.MODULE,
    models.MODULE,
    governance.make_module(governance.Book(_sections, _kinds)),
)
# The parameters of all modules, and who keeps them: the chain's own module, made from the others.
SECTIONS: tuple[Section, ...] = make_sections(_MODULES)
# What a transaction costs stands in these.
FEE_SECTIONS = tuple([section for section in SECTIONS if section.name in (FEES, SURCHARGES)])
MODULES: tuple[Module, ...] = (make_chain_module(SECTIONS), deadlines.MODULE, *_MODULES)

HANDLERS: dict[type[Message], tuple[Module, Handler]] = {
    message: (module, handler) for module in MODULES for message, handler in module.messages.items()
}
MESSAGE_TYPES: tuple[type[Message], ...] = tuple(HANDLERS)
# u16 type tag -> message class, and back.
MESSAGES_BY_TAG: dict[int, type[Message]] = {
    int(message.__struct_config__.tag): message  # type: ignore[arg-type]
    for message in MESSAGE_TYPES
}
TAG_OF: dict[type[Message], int] = {message: tag for tag, message in MESSAGES_BY_TAG.items()}
# "bank.transfer" -> type tag: the names people use in genesis documents and on the command line.
MESSAGE_NAMES: dict[str, int] = {
    f"{HANDLERS[message][0].name}.{snake_case(message.__name__)}": tag for tag, message in MESSAGES_BY_TAG.items()
}
TABLES: tuple[Table, ...] = tuple([table for module in MODULES for table in module.tables])
_QUERIES: dict[tuple[str, str], Query] = {
    (module.name, query.name): query for module in MODULES for query in module.queries
}

# Prefix of ids -> how a name of such an object is looked up.
NAME_KINDS: dict[str, Callable[[StateView, str], bytes]] = {
    kind: find for module in MODULES for kind, find in module.names.items()
}


def parameters_of(view: StateView) -> Parameters | None:
    """The chain's parameters as this state holds them, or None before genesis."""
    return read_parameters(view, SECTIONS)


def query_named(module: str, name: str) -> Query:
    """The query `name` of `module`; raises `Rejected(UNKNOWN_QUERY)`."""
    query = _QUERIES.get((module, name))
    if query is None:
        asked = f"{module}/{name}"[:100]  # free text from the network
        raise Rejected(Code.UNKNOWN_QUERY, f"no query {asked!r}: see `openledger query --help`")
    return query


def all_queries() -> dict[tuple[str, str], Query]:
    """Every query by (module, name)."""
    return dict(_QUERIES)


def table_of_key(key: bytes) -> Table | None:
    """Which table a raw state key belongs to."""
    for table in TABLES:
        if key.startswith(table.prefix):
            return table
    return None
