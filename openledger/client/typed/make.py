"""Typed results out of the chain's own records. Pure: nothing is asked here."""

from collections.abc import Iterable, Mapping
from typing import Any

from abci_app.bech32 import encode_id
from abci_app.modules.bank import AccountView
from abci_app.modules.licences import JoinedTerms, TermsView
from abci_app.modules.licences.records import Point
from abci_app.modules.models.impact import ImpactPage
from abci_app.modules.models.kinds import EntryKind, is_unknown_below
from abci_app.modules.models.lineage import CleanView, LineageDatanet, LineageEntry, LineagePage
from abci_app.modules.models.queries import VerdictView
from abci_app.types import PPB
from openledger.client.may import May
from openledger.client.provenance import Whole
from openledger.client.results import Answer
from openledger.client.typed.results import (
    AccountFound,
    Affected,
    Clean,
    ContributionFound,
    Contributor,
    CreditDue,
    DatanetFound,
    EntryFound,
    Impact,
    InputFound,
    Lineage,
    MixVerdict,
    ParentFound,
    Permission,
    TermsFound,
    Unknown,
)
from openledger.words import word_of

# Address -> what its key is called here.
People = Mapping[bytes, str]


def make_lineage(whole: Whole[LineagePage], people: People) -> Lineage:
    """A lineage of all its pages."""
    page, first = whole.value, whole.answers[0]
    datanets = tuple([_datanet(item, page.terms) for item in page.datanets])
    references = {(item.datanet_id, item.version): f"{item.name}@{item.version}" for item in page.datanets}
    models = {item.model_id: item.name for item in page.models}
    entries = tuple([_entry(item, references, models, page.terms) for item in page.entries])
    root = next(item for item in page.entries if item.entry_id == page.entry_id)
    joined = next((each.joined for each in page.joined if each.joined_terms_id == _joined_id(root)), None)
    of_root = next(entry for entry in entries if entry.id == encode_id("olrun", page.entry_id))
    return Lineage(
        height=whole.height,
        verified=all(answer.verified for answer in whole.answers),
        note=first.note,
        record=page,
        model=of_root.model,
        version=of_root.version,
        entry=of_root.id,
        complete=whole.complete,
        entries=entries,
        datanets=datanets,
        contributors=_contributors(page, people),
        terms=_terms(page.terms),
        use=_use(joined),
        duties=_duties(joined),
        unknown=tuple(
            [_unknown(item, entry) for item, entry in zip(page.entries, entries, strict=True) if _is_open(item)]
        ),
    )


def make_impact(whole: Whole[ImpactPage]) -> Impact:
    """An impact of all its pages."""
    page, first = whole.value, whole.answers[0]
    entries = [
        Affected(
            id=encode_id("olrun", item.entry_id),
            model=item.model_name,
            version=item.model_version,
            kind=word_of("kind", item.kind),
            direct=bool(item.direct),
            owner=encode_id("open", item.owner),
            superseded_by=_optional_id("olrun", item.superseded_by_entry_id),
        )
        for item in page.entries
    ]
    return Impact(
        height=whole.height,
        verified=all(answer.verified for answer in whole.answers),
        note=first.note,
        record=page,
        datanet=page.name,
        id=encode_id("oldata", page.datanet_id),
        version=page.version,
        complete=whole.complete,
        entries=tuple(entries),
        may_stand_on_it=page.undeclared_entries,
    )


def make_clean(answer: Answer[CleanView]) -> Clean:
    """Whether a DataNet is among what a model was made from."""
    view = answer.value
    return Clean(
        **_standing(answer),
        entry=encode_id("olrun", view.entry_id),
        datanet=view.datanet_name,
        answer=word_of("answer", view.answer),
        found=tuple([encode_id("olrun", each.entry_id) for each in view.found]),
        unknown=tuple([encode_id("olrun", each.entry_id) for each in view.unknown_below]),
        looked_at=view.entry_count,
    )


def make_verdict(answer: Answer[VerdictView]) -> MixVerdict:
    """The licence check of a draft."""
    view = answer.value
    return MixVerdict(
        **_standing(answer),
        outcome=word_of("outcome", view.outcome),
        why=view.text,
        between=tuple([each for each in (view.first, view.second) if each]),
        unknown_below=bool(view.unknown_below),
        use=_use(view.joined),
        duties=_duties(view.joined),
        terms=_terms(view.terms),
    )


def make_permission(judged: May, whole: Whole[LineagePage], model: str, people: People) -> Permission:
    """Whether a model may be put to a use, out of the judgement of its lineage."""

    def name_of(address: bytes) -> str:
        return people.get(address) or encode_id("open", address)

    first = whole.answers[0]
    return Permission(
        height=whole.height,
        verified=all(answer.verified for answer in whole.answers),
        note=first.note,
        record=whole.value,
        model=model,
        use=judged.use.name.lower(),
        answer=judged.answer.name.lower(),
        in_words=judged.in_words(name_of),
        because=tuple([reason.in_words(name_of) for reason in judged.because]),
        credit=tuple(
            [
                CreditDue(
                    who=each.model or encode_id("open", each.address),
                    name=people.get(each.address, ""),
                    terms=each.terms,
                )
                for each in judged.credits
            ]
        ),
        conditions=judged.conditions,
        unknown=tuple(
            [
                Unknown(entry=encode_id("olrun", each.entry_id), reference=each.name, why=each.text)
                for each in judged.unknown
            ]
        ),
        judgement=judged,
    )


