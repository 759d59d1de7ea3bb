"""Addresses of nodes: one spelling for each."""

import pytest

from openledger.light.addresses import canonical_address, same_address


@pytest.mark.parametrize(
    "spelling",
    [
        "http://127.0.0.1:26657", "127.0.0.1:26657", "tcp://127.0.0.1:26657", "HTTP://127.0.0.1:26657/", "127.1:26657",
        "http://localhost:26657", "http://LOCALHOST.:26657//", "0x7f000001:26657", "2130706433:26657",
        "http://[::1]:26657", "http://[::ffff:127.0.0.1]:26657", "0177.0.0.1:26657", "http://0.0.0.0:26657",
        "http://user:word@127.0.0.1:26657", "  http://127.0.0.1:26657 ", "http://a.localhost:26657?x=1#y",
    ],
)  # fmt: skip
def test_every_spelling_of_this_machine_is_one(spelling: str) -> None:
    assert canonical_address(spelling) == "http://loopback:26657"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://node.example", "HTTP://Node.Example.:80/"),
        ("https://node.example", "https://node.example:443"),
        ("http://bücher.example:1", "http://xn--bcher-kva.example:1"),
        ("http://[2001:db8::1]:5", "http://[2001:0DB8:0:0:0:0:0:1]:5"),
        ("http://10.0.0.1:5", "http://[::ffff:10.0.0.1]:5"),
    ],
)
def test_two_spellings_of_one_address(one: str, other: str) -> None:
    assert same_address(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://127.0.0.1:26657", "http://127.0.0.1:26667"),
        ("http://a.example", "http://b.example"),
        ("http://127.0.0.1:5", "http://127.0.0.2:5"),
        ("http://a.example/rpc", "http://a.example/other"),
        ("http://10.0.0.1:5", "http://10.0.0.2:5"),
        ("http://256.1:5", "http://127.0.0.1:5"),
        ("http://08:5", "http://0.0.0.8:5"),
        ("primary", "witness"),
    ],
)
def test_two_addresses(one: str, other: str) -> None:
    assert not same_address(one, other)


def test_text_that_is_no_address_stays_itself() -> None:
    for text in ("http://[::1", "http://x:99999", "ftp://x", ""):
        assert canonical_address(text) == text
