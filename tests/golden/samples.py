"""Signers, ids and one message of every type: the values behind `transaction.json`."""

from __future__ import annotations

from abci_app.hashing import TAGS, sha256, tagged_hash
from abci_app.mechanisms.freezes import Freezable
from abci_app.mechanisms.locks import Purpose, Withdraw
from abci_app.module import Message
from abci_app.modules.accounts import RevokeDelegation, SetDelegation, SetPolicy
from abci_app.modules.bank import Burn, SetPayee, Transfer
from abci_app.modules.datanets.records import (
    Contribute,
    Contribution,
    CreateDatanet,
    CreateVersion,
    Decision,
    Form,
    Reason,
    ReviewContribution,
    RevokeContribution,
    contribution_id_of,
)
from abci_app.modules.governance import (
    AppointMember,
    CancelUpgrade,
    CastVote,
    Delegate,
    FreezeObject,
    LockGopen,
    NoteDown,
    ParameterChange,
    Propose,
    RaiseObjection,
    Scope,
    SetParameters,
    SetValidator,
    Spend,
    UnlockGopen,
    Upgrade,
    VoteChoice,
)
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.licences.records import Stated, Terms, UseClass
from abci_app.modules.members import SetBoxKey, SetMember, SetPeer
from abci_app.modules.models.claims import ClaimEntry, PathStep, Side
from abci_app.modules.models.kinds import EntryKind, Undeclared
from abci_app.modules.models.records import (
    Attribution,
    CreateModel,
    Entry,
    EvaluationDraft,
    Grade,
    Input,
    Output,
    Parent,
    RecordEvaluations,
    RecordReproduction,
    RecordRuns,
    Run,
    RunDraft,
    SupersedeEntry,
    entry_id_of,
)
from abci_app.modules.validators import (
    AddBond,
    Apply,
    Leave,
    RotateKey,
    SetOnion,
    SetOwnPeers,
    SetWorker,
    Unjail,
)
from abci_app.state.codec import encode
from tests.kit.signing import CHAIN_ID, Key, Signer

ALICE, SPONSOR = Signer.named("alice"), Signer.named("sponsor")
SHARED = Signer.shared(2, "one", "two", "three")
AGENT = Key.named("agent")


def digest(text: str) -> bytes:
    """32 bytes that depend on a text."""
    return sha256(text.encode("ascii"))


def object_id(kind: str, sender: bytes, sequence: int, message_index: int) -> bytes:
    """Id of an object that a message creates (design 3)."""
    return tagged_hash(TAGS[f"{kind}_id"], encode((CHAIN_ID, sender, sequence, message_index)))


DATANET_ID = object_id("datanet", ALICE.address, 3, 0)
MODEL_ID = object_id("model", ALICE.address, 4, 1)

TERMS = Terms(
    name="Poems for schools",
    spdx="LicenseRef-poems",
    use_class=UseClass.NON_COMMERCIAL,
    attribution=Stated.YES,
    share_alike=Stated.YES,
    no_derivatives=Stated.NO,
    training=Stated.YES,
    redistribution=Stated.YES,
    approval_required=Stated.NO,
    behavioural=Stated.UNKNOWN,
    private=Stated.NO,
    opt_out_reserved=Stated.NO,
    notice=Stated.YES,
    outputs_restricted=Stated.UNKNOWN,
    irrevocable=Stated.NO,
    fields_of_use=("education", "research"),
    excluded_domains=("weapons",),
    text_digest=digest("text"),
    behavioural_digest=b"",
    revenue_share_ppb=25_000_000,
    expiry_seconds=1_900_000_000,
    jurisdiction="DE",
)
TERMS_ID = terms_id_of(TERMS)

_CONTRIBUTE = Contribute(
    DATANET_ID, digest("rows"), 300, 70_000, digest("file"), bytes(range(256)), b"", SPONSOR.address, Form.MESSAGES
)
CONTRIBUTION = Contribution(
    DATANET_ID, ALICE.address, SPONSOR.address, digest("rows"), 300, 70_000, digest("file"), bytes(range(256)),
    TERMS_ID, Form.MESSAGES,
)  # fmt: skip

