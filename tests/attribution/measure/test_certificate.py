"""A certificate is canonical, says what was measured, and is refused by field when it is damaged."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from attribution.errors import AttributionError
from attribution.measure.certificate import MAX_CERTIFICATE_BYTES, Certificate, certify, decode, difference
from attribution.measure.measurement import quality
from openledger.data.manifest import to_json
from tests.kit.attribution.small_truth import OWNERS, PROTOCOL, AdditiveTask, effects, small_truth

pytestmark = pytest.mark.ml


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    truth = small_truth(tmp_path_factory.mktemp("truth"))
    scores = {"LGA-1": effects(), "guessing": np.random.default_rng(8).normal(size=effects().shape)}
    return certify("an additive task", AdditiveTask(), OWNERS, PROTOCOL, truth, scores)


def test_a_certificate_comes_back_from_its_bytes(certificate: Certificate) -> None:
    assert decode(certificate.encode()) == certificate
    assert len(certificate.digest) == 32


def test_measuring_again_gives_the_same_bytes(certificate: Certificate, tmp_path: Path) -> None:
    scores = {"LGA-1": effects(), "guessing": np.random.default_rng(8).normal(size=effects().shape)}

    again = certify("an additive task", AdditiveTask(), OWNERS, PROTOCOL, small_truth(tmp_path), scores)

    assert again.digest == certificate.digest


def test_numbers_are_those_of_the_measurement(certificate: Certificate, tmp_path: Path) -> None:
    found = quality(effects(), small_truth(tmp_path))

    assert certificate.methods[0].examples.value_ppb == round(found.examples.value * 10**9)
    contributors = certificate.methods[0].contributors
    half = max(contributors.high_ppb - contributors.value_ppb, contributors.value_ppb - contributors.low_ppb)
    assert certificate.evaluations()[0] == ("attribution/lds-contributors", contributors.value_ppb, 40, half)
    assert certificate.evaluations()[1][:3] == (
        "attribution/lds-examples", certificate.methods[0].examples.value_ppb, 60,
    )  # fmt: skip


def _changed(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def damage(data: bytes) -> bytes:
        document = json.loads(data)
        change(document)
        return to_json(document)

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-5], "certificate: Input data was truncated"),
        (lambda data: b" " * (MAX_CERTIFICATE_BYTES + 1), "certificate: has 262145 bytes, more than 262144"),
        (lambda data: data + b" ", "certificate: is not in canonical form"),
        (lambda data: data.replace(b'"rows":24', b'"rows":NaN'), "certificate: JSON is malformed"),
        (lambda data: b"[" * 100_000, "certificate"),
        (_changed(lambda d: d.update(rows=0)), "certificate.rows: Expected `int` >= 1"),
        (_changed(lambda d: d.update(more=1)), "certificate: Object contains unknown field `more`"),
        (_changed(lambda d: d.update(seeds=[1])), "certificate.seeds: Expected `array` of length >= 2"),
        (_changed(lambda d: d.update(format="v2")), "certificate.format: Invalid enum value 'v2'"),
        (
            _changed(lambda d: d["methods"][0]["examples"].update(value_ppb=10**9 + 1)),
            r"certificate.methods\[0\].examples.value_ppb: Expected `int` <= 1000000000",
        ),
        (
            _changed(lambda d: d["methods"][1]["examples"].update(low_ppb=10**9)),
            r"certificate.methods\[1\].examples: the value is outside its own interval",
        ),
        (_changed(lambda d: d.update(truth_digest="00")), "certificate.truth_digest: Expected `str` matching"),
    ],
)
def test_a_damaged_certificate_is_refused_by_field(
    certificate: Certificate, damage: Callable[[bytes], bytes], message: str
) -> None:
    with pytest.raises(AttributionError, match=message):
        decode(damage(certificate.encode()))


def test_measurements_of_one_model_agree_and_others_do_not(certificate: Certificate, tmp_path: Path) -> None:
    scores = {"LGA-1": effects(), "guessing": np.random.default_rng(8).normal(size=effects().shape)}
    shaken = small_truth(tmp_path)
    moved = replace(shaken, example_losses=shaken.example_losses + 1e-6)
    nearly = certify("an additive task", AdditiveTask(), OWNERS, PROTOCOL, moved, scores)
    wrong = certify("an additive task", AdditiveTask(), OWNERS, PROTOCOL, moved, {"LGA-1": -effects()})

    assert nearly.truth_digest != certificate.truth_digest
    assert difference(certificate, nearly) is None
    assert difference(wrong, certificate) is not None
    assert "LGA-1, examples: -9" in str(difference(wrong, certificate))
    assert difference(certificate, wrong) == difference(certificate, msgspec.structs.replace(wrong))
    assert difference(certificate, msgspec.structs.replace(certificate, rows=25)) == "rows differs: 24 and 25"
    only = msgspec.structs.replace(certificate, methods=certificate.methods[:1])
    assert difference(certificate, only) == "guessing was measured only once"
