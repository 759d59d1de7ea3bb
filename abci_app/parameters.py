"""Parameters: numbers inside the rules that can change while a chain runs, each within limits that the code holds.

A module declares its parameters in one `Section`; the chain keeps one record a section, so that live values have
proofs: `parameters/<section>/value -> ParameterRecord([(index, value)])`. Every value is an integer; its unit says how
people write it and read it. Indices are released numbers: a parameter keeps its own for ever, a new one takes the next.

The values of a block are those that the block before it left: what changes one acts from the next block on.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from abci_app.state.codec import Record
from abci_app.state.store import StateView
from abci_app.state.table import Item, MutableState
from abci_app.types import NOPEN_PER_OPEN, PPB, U32, ChainId, Height, Integer, Seconds
from abci_app.versions import NEWEST_APP_VERSION, OLDEST_APP_VERSION

# One section speaks at most of every message type that exists; the bound keeps it small enough to read a block.
MAX_SECTION_PARAMETERS = 1_024

SURCHARGES = "surcharges"
ROLES = "roles"


class ParameterError(ValueError):
    """A parameter cannot have this value; the text names it, what is wrong, and what it may be."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A plain count of something: people write and read it as an integer."""

    name: str

    def words(self, value: int) -> str:
        """The value as people read it, with its unit."""
        return f"{value:,} {self.name}".rstrip()

    def read(self, given: object) -> int:
        """The value that a document gives; raises `ParameterError` that says what it must be."""
        if not isinstance(given, int) or isinstance(given, bool):
            raise ParameterError(f"is {given!r}, must be an integer ({self.name})")
        return given

    def range_words(self, minimum: int, maximum: int) -> str:
        """Everything between two limits as people read it."""
        return f"{minimum:,} to {self.words(maximum)}"


@dataclass(frozen=True, slots=True)
class Amount(Unit):
    """An amount of nopen: large ones are shown in OPEN too."""

    name: str = "nopen"

    def words(self, value: int) -> str:
        """The value in nopen, and in OPEN from a thousandth of one on."""
        text = f"{value:,} nopen"
        if value * 1_000 < NOPEN_PER_OPEN:
            return text
        whole, rest = divmod(value, NOPEN_PER_OPEN)
        decimals = f"{rest:09d}".rstrip("0")
        return f"{text} ({whole:,}{'.' if decimals else ''}{decimals} OPEN)"


