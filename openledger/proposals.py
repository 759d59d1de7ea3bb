"""Proposals as people write them: a document of words, names and amounts becomes the actions of a message.

    scope: chain                                  or committee (default: chain)
    title: Half the fee for each byte
    text: why.md                                  optional: a file whose digest goes with it
    actions:
      - set-parameters: {fees.fee_per_byte_nopen: 0.0000005OPEN, governance.quorum_ppb: 40%}
      - appoint-member: {member: alice, roles: [builder, reviewer], name: Alice, organisation: 0}
      - remove-member: bob
      - set-validator: {validator: alice, power: 10}
      - remove-validator: bob
      - freeze: {datanet: garden, until: 200000}  or model, or entry; until a height, or `for good`
      - lift-freeze: {model: garden-model}
      - spend: {to: carl, amount: 12.5OPEN}
      - upgrade: {release: two, rules: 3, height: 500000, lock-digest: 64 hex digits}
      - cancel-upgrade
      - retry-stuck: 1
      - note: Let it be known

A document is read whole: what is unknown, missing or of no such form is refused, with its place named.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from abci_app.bech32 import IdError, decode_id
from abci_app.chain.registry import SECTIONS
from abci_app.errors import Rejected
from abci_app.mechanisms.freezes import FOREVER, Freezable
from abci_app.modules.governance import (
    Action,
    AppointMember,
    CancelUpgrade,
    FreezeObject,
    NoteDown,
    ParameterChange,
    Propose,
    RetryStuck,
    Scope,
    SetParameters,
    SetValidator,
    Spend,
    Upgrade,
)
from abci_app.modules.members import Role
from abci_app.parameters import Amount, Parameter, ParameterError, PartUnit
from abci_app.state.codec import CodecError, decode, encode
from openledger.amounts import parse_amount, parse_share
from openledger.documents import Resolver
from openledger.errors import UsageError

FOR_GOOD = "for good"
_FIELDS = ("scope", "title", "text", "actions")
_PREFIX_OF_WORD = {"datanet": "oldata", "model": "olmodel", "entry": "olrun"}
_SCOPES = {"chain": Scope.CHAIN, "committee": Scope.COMMITTEE}


@dataclass(frozen=True, slots=True)
class ProposalDraft:
    """A proposal as it was written: who is asked, what it is called, which text goes with it, what it does."""

    scope: Scope
    title: str
    # Path of the text as it was written, or empty.
    text: str
    actions: tuple[Action, ...]

    def message(self, digest: bytes, maximum_deposit_nopen: int) -> Propose:
        """The message that submits it; raises `UsageError` for what the chain would not take in any state."""
        message = Propose(
            scope=int(self.scope),
            object_id=b"",
            actions=self.actions,
            title=self.title,
            digest=digest,
            maximum_deposit_nopen=maximum_deposit_nopen,
        )
        try:
            decode(Propose, encode(message))
            message.validate()
        except (CodecError, Rejected) as error:
            raise UsageError(f"proposal: {error}") from None
        return message


def read_proposal(document: object, resolve: Resolver) -> ProposalDraft:
    """A proposal from its document; `resolve` knows names. Raises `UsageError` that names the place."""
    given = _mapping(document, "proposal", _FIELDS, required=("title", "actions"))
    scope = given.get("scope", "chain")
    if scope not in _SCOPES:
        raise UsageError(f"scope {scope!r}: write {' or '.join(_SCOPES)}")
    actions = given["actions"]
    if not isinstance(actions, list) or not actions:
        raise UsageError("actions: write a list of one to eight, such as `- note: Let it be known`")
    reader = _ActionReader(resolve)
    return ProposalDraft(
        scope=_SCOPES[scope],
        title=_text(given["title"], "title"),
        text=_text(given.get("text", ""), "text"),
        actions=tuple([reader.action(action, f"action {place}") for place, action in enumerate(actions, 1)]),
    )


@dataclass(frozen=True, slots=True)
class _ActionReader:
    """Reads actions with the names that a resolver knows."""

    resolve: Resolver

    def action(self, given: object, place: str) -> Action:
        """One action: a word, or a word with what belongs to it."""
        if isinstance(given, str):
            given = {given: None}
        if not isinstance(given, dict) or len(given) != 1:
            raise UsageError(f"{place}: write one word and what belongs to it; known: {', '.join(_ACTIONS)}")
        ((word, details),) = given.items()
        read = _ACTIONS.get(word)
        if read is None:
            raise UsageError(f"{place}: no action {word!r}; known: {', '.join(_ACTIONS)}")
        return read(self, details, f"{place}, {word}")

    def id(self, prefix: str, given: object, place: str) -> bytes:
        """An id: a name that is known, or the id itself."""
        text = _text(given, place).strip()
        if text.lower().startswith(f"{prefix}1"):
            try:
                return decode_id(text, prefix)[1]
            except IdError as error:
                raise UsageError(f"{place}: {error}") from None
        found = self.resolve(prefix, text)
        if found is None:
            raise UsageError(f"{place}: {text!r} is neither an id ({prefix}1...) nor a name that is known")
        return found

    def object(self, given: Mapping[str, object], place: str) -> tuple[Freezable, bytes]:
        """The object of a freeze: exactly one of DataNet, model and entry."""
        named = [word for word in _PREFIX_OF_WORD if word in given]
        if len(named) != 1:
            raise UsageError(f"{place}: name one of {', '.join(_PREFIX_OF_WORD)}")
        word = named[0]
        return Freezable[word.upper()], self.id(_PREFIX_OF_WORD[word], given[word], f"{place}: {word}")


def _set_parameters(reader: _ActionReader, details: object, place: str) -> SetParameters:
    if not isinstance(details, dict) or not details:
        raise UsageError(f"{place}: write names and values, such as fees.fee_per_byte_nopen: 500nopen")
    changes: list[ParameterChange] = []
    sections: dict[str, None] = {}
    for name, value in details.items():
        parameter = parameter_named(name, place)
        sections[parameter.section] = None
        changes.append(ParameterChange(parameter.index, read_value(parameter, value, f"{place}: {name}")))
    if len(sections) > 1:
        raise UsageError(f"{place}: {' and '.join(sections)} are two sections: write an action for each")
    return SetParameters(next(iter(sections)), tuple(changes))


def parameter_named(name: object, place: str) -> Parameter:
    """A parameter by its full name, `fees.fee_per_byte_nopen`; raises `UsageError`."""
    section_name, _, own = str(name).partition(".")
    section = next((section for section in SECTIONS if section.name == section_name), None)
    if section is None:
        raise UsageError(f"{place}: no parameters of {section_name!r}; known: {', '.join([s.name for s in SECTIONS])}")
    parameter = section.by_name.get(own)
    if parameter is None:
        known = ", ".join(list(section.by_name)[:8])
        raise UsageError(f"{place}: {section_name} has no {own!r}; known: {known} (`openledger gov parameters`)")
    return parameter


def read_value(parameter: Parameter, value: object, place: str) -> int:
    """A parameter's value as people write it: amounts in OPEN, shares in percent, choices and roles in words."""
    try:
        if isinstance(value, str) and isinstance(parameter.unit, Amount):
            return parse_amount(value)
        if isinstance(value, str) and isinstance(parameter.unit, PartUnit):
            return parse_share(value)
        return parameter.unit.read(value)
    except ParameterError as error:
        raise UsageError(f"{place} {error}") from None
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from None


