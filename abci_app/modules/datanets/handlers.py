"""Handlers of the messages: checks beside the writes that they protect."""

from msgspec import structs

from abci_app.bech32 import encode_id
from abci_app.errors import InvariantBroken, Rejected
from abci_app.mechanisms.freezes import Freezable, require_not_frozen
from abci_app.module import Context
from abci_app.modules import licences
from abci_app.modules.datanets.records import (
    ACCEPTED,
    CONTENT,
    CONTRIBUTIONS,
    COUNTS,
    DATANETS,
    MAX_NUMBER,
    NAMES,
    REVIEWS,
    ROWS,
    SUBMITTED,
    TERMS_COUNTS,
    VERSIONS,
    Accepted,
    Contribute,
    Contribution,
    ContributionRegistered,
    ContributionReviewed,
    ContributionRevoked,
    CreateDatanet,
    CreateVersion,
    Datanet,
    DatanetCounts,
    DatanetCreated,
    DatanetsCode,
    DatanetVersion,
    Decision,
    Review,
    ReviewContribution,
    RevokeContribution,
    Status,
    StoredContribution,
    Submitted,
    TermsCount,
    VersionCreated,
    contribution_id_of,
)
from abci_app.modules.datanets.tree import add_slot, empty_slot, running_root
from abci_app.modules.datanets.view import show_datanet
from abci_app.names import NameOwner
from abci_app.state.store import StateView
from abci_app.state.table import MutableState
from abci_app.types import MAX_INTEGER, Address, DatanetId


def execute_create_datanet(context: Context, message: CreateDatanet) -> None:
    """The name must be free and the default terms registered."""
    state = context.state
    if NAMES.has(state, message.name):
        raise Rejected(DatanetsCode.NAME_TAKEN, f"a DataNet named {message.name!r} exists: choose another name")
    _require_terms(state, message.default_terms_id)
    datanet_id = DatanetId(context.new_id("datanet"))
    NAMES.set(state, message.name, NameOwner(datanet_id))
    datanet = Datanet(
        name=message.name,
        owner=context.sender,
        description=message.description,
        default_terms_id=message.default_terms_id,
        reviewers=message.reviewers,
        quorum=message.quorum,
        height=context.height,
        time_seconds=context.time_seconds,
    )
    DATANETS.set(state, datanet_id, datanet)
    COUNTS.set(
        state,
        datanet_id,
        DatanetCounts(
            submitted=0,
            accepted=0,
            revoked=0,
            versions=0,
            usable_from_version=1,
            changes=0,
            joined_terms_id=b"",
            row_count=0,
            byte_count=0,
        ),
    )
    context.emit(DatanetCreated(datanet_id, message.name))


def execute_contribute(context: Context, message: Contribute) -> None:
    """Register under the DataNet's next number, pending; refused if the DataNet knows rows or file already."""
    state, datanet_id = context.state, message.datanet_id
    datanet, counts = _datanet(state, datanet_id)
    require_not_frozen(state, Freezable.DATANET, datanet_id, context.height, f"DataNet {datanet.name}")
    if message.terms_id:
        _require_terms(state, message.terms_id)
    contribution = Contribution(
        datanet_id=datanet_id,
        contributor=context.sender,
        payee=message.payee or context.sender,
        rows_root=message.rows_root,
        row_count=message.row_count,
        byte_count=message.byte_count,
        content_digest=message.content_digest,
        sketch=message.sketch,
        terms_id=message.terms_id or datanet.default_terms_id,
        form=message.form,
    )
    contribution_id = contribution_id_of(contribution)
    known = ROWS.get(state, datanet_id, message.rows_root) or CONTENT.get(state, datanet_id, message.content_digest)
    if known is None and CONTRIBUTIONS.has(state, contribution_id):
        known = Submitted(contribution_id)
    if known is not None:
        raise Rejected(
            DatanetsCode.DUPLICATE,
            f"these rows are in DataNet {datanet.name!r} already: {encode_id('olcontrib', known.contribution_id)}",
        )
    number = counts.submitted + 1
    listed = Submitted(contribution_id)
    ROWS.set(state, datanet_id, message.rows_root, listed)
    CONTENT.set(state, datanet_id, message.content_digest, listed)
    SUBMITTED.set(state, datanet_id, number, listed)
    COUNTS.set(state, datanet_id, structs.replace(counts, submitted=number))
    stored = StoredContribution(
        contribution=contribution,
        status=Status.PENDING,
        submitted_number=number,
        accepted_number=0,
        accept_votes=0,
        reject_votes=0,
        reason=0,
        height=context.height,
        time_seconds=context.time_seconds,
        decided_height=0,
    )
    CONTRIBUTIONS.set(state, contribution_id, stored)
    if contribution.payee != context.sender:
        context.involved.append(Address(contribution.payee))
    context.emit(ContributionRegistered(contribution_id, datanet_id))


