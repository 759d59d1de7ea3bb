"""The deeds of honest people: one rule a message type at least. A rule may fail, since others act in the same block."""

from collections.abc import Callable, Sequence

from msgspec import structs

from abci_app.chain.registry import MESSAGE_TYPES
from abci_app.module import Message
from abci_app.modules.accounts import RevokeDelegation, SetDelegation, SetPolicy
from abci_app.modules.bank import Burn, SetPayee, Transfer
from abci_app.modules.datanets.records import (
    CONTRIBUTIONS,
    CreateDatanet,
    CreateVersion,
    Decision,
    ReviewContribution,
    RevokeContribution,
    Status,
)
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.licences.records import Terms
from abci_app.modules.members import ALL_ROLES, Role, SetBoxKey, SetMember, SetPeer
from abci_app.modules.models.claims import owner_part
from abci_app.modules.models.kinds import EntryKind
from abci_app.modules.models.records import (
    CreateModel,
    Entry,
    EvaluationDraft,
    RecordEvaluations,
    RecordReproduction,
    RecordRuns,
    SupersedeEntry,
    entry_id_of,
)
from abci_app.policy import encode_policy, single_key_policy
from abci_app.types import PPB
from openledger.data.manifest import Manifest
from openledger.data.ownership import make_claim
from openledger.licences import complete_terms
from tests.kit.modules.drafts import FREE, RUN, contribute, contribution_id, digest, entry, new_id, run_of
from tests.kit.signing import Key
from tests.simulation import governing
from tests.simulation.validator_rules import VALIDATOR_RULES
from tests.simulation.world import Net, Operation, World

Rule = Callable[[World], Operation | None]
SPDX = ("CC-BY-4.0", "CC-BY-SA-4.0", "GPL-3.0-only", "CC-BY-NC-4.0 OR GPL-3.0-only", "LicenseRef-own", "LicenseRef-own")


def transfer(world: World) -> Operation:
    """Some with several messages, some paid by a sponsor."""
    sender, sponsor, *others = world.rng.sample(world.actors, 4)
    messages = tuple([Transfer(other.address, world.rng.randint(1, 10**6)) for other in others])
    return Operation(sender, messages, sponsor=sponsor if world.chance(4) else None)


def burn(world: World) -> Operation:
    return Operation(world.rng.choice(world.actors), (Burn(world.rng.choice([1, 7, 10**6])),))


def spend_of_the_poor(world: World) -> Operation:
    """Soon there is nothing left for fees."""
    return Operation(world.pauper, (Transfer(world.actors[0].address, world.rng.randint(1, 500)),))


def set_payee(world: World) -> Operation:
    sender, payee = world.rng.sample(world.actors, 2)
    return Operation(sender, (SetPayee(payee.address if world.chance(2) else b""),))


def set_member(world: World) -> Operation:
    member, registrar = world.rng.choice(world.actors[1:]), world.actors[0]
    roles = world.rng.choice([0, Role.BUILDER, Role.BUILDER | Role.REVIEWER, ALL_ROLES & ~Role.REGISTRAR])
    return Operation(registrar, (SetMember(member.address, roles, "member", world.rng.randint(0, 2)),))


def set_box_key(world: World) -> Operation:
    """Of who may have stopped being a member."""
    return Operation(world.rng.choice(world.actors), (SetBoxKey(world.rng.randbytes(32)),))


def set_peer(world: World) -> Operation:
    node_id = f"{world.rng.randrange(4):040x}"
    return Operation(world.actors[0], (SetPeer(node_id, world.rng.randint(0, 1), "node"),))


def set_policy(world: World) -> Operation:
    """Rotate to a new key; everybody knows it only once the block is made."""
    signer, key = world.rng.choice(world.actors[2:]), Key.named(world.fresh("key"))

    def learn() -> None:
        signer.keys = [key]

    return Operation(signer, (SetPolicy(encode_policy(single_key_policy(key.public))),), learn)


