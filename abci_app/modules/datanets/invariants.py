"""Invariants of the datanets module: run by simulation and `openledger node check`, never per block."""

from abci_app.modules import licences
from abci_app.modules.datanets.records import (
    ACCEPTED,
    CONTENT,
    CONTRIBUTIONS,
    COUNTS,
    DATANETS,
    NAMES,
    NODES,
    REVIEWS,
    ROWS,
    SUBMITTED,
    TERMS_COUNTS,
    VERSIONS,
    Accepted,
    DatanetCounts,
    Decision,
    Status,
    StoredContribution,
    contribution_id_of,
)
from abci_app.modules.datanets.tree import complete_nodes, version_root
from abci_app.state.store import StateView
from abci_app.state.table import hash_key_part


def names_and_datanets_agree(view: StateView) -> list[str]:
    """Every DataNet is found under its name, every name leads to a DataNet of that name."""
    faults = []
    for (datanet_id,), datanet in DATANETS.iterate(view):
        owner = NAMES.get(view, datanet.name)
        if owner is None or owner.object_id != datanet_id:
            faults.append(f"DataNet {datanet_id.hex()} is not found under its name {datanet.name!r}")
        if not licences.terms_exist(view, datanet.default_terms_id):
            faults.append(f"default terms of DataNet {datanet.name!r} are not registered")
    for (name_hash,), owner in NAMES.iterate(view):
        named = DATANETS.get(view, owner.object_id)
        if named is None or hash_key_part(named.name) != name_hash:
            faults.append(f"name {name_hash.hex()} leads to no DataNet of that name")
    return faults


def contributions_are_listed(view: StateView) -> list[str]:
    """Every contribution hashes to its key and stands in the listings that its status demands."""
    faults = []
    for (contribution_id,), stored in CONTRIBUTIONS.iterate(view):
        contribution = stored.contribution
        label = f"contribution {contribution_id.hex()}"
        if contribution_id_of(contribution) != contribution_id:
            faults.append(f"{label} hashes otherwise")
        listed = SUBMITTED.get(view, contribution.datanet_id, stored.submitted_number)
        if listed is None or listed.contribution_id != contribution_id:
            faults.append(f"{label} is not listed as submission {stored.submitted_number}")
        faults += _duplicate_faults(view, contribution_id, stored, label)
        accepted = ACCEPTED.get(view, contribution.datanet_id, stored.accepted_number)
        if bool(stored.accepted_number) != (accepted is not None):
            faults.append(f"{label} and the accepted list disagree")
        elif accepted is not None and not _accepted_matches(accepted, contribution_id, stored):
            faults.append(f"{label} differs from its accepted listing")
    return faults


def _duplicate_faults(view: StateView, contribution_id: bytes, stored: StoredContribution, label: str) -> list[str]:
    """Rows and file are held exactly while pending, accepted, or revoked after acceptance."""
    holds = stored.status in (Status.PENDING, Status.ACCEPTED) or bool(stored.accepted_number)
    contribution = stored.contribution
    faults = []
    for what, found in (
        ("rows", ROWS.get(view, contribution.datanet_id, contribution.rows_root)),
        ("file", CONTENT.get(view, contribution.datanet_id, contribution.content_digest)),
    ):
        if holds != (found is not None and found.contribution_id == contribution_id):
            faults.append(f"{label} {'lost' if holds else 'still holds'} its {what}")
    return faults


def _accepted_matches(accepted: Accepted, contribution_id: bytes, stored: StoredContribution) -> bool:
    contribution = stored.contribution
    revoked = stored.status == Status.REVOKED
    return (
        accepted.contribution_id == contribution_id
        and accepted.contributor == contribution.contributor
        and accepted.terms_id == contribution.terms_id
        and accepted.row_count == contribution.row_count
        and accepted.byte_count == contribution.byte_count
        and bool(accepted.absent_from_version) == revoked
        and stored.status in (Status.ACCEPTED, Status.REVOKED)
    )


def listings_lead_to_contributions(view: StateView) -> list[str]:
    """The reverse: every listing, row root and file digest leads to its contribution."""
    faults = []
    for (datanet_id, number), submitted in SUBMITTED.iterate(view):
        stored = CONTRIBUTIONS.get(view, submitted.contribution_id)
        if stored is None or (stored.contribution.datanet_id, stored.submitted_number) != (datanet_id, number):
            faults.append(f"submission {number} of {datanet_id.hex()} leads nowhere")
    for (datanet_id, number), accepted in ACCEPTED.iterate(view):
        stored = CONTRIBUTIONS.get(view, accepted.contribution_id)
        if stored is None or (stored.contribution.datanet_id, stored.accepted_number) != (datanet_id, number):
            faults.append(f"accepted contribution {number} of {datanet_id.hex()} leads nowhere")
    for table, field in ((ROWS, "rows_root"), (CONTENT, "content_digest")):
        for (datanet_id, part_hash), submitted in table.iterate(view):
            stored = CONTRIBUTIONS.get(view, submitted.contribution_id)
            if stored is None or hash_key_part(getattr(stored.contribution, field)) != part_hash:
                faults.append(f"{field} {part_hash.hex()} of {datanet_id.hex()} leads nowhere")
    return faults


