"""Licences as people write them: hub spellings, old identifiers, and the library against the chain's own grammar."""

import json
import random
from itertools import product
from typing import Any

import pytest

from abci_app.modules.licences.expression import ExpressionError, parse
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.licences.table import ROWS
from openledger.documents import message_from_document
from openledger.errors import UsageError
from openledger.licences import MAX_OPERATORS, complete_terms, normal_form
from openledger.licences_table import read_source


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("apache-2.0", "Apache-2.0"),
        ("cc-by-sa-4.0", "CC-BY-SA-4.0"),
        ("CC BY-SA 4.0", "CC-BY-SA-4.0"),
        ("cc-by-sa-3.0-de", "CC-BY-SA-3.0-DE"),
        ("llama3.1", "LicenseRef-llama-3.1"),
        ("openrail++", "LicenseRef-creativeml-openrail-plus-plus-m"),
        ("GPL-3.0", "GPL-3.0-only"),
        ("agpl-3.0", "AGPL-3.0-only"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("GPL-2.0-with-classpath-exception", "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("gpl-2.0 with classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("MIT/Apache-2.0", "Apache-2.0 OR MIT"),
        ("mit|isc", "ISC OR MIT"),
        ("(MIT)", "MIT"),
        ("((MIT))", "MIT"),
        ("mit AND (apache-2.0 OR gpl-2.0)", "Apache-2.0 AND MIT OR GPL-2.0-only AND MIT"),
        ("MIT OR (MIT AND ISC)", "MIT"),
        ("mpl-2.0+", "MPL-2.0+"),
        ("LicenseRef-Acme-1", "LicenseRef-acme-1"),
        ("other", "LicenseRef-other"),
        ("NOASSERTION", "LicenseRef-unknown"),
        ("", ""),
    ],
)
def test_what_people_write_is_put_into_normal_form(written: str, normal: str) -> None:
    assert normal_form(written) == normal
    assert normal_form(normal) == normal


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("gpl", "'gpl' is the name of several: write one of GPL-2.0-only, GPL-3.0-or-later"),
        ("cc-by", "is the name of several"),
        ("CC-BY-5.0", "is not one that this chain knows by name"),
        ("MIT OR", "is no licence expression"),
        ("(MIT", "is no licence expression"),
        ("MIT ISC", "is no licence expression"),
        ("MIT WITH ISC", "is not known to this chain"),
        ("GPL-2.0-only+", "is not one that this chain knows by name"),
        ("MIT, GPL-3.0", "a comma may mean AND or OR: write the one that holds"),
        ("MIT; rm", "write identifiers with AND, OR, WITH"),
        ("MIT OR Öl", "write identifiers with AND, OR, WITH"),
        (" OR ".join(["MIT"] * (MAX_OPERATORS + 2)), f"at most {MAX_OPERATORS} operators"),
        ("(" * 100 + "MIT" + ")" * 100, f"at most {MAX_OPERATORS} operators"),
        ("x" * 600, "write identifiers with AND, OR, WITH"),
        (
            " AND ".join([f"({a} OR {b})" for a, b in (("MIT", "ISC"), ("X11", "Zlib"), ("NCSA", "HPND"))]),
            "at most 128 fit",
        ),
        ("MIT OR ISC OR X11 OR Zlib OR NCSA", "at most 4"),
    ],
)
def test_what_cannot_be_put_into_normal_form_is_refused_with_what_to_do(written: str, said: str) -> None:
    with pytest.raises(UsageError, match="licence") as error:
        normal_form(written)
    assert said in str(error.value)


def test_every_spelling_of_the_source_leads_to_a_known_licence() -> None:
    assert [name for name in read_source()["spellings"] if normal_form(name) not in ROWS] == []
    assert [name for name in ROWS if normal_form(name.lower()) != name] == []


def _holds(tree: Any, held: frozenset[str]) -> bool:
    if isinstance(tree, str):
        return tree in held
    operator, left, right = tree
    answers = (_holds(left, held), _holds(right, held))
    return all(answers) if operator == "AND" else any(answers)


def _written(tree: Any) -> str:
    if isinstance(tree, str):
        return tree
    operator, left, right = tree
    return f"({_written(left)} {operator} {_written(right)})"


def test_thousands_of_expressions_mean_in_normal_form_what_they_meant_as_written() -> None:
    """The library parses what is written; the chain's own grammar reads the normal form; truth tables compare both."""
    rng, names, compared = random.Random(7), ("MIT", "ISC", "GPL-3.0-only", "LicenseRef-x", "MPL-2.0+"), 0
    for _ in range(2_500):
        trees: list[Any] = [rng.choice(names) for _ in range(rng.randint(1, 6))]
        while len(trees) > 1:
            left, right = trees.pop(rng.randrange(len(trees))), trees.pop(rng.randrange(len(trees)))
            trees.append((rng.choice(("AND", "OR")), left, right))
        try:
            alternatives = parse(normal_form(_written(trees[0])))
        except UsageError:
            continue
        for bits in product((False, True), repeat=len(names)):
            held = frozenset([name for name, bit in zip(names, bits, strict=True) if bit])
            assert _holds(trees[0], held) == any(set(each) <= held for each in alternatives)
        compared += 1
    assert compared > 2_000


def test_random_texts_are_either_refused_or_come_out_in_a_form_that_the_chain_takes() -> None:
    rng = random.Random(8)
    words = [
        "MIT",
        "mit",
        "GPL-2.0+",
        "OR",
        "AND",
        "WITH",
        "or",
        "(",
        ")",
        "LLVM-exception",
        "Apache-2.0",
        "LicenseRef-A",
        "+",
    ]
    taken = 0
    for _ in range(2_500):
        text = " ".join(rng.choices(words, k=rng.randint(1, 7)))
        try:
            normal = normal_form(text)
        except UsageError:
            with pytest.raises(ExpressionError):
                parse(text)
            continue
        assert normal_form(normal) == normal
        parse(normal)
        taken += 1
    assert taken > 100


def test_a_document_needs_only_the_licence_and_a_name() -> None:
    document = {"type": "licences.register_terms", "terms": {"name": "Wikipedia", "spdx": "cc-by-sa-4.0"}}
    message = message_from_document(json.loads(json.dumps(document)))
    assert isinstance(message, RegisterTerms)
    assert message == RegisterTerms(complete_terms(name="Wikipedia", spdx="CC-BY-SA-4.0"))
    assert (message.terms.share_alike, message.terms.use_class, message.terms.irrevocable) == (2, 1, 2)
