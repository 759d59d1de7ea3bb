"""Reading the paged tree: single leaves, walks that touch only what they need, paths and shown parts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from abci_app.state.tree.pages import Page, inner_hash, leaf_hash
from abci_app.state.tree.read import Shown, find, path, show, walk
from abci_app.state.tree.trie import EMPTY_ROOT
from tests.kit.state import trees


def tree_of(state: dict[bytes, bytes]) -> trees.PagedTree:
    tree = trees.PagedTree()
    tree.apply(dict(state))
    return tree


def leaves_of(state: dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return [(key, leaf_hash(key, value)) for key, value in sorted(state.items())]


@given(trees.states, trees.keys)
def test_a_leaf_is_found_where_there_is_one(state: dict[bytes, bytes], other: bytes) -> None:
    tree = tree_of(state)
    expected = dict(leaves_of(state))
    for key in [*state, other]:
        assert find(tree.read, tree.root, key) == expected.get(key)


@given(trees.states, trees.ranges)
def test_a_walk_gives_the_leaves_of_its_range_in_order(state: dict[bytes, bytes], bounds: tuple[bytes, bytes]) -> None:
    tree = tree_of(state)
    start, end = bounds
    inside = [row for row in leaves_of(state) if start <= row[0] < end]
    from_start = [row for row in leaves_of(state) if start <= row[0]]
    assert list(walk(tree.read, tree.root, start, end)) == inside
    assert list(walk(tree.read, tree.root, start, end, reverse=True)) == inside[::-1]
    assert list(walk(tree.read, tree.root, start, None)) == from_start
    assert list(walk(tree.read, tree.root, start, None, reverse=True)) == from_start[::-1]


@given(trees.states)
def test_a_path_folds_to_the_root(state: dict[bytes, bytes]) -> None:
    tree = tree_of(state)
    for key, leaf in leaves_of(state):
        found = path(tree.read, tree.root, key)
        assert found is not None
        node, siblings = found
        assert node == leaf
        for sibling, is_left in siblings:
            node = inner_hash(sibling, node) if is_left else inner_hash(node, sibling)
        assert node == tree.root.hash
    assert path(tree.read, tree.root, b"nothing here") is None


def hash_of(node: Shown) -> bytes:
    if isinstance(node, tuple):
        return inner_hash(hash_of(node[0]), hash_of(node[1]))
    return node if isinstance(node, bytes) else node[1]


def shown_leaves(node: Shown) -> list[tuple[bytes, bytes]]:
    if isinstance(node, tuple):
        return shown_leaves(node[0]) + shown_leaves(node[1])
    return [] if isinstance(node, bytes) else [(node[0], node[1])]


@given(trees.states.filter(bool), st.data())
def test_what_is_shown_are_the_leaves_asked_for_and_nothing_hidden_twice(
    state: dict[bytes, bytes], data: st.DataObject
) -> None:
    tree = tree_of(state)
    names = sorted(state)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(names) - 1), max_size=6)))
    pairs = list(zip(cuts[::2], cuts[1::2], strict=False))
    shown = show(tree.read, tree.root, [(names[low], names[high]) for low, high in pairs])
    assert shown is not None
    assert hash_of(shown) == tree.root.hash
    asked = [names[i] for low, high in pairs for i in range(low, high + 1)]
    assert shown_leaves(shown) == [row for row in leaves_of(state) if row[0] in asked]
    todo = [shown]
    while todo:
        node = todo.pop()
        if isinstance(node, tuple):
            assert not (isinstance(node[0], bytes) and isinstance(node[1], bytes))
            todo += node


def test_an_empty_tree_shows_nothing() -> None:
    def read(number: int) -> Page:
        raise AssertionError(f"page {number} was read")

    assert find(read, EMPTY_ROOT, b"k") is None
    assert list(walk(read, EMPTY_ROOT, b"", None)) == []
    assert show(read, EMPTY_ROOT, []) is None
    assert path(read, EMPTY_ROOT, b"k") is None


def test_a_walk_that_stops_early_reads_few_pages() -> None:
    tree = tree_of({b"key/%05d" % number: b"1" for number in range(5_000)})
    numbers: list[int] = []

    def read(number: int) -> Page:
        numbers.append(number)
        return tree.read(number)

    assert next(walk(read, tree.root, b"key/02500", None)) == (b"key/02500", leaf_hash(b"key/02500", b"1"))
    assert next(walk(read, tree.root, b"", b"key/02500", reverse=True))[0] == b"key/02499"
    assert len(numbers) <= 16
