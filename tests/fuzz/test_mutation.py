"""Damaged trees are always MessagePack, with any numbers that the damage made."""

from tests.fuzz.mutation import pack, unpack


def test_integers_beyond_64_bits_are_cut_wherever_they_stand() -> None:
    big = 2**70
    tree = {"a": [big, {"b": -big}], "c": (big, 2)}
    assert unpack(pack(tree)) == {"a": [2**64 - 1, {"b": -(2**63)}], "c": [2**64 - 1, 2]}