def set_delegation(world: World) -> Operation:
    signer, agent = world.rng.choice(world.actors), Key.named(world.fresh("agent"))
    message = SetDelegation(agent.public, (0x0101, 0x0102), 10**7, world.chain.height + world.rng.randint(1, 40))

    def learn() -> None:
        world.agents[signer.address] = agent

    return Operation(signer, (message,), learn)


def revoke_delegation(world: World) -> Operation | None:
    signer = world.rng.choice(world.actors)
    agent = world.agents.get(signer.address)
    return Operation(signer, (RevokeDelegation(agent.public),)) if agent else None


def spend_by_an_agent(world: World) -> Operation | None:
    """May be past its expiry or its limit."""
    signer = world.rng.choice(world.actors)
    agent = world.agents.get(signer.address)
    return Operation(signer, (Burn(world.rng.randint(1, 10**6)),), delegated=agent) if agent else None


# --- Licences and DataNets


def random_terms(world: World) -> Terms:
    """Mostly usable; clashes come by themselves."""
    rng = world.rng
    spdx = rng.choice(SPDX)
    if spdx != "LicenseRef-own":
        return complete_terms(name=world.fresh("terms"), spdx=spdx)
    return structs.replace(
        FREE,
        name=world.fresh("terms"),
        spdx=spdx,
        text_digest=digest("own words"),
        use_class=rng.choice([0, 1, 1, 1, 2]),
        share_alike=2 if world.chance(4) else rng.choice([0, 1, 1]),
        no_derivatives=2 if world.chance(12) else rng.choice([0, 1, 1]),
        training=rng.choice([0, 2, 2, 2, 2]),
        approval_required=rng.choice([0, 1, 1, 1, 2]),
        revenue_share_ppb=PPB // 4 if world.chance(8) else 0,
        expiry_seconds=world.chain.seconds(world.chain.height + 90) if world.chance(10) else 0,
        excluded_domains=("arms",) if world.chance(6) else (),
    )


def register_terms(world: World) -> Operation:
    terms = random_terms(world) if not world.terms or world.chance(2) else world.rng.choice(list(world.terms.values()))

    def learn() -> None:
        world.terms[terms_id_of(terms)] = terms

    return Operation(world.rng.choice(world.actors), (RegisterTerms(terms),), learn)


def create_datanet(world: World) -> Operation | None:
    if not world.terms or len(world.nets) > 12:
        return None
    owner, *reviewers = world.rng.sample(world.actors, world.rng.randint(1, 4))
    reviewers.sort(key=lambda signer: signer.address)
    name, terms_id = world.fresh("net"), world.rng.choice(list(world.terms))
    message = CreateDatanet(
        name, "", terms_id, tuple([each.address for each in reviewers]), world.rng.randint(1, len(reviewers) + 1)
    )

    def learn() -> None:
        # The id follows from the sequence; a sender sends one transaction a block.
        datanet_id = new_id("datanet", owner.address, owner.sequence - 1)
        world.nets[datanet_id] = Net(name, owner, reviewers, terms_id)

    return Operation(owner, (message,), learn)


def some_net(world: World) -> tuple[bytes, Net] | None:
    return world.rng.choice(list(world.nets.items())) if world.nets else None


def contribute_rows(world: World) -> Operation | None:
    chosen = some_net(world)
    if chosen is None:
        return None
    datanet_id, net = chosen
    sender, payee = world.rng.sample(world.actors, 2)
    messages = []
    for _ in range(world.rng.randint(1, 3)):
        terms_id = world.rng.choice([b"", b"", world.rng.choice(list(world.terms))])
        payee_address = payee.address if world.chance(3) else b""
        messages.append(
            contribute(
                datanet_id, world.fresh("rows"), terms_id=terms_id, payee=payee_address, form=world.rng.randint(0, 5)
            )
        )

    def learn() -> None:
        for message in messages:
            net.contributors[contribution_id(message, sender.address, net.default_terms_id)] = sender

    return Operation(sender, tuple(messages), learn)