IMPORT = Entry(
    kind=EntryKind.IMPORT, parents=(), inputs=(), undeclared=Undeclared.NOTHING, terms_id=TERMS_ID,
    manifest_root=digest("manifest of the base"),
    output=Output(digest("base"), digest("tensors of the base"), 2**40, "safetensors"), attribution=Attribution(0, b""),
)  # fmt: skip
ADAPTER = Entry(
    kind=EntryKind.LORA,
    parents=(Parent(entry_id_of(IMPORT), "base", 10**9),),
    inputs=(
        Input(DATANET_ID, 1, 333_333_333, 4_096, digest("rows used 1")),
        Input(DATANET_ID, 2, 666_666_667, 70_000, digest("rows used 2")),
    ),
    undeclared=Undeclared.NOTHING,
    terms_id=b"",
    manifest_root=digest("manifest of the adapter"),
    output=Output(digest("adapter"), digest("tensors of the adapter"), 1_843_200, "safetensors"),
    attribution=Attribution(1, digest("attribution")),
)
# Made from an adapter that is listed and a base and data that are not.
UNDECLARED = Entry(
    kind=EntryKind.FULL,
    parents=(Parent(entry_id_of(ADAPTER), "adapter", 400_000_000),),
    inputs=(Input(DATANET_ID, 1, 999_999_999, 0, b""),),
    undeclared=Undeclared.PARENTS_AND_INPUTS,
    terms_id=TERMS_ID,
    manifest_root=digest("manifest of the undeclared"),
    output=Output(digest("undeclared"), digest("tensors of the undeclared"), 2**30, "safetensors"),
    attribution=Attribution(0, b""),
)
_RUN = Run(1_790_000_000, 1_790_000_600, digest("environment"), "8 x H200", "loss", -1_234_567)

# One of every type that the chain knows; a test fails when one is missing.
MESSAGES: tuple[Message, ...] = (
    SetPolicy(SHARED.policy),
    SetDelegation(AGENT.public, (0x0101, 0x0602), 5 * 10**9, 1_000),
    RevokeDelegation(AGENT.public),
    Transfer(SHARED.address, 1_500_000_000),
    Burn(2**63 - 1),
    SetMember(ALICE.address, 3, "Alice's laboratory", 7),
    SetPeer("ab" * 20, 1, "first validator"),
    SetBoxKey(digest("box")),
    Apply(digest("consensus key"), digest("onion"), 100_000 * 10**9),
    AddBond(500 * 10**9),
    Leave(),
    Unjail(),
    RotateKey(digest("next consensus key")),
    SetOnion(digest("next onion")),
    SetWorker(digest("worker"), digest("box"), 1),
    SetOwnPeers(("ab" * 20, "cd" * 20)),
    RegisterTerms(TERMS),
    CreateDatanet("alice/poems", "Poems, one a row", TERMS_ID, tuple(sorted([ALICE.address, SHARED.address])), 2),
    _CONTRIBUTE,
    ReviewContribution(contribution_id_of(CONTRIBUTION), Decision.REJECT, Reason.SPAM),
    CreateVersion(DATANET_ID, "first"),
    RevokeContribution(contribution_id_of(CONTRIBUTION), Reason.PERSONAL_DATA),
    CreateModel("alice/poet", "Writes poems"),
    RecordRuns(
        (RunDraft(IMPORT, _RUN, b"", ""), RunDraft(ADAPTER, _RUN, MODEL_ID, "v1"), RunDraft(UNDECLARED, _RUN, b"", ""))
    ),
    RecordReproduction(entry_id_of(ADAPTER), Grade.TRACE_MATCH, digest("again"), digest("tensors again"), _RUN),
    RecordEvaluations((EvaluationDraft(entry_id_of(ADAPTER), DATANET_ID, 1, "accuracy", -812_000, 500, 17_000),)),
    SupersedeEntry(entry_id_of(ADAPTER), entry_id_of(IMPORT), "wrong recipe"),
    ClaimEntry(entry_id_of(ADAPTER), (PathStep(Side.LEFT, digest("sibling")),), MODEL_ID, 1),
    SetPayee(SHARED.address),
    Withdraw(Purpose.VALIDATOR_BOND, b""),
    LockGopen(10**12),
    UnlockGopen(10**11),
    Delegate(SHARED.address),
    Propose(
        scope=Scope.CHAIN,
        object_id=b"",
        actions=(
            SetParameters("fees", (ParameterChange(0, 500), ParameterChange(1, 2_000))),
            AppointMember(member=SHARED.address, roles=9, name="Shared", organisation=3),
            SetValidator(ALICE.address, 10),
            FreezeObject(object_kind=Freezable.DATANET, object_id=DATANET_ID, until_height=200_000),
            Spend(SPONSOR.address, 10**9),
            Upgrade(height=500_000, name="two", app_version=3, lock_digest=digest("lock")),
            CancelUpgrade(),
            NoteDown("so be it", digest("a longer text")),
        ),
        title="Eight things at once",
        digest=digest("why"),
        maximum_deposit_nopen=10**13,
    ),
    CastVote(3, VoteChoice.VETO),
    RaiseObjection(3),
)