def _appoint_member(reader: _ActionReader, details: object, place: str) -> AppointMember:
    fields = ("member", "roles", "name", "organisation")
    given = _mapping(details, place, fields, required=("member", "roles"))
    roles = given["roles"]
    words = [each.strip() for each in roles.split(",")] if isinstance(roles, str) else roles
    if not isinstance(words, list) or not words:
        raise UsageError(f"{place}: roles: write a list such as [builder, reviewer]; `remove-member` ends a membership")
    bits = 0
    for word in words:
        if str(word).upper() not in Role.__members__:
            known = ", ".join([role.name.lower() for role in Role])
            raise UsageError(f"{place}: no role {word!r}; known: {known}")
        bits |= Role[str(word).upper()]
    return AppointMember(
        member=reader.id("open", given["member"], f"{place}: member"),
        roles=bits,
        name=_text(given.get("name", ""), f"{place}: name"),
        organisation=_number(given.get("organisation", 0), f"{place}: organisation"),
    )


def _remove_member(reader: _ActionReader, details: object, place: str) -> AppointMember:
    return AppointMember(member=reader.id("open", details, place), roles=0, name="", organisation=0)


def _set_validator(reader: _ActionReader, details: object, place: str) -> SetValidator:
    given = _mapping(details, place, ("validator", "power"), required=("validator", "power"))
    power = _number(given["power"], f"{place}: power")
    if not power:
        raise UsageError(f"{place}: power is 0: write remove-validator")
    return SetValidator(reader.id("open", given["validator"], f"{place}: validator"), power)