def with_status(world: World, net: Net, status: Status) -> list[bytes]:
    """Contributions that stand so at the last commit."""
    stored = [(each, CONTRIBUTIONS.get(world.store, each)) for each in net.contributors]
    return [each for each, found in stored if found is not None and found.status == status]


def review(world: World) -> Operation | None:
    chosen = some_net(world)
    if chosen is None:
        return None
    pending = with_status(world, chosen[1], Status.PENDING)
    if not pending:
        return None
    reviewer = world.rng.choice([chosen[1].owner, *chosen[1].reviewers])
    decision = world.rng.choice([Decision.ACCEPT, Decision.ACCEPT, Decision.ACCEPT, Decision.REJECT])
    votes = [ReviewContribution(each, decision, world.rng.randint(1, 7)) for each in pending[:4]]
    return Operation(reviewer, tuple(votes))


def create_version(world: World) -> Operation | None:
    chosen = some_net(world)
    if chosen is None:
        return None
    datanet_id, net = chosen

    def learn() -> None:
        net.versions += 1

    return Operation(net.owner, (CreateVersion(datanet_id, "frozen"),), learn)


def revoke(world: World) -> Operation | None:
    chosen = some_net(world)
    held = with_status(world, chosen[1], world.rng.choice([Status.PENDING, Status.ACCEPTED])) if chosen else []
    if chosen is None or not held or not world.chance(3):
        return None
    revoked = world.rng.choice(held)
    sender = world.rng.choice([chosen[1].owner, chosen[1].contributors[revoked]])
    return Operation(sender, (RevokeContribution(revoked, world.rng.randint(1, 7)),))


# --- Models


def create_model(world: World) -> Operation:
    owner = world.rng.choice(world.actors)
    name = world.fresh("model")

    def learn() -> None:
        world.models[new_id("model", owner.address, owner.sequence - 1)] = owner

    return Operation(owner, (CreateModel(name, ""),), learn)


def random_entry(world: World, earlier: Sequence[bytes]) -> Entry:
    """Anything that is well formed; its terms may clash."""
    rng, name = world.rng, world.fresh("entry")
    if world.terms and (not world.entries or world.chance(8)):
        return entry(name, kind=EntryKind.IMPORT, terms_id=rng.choice(list(world.terms)))
    known = list(dict.fromkeys([*world.entries, *earlier]))
    made_from = rng.sample(known, min(len(known), rng.choice([0, 0, 1, 1, 2])))
    versions = [(net_id, rng.randint(1, net.versions)) for net_id, net in world.nets.items() if net.versions]
    data = rng.sample(versions, min(len(versions), rng.choice([0, 1, 1, 2])))
    kind = rng.choice([EntryKind.LORA, EntryKind.FULL, EntryKind.MERGE, EntryKind.QUANTISE])
    owner = rng.choice(world.actors)
    manifest = Manifest({"about": name.encode(), "owner": owner_part(owner.address), "recipe": b"any"})
    drafted = entry(name, kind=kind, data=data, made_from=made_from, manifest_root=manifest.root)
    world.claims[entry_id_of(drafted)] = (owner, make_claim(manifest, entry_id_of(drafted)))
    return drafted


def record_runs(world: World) -> Operation:
    """Some build on earlier ones of the same message, some repeat what is known, some become versions."""
    sender = world.rng.choice(world.actors)
    own_models = [model_id for model_id, owner in world.models.items() if owner is sender]
    drafted: list[Entry] = []
    for _ in range(world.rng.choice([1, 1, 2, 5])):
        repeated = world.rng.choice(list(world.entries.values()))[0] if world.entries and world.chance(6) else None
        drafted.append(repeated or random_entry(world, [entry_id_of(each) for each in drafted]))
    model_id = world.rng.choice(own_models) if own_models and world.chance(2) else b""
    runs = tuple([run_of(each, model_id=model_id, label="v" if model_id else "") for each in drafted])

    def learn() -> None:
        for each in drafted:
            world.entries.setdefault(entry_id_of(each), (each, sender))

    return Operation(sender, (RecordRuns(runs),), learn)


