"""validators: who signs blocks, with how much power, and with what at stake.

    validators/validator/ | H(operator) -> ValidatorRecord(operator, status, consensus key, admitted, live, ...)
    validators/list/value -> ValidatorList([operator]<=64)          who has not left: hooks read each record directly
    validators/by-key/ | H(20-byte address) -> KeyOwner(operator)   never deleted: evidence finds every key's owner
    validators/turnover/value -> Turnover(epoch, power_total, lost, gained)
    validators/duties/value -> Duties([(address, signed power, missed, proposed, silent)]<=192)
    validators/own-peers/ | H(operator) -> OwnPeers(operator, [node id]<=4)

A member applies with a consensus key that was never used and a bond (`mechanisms/locks`), and is a candidate. A
proposal admits it with a power (`set_admitted`) or removes it (`remove`). Statuses: candidate, active, jailed (away for
a while), leaving (power goes, then the bond leaves), left (may apply again), tombstoned (signed twice: never again).

- Powers (`powers.py`): the end hook moves live powers towards what was admitted, within the limits of an epoch. Told at
  height H, they sign from H + 2 and are in last commits from H + 3.
- Evidence (`evidence.py`): who signed twice loses `double_sign_slash` of bond and leaving bond, and all power, once.
- Duties (`duties.py`): who missed more than `max_missed` of an epoch's blocks, was silent in over a tenth of its own
  proposals (three or more), or whose bond fell below half is jailed at the tick, while four stay and an epoch may lose
  its power. It comes back with `Unjail` after `jail_blocks` and with a whole bond, or is removed after `jail_limit`.
- Reveals (`revealing.py`): an operator's onion (`mechanisms/beacon`) goes with its bond; who is silent while a draw
  waits pays for it from the bond.
- Fees: at the tick `fees_to_validators` of them go to the operators by power times signed blocks, through their payees.
- Genesis (`genesis.py`): the section `validators` gives CometBFT's first validators their operators and bonds.

A bond leaves for `unbond_blocks` and `unbond_seconds`, both longer than CometBFT takes evidence.

Invariants (`invariants.py`): the list holds exactly who has not left; nobody else has power, a bond or peers; who
signed twice has no power unless nobody else has any; every key belongs to one operator for ever.
"""

from abci_app.module import Module
from abci_app.modules.validators.duties import REMOVAL, end_epoch
from abci_app.modules.validators.evidence import punish_misbehaviour
from abci_app.modules.validators.genesis import SECTION, GenesisValidator, GenesisValidators, check_bonds
from abci_app.modules.validators.handlers import (
    execute_add_bond,
    execute_apply,
    execute_leave,
    execute_rotate_key,
    execute_set_onion,
    execute_set_own_peers,
    execute_set_worker,
    execute_unjail,
    remove,
    set_admitted,
)
from abci_app.modules.validators.hooks import end_block
from abci_app.modules.validators.invariants import INVARIANTS
from abci_app.modules.validators.parameters import (
    EVIDENCE_BLOCKS,
    EVIDENCE_SECONDS,
    PARAMETERS,
    VALIDATOR_BOND,
)
from abci_app.modules.validators.queries import QUERIES, ValidatorListView, ValidatorView
from abci_app.modules.validators.records import (
    BY_KEY,
    DUTIES,
    LIST,
    OWN_PEERS,
    TURNOVER,
    VALIDATORS,
    AddBond,
    Apply,
    KeyRotated,
    Leave,
    PowerChanged,
    RotateKey,
    SetOnion,
    SetOwnPeers,
    SetWorker,
    Unjail,
    ValidatorChanged,
    ValidatorsCode,
    ValidatorSlashed,
    ValidatorStatus,
    bond_key,
    consensus_address,
)
from abci_app.modules.validators.revealing import REVEALERS
from abci_app.modules.validators.view import is_own_peer, live_keys, live_powers, live_validator_of

__all__ = [
    "EVIDENCE_BLOCKS",
    "EVIDENCE_SECONDS",
    "MODULE",
    "VALIDATOR_BOND",
    "AddBond",
    "Apply",
    "GenesisValidator",
    "GenesisValidators",
    "Leave",
    "RotateKey",
    "SetOnion",
    "SetOwnPeers",
    "SetWorker",
    "Unjail",
    "ValidatorListView",
    "ValidatorStatus",
    "ValidatorView",
    "bond_key",
    "check_bonds",
    "consensus_address",
    "is_own_peer",
    "live_keys",
    "live_powers",
    "live_validator_of",
    "remove",
    "set_admitted",
]

MODULE = Module(
    name="validators",
    tables=(VALIDATORS, LIST, BY_KEY, TURNOVER, DUTIES, OWN_PEERS),
    errors=ValidatorsCode,
    messages={
        Apply: execute_apply,
        AddBond: execute_add_bond,
        Leave: execute_leave,
        Unjail: execute_unjail,
        RotateKey: execute_rotate_key,
        SetOnion: execute_set_onion,
        SetWorker: execute_set_worker,
        SetOwnPeers: execute_set_own_peers,
    },
    events=(ValidatorChanged, ValidatorSlashed, PowerChanged, KeyRotated),
    queries=QUERIES,
    parameters=(PARAMETERS,),
    genesis=(SECTION,),
    begin_block=punish_misbehaviour,
    end_block=end_block,
    epoch_end=end_epoch,
    deadlines=(REMOVAL,),
    revealers=REVEALERS,
    invariants=INVARIANTS,
)
