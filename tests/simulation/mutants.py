"""The mutants: one wrong line each of what is built, every one found by an invariant of the simulation."""

from tests.simulation.planting import Mutant

_LEDGER = "abci_app.mechanisms.locks.ledger"
_DEADLINES = "abci_app.mechanisms.deadlines"
_BEACON = "abci_app.mechanisms.beacon"
_VALIDATORS = "abci_app.modules.validators"

_LOCKS = (
    Mutant(
        name="remainder-dropped",
        what="what rounding leaves of a slash goes to nobody",
        place=f"{_LEDGER}:split",
        right="if missing_nopen and part_ppb:",
        wrong="if False:",
    ),
    Mutant(
        name="leaving-paid-early",
        what="what leaves is paid one block before its height",
        place=f"{_LEDGER}:has_ended",
        right="height >= entry.height",
        wrong="height >= entry.height - 1",
    ),
    Mutant(
        name="time-unchecked",
        what="what leaves is paid at its height, whatever the time",
        place=f"{_LEDGER}:has_ended",
        right=" and time_seconds >= entry.time_seconds",
        wrong="",
    ),
    Mutant(
        name="slash-skips-leaving",
        what="a slash spares what leaves",
        place=f"{_LEDGER}:slash",
        right="_reduced(entry, entry.amount_nopen * part_ppb // PPB)",
        wrong="entry",
    ),
    Mutant(
        name="fine-takes-oldest",
        what="a fine takes what leaves from the oldest on",
        place=f"{_LEDGER}:fine",
        right="reversed(lock.leaving)",
        wrong="lock.leaving",
    ),
    Mutant(
        name="payee-forgotten",
        what="a payment out of a lock goes past the recipient's payee",
        place=f"{_LEDGER}:pay",
        right="payee_of(state, recipient)",
        wrong="recipient",
    ),
)

_DEADLINE_MUTANTS = (
    Mutant(
        name="entry-runs-twice",
        what="an entry runs twice",
        place=f"{_DEADLINES}:_Lane._take",
        right="if run_one(self.state, self.context, self.kinds, self.lane, height, deadline):",
        wrong="if sum([run_one(self.state, self.context, self.kinds, self.lane, height, deadline) for _ in (1, 2)]):",
    ),
    Mutant(
        name="cursor-skips-backlog",
        what="a lane begins at this block and forgets what it left over",
        place=f"{_DEADLINES}:_Lane.run",
        right="(stored.height, stored.index) if stored else (self.context.height, 0)",
        wrong="(self.context.height, 0)",
    ),
    Mutant(
        name="stale-entry-acts",
        what="an entry acts though its job waits for another height",
        place=f"{_DEADLINES}:_Stale.__call__",
        right="due_height != self.height",
        wrong="False",
    ),
    Mutant(
        name="fallback-left-out",
        what="a refused job gets no fallback",
        place=f"{_DEADLINES}:run_one",
        right="outcome = run_protected(state, context, _bind(kind.fallback, deadline))",
        wrong="return True",
    ),
    Mutant(
        name="budget-unbounded",
        what="a lane runs everything that is due in one block",
        place=f"{_DEADLINES}:_Lane._take",
        right="self.budget -= 1",
        wrong="self.budget -= 0",
    ),
)

_BLOCK_MUTANTS = (
    Mutant(
        name="misbehaviour-forgotten",
        what="a remembered result is taken for a block with other evidence",
        place="abci_app.chain.application:Application._execute",
        right="result.context == context",
        wrong="replace(result.context, misbehaviour=context.misbehaviour) == context",
    ),
    Mutant(
        name="commit-forgotten",
        what="a remembered result is taken for a block with another last commit",
        place="abci_app.chain.application:Application._execute",
        right="result.context == context",
        wrong="replace(result.context, last_commit=context.last_commit) == context",
    ),
)

_BEACON_MUTANTS = (
    Mutant(
        name="any-reveal-taken",
        what="a reveal need not lead to its proposer's onion",
        place=f"{_BEACON}.reveals:show",
        right="if next_onion(reveal) != onion.onion:",
        wrong="if False:",
    ),
    Mutant(
        name="failed-round-counts",
        what="a reveal counts although its block took more than one round",
        place=f"{_BEACON}.reveals:count_shown",
        right="if context.block.last_commit.round == 0:",
        wrong="if True:",
    ),
    Mutant(
        name="silence-unpaid",
        what="who withholds a reveal while a draw waits pays nothing",
        place=f"{_BEACON}.steps:charge_silence",
        right="if fine:",
        wrong="if False:",
    ),
    Mutant(
        name="onion-at-once",
        what="another onion is in force in the next block",
        place=f"{_BEACON}.onions:set_onion",
        right="block.height + ONION_EPOCHS * block.parameters[EPOCH_BLOCKS]",
        wrong="block.height + 1",
    ),
    Mutant(
        name="stake-stays",
        what="what a draw decided about still counts as at stake",
        place=f"{_BEACON}.draws:make_draws",
        right="beacon.at_stake_nopen - request.at_stake_nopen",
        wrong="beacon.at_stake_nopen",
    ),
    Mutant(
        name="draw-too-early",
        what="a draw is made before enough reveals counted",
        place=f"{_BEACON}.draws:make_draws",
        right="beacon.reveals - request.reveals >= min(",
        wrong="beacon.reveals >= min(",
    ),
)

