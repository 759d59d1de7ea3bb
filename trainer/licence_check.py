"""The licence check of a run before any compute is spent: the draft that the chain judges, and its answer in lines."""

from collections.abc import Sequence

from abci_app.modules.licences.records import Outcome
from abci_app.modules.models.kinds import EntryKind, Undeclared
from abci_app.modules.models.queries import VerdictView
from abci_app.modules.models.records import Attribution, Entry, Input, Output, Parent
from abci_app.types import ID_BYTES, PPB
from openledger.words import word_of
from trainer.run_records import ParentRecord
from trainer.workflow import LicenceVerdict

_NO_DIGEST = bytes(ID_BYTES)


def draft_entry(kind: str, parents: Sequence[ParentRecord], inputs: Sequence[tuple[bytes, int]]) -> Entry:
    """An entry with these sources for the licence check, which looks neither at digests nor at weights."""
    shares = [PPB // len(inputs)] * len(inputs) if inputs else []
    if shares:
        shares[0] += PPB - sum(shares)
    return Entry(
        kind=EntryKind[kind.upper()],
        parents=tuple([Parent(item.entry_id, item.role, item.share_ppb) for item in parents]),
        inputs=tuple(
            [
                Input(datanet_id=datanet_id, version=version, weight_ppb=share, rows_used=0, rows_used_root=b"")
                for (datanet_id, version), share in zip(inputs, shares, strict=True)
            ]
        ),
        undeclared=Undeclared.NOTHING,
        terms_id=b"",
        manifest_root=_NO_DIGEST,
        output=Output(artefact_digest=_NO_DIGEST, tensor_digest=_NO_DIGEST, byte_count=0, format="draft"),
        attribution=Attribution(0, b""),
    )


def verdict_of(view: VerdictView) -> LicenceVerdict:
    """The chain's answer in lines: outcome and policy, then the reason, which names what clashes."""
    outcome = word_of("outcome", view.outcome).replace("-", " ")
    line = f"licence check: {outcome} under the chain's {word_of('profile', view.profile)} policy"
    lines = [line, view.text] if view.text else [line]
    if view.unknown_below:
        lines.append("unknown below: this speaks of declared sources, and there are some that are not on this chain")
    return LicenceVerdict(tuple(lines), view.outcome == Outcome.CONFLICT)
