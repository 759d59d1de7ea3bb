"""The end hook: count the block's duties, then change powers."""

from abci_app.module import HookContext
from abci_app.modules.validators.duties import count_duties
from abci_app.modules.validators.powers import update_powers
from abci_app.modules.validators.records import listed
from abci_app.modules.validators.revealing import proposer_is_silent
from abci_app.state.overlay import Overlay


def end_block(state: Overlay, context: HookContext) -> None:
    """Count, then change; a chain without validators of this module pays for one read."""
    if not listed(state):
        return
    count_duties(state, context.block, silent=proposer_is_silent(state, context.block))
    update_powers(state, context)
