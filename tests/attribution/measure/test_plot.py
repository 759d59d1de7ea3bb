"""The chart is well-formed, shows every method, and its bars have the length of their numbers."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from attribution.measure.certificate import Certificate, certify
from attribution.measure.plot import BAR_PIXELS, chart
from tests.kit.attribution.small_truth import OWNERS, PROTOCOL, AdditiveTask, effects, small_truth

pytestmark = pytest.mark.ml

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    scores = {"true <&> effects": effects(), "opposite": -effects()}
    return certify("additive", AdditiveTask(), OWNERS, PROTOCOL, small_truth(tmp_path), scores)


def test_every_method_has_a_bar_of_its_length_for_both_kinds(certificate: Certificate) -> None:
    drawing = ET.fromstring(chart(certificate))

    texts = [element.text for element in drawing.iter(f"{SVG}text")]
    widths = [int(element.attrib["width"]) for element in drawing.iter(f"{SVG}rect")][1:]
    first = certificate.methods[0]
    expected = [round(BAR_PIXELS * found.value_ppb / 10**9) for found in (first.examples, first.contributors)]
    assert widths == [expected[0], 0, expected[1], 0]
    assert texts.count("true <&> effects") == texts.count("opposite") == 2
    assert f"{first.examples.value_ppb / 10**9:.3f}" in texts
