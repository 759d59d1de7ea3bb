"""Transactions for `benchmarks.messages`: each message type at its dearest, and as people send it."""

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from abci_app.accounts import ACCOUNTS, Account
from abci_app.module import Message
from abci_app.modules.accounts import RevokeDelegation, SetDelegation, SetPolicy
from abci_app.modules.bank import Burn, Transfer
from abci_app.modules.datanets import records as nets
from abci_app.modules.datanets.tree import complete_nodes
from abci_app.modules.licences import RegisterTerms, store_joined_terms, terms_id_of
from abci_app.modules.licences.join import join_all, lift
from abci_app.modules.licences.records import POINTS, TERMS, JoinedTerms, Stated, Terms, UseClass
from abci_app.modules.members import Role, SetMember, SetPeer
from abci_app.modules.models import records as models
from abci_app.modules.models.codes import ModelsCode
from abci_app.modules.models.kinds import EntryKind
from abci_app.policy import Policy, PolicyKey, encode_policy
from abci_app.state.overlay import Overlay
from abci_app.types import PPB
from benchmarks.load import LoadAccount
from benchmarks.message_world import BALANCE_NOPEN, Case, delegated_key, digest, perform, sponsor
from openledger.licences import complete_terms

SIXTEEN = 16
# Slots of a DataNet whose tree has ten complete levels, and of one with ten peaks.
FULL_SLOTS, PEAKED_SLOTS = 1_024, 1_023
Entry = models.Entry


def terms(name: str, **changes: Any) -> Terms:
    """Terms that allow everything for attribution, but for `changes`."""
    if "spdx" in changes:
        return complete_terms(**{"name": name, "spdx": "", **changes})
    mild = {
        "use_class": UseClass.ANY,
        **dict.fromkeys(POINTS, Stated.NO),
        "training": Stated.YES,
        "redistribution": Stated.YES,
        "irrevocable": Stated.YES,
    }
    return complete_terms(**{"name": name, "spdx": "LicenseRef-own", **mild, **changes})


def label(kind: str, number: int) -> str:
    """A label as long as they may be."""
    return f"{kind}-{number:03d}-".ljust(32, "x")


# 62 terms, all different, that together say as much as joined terms can hold; two more may join them.
BASE = [terms(f"base {n}", excluded_domains=(label("domain", n),), jurisdiction=label("j", n % 31)) for n in range(62)]
BASE_IDS = [terms_id_of(each) for each in BASE]
COPYLEFT = terms("copyleft", spdx="GPL-2.0-only", share_alike=Stated.YES)
OTHER_COPYLEFT = terms("other copyleft", spdx="CC-BY-SA-4.0", share_alike=Stated.YES)


@cache
def joined_without(number: int) -> JoinedTerms:
    """Joined terms of all base terms but one; number -1 leaves none out."""
    return join_all([lift(terms_id_of(each), each) for n, each in enumerate(BASE) if n != number])


def own_terms(number: int) -> Terms:
    """Terms that only one message refers to, so that what it joins is new to the state."""
    return terms(f"own {number}")


def register(state: Overlay, *some: Terms) -> None:
    """Write terms."""
    for each in some:
        TERMS.set(state, terms_id_of(each), each)


def write_datanet(
    state: Overlay, net: bytes, owner: bytes, joined: JoinedTerms, accepted: int, counted: Sequence[bytes] = ()
) -> None:
    """A DataNet of `accepted` equal contributions of which only those are written that messages will read."""
    joined_id = store_joined_terms(state, joined)
    nets.DATANETS.set(state, net, nets.Datanet("n" + net.hex()[:40], owner, "", BASE_IDS[0], (), 1, 1, 1))
    nets.COUNTS.set(
        state, net, nets.DatanetCounts(accepted, accepted, 0, 0, 1, accepted, joined_id, 9 * accepted, 99 * accepted)
    )
    for terms_id in counted:
        nets.TERMS_COUNTS.set(state, net, terms_id, nets.TermsCount(1))
    for (level, index), node in _nodes(accepted).items():
        # A change of slot 1 reads its neighbours on every level; adding and folding read the right edge.
        if index == 1 or index + 1 == accepted >> level:
            nets.NODES.set(state, net, level, index, nets.TreeNode(node))
    for number in {1, 2, accepted, accepted - 1}:
        listed = nets.Accepted(contribution_id(net, number), owner, BASE_IDS[0], 9, 99, 1, 0)
        nets.ACCEPTED.set(state, net, number, listed)


@cache
def _nodes(accepted: int) -> dict[tuple[int, int], bytes]:
    return complete_nodes([digest("slot", number) for number in range(accepted)])


def contribution_id(net: bytes, number: int) -> bytes:
    """Id of one contribution of a DataNet."""
    return digest("contribution", net, number)


