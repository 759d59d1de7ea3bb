"""Messages of governance by themselves: what each refuses before any state is seen."""

import pytest

from abci_app.errors import Rejected
from abci_app.modules.governance import CastVote, GovernanceCode


def test_a_vote_has_one_of_four_choices() -> None:
    """Whoever decodes such a vote refuses it before that; who makes one is told the choices."""
    with pytest.raises(Rejected) as refused:
        CastVote(1, 5).validate()
    assert (refused.value.code, refused.value.text) == (
        GovernanceCode.BAD_CHOICE,
        "choice is 5, must be 1 yes, 2 no, 3 abstain, 4 veto",
    )
