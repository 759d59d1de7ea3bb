"""Kinds of entries and their structure: which parents, roles and inputs each kind names, and what may stay undeclared.

An empty list would say two things: there was nothing, or nobody said. So every kind states here what there must have
been. Who does not declare it says so in the entry (`Undeclared`), and a reader of its lineage sees "unknown" below it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from abci_app.types import PPB


class EntryKind(IntEnum):
    """The kind of work that produced the output."""

    PRETRAIN = 1
    LORA = 2
    FULL = 3
    MERGE = 4
    DISTIL = 5
    QUANTISE = 6
    PROMPT = 7
    RETRIEVAL = 8
    # Came from outside: no parents, no inputs, what is below it is unknown.
    IMPORT = 9


class Undeclared(IntEnum):
    """The parents and inputs that there were beyond those that an entry lists."""

    NOTHING = 0
    PARENTS = 1
    INPUTS = 2
    PARENTS_AND_INPUTS = 3

    @property
    def has_parents(self) -> bool:
        """Whether there are parents that the entry does not list."""
        return self in (Undeclared.PARENTS, Undeclared.PARENTS_AND_INPUTS)

    @property
    def has_inputs(self) -> bool:
        """Whether there are inputs that the entry does not list."""
        return self in (Undeclared.INPUTS, Undeclared.PARENTS_AND_INPUTS)


BASE = "base"
ADAPTER = "adapter"
TEACHER = "teacher"


@dataclass(frozen=True, slots=True)
class KindRule:
    """One kind's structure. `roles`: those its parents may have (empty = any); of `needed_role` there is at least one.

    `one_base`: at most one parent is the base. `reason` says why, in words that follow "a lora: ".
    """

    reason: str
    least_parents: int = 0
    takes_parents: bool = True
    roles: tuple[str, ...] = ()
    needed_role: str = ""
    one_base: bool = False
    needs_inputs: bool = False
    takes_inputs: bool = True


_ON_ONE_MODEL = (BASE, ADAPTER)

RULES = {
    EntryKind.PRETRAIN: KindRule(
        reason="it starts from random numbers and learns from data", takes_parents=False, needs_inputs=True
    ),
    EntryKind.LORA: KindRule(
        reason="an adapter is trained on data, for one base, from zero or from earlier adapters",
        least_parents=1, roles=_ON_ONE_MODEL, needed_role=BASE, one_base=True, needs_inputs=True,
    ),
    EntryKind.FULL: KindRule(
        reason="the weights of one base, with adapters merged in or not, are trained further on data",
        least_parents=1, roles=_ON_ONE_MODEL, needed_role=BASE, one_base=True, needs_inputs=True,
    ),
    EntryKind.MERGE: KindRule(reason="at least two models are put together", least_parents=2),
    EntryKind.DISTIL: KindRule(
        reason="a student, from random numbers or from one base, learns from what teachers say about data",
        least_parents=1, roles=(TEACHER, *_ON_ONE_MODEL), needed_role=TEACHER, one_base=True, needs_inputs=True,
    ),
    EntryKind.QUANTISE: KindRule(
        reason="the numbers of one base, with adapters merged in or not, are rounded, with calibration data or without",
        least_parents=1, roles=_ON_ONE_MODEL, needed_role=BASE, one_base=True,
    ),
    EntryKind.PROMPT: KindRule(
        reason="a prompt is written or trained for one base, with examples or without",
        least_parents=1, roles=_ON_ONE_MODEL, needed_role=BASE, one_base=True,
    ),
    EntryKind.RETRIEVAL: KindRule(
        reason="documents are indexed, by a model that embeds them or by their words", needs_inputs=True
    ),
    EntryKind.IMPORT: KindRule(
        reason="it came from outside, and nothing below it is known here", takes_parents=False, takes_inputs=False
    ),
}  # fmt: skip


def fault_of_structure(kind: EntryKind, roles: Sequence[str], input_count: int, undeclared: Undeclared) -> str:
    """The first thing in an entry's structure that its kind does not admit, in words; empty when all is well."""
    rule = RULES[kind]
    return _fault_of_parents(kind, rule, roles, undeclared) or _fault_of_inputs(kind, rule, input_count, undeclared)


def _fault_of_parents(kind: EntryKind, rule: KindRule, roles: Sequence[str], undeclared: Undeclared) -> str:
    name, because = show_kind(kind), f"({rule.reason})"
    if not rule.takes_parents and (roles or undeclared.has_parents):
        return f"{name} has no parents {because}: choose another kind"
    for role in roles:
        if rule.roles and role not in rule.roles:
            return f"{name} has no parent as {role!r}, only as {' or '.join(rule.roles)} {because}"
    if rule.one_base and list(roles).count(BASE) > 1:
        return f"{name} has one base, not {list(roles).count(BASE)} {because}: record the merge of several first"
    if undeclared.has_parents:
        return ""
    if len(roles) < rule.least_parents or (rule.needed_role and rule.needed_role not in roles):
        wanted = f"a parent as {rule.needed_role!r}" if rule.needed_role else f"at least {rule.least_parents} parents"
        return f"{name} needs {wanted} {because}: list it, or say that its parents are undeclared"
    return ""


def _fault_of_inputs(kind: EntryKind, rule: KindRule, input_count: int, undeclared: Undeclared) -> str:
    name, because = show_kind(kind), f"({rule.reason})"
    if not rule.takes_inputs and (input_count or undeclared.has_inputs):
        return f"{name} has no inputs {because}: choose another kind"
    if rule.needs_inputs and not input_count and not undeclared.has_inputs:
        return f"{name} needs an input {because}: list it, or say that its inputs are undeclared"
    return ""


def fault_of_terms(kind: EntryKind, undeclared: Undeclared, has_terms: bool) -> str:
    """Why an entry needs terms of its own, in words; empty when it has some or needs none."""
    if has_terms or not is_unknown_below(kind, undeclared):
        return ""
    if kind == EntryKind.IMPORT:
        return "an import needs the terms under which the model was received"
    return f"{show_kind(kind)} with undeclared parents or inputs needs the terms under which those were received"


def fault_of_rows(rows_used: int, rows_used_root: bytes) -> str:
    """Why count and root of the rows used do not fit together, in words; empty when they do."""
    if len(rows_used_root) not in (0, 32):
        return "rows_used_root must be empty or 32 bytes"
    if rows_used and not rows_used_root:
        return "rows_used needs the root of these rows; without a list of rows both stay empty"
    if rows_used_root and not rows_used:
        return "an input of which no row was used is none: leave it out"
    return ""


def fault_of_shares(what: str, shares: Sequence[int], undeclared: bool) -> str:
    """Why weights or shares do not say whose the whole is, in words; empty when they do."""
    if undeclared and sum(shares) >= PPB:
        return f"{what} sum to {sum(shares)}: leave a part for those that are undeclared"
    if shares and not undeclared and sum(shares) != PPB:
        return f"{what} sum to {sum(shares)}, must be {PPB} parts per billion"
    return ""


def show_kind(kind: EntryKind) -> str:
    """A kind with its article, as it begins a sentence."""
    word = kind.name.lower()
    return f"{'an' if word[0] in 'aeio' else 'a'} {word}"


def is_unknown_below(kind: int, undeclared: int) -> bool:
    """Whether something that an entry was made from is not on this chain; decided here and nowhere else."""
    return kind == EntryKind.IMPORT or undeclared != Undeclared.NOTHING