def write_contribution(state: Overlay, net: bytes, number: int, owner: bytes, terms_id: bytes, status: int) -> None:
    """One contribution of the owner's, pending or accepted."""
    one = nets.Contribution(net, owner, owner, digest(net, 1), 9, 99, digest(net, 2), bytes(256), terms_id, 0)
    accepted_number = number if status == nets.Status.ACCEPTED else 0
    stored = nets.StoredContribution(one, status, number, accepted_number, 0, 0, 0, 1, 1, 0)
    nets.CONTRIBUTIONS.set(state, contribution_id(net, number), stored)


def net_of(case: str, place: int, number: int = 0) -> bytes:
    """Id of the DataNet that one message of a case is about."""
    return digest(case, place, number)


# --- DataNets


def reviews(state: Overlay, senders: Sequence[LoadAccount], count: int) -> None:
    """For each: a DataNet of 63 terms and a pending contribution under one more."""
    for place in range(count):
        for number in range(SIXTEEN):
            net, own = net_of("review", place, number), own_terms(place * SIXTEEN + number)
            register(state, own)
            write_datanet(state, net, senders[place].address, joined_without(-1), PEAKED_SLOTS + 2)
            write_contribution(state, net, 0, senders[place].address, terms_id_of(own), nets.Status.PENDING)


def revocations(state: Overlay, senders: Sequence[LoadAccount], count: int) -> None:
    """For each: the last contribution under its terms, in a DataNet of 63 terms and a thousand contributions."""
    register(state, *BASE)
    for place in range(count):
        net, own = net_of("revoke", place), own_terms(10**6 + place)
        register(state, own)
        owner = senders[place].address
        joined = join_all([joined_without(-1), lift(terms_id_of(own), own)])
        write_datanet(state, net, owner, joined, FULL_SLOTS, BASE_IDS[:1])
        write_contribution(state, net, 1, owner, BASE_IDS[0], nets.Status.ACCEPTED)


def versions(state: Overlay, senders: Sequence[LoadAccount], count: int) -> None:
    """For each: a DataNet of 1,023 contributions, so that ten nodes are folded."""
    for place in range(count):
        for number in range(SIXTEEN):
            write_datanet(
                state, net_of("version", place, number), senders[place].address, joined_without(-1), PEAKED_SLOTS
            )


def one_net(state: Overlay, senders: Sequence[LoadAccount], count: int) -> None:
    """A DataNet that takes everybody's contributions."""
    register(state, *BASE)
    write_datanet(state, net_of("contribute", 0), senders[0].address, joined_without(-1), 2)


def contributions(_: bytes, place: int) -> tuple[nets.Contribute, ...]:
    """Sixteen with everything that may be given."""
    return tuple([
        nets.Contribute(net_of("contribute", 0), digest(place, n, 1), 9, 99, digest(place, n, 2), bytes(256),
                        BASE_IDS[n], digest("payee", place, n), nets.Form.MESSAGES)
        for n in range(SIXTEEN)
    ])  # fmt: skip


# --- Models


def entry(name: object, data: Sequence[bytes], made_from: Sequence[bytes], terms_id: bytes = b"") -> Entry:
    """An entry over DataNets (version 1) and entries, with equal shares."""
    inputs = [
        models.Input(net, 1, share, 3, digest("rows")) for net, share in zip(data, _shares(len(data)), strict=True)
    ]
    parents = [models.Parent(each, "base", share)
               for each, share in zip(made_from, _shares(len(made_from)), strict=True)]  # fmt: skip
    made = models.Output(digest(name, 1), digest(name, 2), 1_000, "safetensors")
    kind = EntryKind.RETRIEVAL if data else EntryKind.MERGE
    if len(made_from) == 1 and data:
        kind = EntryKind.LORA
    return Entry(
        kind, tuple(parents), tuple(inputs), 0, terms_id, digest(name, 3), made, models.Attribution(1, digest(name, 4))
    )


def _shares(count: int) -> list[int]:
    each = PPB // max(count, 1)
    return [PPB - each * (count - 1), *[each] * (count - 1)] if count else []


RUN = models.Run(1_699_990_000, 1_699_999_000, digest("environment"), "m" * 256, "accuracy", 812_000)
DATA = [net_of("input", n) for n in range(32)]
PARENTS = [models.entry_id_of(entry(("parent", n), DATA[:1], DATA[:1])) for n in range(16)]


