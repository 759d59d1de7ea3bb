"""datanets: collections of contributed rows, reviewed and frozen as versions.

    datanets/datanet/ | id -> Datanet                         datanets/counts/ | id -> DatanetCounts
    datanets/name/ | H(name) -> id                            datanets/contribution/ | id -> StoredContribution
    datanets/submitted/ | datanet | number -> id              datanets/accepted/ | datanet | number -> Accepted
    datanets/rows/ | datanet | H(rows root) -> id             datanets/content/ | datanet | H(content digest) -> id
    datanets/review/ | contribution | H(reviewer) -> Review   datanets/version/ | datanet | version -> DatanetVersion
    datanets/node/ | datanet | level U8 | index -> TreeNode   datanets/terms/ | datanet | terms id -> TermsCount

Rows live off the chain; a contribution records their root, counts and digest. Owner and named reviewers decide it: the
first verdict that reaches the quorum counts. The same rows or file enter a DataNet once, the earliest registrant wins;
a rejection frees them, a revocation does not. A version holds all contributions accepted and not revoked when it was
made. It costs one record and the same work for a DataNet of any size: which contributions it holds follows from the
accepted list (`Accepted.is_in`), so that the list of any version is a range with a completeness proof; counts, joined
terms and the tree behind its root (`tree.py`) are kept up by every acceptance and revocation.
Revoked contributions stay visible; versions up to then take
no new training (also those before the contribution came: one number instead of a search).

Limits: what is accepted and not revoked comes under terms that can be joined (checked on acceptance, so that a version
can always be made); one version a block; verdicts that never reach the quorum leave a contribution pending. Drawn
reviewers, stakes and appeals come with the review economy.
Invariants: listings, duplicates and names point at their records and back; counts, terms and roots recompute.
"""

from abci_app.module import Module
from abci_app.modules.datanets.handlers import (
    execute_contribute,
    execute_create_datanet,
    execute_create_version,
    execute_review_contribution,
    execute_revoke_contribution,
)
from abci_app.modules.datanets.invariants import INVARIANTS
from abci_app.modules.datanets.queries import (
    QUERIES,
    NumberedContribution,
    contribution_of_name,
    contributions_of_version,
    datanet_of_name,
    require_datanet_version,
    resolve_datanet,
)
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
    Contribute,
    ContributionRegistered,
    ContributionReviewed,
    ContributionRevoked,
    CreateDatanet,
    CreateVersion,
    DatanetCreated,
    DatanetsCode,
    DatanetVersion,
    Form,
    ReviewContribution,
    RevokeContribution,
    VersionCreated,
)
from abci_app.modules.datanets.sheet import QUERIES as SHEET_QUERIES
from abci_app.modules.datanets.tree import version_root
from abci_app.modules.datanets.view import (
    find_datanet,
    find_version,
    is_usable,
    name_of,
    show_datanet,
    usable_from_version,
    version_terms,
)

__all__ = [
    "MODULE",
    "DatanetVersion",
    "Form",
    "NumberedContribution",
    "contributions_of_version",
    "find_datanet",
    "find_version",
    "is_usable",
    "name_of",
    "require_datanet_version",
    "resolve_datanet",
    "show_datanet",
    "usable_from_version",
    "version_root",
    "version_terms",
]

MODULE = Module(
    name="datanets",
    tables=(
        DATANETS,
        COUNTS,
        NAMES,
        CONTRIBUTIONS,
        SUBMITTED,
        ACCEPTED,
        ROWS,
        CONTENT,
        REVIEWS,
        VERSIONS,
        NODES,
        TERMS_COUNTS,
    ),
    errors=DatanetsCode,
    messages={
        CreateDatanet: execute_create_datanet,
        Contribute: execute_contribute,
        ReviewContribution: execute_review_contribution,
        CreateVersion: execute_create_version,
        RevokeContribution: execute_revoke_contribution,
    },
    events=(DatanetCreated, ContributionRegistered, ContributionReviewed, VersionCreated, ContributionRevoked),
    queries=(*QUERIES, *SHEET_QUERIES),
    names={"oldata": datanet_of_name, "olcontrib": contribution_of_name},
    invariants=INVARIANTS,
)
