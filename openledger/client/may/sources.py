"""Where the terms under a model come from: which DataNet versions and models, and whose.

Every terms record of the joined terms is found again among contributions and entries; one that is not (a listing that
is not whole) stays a source without an origin, and no answer is given as if it were not there.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from abci_app.bech32 import encode_id
from abci_app.modules.licences import Terms
from abci_app.modules.models.kinds import EntryKind
from abci_app.modules.models.lineage import LineagePage
from abci_app.modules.models.records import StoredEntry
from openledger.licences import terms_title
from openledger.words import word_of

# People and places named in one phrase; the rest is counted.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Origin:
    """A DataNet version or a model that terms came in with, and the people behind it."""

    name: str
    is_model: bool
    people: tuple[bytes, ...]
    # It came from outside as it is: nothing on this chain made it from other material.
    is_import: bool = False


@dataclass(frozen=True, slots=True)
class TermsSource:
    """One terms record under a model, with everywhere that it came in from."""

    terms_id: bytes
    terms: Terms
    origins: tuple[Origin, ...]
    # It stands under a model whose outputs another one learned from (distillation).
    taught: bool = False

    @property
    def title(self) -> str:
        """The terms as people call them."""
        return terms_title(self.terms)

    @property
    def people(self) -> tuple[bytes, ...]:
        """Everybody behind it, each once."""
        return tuple(dict.fromkeys([person for origin in self.origins for person in origin.people]))

    def in_words(self, name_of: Callable[[bytes], str]) -> str:
        """`garden@1 from dana (CC-BY-4.0)`."""
        if not self.origins:
            return f"a source that is not listed ({self.title})"
        places = _counted([origin.name for origin in self.origins])
        people = joined_names(
            [person for origin in self.origins if not origin.is_model for person in origin.people], name_of
        )
        return f"{places}{f' from {people}' if people else ''} ({self.title})"


def joined_names(people: Iterable[bytes], name_of: Callable[[bytes], str]) -> str:
    """`dana, erik and 4 others`."""
    return _counted([name_of(person) for person in dict.fromkeys(people)])


def _counted(names: list[str]) -> str:
    if len(names) > _NAMED:
        return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def sources_of(page: LineagePage) -> tuple[TermsSource, ...]:
    """Every terms record under the entry that a whole lineage is about, in the order of ids."""
    known = {item.terms_id: item.terms for item in page.terms}
    found: dict[bytes, dict[str, Origin]] = {terms_id: {} for terms_id in _joined_ids(page)}
    for item in page.entries:
        if item.stored.entry.terms_id:
            missing = item.stored.entry.undeclared
            before = f"undeclared {word_of('undeclared', missing).replace('-', ' ')} of " if missing else ""
            origin = Origin(
                name=before + entry_name(page, item.entry_id, item.stored),
                is_model=True,
                people=(item.stored.admission.recorder,),
                is_import=item.stored.entry.kind == EntryKind.IMPORT,
            )
            found.setdefault(item.stored.entry.terms_id, {})[origin.name] = origin
    for datanet in page.datanets:
        name = f"{datanet.name}@{datanet.version}"
        people: dict[bytes, dict[bytes, None]] = {}
        for contribution in datanet.contributions:
            accepted = contribution.accepted
            people.setdefault(accepted.terms_id, {})[accepted.contributor] = None
        for terms_id, contributors in people.items():
            origin = Origin(name=name, is_model=False, people=tuple(contributors))
            found.setdefault(terms_id, {})[name] = origin
    taught = _taught(page)
    # Terms that a contribution names and the page does not bring cannot be judged: `may_of` says so.
    return tuple(
        [
            TermsSource(
                terms_id=terms_id,
                terms=known[terms_id],
                origins=tuple(origins.values()),
                taught=terms_id in taught,
            )
            for terms_id, origins in sorted(found.items())
            if terms_id in known
        ]
    )


def _taught(page: LineagePage) -> set[bytes]:
    """Terms of everything that teachers were made from; entries stand by falling number, parents after their children.

    A student needs leave to learn from outputs from everything below its teacher.
    """
    given: dict[tuple[bytes, int], set[bytes]] = {}
    for datanet in page.datanets:
        terms = {each.accepted.terms_id for each in datanet.contributions}
        given.setdefault((datanet.datanet_id, datanet.version), set()).update(terms)
    teaching: set[bytes] = set()
    found: set[bytes] = set()
    for item in page.entries:
        entry = item.stored.entry
        if item.entry_id in teaching:
            found |= {entry.terms_id} if entry.terms_id else set()
            found = found.union(*[given.get((each.datanet_id, each.version), set()) for each in entry.inputs])
        if item.entry_id in teaching or entry.kind == EntryKind.DISTIL:
            teaching |= {parent.entry_id for parent in entry.parents}
    return found


def unread_terms(page: LineagePage) -> int:
    """How many terms records are named below the entry and not brought by the page; at least one where nobody says."""
    if not any(item.joined_terms_id == page.entries[0].stored.admission.joined_terms_id for item in page.joined):
        return 1
    known = {item.terms_id for item in page.terms}
    named = set(_joined_ids(page))
    named |= {each.accepted.terms_id for item in page.datanets for each in item.contributions}
    return len(named - known)


def _joined_ids(page: LineagePage) -> list[bytes]:
    """Terms among the joined ones that consensus wrote into the entry asked about."""
    joined_id = page.entries[0].stored.admission.joined_terms_id
    held = [item.joined for item in page.joined if item.joined_terms_id == joined_id]
    return [source.terms_id for joined in held for source in joined.sources]


def entry_name(page: LineagePage, entry_id: bytes, stored: StoredEntry) -> str:
    """`tutor@2`, or the short form of an id for an entry that belongs to no model."""
    name = next((item.name for item in page.models if stored.model_id and item.model_id == stored.model_id), "")
    return f"{name}@{stored.model_version}" if name else f"entry {encode_id('olrun', entry_id)[:20]}…"
