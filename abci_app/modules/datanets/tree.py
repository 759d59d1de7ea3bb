"""Running root of a DataNet's accepted list, so that making a version costs the same for a DataNet of any size.

    datanets/node/ | datanet | level U8 | index U32 -> TreeNode

The list has one slot for every number from 1 to `DatanetCounts.accepted`: a contribution's id, or nothing (an empty
item) once it was revoked. A version's root is the list root 'contributions' over these slots as they stand when it is
made. The tree is RFC 6962's. Its complete nodes above the leaves are kept as they fill up (node `index` of `level`
covers 2^level slots), so accepting writes one node on average, revoking rewrites one a level, and a root hashes one
node for each binary digit of the count. A reader who knows a version's contributions and their numbers recomputes its
root without the others (`version_root`).
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import lru_cache

from abci_app.errors import InvariantBroken
from abci_app.hashing import EMPTY_HASH, list_root_from, merkle_leaf, merkle_node
from abci_app.modules.datanets.records import ACCEPTED, NODES, TreeNode
from abci_app.state.store import StateView
from abci_app.state.table import MutableState

LIST_KIND = "contributions"
# Lengths of runs of empty slots come from the sizes of trees: few dozens for each list.
ABSENT_ROOTS_REMEMBERED = 1_024


def add_slot(state: MutableState, datanet_id: bytes, number: int, contribution_id: bytes) -> None:
    """Keep the nodes that slot `number`, the next one, completes."""
    node, index, level = merkle_leaf(contribution_id), number - 1, 0
    while index & 1:
        node = merkle_node(_node(state, datanet_id, level, index - 1), node)
        index, level = index >> 1, level + 1
        NODES.set(state, datanet_id, level, index, TreeNode(node))


def empty_slot(state: MutableState, datanet_id: bytes, number: int, accepted: int) -> None:
    """Take the contribution `number` out of the tree over `accepted` slots: its complete nodes change."""
    node, index, level = merkle_leaf(b""), number - 1, 0
    while (index >> 1 << level + 1) + (2 << level) <= accepted:
        sibling = _node(state, datanet_id, level, index ^ 1)
        node = merkle_node(sibling, node) if index & 1 else merkle_node(node, sibling)
        index, level = index >> 1, level + 1
        NODES.set(state, datanet_id, level, index, TreeNode(node))


def running_root(view: StateView, datanet_id: bytes, accepted: int) -> bytes:
    """List root over the slots as they stand."""
    root, end = b"", accepted
    for level in range(accepted.bit_length()):
        if accepted >> level & 1:
            node = _node(view, datanet_id, level, (end >> level) - 1)
            root = merkle_node(node, root) if root else node
            end -= 1 << level
    return list_root_from(LIST_KIND, accepted, root or EMPTY_HASH)


def complete_nodes(slots: Sequence[bytes]) -> dict[tuple[int, int], bytes]:
    """Every node that must be stored for these slots, by level and index."""
    nodes: dict[tuple[int, int], bytes] = {}
    below, level = [merkle_leaf(slot) for slot in slots], 0
    while len(below) > 1:
        level += 1
        below = [merkle_node(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)]
        nodes.update({(level, index): node for index, node in enumerate(below)})
    return nodes


def version_root(held: Mapping[int, bytes], accepted_through: int) -> bytes:
    """Root of a version from the contributions that it holds, by number, and how far its list reached.

    Takes time in what is held, not in `accepted_through`, which may come from somebody who lies.
    """
    numbers = sorted(held)
    if numbers and not 1 <= numbers[0] <= numbers[-1] <= accepted_through:
        raise ValueError(f"contributions {numbers[0]} to {numbers[-1]} of a list of {accepted_through}")

    def root_of(start: int, count: int) -> bytes:
        """Tree over the slots from `start` + 1 on."""
        first = bisect_left(numbers, start + 1)
        if first == len(numbers) or numbers[first] > start + count:
            return _absent_root(count)
        if count == 1:
            return merkle_leaf(held[start + 1])
        left = _left_size(count)
        return merkle_node(root_of(start, left), root_of(start + left, count - left))

    return list_root_from(LIST_KIND, accepted_through, root_of(0, accepted_through))


def _node(view: StateView, datanet_id: bytes, level: int, index: int) -> bytes:
    """A complete node; the leaves are the accepted list itself."""
    if level:
        node = NODES.get(view, datanet_id, level, index)
        if node is None:
            raise InvariantBroken(f"node {index} of level {level} of {datanet_id.hex()} is not stored")
        return node.node_hash
    accepted = ACCEPTED.get(view, datanet_id, index + 1)
    if accepted is None:
        raise InvariantBroken(f"accepted contribution {index + 1} of {datanet_id.hex()} is not listed")
    return merkle_leaf(b"" if accepted.absent_from_version else accepted.contribution_id)


@lru_cache(maxsize=ABSENT_ROOTS_REMEMBERED)
def _absent_root(count: int) -> bytes:
    """Tree over `count` empty slots."""
    if count < 2:
        return merkle_leaf(b"") if count else EMPTY_HASH
    left = _left_size(count)
    return merkle_node(_absent_root(left), _absent_root(count - left))


def _left_size(count: int) -> int:
    """Slots of the left half: the largest power of two below `count` >= 2."""
    return 1 << (count - 1).bit_length() - 1