def provenance(state: Overlay, senders: Sequence[LoadAccount], count: int) -> None:
    """32 DataNet versions and 16 entries, each under other joined terms, and own terms for each transaction."""
    register(state, *BASE, COPYLEFT, OTHER_COPYLEFT, *[own_terms(2 * 10**6 + place) for place in range(count)])
    for n, net in enumerate(DATA):
        joined_id = store_joined_terms(state, joined_without(n))
        write_datanet(state, net, senders[0].address, joined_without(n), 2)
        version = nets.DatanetVersion(digest(1), 2, 18, 198, 2, joined_id, 1, 1, "")
        nets.VERSIONS.set(state, net, 1, version)
    for n, entry_id in enumerate(PARENTS):
        joined = joined_without(32 + n)
        if n == len(PARENTS) - 1:
            joined = join_all([joined, lift(terms_id_of(COPYLEFT), COPYLEFT)])
        write_entry(state, entry(("parent", n), DATA[:1], DATA[:1]), n + 1, senders[0].address, joined)
        assert entry_id in PARENTS
    numbers = models.Counters(10**6, 0, 10**6)
    models.COUNTERS.set(state, numbers)


def write_entry(state: Overlay, made: Entry, number: int, recorder: bytes, joined: JoinedTerms) -> None:
    """An entry as its recording left it."""
    admission = models.Admission(
        number, 1, 1, recorder, 1, 1, store_joined_terms(state, joined), 0, models.InheritanceSchedule(1, 1, 1)
    )
    entry_id = models.entry_id_of(made)
    models.NUMBERS.set(state, number, models.EntryReference(entry_id))
    models.ENTRIES.set(state, entry_id, models.StoredEntry(made, admission, RUN, b"", 0, b"", recorder, 0))


def runs(
    count: int, data: int, made_from: int, terms_of: Callable[[int], bytes]
) -> Callable[[bytes, int], tuple[models.RecordRuns]]:
    """A message of `count` new runs over so many inputs and parents."""

    def make(_: bytes, place: int) -> tuple[models.RecordRuns]:
        made = [
            entry((place, n, data, made_from), DATA[:data], PARENTS[:made_from], terms_of(place)) for n in range(count)
        ]
        return (models.RecordRuns(tuple([models.RunDraft(each, RUN, b"", "") for each in made])),)

    return make


def own_id(place: int) -> bytes:
    """Own terms of a transaction's entries."""
    return terms_id_of(own_terms(2 * 10**6 + place))


def recorded(state: Overlay, senders: Sequence[LoadAccount], count: int) -> None:
    """Two large entries of each sender's, sixteen times."""
    provenance(state, senders, 0)
    for place in range(count):
        for n in range(2 * SIXTEEN):
            number = 10_000 + place * 2 * SIXTEEN + n
            write_entry(state, large(place, n), number, senders[place].address, joined_without(n))
    models.COUNTERS.set(state, models.Counters(10**6, 0, 10**6))


@cache
def large(place: int, n: int) -> Entry:
    """An entry with as many inputs and parents as there may be."""
    return entry(("large", place, n), DATA, PARENTS)


def large_id(place: int, n: int) -> bytes:
    """Its id."""
    return models.entry_id_of(large(place, n))


def evaluations(_: bytes, place: int) -> tuple[models.RecordEvaluations]:
    """Measurements, the most that one message may carry."""
    drafts = [models.EvaluationDraft(large_id(place, n % 32), DATA[n % 32], 1, "accuracy", n, 9, 9) for n in range(64)]
    return (models.RecordEvaluations(tuple(drafts)),)


# --- Accounts

_KEYS = sorted([LoadAccount.numbered(10**6 + n).secret[32:] for n in range(10)])
TEN_KEYS = encode_policy(Policy(10, tuple([PolicyKey(1, key, 1) for key in _KEYS])))
ALL_TYPES = tuple(range(0x0100, 0x0120))


def delegations(state: Overlay, senders: Sequence[LoadAccount], count: int) -> None:
    """A delegated key of every sender's."""
    for sender in senders[:count]:
        perform(state, sender.address, SetDelegation(_KEYS[0], ALL_TYPES, 1, 10**6))


def agents_and_sponsors(state: Overlay, senders: Sequence[LoadAccount], count: int) -> None:
    """For each: a delegated key of the sender's, and a sponsor whose policy is stored."""
    for place, sender in enumerate(senders[:count]):
        key = delegated_key(place).secret[32:]
        perform(state, sender.address, SetDelegation(key, ALL_TYPES, 10**17, 10**6))
        payer = sponsor(place)
        ACCOUNTS.set(state, payer.address, Account(0, BALANCE_NOPEN, payer.policy))


def new(*what: object) -> bytes:
    """An address that nobody used."""
    return digest("new", *what)


def sixteen(make: Callable[[int, int], Message]) -> Callable[[bytes, int], tuple[Message, ...]]:
    """A transaction of sixteen messages of one type."""
    return lambda _, place: tuple([make(place, n) for n in range(SIXTEEN)])


