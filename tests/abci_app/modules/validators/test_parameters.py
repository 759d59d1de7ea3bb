"""Parameters of validators: what depends on each other fits together, and bonds outlast evidence."""

import pytest

from abci_app.chain.registry import SECTIONS
from abci_app.modules.validators.parameters import (
    EVIDENCE_BLOCKS,
    EVIDENCE_SECONDS,
    UNBOND_BLOCKS,
    UNBOND_SECONDS,
)
from abci_app.parameters import ParameterError, read_document

OPEN = 10**9


@pytest.mark.parametrize(
    ("document", "text"),
    [
        (
            {"validators": {"jail_blocks": 10**6, "jail_limit_blocks": 10**6}},
            "validators.jail_limit_blocks is 1000000 and must be above validators.jail_blocks (1000000): else",
        ),
        (
            {"validators": {"validator_bond_nopen": 100 * OPEN}},
            "beacon.silent_penalty_nopen is 100000000000, must be at most validators.validator_bond_nopen / 20, ",
        ),
        ({"validators": {"unbond_seconds": 48 * 3600}}, "validators.unbond_seconds is 172800, must be 216,000 to "),
        ({"validators": {"unbond_blocks": 100_000}}, "validators.unbond_blocks is 100000, must be 125,000 to "),
    ],
)
def test_what_does_not_fit_together_is_named(document: dict[str, dict[str, object]], text: str) -> None:
    with pytest.raises(ParameterError) as refused:
        read_document(SECTIONS, document)
    assert str(refused.value).startswith(text)


def test_a_small_bond_goes_with_a_small_price_of_silence() -> None:
    read_document(
        SECTIONS, {"validators": {"validator_bond_nopen": OPEN}, "beacon": {"silent_penalty_nopen": OPEN // 20}}
    )


def test_no_bond_leaves_before_evidence_of_its_time_is_too_old() -> None:
    assert UNBOND_BLOCKS.minimum > EVIDENCE_BLOCKS + 2
    assert UNBOND_SECONDS.minimum >= EVIDENCE_SECONDS + 12 * 3600