def counts_match(view: StateView) -> list[str]:
    """Counts equal the lengths of the listings, bans follow from revocations, and every DataNet has counts."""
    faults = []
    for (datanet_id,), _ in DATANETS.iterate(view):
        counts = COUNTS.get(view, datanet_id)
        if counts is None:
            faults.append(f"DataNet {datanet_id.hex()} has no counts")
            continue
        accepted = [item for _, item in ACCEPTED.iterate(view, datanet_id)]
        found = (
            len(list(SUBMITTED.iterate(view, datanet_id))),
            len(accepted),
            len([item for item in accepted if item.absent_from_version]),
            len(list(VERSIONS.iterate(view, datanet_id))),
        )
        stated = (counts.submitted, counts.accepted, counts.revoked, counts.versions)
        if found != stated:
            faults.append(f"DataNet {datanet_id.hex()} counts {stated}, its listings have {found}")
        faults += _version_faults(view, datanet_id, counts, accepted)
    return faults


def _version_faults(view: StateView, datanet_id: bytes, counts: DatanetCounts, accepted: list[Accepted]) -> list[str]:
    """Find where the counts of versions, past and next, do not follow from the accepted list."""
    faults = []
    label = f"DataNet {datanet_id.hex()}"
    # A version is banned from new training once something in it was revoked.
    bans = [item.absent_from_version for item in accepted if item.present_from_version < item.absent_from_version]
    usable_from = max([1, *bans])
    if counts.usable_from_version != usable_from:
        faults.append(
            f"{label} says that versions from {counts.usable_from_version} are usable, "
            f"its revocations say from {usable_from}"
        )
    last = counts.versions
    changes = len([item for item in accepted if (last > 0 and item.is_in(last)) != item.is_in(last + 1)])
    if counts.changes != changes:
        faults.append(f"{label} counts {counts.changes} changes since its last version, there are {changes}")
    joined = licences.find_joined_terms(view, counts.joined_terms_id) if counts.joined_terms_id else None
    sources = [source.terms_id for source in joined.sources] if joined else []
    held = {number: item for number, item in enumerate(accepted, 1) if not item.absent_from_version}
    if sources != sorted(frozenset([item.terms_id for item in held.values()])):
        faults.append(f"{label} joins other terms than those of what it holds")
    return faults + _running_faults(view, datanet_id, counts, held, label)


def _running_faults(
    view: StateView, datanet_id: bytes, counts: DatanetCounts, held: dict[int, Accepted], label: str
) -> list[str]:
    """Sums, counts of terms and the tree, which every acceptance and revocation keeps up."""
    faults = []
    sums = sum([item.row_count for item in held.values()]), sum([item.byte_count for item in held.values()])
    if (counts.row_count, counts.byte_count) != sums:
        faults.append(f"{label} counts other rows or bytes than it holds")
    terms: dict[bytes, int] = {}
    for item in held.values():
        terms[item.terms_id] = terms.get(item.terms_id, 0) + 1
    counted = {terms_id: count.contributions for (_, terms_id), count in TERMS_COUNTS.iterate(view, datanet_id)}
    if counted != terms:
        faults.append(f"{label} counts its contributions by other terms than they have")
    slots = [held[number].contribution_id if number in held else b"" for number in range(1, counts.accepted + 1)]
    stored = {(level, index): node.node_hash for (_, level, index), node in NODES.iterate(view, datanet_id)}
    if stored != complete_nodes(slots):
        faults.append(f"the tree of {label} does not follow from its accepted list")
    return faults


def version_roots_recompute(view: StateView) -> list[str]:
    """Root, counts and joined terms of every version follow from the accepted list."""
    faults = []
    for (datanet_id, version), record in VERSIONS.iterate(view):
        numbered = {
            number: item
            for (_, number), item in ACCEPTED.iterate(view, datanet_id)
            if number <= record.accepted_through and item.is_in(version)
        }
        held = list(numbered.values())
        ids = {number: item.contribution_id for number, item in numbered.items()}
        root = version_root(ids, record.accepted_through)
        rows, size = sum([item.row_count for item in held]), sum([item.byte_count for item in held])
        terms = sorted(frozenset([item.terms_id for item in held]))
        joined = licences.find_joined_terms(view, record.joined_terms_id)
        sources = [source.terms_id for source in joined.sources] if joined else []
        stated = (record.contributions_root, record.contribution_count, record.row_count, record.byte_count, sources)
        if stated != (root, len(held), rows, size, terms):
            faults.append(f"version {version} of DataNet {datanet_id.hex()} does not follow from its contributions")
    return faults


def votes_match(view: StateView) -> list[str]:
    """Vote counts equal the stored reviews, and every review belongs to a contribution."""
    votes: dict[tuple[bytes, int], int] = {}
    for (contribution_id, _), review in REVIEWS.iterate(view):
        votes[contribution_id, review.decision] = votes.get((contribution_id, review.decision), 0) + 1
    for (contribution_id,), stored in CONTRIBUTIONS.iterate(view):
        for decision, count in ((Decision.ACCEPT, stored.accept_votes), (Decision.REJECT, stored.reject_votes)):
            if votes.pop((contribution_id, decision), 0) != count:
                return [f"contribution {contribution_id.hex()} counts other votes than it has"]
    return [f"a review of {contribution_id.hex()} belongs to no contribution" for contribution_id, _ in votes]


INVARIANTS = (
    names_and_datanets_agree,
    contributions_are_listed,
    listings_lead_to_contributions,
    counts_match,
    version_roots_recompute,
    votes_match,
)
