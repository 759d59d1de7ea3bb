"""Proof bundles: made from verified answers, checked offline, every tampered byte seen."""

import base64
import dataclasses
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from abci_app.accounts import ACCOUNTS, Account
from abci_app.hashing import sha256
from abci_app.modules.bank import AccountQuery
from abci_app.state.codec import encode
from openledger.client.light_client import LightClient
from openledger.data.manifest import Manifest
from openledger.exit_codes import ExitCode
from openledger.light.anchors import BlockAnchor, HashAnchor
from openledger.light.attachments import Attachment, CheckedAttachment
from openledger.light.bundle import BundleVerdict, _encode, _JsonBundle, parse_bundle, verify_bundle
from openledger.light.errors import BadStateProof, LightError, MalformedAnswer, NoAnchor, VerificationFailed
from openledger.light.parse import decode_json
from openledger.light.query import ReadQuestion, prove_answer
from openledger.light.results import LightSettings
from openledger.light.verifier import TrustRules
from openledger.light.wire import NANOSECONDS_PER_SECOND as SECOND
from tests.kit.simulated_chain import SimulatedChain, SimulatedNode, digest, sign

ALICE = digest("alice")
RECIPE = b"model: small\nsteps: 20\n"
MANIFEST = Manifest({"about": b'{"version":1}', "recipe": json.dumps({"sha256": sha256(RECIPE).hex()}).encode()})


@pytest.fixture(scope="module")
def chain() -> SimulatedChain:
    made = SimulatedChain()
    made.make_block([(ACCOUNTS.key(ALICE), encode(Account(3, 500, b""))), (b"number/root", MANIFEST.root)])
    made.make_blocks(29)
    return made


def _client(chain: SimulatedChain, **settings: Any) -> LightClient:
    return LightClient(
        SimulatedNode(chain, "primary"),
        [SimulatedNode(chain, "witness")],
        anchor=chain.genesis,
        settings=LightSettings(**settings),
        clock=lambda: chain.now_ns,
    )


@pytest.fixture(scope="module")
def bundle(chain: SimulatedChain) -> bytes:
    client = _client(chain)
    return client.bundle(client.query("bank", "account", AccountQuery(ALICE)))


def _trust(chain: SimulatedChain, height: int) -> HashAnchor:
    return HashAnchor(height, chain.blocks[height].hash)


def test_a_bundle_says_what_it_proves_for_which_height_and_chain_from_which_anchor(
    chain: SimulatedChain, bundle: bytes
) -> None:
    verdict = verify_bundle(bundle, chain.genesis, chain.now_ns)
    assert verdict == BundleVerdict(
        anchored=True,
        chain_id="dev-simulated",
        height=29,
        header=chain.blocks[30].header,
        question=verdict.question,
        value=verdict.value,
        anchor=str(chain.genesis),
        path=(1, 30),
        age_seconds=2,
        attachments=(),
    )
    assert str(verdict.question).startswith("bank/account AccountQuery(address=")
    assert (verdict.value.balance_nopen, verdict.value.sequence) == (500, 3)
    assert (verdict.outcome, verdict.exit_code) == ("verified", ExitCode.OK)


def test_without_an_anchor_it_is_only_consistent(chain: SimulatedChain, bundle: bytes) -> None:
    verdict = verify_bundle(bundle, None, chain.now_ns)
    assert (verdict.outcome, verdict.exit_code) == ("consistent, not anchored", ExitCode.NOT_ANCHORED)
    assert (verdict.anchor, verdict.path) == ("none: no anchor was given", ())


def test_a_hash_at_the_header_or_on_its_way_vouches(chain: SimulatedChain, bundle: bytes) -> None:
    assert verify_bundle(bundle, _trust(chain, 30), chain.now_ns).path == (30,)
    assert verify_bundle(bundle, _trust(chain, 1), chain.now_ns).path == (1, 30)


def test_a_hash_off_the_way_cannot_vouch(chain: SimulatedChain, bundle: bytes) -> None:
    verdict = verify_bundle(bundle, _trust(chain, 12), chain.now_ns)
    assert (verdict.anchored, verdict.anchor) == (False, "none: the bundle does not lead through height 12")