def make_account(answer: Answer[AccountView], address: bytes, people: People) -> AccountFound:
    """An account."""
    view = answer.value
    return AccountFound(
        **_standing(answer),
        address=encode_id("open", address),
        balance_nopen=view.balance_nopen,
        sequence=view.sequence,
        exists=bool(view.exists),
        policy=view.policy,
        name=people.get(address, ""),
    )


def _standing(answer: Answer[Any]) -> dict[str, Any]:
    return {"height": answer.height, "verified": answer.verified, "note": answer.note, "record": answer.value}


def terms_name(terms_id: bytes, known: Iterable[TermsView]) -> str:
    """Terms as people call them; their id where a page does not show them."""
    found = next((item.terms for item in known if item.terms_id == terms_id), None)
    return found.name if found is not None else encode_id("olterms", terms_id)


def _terms(known: Iterable[TermsView]) -> tuple[TermsFound, ...]:
    return tuple(
        [
            TermsFound(id=encode_id("olterms", item.terms_id), name=item.terms.name, spdx=item.terms.spdx)
            for item in known
        ]
    )


def _joined_id(item: LineageEntry) -> bytes:
    return item.stored.admission.joined_terms_id


def _use(joined: JoinedTerms | None) -> str:
    return word_of("use_class", joined.use_class).replace("-", " ") if joined is not None else ""


def _duties(joined: JoinedTerms | None) -> tuple[str, ...]:
    if joined is None:
        return ()
    return tuple([point.name.lower().replace("_", " ") for point in Point if joined.demanded & point])


def _datanet(item: LineageDatanet, terms: Iterable[TermsView]) -> DatanetFound:
    contributions = [
        ContributionFound(
            id=encode_id("olcontrib", each.accepted.contribution_id),
            number=each.number,
            contributor=encode_id("open", each.accepted.contributor),
            terms=terms_name(each.accepted.terms_id, terms),
            rows=each.accepted.row_count,
            byte_count=each.accepted.byte_count,
        )
        for each in item.contributions
    ]
    return DatanetFound(
        id=encode_id("oldata", item.datanet_id),
        name=item.name,
        version=item.version,
        rows=item.record.row_count,
        byte_count=item.record.byte_count,
        usable=bool(item.usable),
        contributions=tuple(contributions),
    )


def _contributors(page: LineagePage, people: People) -> tuple[Contributor, ...]:
    """Everybody whose rows are in some version, most rows first; a contribution in several versions counts once."""
    rows: dict[bytes, dict[bytes, int]] = {}
    terms: dict[bytes, dict[str, None]] = {}
    datanets: dict[bytes, dict[str, None]] = {}
    for item in page.datanets:
        for each in item.contributions:
            accepted = each.accepted
            who = accepted.contributor
            rows.setdefault(who, {})[accepted.contribution_id] = accepted.row_count
            terms.setdefault(who, {})[terms_name(accepted.terms_id, page.terms)] = None
            datanets.setdefault(who, {})[f"{item.name}@{item.version}"] = None
    ordered = sorted(rows, key=lambda who: (-sum(rows[who].values()), who))
    return tuple(
        [
            Contributor(
                address=encode_id("open", who),
                rows=sum(rows[who].values()),
                terms=tuple(terms[who]),
                datanets=tuple(datanets[who]),
                name=people.get(who, ""),
            )
            for who in ordered
        ]
    )


def _entry(
    item: LineageEntry,
    references: Mapping[tuple[bytes, int], str],
    models: Mapping[bytes, str],
    terms: Iterable[TermsView],
) -> EntryFound:
    stored = item.stored
    entry, admission = stored.entry, stored.admission
    inputs = [
        InputFound(
            datanet=references.get((each.datanet_id, each.version), encode_id("oldata", each.datanet_id)),
            share=each.weight_ppb / PPB,
            rows_used=each.rows_used if each.rows_used_root else None,
        )
        for each in entry.inputs
    ]
    parents = [
        ParentFound(id=encode_id("olrun", each.entry_id), role=each.role, share=each.share_ppb / PPB)
        for each in entry.parents
    ]
    return EntryFound(
        id=encode_id("olrun", item.entry_id),
        model=models.get(stored.model_id, "") if stored.model_id else "",
        version=stored.model_version,
        kind=word_of("kind", entry.kind),
        recorder=encode_id("open", admission.recorder),
        owner=encode_id("open", stored.owner),
        recorded_height=admission.height,
        parents=tuple(parents),
        inputs=tuple(inputs),
        undeclared=word_of("undeclared", entry.undeclared),
        terms=terms_name(entry.terms_id, terms) if entry.terms_id else "",
        outcome=word_of("outcome", admission.outcome),
        superseded_by=_optional_id("olrun", stored.superseded_by_entry_id),
    )


def _is_open(item: LineageEntry) -> bool:
    return is_unknown_below(item.stored.entry.kind, item.stored.entry.undeclared)


def _unknown(item: LineageEntry, entry: EntryFound) -> Unknown:
    if item.stored.entry.kind == EntryKind.IMPORT:
        why = "it came from outside, and what it was made from is not on this chain"
    else:
        what = entry.undeclared.replace("-", " ")
        why = f"its {what} are not all declared, and what else it was made from is not on this chain"
    return Unknown(entry=entry.id, reference=entry.reference, why=why)


def _optional_id(kind: str, value: bytes) -> str:
    return encode_id(kind, value) if value else ""