def execute_review_contribution(context: Context, message: ReviewContribution) -> None:
    """Count one verdict; the one that reaches the quorum decides."""
    state, contribution_id = context.state, message.contribution_id
    stored = _contribution(state, contribution_id)
    contribution = stored.contribution
    datanet, counts = _datanet(state, contribution.datanet_id)
    _require_reviewer(context, datanet, contribution)
    if stored.status != Status.PENDING:
        word = Status(stored.status).name.lower()
        raise Rejected(DatanetsCode.NOT_PENDING, f"this contribution is {word}: nothing to review")
    if REVIEWS.has(state, contribution_id, context.sender):
        raise Rejected(DatanetsCode.ALREADY_REVIEWED, "you reviewed this contribution already")
    review = Review(reviewer=context.sender, decision=message.decision, reason=message.reason, height=context.height)
    REVIEWS.set(state, contribution_id, context.sender, review)
    if message.decision == Decision.ACCEPT:
        stored = structs.replace(stored, accept_votes=stored.accept_votes + 1)
        if stored.accept_votes >= datanet.quorum:
            stored = _accept(context, contribution_id, stored, counts)
    else:
        stored = structs.replace(stored, reject_votes=stored.reject_votes + 1)
        if stored.reject_votes >= datanet.quorum:
            stored = _reject(context, stored, message.reason)
    CONTRIBUTIONS.set(state, contribution_id, stored)
    context.involved.append(Address(contribution.contributor))
    context.emit(ContributionReviewed(contribution_id, contribution.datanet_id, stored.status))


def _require_reviewer(context: Context, datanet: Datanet, contribution: Contribution) -> None:
    if context.sender == datanet.owner:
        return
    if context.sender not in datanet.reviewers:
        raise Rejected(
            DatanetsCode.NOT_REVIEWER, f"only the owner and the named reviewers of {datanet.name!r} review here"
        )
    if context.sender in (contribution.contributor, contribution.payee):
        raise Rejected(DatanetsCode.OWN_CONTRIBUTION, "a reviewer cannot review their own contribution")


def _accept(
    context: Context, contribution_id: bytes, stored: StoredContribution, counts: DatanetCounts
) -> StoredContribution:
    """List the contribution as accepted; it belongs to the next version, whose terms must stay within their limits."""
    state, contribution = context.state, stored.contribution
    datanet_id, number = contribution.datanet_id, counts.accepted + 1
    rows, size_bytes = counts.row_count + contribution.row_count, counts.byte_count + contribution.byte_count
    if number > MAX_NUMBER:
        raise Rejected(
            DatanetsCode.TOO_MANY_ACCEPTED,
            f"a DataNet holds at most {MAX_NUMBER} accepted contributions: go on in another DataNet",
        )
    if max(rows, size_bytes) > MAX_INTEGER:
        raise Rejected(
            DatanetsCode.TOO_LARGE,
            f"with this the DataNet would hold {rows} rows and {size_bytes} bytes, at most {MAX_INTEGER} can be "
            "counted: go on in another DataNet",
        )
    accepted = Accepted(
        contribution_id=contribution_id,
        contributor=contribution.contributor,
        terms_id=contribution.terms_id,
        row_count=contribution.row_count,
        byte_count=contribution.byte_count,
        present_from_version=counts.versions + 1,
        absent_from_version=0,
    )
    ACCEPTED.set(state, datanet_id, number, accepted)
    add_slot(state, datanet_id, number, contribution_id)
    changed = structs.replace(
        counts,
        accepted=number,
        changes=counts.changes + 1,
        joined_terms_id=_add_terms(state, datanet_id, counts.joined_terms_id, contribution.terms_id),
        row_count=rows,
        byte_count=size_bytes,
    )
    COUNTS.set(state, datanet_id, changed)
    return structs.replace(stored, status=Status.ACCEPTED, accepted_number=number, decided_height=context.height)