@pytest.mark.parametrize("height", [1, 30])
def test_a_hash_of_another_history_contradicts(chain: SimulatedChain, bundle: bytes, height: int) -> None:
    with pytest.raises(VerificationFailed, match="it is of another history"):
        verify_bundle(bundle, HashAnchor(height, digest("other")), chain.now_ns)


def test_a_genesis_document_of_another_chain_contradicts(chain: SimulatedChain, bundle: bytes) -> None:
    other = SimulatedChain(chain_id="dev-other")
    with pytest.raises(
        VerificationFailed, match="the bundle is of chain 'dev-simulated', the genesis document of 'dev-other'"
    ):
        verify_bundle(bundle, other.genesis, chain.now_ns)


def test_a_block_of_the_trust_store_vouches_from_below(chain: SimulatedChain, bundle: bytes) -> None:
    anchors = [BlockAnchor(chain.blocks[height], "genesis") for height in (10, 20)]
    verdict = verify_bundle(bundle, anchors, chain.now_ns)
    assert (verdict.path, verdict.anchored) == ((20, 30), True)
    assert verdict.anchor == f"block 20:{chain.blocks[20].hash.hex().upper()} verified earlier (genesis)"


def test_beyond_the_trusting_period_only_a_hash_at_the_height_or_above_vouches(
    chain: SimulatedChain, bundle: bytes
) -> None:
    later_ns = chain.now_ns + 180 * 86_400 * SECOND
    for anchor in (chain.genesis, _trust(chain, 1), [BlockAnchor(chain.blocks[10], "genesis")]):
        verdict = verify_bundle(bundle, anchor, later_ns)
        assert (verdict.anchored, verdict.exit_code, verdict.path) == (False, ExitCode.NOT_ANCHORED, ())
    assert verify_bundle(bundle, _trust(chain, 30), later_ns).anchored


def test_a_chain_of_headers_leads_down_from_a_hash_above(chain: SimulatedChain) -> None:
    client = _client(chain)
    answer = client.read([b"number/now"], height=9)
    data = client.bundle(answer, anchor_above=25)
    later_ns = chain.now_ns + 180 * 86_400 * SECOND
    verdict = verify_bundle(data, _trust(chain, 25), later_ns)
    assert (verdict.anchored, verdict.path, verdict.height) == (True, tuple(range(25, 9, -1)), 9)
    assert verify_bundle(data, chain.genesis, chain.now_ns).path == (1, 10)
    with pytest.raises(VerificationFailed):
        verify_bundle(data, HashAnchor(25, digest("other")), later_ns)


def test_an_anchor_above_must_be_above(chain: SimulatedChain) -> None:
    client = _client(chain)
    answer = client.read([b"number/now"], height=9)
    with pytest.raises(NoAnchor, match=r"^an anchor above must be at height 10 or higher, 9 was given$"):
        client.bundle(answer, anchor_above=9)


def test_an_answer_below_what_is_trusted_is_bundled_with_headers_down(chain: SimulatedChain) -> None:
    client = LightClient(
        SimulatedNode(chain, "primary"),
        [SimulatedNode(chain, "witness")],
        anchor=_trust(chain, 20),
        clock=lambda: chain.now_ns,
    )
    data = client.bundle(client.read([b"number/now"], height=9))
    assert verify_bundle(data, _trust(chain, 20), chain.now_ns).path == tuple(range(20, 9, -1))


def test_documents_are_checked_against_the_digests_that_the_state_names(chain: SimulatedChain) -> None:
    client = _client(chain)
    answer = client.read([b"number/root"])
    attached = [Attachment("recipe.yaml", RECIPE), Attachment("manifest", MANIFEST.encode(), "manifest")]
    verdict = verify_bundle(client.bundle(answer, attached), chain.genesis, chain.now_ns)
    assert verdict.attachments == (
        CheckedAttachment("manifest", MANIFEST.root, f"state key {b'number/root'.hex()}", "manifest"),
        CheckedAttachment("document", sha256(RECIPE), f"manifest {MANIFEST.root.hex()}", "recipe.yaml"),
    )
    with pytest.raises(VerificationFailed, match=r"attachment 'recipe.yaml' is not named by the proven state"):
        verify_bundle(client.bundle(answer, attached[:1]), chain.genesis, chain.now_ns)
    changed = [Attachment("recipe.yaml", RECIPE + b"#"), attached[1]]
    with pytest.raises(VerificationFailed, match=r"attachment 'recipe.yaml' is not named by the proven state"):
        verify_bundle(client.bundle(answer, changed), chain.genesis, chain.now_ns)


