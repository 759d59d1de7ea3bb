"""Claims of entries for `benchmarks.messages`: large entries, deep manifests, a supersession that goes and a model."""

from collections.abc import Sequence

from msgspec import structs

from abci_app.modules.models import records as models
from abci_app.modules.models.claims import MAX_PATH, ClaimEntry, PathStep, root_of_owner
from abci_app.state.overlay import Overlay
from benchmarks.load import LoadAccount
from benchmarks.message_cases import SIXTEEN, joined_without, large, provenance, write_entry
from benchmarks.message_world import Case, digest

PATH = tuple([PathStep(step % 2 + 1, digest("sibling", step)) for step in range(MAX_PATH)])


def _named(owner: bytes, place: int, n: int) -> models.Entry:
    """A large entry whose manifest names its owner as deep as a path may be."""
    return structs.replace(large(place, n), manifest_root=root_of_owner(owner, PATH))


def _model_id(place: int, n: int) -> bytes:
    return digest("claimed model", place, n)


def stolen(state: Overlay, senders: Sequence[LoadAccount], count: int) -> None:
    """Sixteen entries for each sender that somebody else recorded and superseded, and models that they are of."""
    provenance(state, senders, 0)
    for place in range(count):
        owner = senders[place].address
        for n in range(SIXTEEN):
            number = 10_000 + place * SIXTEEN + n
            made = _named(owner, place, n)
            write_entry(state, made, number, digest("front-runner"), joined_without(n))
            entry_id = models.entry_id_of(made)
            stored = models.ENTRIES.get(state, entry_id)
            assert stored is not None
            models.ENTRIES.set(state, entry_id, structs.replace(stored, superseded_by_entry_id=digest("rubbish")))
            gone = models.Supersession(digest("rubbish"), "r" * 256, digest("front-runner"), 1)
            models.SUPERSESSIONS.set(state, number, gone)
            models.MODELS.set(state, _model_id(place, n), models.Model("m" * 64, owner, "d" * 256, 1, 1, 1))
            models.VERSIONS.set(state, _model_id(place, n), 1, models.ModelVersion(number, "l" * 32, 1))
    models.COUNTERS.set(state, models.Counters(10**6, 0, 10**6))


def claims(owner: bytes, place: int) -> tuple[ClaimEntry, ...]:
    """Sixteen claims of one owner's."""
    return tuple([
        ClaimEntry(models.entry_id_of(_named(owner, place, n)), PATH, _model_id(place, n), 1) for n in range(SIXTEEN)
    ])  # fmt: skip


CLAIM_CASES = (Case("models.claim_entry, 16 of deep manifests", claims, stolen),)