def node_id(*what: object) -> str:
    """A CometBFT node id."""
    return hashlib.sha1(repr(what).encode()).hexdigest()


# The dear ones of each type, and of the frequent ones also the usual.
CASES: tuple[Case, ...] = (
    Case("bank.transfer, one", lambda _, p: (Transfer(new(1, p), 1),)),
    Case(
        "bank.transfer, one, by a delegated key and a sponsor", lambda _, p: (Transfer(new(5, p), 1),),
        agents_and_sponsors, delegated=True,
    ),
    Case("bank.transfer, 16", sixteen(lambda p, n: Transfer(new(2, p, n), 1))),
    Case("bank.burn, 16", sixteen(lambda p, n: Burn(1))),
    Case("accounts.set_delegation", lambda _, p: (SetDelegation(_KEYS[0], ALL_TYPES, 1, 10**6),)),
    Case("accounts.revoke_delegation", lambda _, p: (RevokeDelegation(_KEYS[0]),), delegations),
    Case(
        "members.set_member, 16", sixteen(lambda p, n: SetMember(new(3, p, n), int(Role.BUILDER), "m" * 256, 0)),
        from_registrar=True,
    ),
    Case(
        "members.set_peer, 16", sixteen(lambda p, n: SetPeer(node_id(p, n), 1, "p" * 256)), from_registrar=True
    ),
    Case(
        "licences.register_terms, 16",
        sixteen(lambda p, n: RegisterTerms(terms(
            f"{p} {n}".ljust(256, "t"), fields_of_use=tuple([label("field", k) for k in range(16)]),
            excluded_domains=tuple([label("domain", k) for k in range(16)]),
        ))),
    ),
    Case(
        "datanets.create_datanet, 16",
        sixteen(lambda p, n: nets.CreateDatanet(
            f"net-{p}-{n}", "d" * 256, BASE_IDS[0], tuple(sorted([new(4, p, n, k) for k in range(16)])), 17
        )),
        one_net,
    ),
    Case("datanets.contribute, 16", contributions, one_net),
    Case(
        "datanets.review_contribution, 16 of 64 terms",
        sixteen(lambda p, n: nets.ReviewContribution(contribution_id(net_of("review", p, n), 0), 1, 0)),
        reviews,
    ),
    Case(
        "datanets.revoke_contribution, last of its terms",
        lambda _, p: (nets.RevokeContribution(contribution_id(net_of("revoke", p), 1), 1),),
        revocations,
    ),
    Case(
        "datanets.create_version, 16 of 1,023 contributions",
        sixteen(lambda p, n: nets.CreateVersion(net_of("version", p, n), "v" * 256)),
        versions,
    ),
    Case("models.create_model, 16", sixteen(lambda p, n: models.CreateModel(f"model-{p}-{n}", "d" * 256))),
    Case("models.record_runs, one as usual", runs(1, 1, 1, lambda p: b""), provenance),
    Case("models.record_runs, 64 as usual", runs(64, 1, 1, lambda p: b""), provenance),
    Case("models.record_runs, 2 parents of 62 terms, new joined terms", runs(1, 0, 2, own_id), provenance),
    Case("models.record_runs, 32 inputs and 15 parents, new joined terms", runs(1, 32, 15, own_id), provenance),
    Case(
        "models.record_runs, 32 inputs and 16 parents that clash",
        runs(1, 32, 16, lambda p: terms_id_of(OTHER_COPYLEFT)), provenance, ModelsCode.TERMS_CLASH,
    ),
    Case(
        "models.record_runs, 2 parents that clash", lambda _, p: runs_that_clash(p), provenance, ModelsCode.TERMS_CLASH
    ),
    Case(
        "models.record_reproduction, 16",
        sixteen(lambda p, n: models.RecordReproduction(large_id(p, n), 2, digest(p), digest(n), RUN)), recorded,
    ),
    Case("models.record_evaluations of 64", evaluations, recorded),
    Case(
        "models.supersede_entry, 16",
        sixteen(lambda p, n: models.SupersedeEntry(large_id(p, n), large_id(p, 16 + n), "r" * 256)), recorded,
    ),
    # Last: the senders' keys are others afterwards.
    Case("accounts.set_policy of ten keys", lambda _, p: (SetPolicy(TEN_KEYS),)),
)  # fmt: skip


def runs_that_clash(place: int) -> tuple[models.RecordRuns]:
    """One run of two parents, one of them copyleft, under other copyleft terms."""
    made = entry(("clash", place), (), PARENTS[-2:], terms_id_of(OTHER_COPYLEFT))
    return (models.RecordRuns((models.RunDraft(made, RUN, b"", ""),)),)
