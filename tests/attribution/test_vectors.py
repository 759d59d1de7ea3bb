"""The vectors of attribution are true by definitions that share nothing with what made them."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import struct
from fractions import Fraction
from typing import Any

import pytest

from abci_app.integers.inheritance import Layer, ParentPart
from attribution.errors import AttributionError
from attribution.explanation.document import decode
from attribution.explanation.explanation import verify_integers
from attribution.explanation.parts import ChainFacts, LayerFacts
from attribution.lga.codes import decode as decode_codes
from openledger.data.manifest import Manifest
from tests.golden import files

Case = dict[str, Any]
VECTORS: dict[str, Any] = json.loads((files.FOLDER / "attribution.json").read_text("utf-8"))
PPB = 10**9
raw = bytes.fromhex


def tagged(tag: str, data: bytes) -> bytes:
    prefix = hashlib.sha256(tag.encode()).digest()
    return hashlib.sha256(prefix * 2 + data).digest()


def rounded(value: Fraction) -> int:
    """To the nearest integer, ties to even."""
    return round(value)


def test_the_readme_describes_every_part() -> None:
    readme = (files.FOLDER / "README.md").read_text("utf-8")
    assert [part for part in VECTORS if f"| `{part}` |" not in readme] == []


def test_exponents_are_the_greatest_that_fit() -> None:
    for case in VECTORS["exponents"]:
        largest, exponent = Fraction(float.fromhex(case["largest"])), case["exponent"]
        if largest:
            assert rounded(largest * Fraction(2) ** exponent) <= 32_767
            assert rounded(largest * Fraction(2) ** (exponent + 1)) > 32_767
        else:
            assert exponent == 0


def test_codes_are_rounded_clamped_and_little_endian() -> None:
    for case in VECTORS["quantise"]:
        scaled = [Fraction(float.fromhex(value)) * Fraction(2) ** case["exponent"] for value in case["values"]]
        assert [max(-32_767, min(32_767, rounded(value))) for value in scaled] == case["codes"]
    for case in VECTORS["codes"]:
        count = len(case["codes"])
        data = struct.pack(f"<BhI{count}h", 1, case["exponent"], count, *case["codes"])
        assert (data.hex(), tagged("openledger/attribution-codes/v1", data).hex()) == (case["bytes"], case["digest"])


@pytest.mark.parametrize("case", VECTORS["codes_refused"], ids=lambda case: case["why"])
def test_bytes_that_are_no_codes_are_refused(case: Case) -> None:
    with pytest.raises(AttributionError):
        decode_codes(raw(case["bytes"]))


def test_scores_are_inner_products() -> None:
    for case in VECTORS["scores"]:
        products = [
            sum(int(value) * code for value, code in zip(row, case["query"], strict=True)) for row in case["owner_sums"]
        ]
        assert products == [int(score) for score in case["scores"]]


def remainder_split(weights: list[Fraction], keys: list[str], total: int) -> list[int]:
    """Floors, then one each in the order of falling remainders, ties by key."""
    mass = sum(weights)
    exact = [total * weight / mass for weight in weights]
    parts = [int(part) for part in exact]
    by_remainder = sorted(range(len(keys)), key=lambda index: (parts[index] - exact[index], keys[index]))
    for index in by_remainder[: total - sum(parts)]:
        parts[index] += 1
    return parts


def test_parts_go_by_largest_remainder() -> None:
    for case in VECTORS["largest_remainder"]:
        weights = [Fraction(int(weight)) for weight in case["weights"]]
        assert remainder_split(weights, case["keys"], case["total"]) == case["parts"]


@pytest.mark.parametrize("case", VECTORS["payout"], ids=lambda case: case["why"])
def test_payouts_follow_the_formula(case: Case) -> None:
    policy = case["policy"]
    scores = {owner: [int(score) for score in of_rows] for owner, of_rows in case["scores"].items()}
    if policy["score_unit"] == "owner":
        scores = {owner: [sum(of_rows)] for owner, of_rows in scores.items()}
    flat = {owner: int(weight) for owner, weight in case["flat_weights"].items()}
    owners = sorted({*scores, *flat})
    positive = {owner: sum(max(0, score) for score in scores.get(owner, [])) for owner in owners}
    mass, flat_mass = sum(positive.values()), sum(flat.values())
    enough = Fraction(policy["minimum_positive_ppb"], PPB) * sum(
        abs(score) for of_rows in scores.values() for score in of_rows
    )
    used = mass > 0 and mass >= enough
    kappa = policy["kappa_ppb"] if used else 0
    flat_part = policy["flat_ppb"] + policy["kappa_ppb"] - kappa
    exact = {
        owner: (Fraction(kappa * positive[owner], mass) if used else Fraction(0))
        + (Fraction(flat_part * flat.get(owner, 0), flat_mass) if flat_mass else Fraction(0))
        for owner in owners
    }
    owed = sum(exact.values(), Fraction(0))
    cap = Fraction(policy["cap_ppb"])
    shares = dict(exact)
    while any(share > cap for share in shares.values()):
        above = {owner for owner, share in shares.items() if share >= cap}
        below = sum((exact[owner] for owner in owners if owner not in above), Fraction(0))
        scale = (owed - cap * len(above)) / below if below else Fraction(0)
        shares = {owner: cap if owner in above else exact[owner] * scale for owner in owners}
    pool = PPB - sum(shares.values(), Fraction(0))
    parts = remainder_split([*shares.values(), pool], [*shares, ""], PPB)
    assert dict(zip(shares, parts, strict=False)) == case["by_owner"]
    assert (parts[-1], int(used)) == (case["unexplained_ppb"], case["attribution_used"])


def shingles(tokens: list[int]) -> set[int]:
    runs = {tuple(tokens[at : at + 5]) for at in range(max(1, len(tokens) - 4))} if tokens else set()
    hashes = [tagged("openledger/attribution-shingle/v1", struct.pack(f"<{len(run)}I", *run)) for run in runs]
    return {int.from_bytes(digest[:8], "little") for digest in hashes}


def cosine_reaches(left: list[int], right: list[int], minimum_ppb: int) -> bool:
    dot = sum(a * b for a, b in zip(left, right, strict=True))
    return dot > 0 and dot**2 * PPB**2 >= minimum_ppb**2 * sum(a * a for a in left) * sum(b * b for b in right)


def test_shingles_and_cosines_are_their_definitions() -> None:
    for case in VECTORS["shingles"]:
        assert {int(value) for value in case["shingles"]} == shingles(case["tokens"])
    for case in VECTORS["cosine"]:
        assert int(cosine_reaches(case["left"], case["right"], case["minimum_ppb"])) == case["reaches"]


@pytest.mark.parametrize("case", VECTORS["clusters"], ids=lambda case: case["why"])
def test_leaders_are_the_first_of_what_is_alike(case: Case) -> None:
    rows, codes, policy = case["rows"], case["codes"], case["policy"]
    leaders: list[int] = []
    found, reasons = list(range(len(rows))), {}
    for index in sorted(range(len(rows)), key=lambda index: rows[index]["place"]):
        for reason in ("exact", "text", "codes"):
            alike = [leader for leader in leaders if _alike(reason, leader, index, rows, codes, policy)]
            if alike:
                found[index], reasons[str(index)] = alike[0], reason
                break
        else:
            leaders.append(index)
    assert (found, reasons) == (case["leaders"], case["reasons"])


def _alike(reason: str, leader: int, index: int, rows: list[Case], codes: list[list[int]], policy: Case) -> bool:
    if reason == "exact":
        return bool(rows[leader]["content"] == rows[index]["content"])
    if reason == "text":
        left, right = shingles(rows[leader]["tokens"]), shingles(rows[index]["tokens"])
        return Fraction(len(left & right), len(left | right)) >= Fraction(policy["minimum_jaccard_ppb"], PPB)
    return bool(codes) and cosine_reaches(codes[leader], codes[index], policy["minimum_cosine_ppb"])


def test_few_codes_need_eight_deviations() -> None:
    for case in VECTORS["code_thresholds"]:
        chance = math.isqrt(64 * PPB**2 // case["codes"])
        assert max(case["minimum_cosine_ppb"], chance) == case["threshold_ppb"]


@pytest.mark.parametrize("case", VECTORS["code_copies"]["cases"], ids=lambda case: case["why"])
def test_copies_by_codes_follow_the_first_leader(case: Case) -> None:
    part, codes = case["part"], VECTORS["code_copies"]["codes"]
    minimum = max(part["minimum_cosine_ppb"], math.isqrt(64 * PPB**2 // len(codes[0])))
    leaders: list[int] = []
    found = []
    for leaf in case["order"]:
        alike = [leader for leader in leaders if minimum <= PPB and cosine_reaches(codes[leader], codes[leaf], minimum)]
        if alike:
            found.append([leaf, alike[0]])
        else:
            leaders.append(leaf)
    off = part["minimum_cosine_ppb"] > PPB
    assert part == {
        "minimum_cosine_ppb": part["minimum_cosine_ppb"],
        "outcome": "off" if off else "compared",
        "order": [] if off else case["order"],
        "found": sorted(found),
    }
    assert canonical(part).hex() == case["bytes"]


def test_what_ancestors_keep_halves_down_to_the_floor() -> None:
    for case in VECTORS["kept_part"]:
        halvings = case["age_versions"] // case["half_life_versions"] if case["half_life_versions"] else 0
        halved = case["ancestors_ppb"] // 2**halvings
        assert min(case["ancestors_ppb"], max(case["floor_ppb"], halved)) == case["kept_ppb"]


def test_layers_are_split_from_the_entry_down() -> None:
    case = VECTORS["layered"]
    amounts = {case["entry_id"]: PPB}
    owners: dict[str, int] = {"": 0}
    for layer in sorted(case["layers"], key=lambda layer: -layer["number"]):
        amount = amounts.get(layer["entry_id"], 0)
        parents = layer["parents"]
        kept = [Fraction(parent["kept_ppb"], PPB) if layer["has_data"] else Fraction(1) for parent in parents]
        weights = [share * Fraction(parent["share_ppb"], PPB) for share, parent in zip(kept, parents, strict=True)]
        keys = [*(parent["entry_id"] for parent in parents), layer["entry_id"]]
        *inherited, own = remainder_split([*weights, 1 - sum(weights, Fraction(0))], keys, amount)
        for parent, part in zip(keys, inherited, strict=False):
            amounts[parent] = amounts.get(parent, 0) + part
        assert own == case["own_ppb"][layer["entry_id"]]
        shares = (layer["own"] or {"by_owner": {}})["by_owner"]
        unexplained = PPB - sum(shares.values())
        names = [*shares, ""]
        for name, part in zip(
            names, remainder_split([*map(Fraction, shares.values()), Fraction(unexplained)], names, own), strict=True
        ):
            owners[name] = owners.get(name, 0) + part
    assert owners.pop("") == case["unexplained_ppb"]
    assert owners == case["by_owner"]


# --- The explanation


def facts() -> ChainFacts:
    given = VECTORS["explanation"]["facts"]
    layers = {}
    for layer in given["layers"]:
        parents = tuple(
            ParentPart(raw(parent["entry_id"]), parent["share_ppb"], parent["kept_ppb"]) for parent in layer["parents"]
        )
        bare = Layer(raw(layer["entry_id"]), layer["number"], parents, bool(layer["has_data"]), None)
        layers[bare.entry_id] = LayerFacts(bare, layer["method"], raw(layer["commitment_root"]))
    return ChainFacts(given["chain_id"], raw(given["entry_id"]), given["model"], given["model_version"], layers)


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def test_the_explanation_follows_from_its_facts() -> None:
    data = canonical(VECTORS["explanation"]["document"])
    assert verify_integers(decode(data), facts()) is None
    assert tagged("openledger/attribution-explanation/v1", data).hex() == VECTORS["explanation"]["digest"]


@pytest.mark.parametrize("case", VECTORS["explanation"]["forged"], ids=lambda case: case["field"])
def test_a_forged_explanation_is_refused_at_the_field(case: Case) -> None:
    tree = place = json.loads(json.dumps(VECTORS["explanation"]["document"]))
    for step in case["path"][:-1]:
        place = place[step]
    place[case["path"][-1]] = case["value"]
    difference = verify_integers(decode(canonical(tree)), facts())
    assert difference is not None
    assert difference.field == case["field"]


def test_the_explanations_scores_are_recomputed_from_its_evidence() -> None:
    """By hand: rows from the evidence, codes of the query, inner products, shares by the positive ones."""
    gradients = VECTORS["explanation"]["document"]["layers"][0]["gradients"]
    width = gradients["parameters"]["codes"]
    query = struct.unpack(f"<{width}h", base64.b64decode(gradients["query_codes"])[7:])
    evidence = {name: base64.b64decode(text) for name, text in gradients["evidence"].items()}
    copies = {row for row, _ in Manifest.decode(evidence["commitment"]).json("copies")["found"]}
    scores: dict[str, list[int]] = {line["owner"]: [] for line in gradients["owners"]}
    for number in range(len(evidence["dataset"]) // 96):
        owner = evidence["dataset"][96 * number + 64 : 96 * number + 96].hex()
        codes = struct.unpack(f"<{width}h", evidence["codes"][2 * width * number : 2 * width * (number + 1)])
        if number not in copies:
            scores[owner].append(sum(a * b for a, b in zip(codes, query, strict=True)))
    credit = {owner: sum(max(0, score) for score in of_rows) for owner, of_rows in scores.items()}
    assert [(line["owner"], int(line["score"]), int(line["credit"])) for line in gradients["owners"]] == [
        (owner, sum(of_rows), credit[owner]) for owner, of_rows in sorted(scores.items())
    ]
    split = remainder_split([*map(Fraction, credit.values()), Fraction(0)], [*credit, ""], PPB)
    assert split[:-1] == [line["share_ppb"] for line in gradients["owners"]]
