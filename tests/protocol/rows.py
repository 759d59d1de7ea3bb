"""A bundle that proves rows, checked with the verifier beside it, written from sections 6 and 8 of docs/protocol."""

import base64
import json

import msgpack  # type: ignore[import-untyped]

from tests.protocol.bundles import check_bundle, open_bundle
from tests.protocol.further import Further
from tests.protocol.verifier import (
    NOT_FOUND,
    TYPES,
    Document,
    number_of,
    require,
    sha,
    tagged,
    u32,
    unpack,
    uvarint,
)

MAX_FULL_PAGE, SALT_BYTES, HASH_BYTES = 512, 16, 32


class Rows(Further):
    """The query that says which contributions a version of a DataNet holds, in full."""

    known = (*Further.known, "/query/datanets/version_contributions")

    def version_contributions(self, asked: Document) -> list[object]:
        """Answer datanets/version_contributions."""
        datanet_id, name = self.datanet(asked["datanet_id"], asked["name"], 0)
        version = asked["version"] or self.find("datanets/counts", datanet_id)["versions"]
        require(version, NOT_FOUND)
        record = self.find("datanets/version", datanet_id, version)
        after, prefix = asked["after_number"], b"datanets/accepted/" + datanet_id
        last = min(after + min(asked["limit"], MAX_FULL_PAGE), record["accepted_through"])
        start, end = prefix + (u32(after) + b"\0" if after else b""), (number_of(prefix) + 1).to_bytes(len(prefix))
        found = self.rows(start, end, last - after) if after < last else []
        listed = [TYPES.read("[Accepted]", unpack(value)) for _, value in found]
        since, until = "present_from_version", "absent_from_version"
        held = [one for one in listed if one[since] <= version and not 0 < one[until] <= version]
        contributions = [self.contribution(one["contribution_id"]) for one in held]
        return [datanet_id, name, version, record, contributions, last if last < record["accepted_through"] else 0]

    def contribution(self, contribution_id: bytes) -> list[object]:
        """Read a contribution, whose record hashes to its id."""
        stored = self.find("datanets/contribution", contribution_id)
        raw = unpack(self.get(b"datanets/contribution/" + contribution_id) or b"")
        require(tagged("contribution-id", msgpack.packb(raw[1])) == contribution_id, "a contribution of another id")
        return [contribution_id, stored]


def root_of(proof: bytes) -> tuple[bytes, int, bytes, int]:
    """Lead a row up: the root of its contribution, the count of rows there, the row, and its place from 0."""
    fields = unpack(proof)
    require(type(fields) is list, "no proof of a row")
    require([type(one) for one in fields] == [int, int, int, bytes, bytes, list], "no proof of a row")
    version, at, count, salt, row, hashes = fields
    index, width, left = at, count, list(hashes)
    require(version == 1 and 0 <= at < count < 1 << 32 and len(salt) == SALT_BYTES, "no proof of a row")
    require(all(type(one) is bytes and len(one) == HASH_BYTES for one in left), "hashes of something else")
    node = sha(b"\0" + tagged("row", salt + row))
    while width > 1:
        if at ^ 1 < width:
            require(left, "too few hashes")
            sibling = left.pop(0)
            node = sha(b"\1" + (sibling + node if at & 1 else node + sibling))
        at, width = at >> 1, width + 1 >> 1
    require(not left, "more hashes than it needs")
    return tagged("list/rows", uvarint(count) + node), count, row, index


def check_row_bundle(data: bytes, genesis: bytes) -> list[Document]:
    """Say which rows a bundle proves, each with the version, the contribution and the contributor."""
    result = check_bundle(data, genesis, Rows)["result"]
    require(result is not None, "a denial, which proves no row")
    _, name, version, _, contributions, _ = result
    proven = []
    for attachment in open_bundle(data)["attachments"]:
        require(attachment["kind"] == "row", "an attachment of another kind")
        root, count, row, index = root_of(base64.b64decode(attachment["data"], validate=True))
        held = [one for _, one in contributions]
        held = [one for one in held if root == one["contribution"]["rows_root"]]
        require(held and held[0]["contribution"]["row_count"] == count, "a row of no contribution in the version")
        proven.append(
            {
                "row": json.loads(row),
                "place": index + 1,
                "submission": f"{name}#{held[0]['submitted_number']}",
                "version": f"{name}@{version}",
                "contributor": held[0]["contribution"]["contributor"].hex(),
            }
        )
    return proven