def _add_terms(state: MutableState, datanet_id: bytes, joined_id: bytes, terms_id: bytes) -> bytes:
    """Id of what is held joined with these terms; refuses terms that no version could hold beside the others."""
    held = TERMS_COUNTS.get(state, datanet_id, terms_id)
    TERMS_COUNTS.set(state, datanet_id, terms_id, TermsCount(held.contributions + 1 if held else 1))
    if held is not None:
        return joined_id
    lifted = licences.lifted_terms(state, terms_id)
    if not joined_id:
        return licences.store_joined_terms(state, lifted)
    return licences.store_joined_terms(state, licences.join_terms([licences.joined_terms(state, joined_id), lifted]))


def _remove_terms(state: MutableState, datanet_id: bytes, joined_id: bytes, terms_id: bytes) -> bytes:
    """Id of what is held without one contribution of these terms: at most 64 terms are joined anew, if they go."""
    held = TERMS_COUNTS.get(state, datanet_id, terms_id)
    if held is None:
        raise InvariantBroken(f"terms {terms_id.hex()} of {datanet_id.hex()} are not counted")
    if held.contributions > 1:
        TERMS_COUNTS.set(state, datanet_id, terms_id, TermsCount(held.contributions - 1))
        return joined_id
    TERMS_COUNTS.delete(state, datanet_id, terms_id)
    sources = licences.joined_terms(state, joined_id).sources
    left = [licences.lifted_terms(state, source.terms_id) for source in sources if source.terms_id != terms_id]
    return licences.store_joined_terms(state, licences.join_terms(left)) if left else b""


def _reject(context: Context, stored: StoredContribution, reason: int) -> StoredContribution:
    """Free rows and file, so that a submitter who copied them cannot keep their author out."""
    _free_rows(context.state, stored.contribution)
    return structs.replace(stored, status=Status.REJECTED, reason=reason, decided_height=context.height)


def _free_rows(state: MutableState, contribution: Contribution) -> None:
    ROWS.delete(state, contribution.datanet_id, contribution.rows_root)
    CONTENT.delete(state, contribution.datanet_id, contribution.content_digest)


def execute_create_version(context: Context, message: CreateVersion) -> None:
    """Owner only. Everything that a version says is kept up with each contribution; only the root is folded here."""
    state, datanet_id = context.state, message.datanet_id
    datanet, counts = _datanet(state, datanet_id)
    if context.sender != datanet.owner:
        raise Rejected(DatanetsCode.NOT_OWNER, f"only the owner of {datanet.name!r} creates versions")
    latest = VERSIONS.get(state, datanet_id, counts.versions) if counts.versions else None
    if latest is not None and latest.height == context.height:
        raise Rejected(DatanetsCode.TOO_SOON, "this DataNet has a new version in this block: try again in the next one")
    if not counts.changes or counts.accepted == counts.revoked:
        raise Rejected(
            DatanetsCode.NOTHING_NEW, f"DataNet {datanet.name!r} has no contributions beyond its last version"
        )
    require_not_frozen(state, Freezable.DATANET, datanet_id, context.height, f"DataNet {datanet.name}")
    version = counts.versions + 1
    record = DatanetVersion(
        contributions_root=running_root(state, datanet_id, counts.accepted),
        contribution_count=counts.accepted - counts.revoked,
        row_count=counts.row_count,
        byte_count=counts.byte_count,
        accepted_through=counts.accepted,
        joined_terms_id=counts.joined_terms_id,
        height=context.height,
        time_seconds=context.time_seconds,
        note=message.note,
    )
    VERSIONS.set(state, datanet_id, version, record)
    COUNTS.set(state, datanet_id, structs.replace(counts, versions=version, changes=0))
    context.emit(VersionCreated(datanet_id, version))