@dataclass(frozen=True, slots=True)
class PartUnit(Unit):
    """A part of a whole in parts per billion: people read it in per cent too."""

    name: str = "ppb"

    def words(self, value: int) -> str:
        """The value in parts per billion and in per cent."""
        whole, rest = divmod(value, PPB // 100)
        decimals = f"{rest:07d}".rstrip("0")
        return f"{value:,} ppb ({whole}{'.' if decimals else ''}{decimals} %)"


@dataclass(frozen=True, slots=True)
class ChoiceUnit(Unit):
    """One of several words, numbered in this order."""

    options: tuple[str, ...]
    first: int = 1

    def words(self, value: int) -> str:
        """The word of a number."""
        return self.options[value - self.first]

    def read(self, given: object) -> int:
        """The number of a word."""
        if not isinstance(given, str) or given not in self.options:
            raise ParameterError(f"is {given!r}, must be one of {self.options}")
        return self.first + self.options.index(given)

    def range_words(self, minimum: int, maximum: int) -> str:
        """The words between two limits."""
        return ", ".join(self.options[minimum - self.first : maximum - self.first + 1])


@dataclass(frozen=True, slots=True)
class Bits(Unit):
    """A set of words, one bit each in this order; no bit at all has a word of its own."""

    options: tuple[str, ...]
    empty: str

    def words(self, value: int) -> str:
        """The words of all bits."""
        chosen = [option for place, option in enumerate(self.options) if value >> place & 1]
        return " or ".join(chosen) or self.empty

    def read(self, given: object) -> int:
        """The bits of a list of words; an empty list is refused, since no bit means the opposite of nobody."""
        if not isinstance(given, list | tuple) or not all(isinstance(option, str) for option in given):
            raise ParameterError(f"is {given!r}, must be a list of {', '.join(self.options)}")
        if not given:
            words = ", ".join(self.options)
            raise ParameterError(f"is empty: name at least one of {words}, or leave it out to say {self.empty!r}")
        bits = 0
        for option in given:
            if option not in self.options:
                raise ParameterError(f"has no {option!r}; known: {', '.join(self.options)}")
            bits |= 1 << self.options.index(option)
        return bits

    def range_words(self, minimum: int, maximum: int) -> str:
        """The words of all bits that may be set."""
        return f"{self.empty}, or any of: {', '.join(self.options)}" if maximum else f"always {self.empty}"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number of a section: where it stands, what it means, what it is without a word from anybody, its limits."""

    section: str
    index: int
    name: str
    unit: Unit
    default: int
    minimum: int
    maximum: int
    meaning: str
    # The version of the rules that brought it: older ones have neither the rule nor the value.
    since: int = OLDEST_APP_VERSION

    @property
    def full_name(self) -> str:
        """`fees.fee_per_byte_nopen`: how documents and messages name it."""
        return f"{self.section}.{self.name}"


class ParameterValue(Record, frozen=True, array_like=True, gc=False):
    """One value by the index of its parameter."""

    index: U32
    value: Integer


class ParameterRecord(Record, frozen=True, array_like=True, tag=1, gc=False):
    """All values of a section, by index. A parameter that it lacks was declared later: its default holds."""

    values: Annotated[tuple[ParameterValue, ...], Meta(max_length=MAX_SECTION_PARAMETERS)]


@dataclass(frozen=True, slots=True)
class Parameters:
    """The values of all sections; what nobody has set has its default."""

    values: Mapping[tuple[str, int], int] = field(default_factory=dict)

    def __getitem__(self, parameter: Parameter) -> int:
        return self.values.get((parameter.section, parameter.index), parameter.default)

    def surcharge_nopen(self, message_type: int) -> int:
        """Price of one message of this type beside its bytes and its work."""
        return self.values.get((SURCHARGES, message_type), 0)

    def roles_for(self, message_type: int) -> int:
        """Bit set of the roles of which a sender needs one; 0: everybody may send it."""
        return self.values.get((ROLES, message_type), 0)


# Each says in one line what is wrong with values that depend on each other, or None.
ParameterCheck = Callable[[Parameters], str | None]


class Section:
    """The parameters of a module, and what must hold between them and others."""

    def __init__(self, name: str, parameters: Sequence[Parameter], checks: Sequence[ParameterCheck] = ()) -> None:
        self.name = name
        self.parameters = tuple(sorted(parameters, key=lambda parameter: parameter.index))
        self.checks = tuple(checks)
        self.table = Item(f"parameters/{name}/", ParameterRecord)
        self.by_name = {parameter.name: parameter for parameter in self.parameters}
        self.by_index = {parameter.index: parameter for parameter in self.parameters}
        if len(self.by_name) != len(self.parameters) or len(self.by_index) != len(self.parameters):
            raise ValueError(f"section {name!r} declares a name or an index twice")
        for parameter in self.parameters:
            if parameter.section != name or not parameter.minimum <= parameter.default <= parameter.maximum:
                raise ValueError(f"{parameter.full_name}: not of section {name!r}, or a default outside its limits")

    def __repr__(self) -> str:
        return f"Section({self.name!r})"


def check_value(parameter: Parameter, value: int) -> None:
    """Raises `ParameterError` for a value outside the hard limits."""
    if not parameter.minimum <= value <= parameter.maximum:
        allowed = parameter.unit.range_words(parameter.minimum, parameter.maximum)
        raise ParameterError(f"{parameter.full_name} is {value}, must be {allowed}")


def check_all(sections: Iterable[Section], parameters: Parameters) -> None:
    """Raises `ParameterError` unless every value is in its limits and what depends on each other fits together."""
    for section in sections:
        for parameter in section.parameters:
            check_value(parameter, parameters[parameter])
        for check in section.checks:
            objection = check(parameters)
            if objection is not None:
                raise ParameterError(objection)


def read_document(sections: Iterable[Section], document: Mapping[str, Mapping[str, object]]) -> Parameters:
    """Parameters out of `{section: {name: value in words}}`; raises `ParameterError` naming the first fault."""
    known = {section.name: section for section in sections}
    values: dict[tuple[str, int], int] = {}
    for name, given in document.items():
        section = known.get(name)
        if section is None:
            raise ParameterError(f"no section {name!r}; known: {', '.join(known)}")
        for parameter_name, value in given.items():
            parameter = section.by_name.get(parameter_name)
            if parameter is None:
                raise ParameterError(f"{name}: no parameter {parameter_name!r}; known: {', '.join(section.by_name)}")
            try:
                values[name, parameter.index] = parameter.unit.read(value)
            except ParameterError as error:
                raise ParameterError(f"{parameter.full_name} {error}") from None
    parameters = Parameters(values)
    check_all(known.values(), parameters)
    return parameters


def with_changes(
    sections: Iterable[Section],
    parameters: Parameters,
    section_name: str,
    changes: Iterable[tuple[int, int]],
    app_version: int = NEWEST_APP_VERSION,
) -> Parameters:
    """These parameters with (index, value) changes of one section, all checked together; raises `ParameterError`.

    A parameter that a later version of the rules brings is none yet.
    """
    known = {section.name: section for section in sections}
    if section_name not in known:
        raise ParameterError(f"no section {section_name!r}; known: {', '.join(known)}")
    values = dict(parameters.values)
    for index, value in changes:
        parameter = known[section_name].by_index.get(index)
        if parameter is None or parameter.since > app_version:
            raise ParameterError(f"{section_name} has no parameter with index {index}")
        values[section_name, index] = value
    changed = Parameters(values)
    check_all(known.values(), changed)
    return changed


def write_parameters(
    state: MutableState, sections: Iterable[Section], parameters: Parameters, app_version: int = NEWEST_APP_VERSION
) -> None:
    """Write every section's record whole: a reader of the state needs no defaults of ours."""
    for section in sections:
        known = [parameter for parameter in section.parameters if parameter.since <= app_version]
        values = [ParameterValue(parameter.index, parameters[parameter]) for parameter in known]
        section.table.set(state, ParameterRecord(tuple(values)))


def read_parameters(view: StateView, sections: Iterable[Section]) -> Parameters | None:
    """The values that the state holds, or None before genesis wrote them."""
    values: dict[tuple[str, int], int] = {}
    written = False
    for section in sections:
        record = section.table.get(view)
        if record is not None:
            written = True
            values.update([((section.name, item.index), item.value) for item in record.values])
    return Parameters(values) if written else None


class ChainInfo(Record, frozen=True, array_like=True, tag=1, gc=False):
    """The facts that never change, written by InitChain."""

    chain_id: ChainId
    initial_height: Height
    genesis_time_seconds: Seconds


CHAIN = Item("chain/info/", ChainInfo)
