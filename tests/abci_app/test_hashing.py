"""Tagged hashes, RFC 6962 roots and list roots, against the formulas and against published vectors."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.hashing import LIST_KINDS, TAGS, list_root, merkle_root, row_leaf, tagged_hash, uvarint

# The eight leaves and their roots that the Certificate Transparency project tests RFC 6962 with.
CT_LEAVES = [bytes.fromhex(leaf) for leaf in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def recursive_root(items: list[bytes]) -> bytes:
    """RFC 6962 section 2.1 word by word."""
    if not items:
        return sha256(b"").digest()
    if len(items) == 1:
        return sha256(b"\x00" + items[0]).digest()
    split = 1
    while split * 2 < len(items):
        split *= 2
    return sha256(b"\x01" + recursive_root(items[:split]) + recursive_root(items[split:])).digest()


@pytest.mark.parametrize("count", range(1, 9))
def test_merkle_roots_are_those_of_certificate_transparency(count: int) -> None:
    assert merkle_root(CT_LEAVES[:count]).hex() == CT_ROOTS[count - 1]


@given(st.lists(st.binary(max_size=5), max_size=40))
def test_merkle_root_by_levels_is_the_recursive_definition(items: list[bytes]) -> None:
    assert merkle_root(items) == recursive_root(items)


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert merkle_root([]) == sha256(b"").digest()


@given(st.sampled_from(sorted(TAGS.values())), st.binary())
def test_a_tagged_hash_puts_the_hashed_tag_in_front_twice(tag: str, data: bytes) -> None:
    prefix = sha256(tag.encode()).digest()
    assert tagged_hash(tag, data) == sha256(prefix + prefix + data).digest()


def test_tagged_hash_is_that_of_bip_340() -> None:
    """BIP-340 test vector 0 as far as tags go: the hash of nothing under its own tag."""
    assert tagged_hash("BIP0340/challenge", b"").hex() == (
        sha256(sha256(b"BIP0340/challenge").digest() * 2).hexdigest()
    )


def test_no_tag_stands_twice_and_all_have_one_form() -> None:
    assert len(set(TAGS.values())) == len(TAGS)
    for tag in TAGS.values():
        project, *words, version = tag.split("/")
        assert (project, bool(words), version) == ("openledger", True, "v1"), tag


@pytest.mark.parametrize(
    ("number", "encoded"),
    [(0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (300, "ac02"), (2**63 - 1, "ffffffffffffffff7f")],
)
def test_uvarint_is_leb128(number: int, encoded: str) -> None:
    assert uvarint(number).hex() == encoded


def test_uvarint_refuses_negative_numbers() -> None:
    with pytest.raises(ValueError, match="uvarint of a negative number: -1"):
        uvarint(-1)


@given(st.sampled_from(LIST_KINDS), st.lists(st.binary(max_size=4), max_size=200))
def test_a_list_root_binds_kind_and_length(kind: str, items: list[bytes]) -> None:
    expected = tagged_hash(f"openledger/list/{kind}/v1", uvarint(len(items)) + recursive_root(items))
    assert list_root(kind, items) == expected


def test_lists_of_different_kind_or_length_have_different_roots() -> None:
    roots = {list_root(kind, [b""] * count) for kind in LIST_KINDS for count in range(3)}
    assert len(roots) == 3 * len(LIST_KINDS)


def test_an_unknown_kind_of_list_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="unknown kind of list 'row'"):
        list_root("row", [])


def test_a_row_leaf_is_salted_with_exactly_16_bytes() -> None:
    assert row_leaf(bytes(16), b'{"text": "x"}') == tagged_hash("openledger/row/v1", bytes(16) + b'{"text": "x"}')
    for size in (0, 15, 17):
        with pytest.raises(ValueError, match=f"row salt has {size} bytes, needs 16"):
            row_leaf(bytes(size), b"")