def execute_revoke_contribution(context: Context, message: RevokeContribution) -> None:
    """Contributor or owner. A pending one frees its rows; an accepted one stays listed, marked."""
    state, contribution_id = context.state, message.contribution_id
    stored = _contribution(state, contribution_id)
    contribution = stored.contribution
    datanet, counts = _datanet(state, contribution.datanet_id)
    if context.sender not in (contribution.contributor, datanet.owner):
        raise Rejected(DatanetsCode.NOT_PERMITTED, "only the contributor and the DataNet's owner can revoke")
    if stored.status == Status.PENDING:
        _free_rows(state, contribution)
    elif stored.status == Status.ACCEPTED:
        _mark_revoked(state, stored, counts)
    else:
        word = Status(stored.status).name.lower()
        raise Rejected(DatanetsCode.REVOKED, f"this contribution is {word}: nothing to revoke")
    stored = structs.replace(stored, status=Status.REVOKED, reason=message.reason, decided_height=context.height)
    CONTRIBUTIONS.set(state, contribution_id, stored)
    context.involved.append(Address(contribution.contributor))
    context.emit(ContributionRevoked(contribution_id, contribution.datanet_id))


def _mark_revoked(state: MutableState, stored: StoredContribution, counts: DatanetCounts) -> None:
    datanet_id = stored.contribution.datanet_id
    accepted = ACCEPTED.get(state, datanet_id, stored.accepted_number)
    if accepted is None:
        raise InvariantBroken(f"accepted contribution {stored.accepted_number} of {datanet_id.hex()} is not listed")
    next_version = counts.versions + 1
    marked = structs.replace(accepted, absent_from_version=next_version)
    ACCEPTED.set(state, datanet_id, stored.accepted_number, marked)
    empty_slot(state, datanet_id, stored.accepted_number, counts.accepted)
    was_in_a_version = accepted.present_from_version < next_version
    usable_from = next_version if was_in_a_version else counts.usable_from_version
    changes = counts.changes + 1 if was_in_a_version else counts.changes - 1
    changed = structs.replace(
        counts,
        revoked=counts.revoked + 1,
        usable_from_version=usable_from,
        changes=changes,
        joined_terms_id=_remove_terms(state, datanet_id, counts.joined_terms_id, accepted.terms_id),
        row_count=counts.row_count - accepted.row_count,
        byte_count=counts.byte_count - accepted.byte_count,
    )
    COUNTS.set(state, datanet_id, changed)


def _require_terms(view: StateView, terms_id: bytes) -> None:
    if not licences.terms_exist(view, terms_id):
        raise Rejected(
            DatanetsCode.UNKNOWN_TERMS,
            f"terms {licences.show_terms(terms_id)} are not registered: send licences.register_terms first",
        )


def _datanet(view: StateView, datanet_id: bytes) -> tuple[Datanet, DatanetCounts]:
    datanet, counts = DATANETS.get(view, datanet_id), COUNTS.get(view, datanet_id)
    if datanet is None or counts is None:
        raise Rejected(DatanetsCode.UNKNOWN_DATANET, f"there is no DataNet {show_datanet(datanet_id)}")
    return datanet, counts


def _contribution(view: StateView, contribution_id: bytes) -> StoredContribution:
    stored = CONTRIBUTIONS.get(view, contribution_id)
    if stored is None:
        shown = encode_id("olcontrib", contribution_id)
        raise Rejected(DatanetsCode.UNKNOWN_CONTRIBUTION, f"there is no contribution {shown}")
    return stored