def reproduce(world: World) -> Operation | None:
    if not world.entries:
        return None
    entry_id, (known, _) = world.rng.choice(list(world.entries.items()))
    out = known.output
    exact = world.chance(2)
    tensor_digest = out.tensor_digest if exact else digest("other tensors")
    message = RecordReproduction(entry_id, 1 if exact else 3, out.artefact_digest, tensor_digest, RUN)
    return Operation(world.rng.choice(world.actors), (message,))


def evaluate(world: World) -> Operation | None:
    versions = [(net_id, net.versions) for net_id, net in world.nets.items() if net.versions]
    if not world.entries or not versions:
        return None
    chosen = world.rng.sample(list(world.entries), min(len(world.entries), 3))
    drafts = [
        EvaluationDraft(each, *world.rng.choice(versions), "accuracy", world.rng.randint(-(10**6), 10**6), 100, 3)
        for each in chosen
    ]
    return Operation(world.rng.choice(world.actors), (RecordEvaluations(tuple(drafts)),))


def supersede(world: World) -> Operation | None:
    if len(world.entries) < 2:
        return None
    wrong, right = world.rng.sample(list(world.entries), 2)
    return Operation(world.entries[wrong][1], (SupersedeEntry(wrong, right, "better data"),))


def claim(world: World) -> Operation | None:
    """By the account that the manifest names, of what another one recorded."""
    claims = [(each, *known) for each, known in world.claims.items() if each in world.entries]
    open_ones = [each for each in claims if world.entries[each[0]][1] is not each[1]]
    if not open_ones:
        return None
    entry_id, owner, message = world.rng.choice(open_ones)

    def learn() -> None:
        world.entries[entry_id] = (world.entries[entry_id][0], owner)

    return Operation(owner, (message,), learn)


# Rule -> how often it is chosen.
RULES: dict[Rule, int] = {
    transfer: 2, burn: 1, set_payee: 1, spend_of_the_poor: 1, set_member: 2, set_peer: 1, set_policy: 1,
    set_delegation: 1, revoke_delegation: 1, spend_by_an_agent: 1, register_terms: 2, create_datanet: 2,
    contribute_rows: 4, review: 8, create_version: 4, revoke: 2, create_model: 1, record_runs: 6, reproduce: 1,
    evaluate: 2, supersede: 1, claim: 1, governing.lock_gopen: 3, governing.unlock_gopen: 1,
    governing.withdraw_gopen: 1, governing.delegate: 1, governing.propose: 2, governing.cast_vote: 8,
    governing.raise_objection: 2,
    set_box_key: 1, **VALIDATOR_RULES,
}  # fmt: skip


def honest(world: World, count: int) -> list[Operation]:
    """Up to `count` operations, at most one a sender."""
    chosen, senders = list[Operation](), set[bytes]()
    for rule in world.rng.choices(list(RULES), list(RULES.values()), k=count):
        operation = rule(world)
        if operation is None or operation.signer.address in senders:
            continue
        senders.add(operation.signer.address)
        if operation.sponsor is not None:
            senders.add(operation.sponsor.address)
        chosen.append(operation)
    return chosen


def never_sent(world: World) -> list[str]:
    """Message types of which none succeeded in a world."""
    return sorted({message.__name__ for message in MESSAGE_TYPES} - set(world.succeeded))


def message_types(operations: list[Operation]) -> set[type[Message]]:
    """Which messages these are."""
    return {type(message) for operation in operations for message in operation.messages}