def _remove_validator(reader: _ActionReader, details: object, place: str) -> SetValidator:
    return SetValidator(reader.id("open", details, place), 0)


def _freeze(reader: _ActionReader, details: object, place: str) -> FreezeObject:
    given = _mapping(details, place, (*_PREFIX_OF_WORD, "until"), required=("until",))
    kind, object_id = reader.object(given, place)
    until = given["until"]
    height = FOREVER if until == FOR_GOOD else _number(until, f"{place}: until, a height or `{FOR_GOOD}`")
    return FreezeObject(object_kind=int(kind), object_id=object_id, until_height=height)


def _lift_freeze(reader: _ActionReader, details: object, place: str) -> FreezeObject:
    kind, object_id = reader.object(_mapping(details, place, tuple(_PREFIX_OF_WORD)), place)
    return FreezeObject(object_kind=int(kind), object_id=object_id, until_height=0)


def _spend(reader: _ActionReader, details: object, place: str) -> Spend:
    given = _mapping(details, place, ("to", "amount"), required=("to", "amount"))
    try:
        amount_nopen = parse_amount(str(given["amount"]))
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from None
    return Spend(reader.id("open", given["to"], f"{place}: to"), amount_nopen)


def _upgrade(reader: _ActionReader, details: object, place: str) -> Upgrade:
    fields = ("release", "rules", "height", "lock-digest")
    given = _mapping(details, place, fields, required=fields)
    try:
        digest = bytes.fromhex(_text(given["lock-digest"], f"{place}: lock-digest"))
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise UsageError(f"{place}: lock-digest must be 64 hex digits: `openledger gov upgrade` says this one's")
    return Upgrade(
        height=_number(given["height"], f"{place}: height"),
        name=_text(given["release"], f"{place}: release"),
        app_version=_number(given["rules"], f"{place}: rules"),
        lock_digest=digest,
    )


def _cancel_upgrade(reader: _ActionReader, details: object, place: str) -> CancelUpgrade:
    if details is not None:
        raise UsageError(f"{place}: nothing belongs to it")
    return CancelUpgrade()


def _retry_stuck(reader: _ActionReader, details: object, place: str) -> RetryStuck:
    return RetryStuck(_number(details, place))


def _note(reader: _ActionReader, details: object, place: str) -> NoteDown:
    return NoteDown(_text(details, place), b"")


_ACTIONS: Mapping[str, Callable[[_ActionReader, object, str], Action]] = {
    "set-parameters": _set_parameters,
    "appoint-member": _appoint_member,
    "remove-member": _remove_member,
    "set-validator": _set_validator,
    "remove-validator": _remove_validator,
    "freeze": _freeze,
    "lift-freeze": _lift_freeze,
    "spend": _spend,
    "upgrade": _upgrade,
    "cancel-upgrade": _cancel_upgrade,
    "retry-stuck": _retry_stuck,
    "note": _note,
}


def _mapping(given: object, place: str, known: tuple[str, ...], required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Names and values, all of them known and none that is needed missing."""
    if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
        raise UsageError(f"{place}: write names and values: {', '.join(known)}")
    unknown = [name for name in given if name not in known]
    if unknown:
        raise UsageError(f"{place}: no {unknown[0]!r}; known: {', '.join(known)}")
    missing = [name for name in required if name not in given]
    if missing:
        raise UsageError(f"{place}: {missing[0]!r} is missing")
    return given


def _text(given: object, place: str) -> str:
    if not isinstance(given, str):
        raise UsageError(f"{place}: {given!r} is no text")
    return given


def _number(given: object, place: str) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or given < 0:
        raise UsageError(f"{place}: {given!r} is no whole number")
    return given