def test_every_changed_byte_is_seen(chain: SimulatedChain, bundle: bytes) -> None:
    chooser = random.Random(5)
    for place in {*range(0, len(bundle), 7), *range(300), len(bundle) - 1}:
        changed = bytearray(bundle)
        changed[place] = changed[place] ^ chooser.choice((1, 2, 4, 16, 32, 128))
        with pytest.raises(LightError):
            verify_bundle(bytes(changed), chain.genesis, chain.now_ns)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data + b"\n",
        lambda data: b" " + data,
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(b'"version":1', b'"version": 1', 1),
        lambda data: data.replace(b'{"format"', b'{"more":1,"format"', 1),
        lambda _data: b"",
        lambda _data: b"null",
    ],
)
def test_another_form_of_the_same_is_refused(
    chain: SimulatedChain, bundle: bytes, change: Callable[[bytes], bytes]
) -> None:
    with pytest.raises((MalformedAnswer, VerificationFailed)):
        verify_bundle(change(bundle), chain.genesis, chain.now_ns)


def _leaves(document: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(document, dict):
        return [leaf for name, value in document.items() for leaf in _leaves(value, (*place, name))]
    if isinstance(document, list):
        return [leaf for index, value in enumerate(document) for leaf in _leaves(value, (*place, index))]
    return [place]


def _changed_value(value: Any) -> list[Any]:
    if isinstance(value, int):
        return [value + 1]
    if value is None:
        return ["AAAA"]
    if not value:
        return ["A", "AAAA", "00"]
    try:
        raw = bytearray(base64.b64decode(value, validate=True))
        raw[-1] ^= 1
        changed = [base64.b64encode(raw).decode()]
    except ValueError:
        changed = []
    other = "1" if value[-1] != "1" else "2"
    return [*changed, value[:-1] + other, ""]


def test_a_liar_who_repairs_the_checksum_changes_nothing_that_is_claimed(chain: SimulatedChain, bundle: bytes) -> None:
    """Each single value changed and the checksum made right again: refused, or the verdict is the same."""
    honest = verify_bundle(bundle, chain.genesis, chain.now_ns)
    document = json.loads(bundle)
    refused = 0
    same: list[tuple[Any, ...]] = []
    for place in _leaves(document):
        if place == ("checksum",):
            continue
        for value in _changed_value(_at(document, place)):
            changed = json.loads(bundle)
            _at(changed, place[:-1])[place[-1]] = value
            try:
                repaired = _encode(decode_json(_JsonBundle, json.dumps(changed).encode(), "test"))
                verdict = verify_bundle(repaired, chain.genesis, chain.now_ns)
            except LightError:
                refused += 1
                continue
            assert verdict == honest, place
            same.append(place)
    # What may differ: a vote that the other three of four can do without.
    assert {place[0::2][:2] for place in same} == {("blocks", "commit")}
    assert {place[3] for place in same} == {"signatures"}
    assert refused > 150


_ODD: tuple[Any, ...] = (
    "", 0, -1, 2**63, 2**70, None, [], {}, "AAAA", [[]], ["", ""], [["", ""]], [["YQ==", "YQ=="]], [["Yg==", "YQ=="]],
    True, 1.5, "-1", "9" * 20, "\u00fc",
)  # fmt: skip


def test_nothing_that_a_liar_writes_does_more_than_be_refused(chain: SimulatedChain) -> None:
    """Values of every kind anywhere, with a right checksum: never another exception, never another claim."""
    chooser = random.Random(11)
    client = _client(chain)
    answer = client.read([b"number/now", b"number/none"], [(b"number/", b"number0")], height=9)
    data = client.bundle(answer, anchor_above=13)
    honest = verify_bundle(data, chain.genesis, chain.now_ns)
    places = [*_leaves(json.loads(data)), ("blocks", 0), ("headers",), ("question", "ranges"), ("validator_sets", 0)]
    for _ in range(1500):
        changed = json.loads(data)
        place = chooser.choice(places)
        _at(changed, place[:-1])[place[-1]] = chooser.choice(_ODD)
        try:
            repaired = _encode(decode_json(_JsonBundle, json.dumps(changed).encode(), "test"))
            verdict = verify_bundle(repaired, chain.genesis, chain.now_ns)
        except LightError:
            continue
        # Another question in the bundle is shown as such, with its own true answer.
        if verdict.question == honest.question:
            assert (verdict.header, verdict.value) == (honest.header, honest.value), place
        else:
            assert place[0] == "question"


def test_a_range_that_can_hold_nothing_proves_nothing(chain: SimulatedChain) -> None:
    with pytest.raises(MalformedAnswer, match="a range must end above its start, and a key must not be empty"):
        ReadQuestion((), ((b"b", b"a"),)).check()


def test_a_changed_proof_never_shows_another_answer(chain: SimulatedChain) -> None:
    """The proof's own list of ranges is not hashed; a wider one may hold as well, the answer stays."""
    chooser = random.Random(12)
    client = _client(chain)
    answer = client.read([b"number/now", b"number/none"], [(b"number/", b"number0")], height=9)
    for _ in range(3000):
        proof = bytearray(answer.proof)
        for _ in range(chooser.choice((1, 2, 5))):
            proof[chooser.randrange(len(proof))] = chooser.randrange(256)
        try:
            value = prove_answer(answer.question, bytes(proof), answer.header.app_hash, 9).value
        except BadStateProof:
            continue
        assert value == answer.value


def _at(document: Any, place: tuple[Any, ...]) -> Any:
    for part in place:
        document = document[part]
    return document


def test_a_forged_state_under_a_forged_header_is_refused(chain: SimulatedChain, bundle: bytes) -> None:
    """A liar with a state of its own can make a consistent proof, but not the signatures."""
    liars = SimulatedChain()
    liars.make_block([(ACCOUNTS.key(ALICE), encode(Account(3, 999_999, b"")))])
    liars.make_blocks(29)
    header = dataclasses.replace(liars.blocks[30].header, data_hash=digest("mine"))
    liars.blocks[30] = sign(header, liars.genesis_members, liars.genesis_members[:2])
    parsed = parse_bundle(bundle)
    from openledger.light.bundle import make_bundle

    proof = liars.store.version(29).prove([ACCOUNTS.key(ALICE)], [])
    forged = make_bundle(dataclasses.replace(parsed, blocks=(parsed.blocks[0], liars.blocks[30]), proof=proof))
    with pytest.raises(VerificationFailed, match="height 30 is signed by 20 of 40 power"):
        verify_bundle(forged, chain.genesis, chain.now_ns)


def test_a_bundle_beyond_the_size_limit_is_not_parsed(chain: SimulatedChain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openledger.light.bundle.MAX_BUNDLE_BYTES", 10)
    with pytest.raises(MalformedAnswer) as caught:
        verify_bundle(b"{" * 11, chain.genesis, chain.now_ns)
    assert str(caught.value) == "the bundle has 11 bytes, at most 10 are read"


def test_a_bundle_from_the_future_is_not_vouched_for(chain: SimulatedChain, bundle: bytes) -> None:
    verdict = verify_bundle(bundle, chain.genesis, chain.now_ns - 20 * SECOND)
    assert not verdict.anchored
    assert "ahead of this machine's clock" in verdict.anchor


def test_the_trusting_period_is_the_callers(chain: SimulatedChain, bundle: bytes) -> None:
    rules = TrustRules(trusting_period_seconds=10)
    assert not verify_bundle(bundle, chain.genesis, chain.now_ns, rules).anchored