_VALIDATOR_MUTANTS = (
    Mutant(
        name="rotated-key-forgiven",
        what="evidence against a key that was rotated away is ignored",
        place=f"{_VALIDATORS}.evidence:_find_culprit",
        right="or validator.status == ValidatorStatus.TOMBSTONED",
        wrong="or validator.status == 5 or "
        "__import__('hashlib').sha256(validator.consensus_key).digest()[:20] != evidence.address",
    ),
    Mutant(
        name="punished-twice",
        what="a double signer is slashed again by further evidence",
        place=f"{_VALIDATORS}.evidence:_find_culprit",
        right="if validator is None or validator.status == ValidatorStatus.TOMBSTONED:",
        wrong="if validator is None:",
    ),
    Mutant(
        name="tombstoned-acts",
        what="a double signer may go on as a validator",
        place=f"{_VALIDATORS}.handlers:_require_not_tombstoned",
        right="if validator.status == ValidatorStatus.TOMBSTONED:",
        wrong="if False:",
    ),
    Mutant(
        name="lost-limit-of-now",
        what="how much an epoch may lose is measured by the power of now",
        place=f"{_VALIDATORS}.powers:_Changes.lower",
        right="limit_of(self.turnover.power_total)",
        wrong="limit_of(self.power)",
    ),
    Mutant(
        name="gains-uncounted",
        what="each block may gain as much as an epoch",
        place=f"{_VALIDATORS}.powers:_Changes.raised",
        right=" - self.turnover.gained",
        wrong="",
    ),
    Mutant(
        name="bond-leaves-early",
        what="a bond leaves at once when its power is gone",
        place=f"{_VALIDATORS}.powers:retire",
        right="parameters[UNBOND_BLOCKS], parameters[UNBOND_SECONDS]",
        wrong="0, 0",
    ),
    Mutant(
        name="absent-are-paid",
        what="who signs nothing shares the fees",
        place=f"{_VALIDATORS}.duties:count_duties",
        right="(vote.power, 0) if vote.signed else (0, 1)",
        wrong="(vote.power, 0)",
    ),
    Mutant(
        name="jailed-in-mass",
        what="fewer than four may stay when the absent are jailed",
        place=f"{_VALIDATORS}.duties:_jail_absent",
        right=" or stay < MIN_LIVE",
        wrong="",
    ),
)

_GOVERNANCE = "abci_app.modules.governance"
_GOVERNANCE_MUTANTS = (
    Mutant(
        name="own-epoch-counts",
        what="gOPEN locked in the epoch of a proposal votes on it",
        place="abci_app.mechanisms.electorates:Power.before",
        right="if each.epoch < epoch",
        wrong="if each.epoch <= epoch",
    ),
    Mutant(
        name="power-stays",
        what="who delegates leaves its power with the one before",
        place=f"{_GOVERNANCE}.gopen:execute_delegate",
        right="electorates.change(state, electorates.GOPEN, holder.delegate, gone, now)",
        wrong="None",
    ),
    Mutant(
        name="vote-counted-twice",
        what="a changed vote counts beside the earlier one",
        place=f"{_GOVERNANCE}.proposing:_vote_with_power",
        right="tally = with_vote(tally, earlier.choice, -earlier.power)",
        wrong="tally = tally",
    ),
    Mutant(
        name="quorum-of-cast",
        what="the quorum is measured by what was cast",
        place=f"{_GOVERNANCE}.tally:verdict_of",
        right="rules.quorum_ppb * electorate",
        wrong="rules.quorum_ppb * tally.cast",
    ),
    Mutant(
        name="timelock-skipped",
        what="what has passed takes effect in the next block",
        place=f"{_GOVERNANCE}.deciding:Deciding.end_voting",
        right="context.height + proposal.rules.timelock_blocks",
        wrong="context.height + 1",
    ),
    Mutant(
        name="parameter-above-limit",
        what="a proposal may set a parameter above its limit",
        place="abci_app.parameters:check_value",
        right="if not parameter.minimum <= value <= parameter.maximum:",
        wrong="if not parameter.minimum <= value:",
    ),
    Mutant(
        name="cap-of-now",
        what="what an epoch may spend is measured by the treasury of now",
        place=f"{_GOVERNANCE}.applying:treasury_left_nopen",
        right="epoch.treasury_start_nopen",
        wrong="(epoch.treasury_start_nopen - epoch.spent_nopen)",
    ),
    Mutant(
        name="spending-uncounted",
        what="each spending may take as much as an epoch may",
        place=f"{_GOVERNANCE}.applying:treasury_left_nopen",
        right="cap_nopen - epoch.spent_nopen",
        wrong="cap_nopen",
    ),
    Mutant(
        name="veto-deposit-back",
        what="a proposal that was vetoed gets its deposit back",
        place=f"{_GOVERNANCE}.deciding:Deciding.end_voting",
        right="(VoteVerdict.VETOED, VoteVerdict.NO_QUORUM)",
        wrong="(VoteVerdict.NO_QUORUM,)",
    ),
    Mutant(
        name="oldest-unlocked",
        what="unlocking takes the oldest lot first",
        place=f"{_GOVERNANCE}.gopen:_without",
        right="newest = kept.pop()",
        wrong="newest = kept.pop(0)",
    ),
)

MUTANTS: tuple[Mutant, ...] = (
    *_LOCKS,
    *_DEADLINE_MUTANTS,
    *_BLOCK_MUTANTS,
    *_BEACON_MUTANTS,
    *_VALIDATOR_MUTANTS,
    *_GOVERNANCE_MUTANTS,
)
MUTANTS_BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
