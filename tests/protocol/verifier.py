"""A verifier of answers, written from docs/protocol and the vectors alone; it imports nothing of this project.

It knows the questions models/lineage, models/impact, models/clean and bank/account. Records are decoded by the tables
of docs/protocol/reference.md, read as they stand there.
"""

import base64
import bisect
import hashlib
import json
import re
import time
import urllib.request
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgpack
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

RULES_VERSION, BAD_QUERY, NOT_FOUND, MAX_PAGE, PAGE_BYTES, EVENTS_SHOWN, IMPORT = 2, 21, 22, 4096, 2 << 20, 32, 9
CLOCK_DRIFT_S, TRUSTING_PERIOD_S, SIGNED_THE_BLOCK = 10, 36 * 3600, 2
Document = dict[str, Any]
Validators = dict[bytes, int]  # public key -> power, in CometBFT's order
pack = msgpack.packb
u32, u64 = (partial(int.to_bytes, length=length, byteorder="big") for length in (4, 8))


class Refused(Exception):
    """A proof, header or answer does not hold."""


class Denied(Exception):
    """The proven state refuses the question; its argument is the code."""


def require(holds: object, why: str | int) -> None:
    if not holds:
        raise Refused(why) if isinstance(why, str) else Denied(why)


# --- Encoding (sections 1 and 2)


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def tagged(tag: str, data: bytes) -> bytes:
    return sha(sha(f"openledger/{tag}/v1".encode()) * 2 + data)


def uvarint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + uvarint(number >> 7)


def after_all(prefix: bytes) -> bytes:
    return (int.from_bytes(prefix, "big") + 1).to_bytes(len(prefix), "big")


def unpack(data: bytes) -> Any:
    """Decode canonical MessagePack and nothing else."""
    try:
        value = msgpack.unpackb(data)
        require(pack(value) == data, "not the canonical encoding")
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError, OverflowError) as error:
        raise Refused(f"no MessagePack: {error}") from error
    waiting = [value]
    for item in waiting:
        require(type(item) in (int, bytes, list, str), "a type that the encoding does not have")
        require(type(item) is not str or re.fullmatch("[ -~]*", item), "text that is not printable ASCII")
        waiting += item if type(item) is list else []
    return value


class Types:
    """Records and arguments as reference.md has them: name -> fields with their types in words."""

    def __init__(self, text: str) -> None:
        self.fields: dict[str, list[tuple[str, str]]] = {}
        name = ""
        for line in text.splitlines():
            name = line[4:].strip("`") if line.startswith("### ") else name
            if name and (row := re.fullmatch(r"\| \d+ \|(.*?)\| (.*) \|", line)):
                self.fields.setdefault(name, []).append((row[1].strip(" `"), row[2]))

    def record(self, name: str, value: Any) -> Document:
        fields = self.fields[name]
        require(type(value) is list and len(value) == len(fields), f"no {name}")
        read = [(field, self.read(kind, item)) for (field, kind), item in zip(fields, value, strict=True)]
        return {field: item for field, item in read if field}

    def read(self, kind: str, value: Any) -> Any:
        """Decode one value of a type in words."""
        if kind.startswith("["):
            return self.record(kind[1 : kind.index("]")], value)
        base, inner = kind.partition("[")[::2] if kind.startswith("list") else (kind.partition(" matching")[0], "")
        require(type(value) is {"int": int, "bin": bytes, "str": str, "lis": list}[base[:3]], f"no {kind}")
        number = value if isinstance(value, int) else len(value)
        bounds = [eval(text.replace("^", "**")) for text in re.findall(r"-?\(?2\^\d+ - 1\)?|\d+", base.split(":")[0])]  # noqa: S307
        least, most = bounds[::-1] if "at least" in base else bounds if " to " in base else (0, *bounds)
        exact = bounds and len(bounds) == 1 and "at most" not in base
        require(number == most if exact else least <= number <= most, f"{number} is not within {base}")
        pattern = re.search(" matching `(.*)`", kind) if isinstance(value, str) else None
        require(pattern is None or re.fullmatch(pattern[1], value), f"no {kind}")
        return [self.read(inner[:-1], item) for item in value] if isinstance(value, list) else value

    def show(self, kind: str, value: Any) -> Any:
        """Write a value as answers show it: words for numbers, bytes in hexadecimal."""
        if kind.startswith("list"):
            return [self.show(kind[kind.index("[") + 1 : -1], item) for item in value]
        if kind.startswith("["):
            fields = [item for item in self.fields[kind[1 : kind.index("]")]] if item[0]]
            values = value.values() if isinstance(value, dict) else value
            return {name: self.show(inner, item) for (name, inner), item in zip(fields, values, strict=True)}
        if kind.startswith("integer") and ":" in kind:
            return dict(pair.split(" ", 1) for pair in kind.split(": ")[1].split(", "))[str(value)]
        return bool(value) if kind == "integer 0 to 1" else value.hex() if isinstance(value, bytes) else value


TYPES = Types((Path(__file__).parents[2] / "docs/protocol/reference.md").read_text())

# --- The tree (section 3)


class State:
    """Proven state: every read is proven or refused, and remembered."""

    def __init__(self, proof: bytes, height: int, app_hash: bytes) -> None:
        fields = unpack(proof)
        require(type(fields) is list and [type(f) for f in fields] == [int, int, list, bytes, bytes, list], "no proof")
        version, proven, pairs, tokens, hashes, ranges = fields
        require(version == 1 and proven == height, "a proof of another version or height")
        require(all(type(item) is bytes for item in pairs + ranges), "keys that are not bytes")
        require(len(pairs) % 2 == len(ranges) % 2 == len(hashes) % 32 == 0, "a list that ends in the middle")
        self.keys, self.values = pairs[::2], pairs[1::2]
        self.ranges = list(zip(ranges[::2], ranges[1::2], strict=True))
        require(all(one < other for one, other in pairwise(self.keys)), "keys that do not increase")
        require(all(start < end for start, end in self.ranges), "an empty range")
        require(all(one[1] < other[0] for one, other in pairwise(self.ranges)), "ranges that touch or fall")
        self.gaps: set[int] = set()  # places of leaves before which something is hidden
        root = self.rebuild(tokens, [hashes[at : at + 32] for at in range(0, len(hashes), 32)])
        require(sha(b"\0\x0aopenledger\x20" + sha(root)) == app_hash, "a proof for another app hash")
        self.shown = {key for start, end in self.ranges for key in self.neighbours(start, end)}
        self.claims: list[tuple[bytes, bytes]] = []

    def rebuild(self, tokens: bytes, hashes: list[bytes]) -> bytes:
        """Compute the root; `nodes` has the parts of every node that is open, each with whether it is hidden."""
        nodes: list[list[tuple[bytes, bool]]] = [[]]
        leaf = hidden = 0
        for at, token in enumerate(tokens):
            require(at == 0 or len(nodes) > 1, "tokens beyond the tree")
            if token == 1:
                nodes.append([])
                continue
            require(leaf < len(self.keys) if token == 0 else token == 2 and hidden < len(hashes), "a token for nothing")
            if token == 0:
                key, value = self.keys[leaf], self.values[leaf]
                nodes[-1].append((sha(b"\0" + uvarint(len(key)) + key + b"\x20" + sha(value)), False))
                leaf += 1
            else:
                nodes[-1].append((hashes[hidden], True))
                hidden += 1
                self.gaps.add(leaf)
            while len(nodes) > 1 and len(nodes[-1]) == 2:
                (left, left_hidden), (right, right_hidden) = nodes.pop()
                require(not (left_hidden and right_hidden), "two hidden parts below one node")
                nodes[-1].append((sha(b"\1" + left + right), False))
        require(len(nodes) == 1 and len(nodes[0]) == (1 if tokens else 0), "a tree that is not whole")
        require(leaf == len(self.keys) and hidden == len(hashes), "keys or hashes left over")
        return nodes[0][0][0] if tokens else sha(b"")

    def neighbours(self, start: bytes, end: bytes) -> list[bytes]:
        """Refuse a range in which something is hidden; give its keys with the ones beside it."""
        first, last = bisect.bisect_left(self.keys, start), bisect.bisect_left(self.keys, end)
        require(not self.gaps & set(range(first, last + 1)), "something hidden in a range")
        return self.keys[max(first - 1, 0) : last + 1]

    def get(self, key: bytes) -> bytes | None:
        """Read one key: its value, or proven absent."""
        place = bisect.bisect_left(self.keys, key)
        if self.keys[place : place + 1] == [key]:
            self.shown.add(key)
            return bytes(self.values[place])
        self.rows(key, key + b"\0")
        return None

    def rows(self, start: bytes, end: bytes = b"", limit: int = 0, backwards: bool = False) -> list[Any]:
        """Read a range (without an end: all keys that begin so), or its first or last rows, as (key, value)."""
        end = end or after_all(start)
        first, last = bisect.bisect_left(self.keys, start), bisect.bisect_left(self.keys, end)
        found = list(zip(self.keys[first:last], self.values[first:last], strict=True))[:: -1 if backwards else 1]
        if limit and len(found) >= limit:
            found = found[:limit]
            start, end = (found[-1][0], end) if backwards else (start, found[-1][0] + b"\0")
        require(any(low <= start and end <= high for low, high in self.ranges), "a read that is not proven")
        self.claims.append((start, end))
        return found

    def finish(self) -> None:
        """Refuse a proof that claims or shows more than was read."""
        merged: list[tuple[bytes, bytes]] = []
        for start, end in sorted(self.claims):
            joined = bool(merged) and start <= merged[-1][1]
            low, high = merged.pop() if joined else (start, end)
            merged.append((low, max(end, high)))
        require(merged == self.ranges, "a proof that claims other ranges than the question reads")
        require(self.shown.issuperset(self.keys), "a proof that shows what nobody asked for")

    def find(self, kind: str, table: str, *parts: bytes, needed: bool = True) -> Document:
        """Read a record of a table; without it there is no such thing, unless it is not needed."""
        value = self.get(f"{table}/".encode() + b"".join(parts))
        require(value is not None or not needed, NOT_FOUND)
        return {} if value is None else TYPES.record(kind, unpack(value))


# --- The queries (section 6)


def named(state: State, table: str, name: str) -> bytes:
    return bytes(state.find("NameOwner", f"{table}/name", tagged("key", name.encode()))["object_id"])


def model_entry(state: State, name: str, version: int) -> bytes:
    model_id = named(state, "models", name)
    latest = state.find("Model", "models/model", model_id)["version_count"]
    version = version or latest
    require(version, NOT_FOUND)
    number = state.find("ModelVersion", "models/version", model_id, u32(version))["entry_number"]
    return bytes(state.find("EntryReference", "models/number", u64(number))["entry_id"])


def find_entry(state: State, asked: Document) -> bytes:
    entry_id, name, version = asked["entry_id"], asked["model_name"], asked["model_version"]
    require(not (bool(entry_id) == bool(name) or len(entry_id) not in (0, 32) or (entry_id and version)), BAD_QUERY)
    return entry_id or model_entry(state, name, version)


def find_datanet(state: State, datanet_id: bytes, name: str, version: int) -> tuple[bytes, str]:
    """Look up a DataNet; it must exist, and its version too where one is named."""
    require(not (bool(datanet_id) == bool(name) or len(datanet_id) not in (0, 32)), BAD_QUERY)
    datanet_id = datanet_id or named(state, "datanets", name)
    datanet = state.find("Datanet", "datanets/datanet", datanet_id)
    state.find("DatanetCounts", "datanets/counts", datanet_id)
    if version:
        state.find("DatanetVersion", "datanets/version", datanet_id, u32(version))
    return datanet_id, str(datanet["name"])


def content(state: State, kind: str, table: str, tag: str, ids: Iterable[bytes]) -> list[Any]:
    """Read records that are named by their hash."""
    found = [(one, state.get(f"licences/{table}/".encode() + one) or b"") for one in sorted(ids)]
    require(all(tagged(tag, value) == one for one, value in found), f"{kind} that do not hash to their id")
    return [[one, TYPES.record(kind, unpack(value))] for one, value in found]


def entry_of(state: State, entry_id: bytes) -> tuple[Document, int]:
    """Read an entry, and how many bytes it has."""
    stored, value = state.find("StoredEntry", "models/entry", entry_id), state.get(b"models/entry/" + entry_id) or b""
    require(tagged("entry", pack(unpack(value)[1])) == entry_id, "an entry that does not hash to its id")
    return stored, len(value)


def walk(state: State, start: Iterable[bytes], limit: int, limit_bytes: int) -> tuple[list[Any], list[bytes]]:
    """List entries by falling number, each after its parents were read; and those that were read and not listed."""
    seen: dict[bytes, tuple[Document, int]] = {}
    waiting: list[tuple[int, bytes]] = []
    listed: list[tuple[bytes, Document]] = []
    while True:
        for entry_id in start:
            if entry_id not in seen:
                seen[entry_id] = entry_of(state, entry_id)
                bisect.insort(waiting, (-seen[entry_id][0]["admission"]["number"], entry_id))
        if not waiting or len(listed) >= limit or limit_bytes <= 0:
            return listed, [entry_id for _, entry_id in waiting]
        entry_id = waiting.pop(0)[1]
        listed.append((entry_id, seen[entry_id][0]))
        limit_bytes -= seen[entry_id][1]
        start = [parent["entry_id"] for parent in seen[entry_id][0]["entry"]["parents"]]


def lineage(state: State, asked: Document) -> list[Any]:
    require(not (asked["frontier"] and (asked["entry_id"] or asked["model_name"])), BAD_QUERY)
    root = b"" if asked["frontier"] else find_entry(state, asked)
    entries, frontier = walk(state, asked["frontier"] or [root], asked["limit"], PAGE_BYTES)
    require(not (len(frontier) > MAX_PAGE), BAD_QUERY)
    used = {(item["datanet_id"], item["version"]) for _, one in entries for item in one["entry"]["inputs"]}
    datanets = [lineage_datanet(state, *item, asked["contributions_each"]) for item in sorted(used)]
    model_ids = sorted({one["model_id"] for _, one in entries} - {b""})
    models = [[one, state.find("Model", "models/model", one)["name"]] for one in model_ids]
    first = [entries[0][1]["admission"]] if root else []
    joined_ids = {one["joined_terms_id"] for one in [*first, *[datanet[3] for datanet in datanets]]}
    joined = content(state, "JoinedTerms", "joined", "joined-terms-id", joined_ids)
    terms_ids = {source["terms_id"] for _, one in joined for source in one["sources"]}
    terms_ids |= {one["entry"]["terms_id"] for _, one in entries} - {b""}
    terms = content(state, "Terms", "terms", "terms-id", terms_ids)
    events = [
        [
            TYPES.record(kind, unpack(value))
            for one in first
            for _, value in state.rows(table + u64(one["number"]), limit=EVENTS_SHOWN, backwards=True)
        ]
        for kind, table in (("Evaluation", b"models/evaluation/"), ("Reproduction", b"models/reproduction/"))
    ]
    return [root, entries, datanets, models, joined, terms, *events, frontier]


def lineage_datanet(state: State, datanet_id: bytes, version: int, each: int) -> list[Any]:
    datanet = state.find("Datanet", "datanets/datanet", datanet_id)
    record = state.find("DatanetVersion", "datanets/version", datanet_id, u32(version))
    usable_from = state.find("DatanetCounts", "datanets/counts", datanet_id)["usable_from_version"]
    last = min(each, record["accepted_through"])
    rows = state.rows(b"datanets/accepted/" + datanet_id, limit=last) if last else []
    found = [(int.from_bytes(key[-4:]), TYPES.record("Accepted", unpack(value))) for key, value in rows]
    held = [
        (number, one)
        for number, one in found
        if one["present_from_version"] <= version and not 0 < one["absent_from_version"] <= version
    ]
    onward = last if 0 < last < record["accepted_through"] else 0
    return [datanet_id, version, datanet["name"], record, int(0 < usable_from <= version), held, onward]


def impact(state: State, asked: Document) -> list[Any]:
    version, after, direct_only = asked["version"], asked["after_number"], asked["direct_only"]
    datanet_id, name = find_datanet(state, asked["datanet_id"], asked["name"], version)
    require(not (any(not 0 < number <= after or direct_only for number in asked["frontier"])), BAD_QUERY)
    index = b"models/by-input/" + datanet_id
    numbers = [] if version else [int.from_bytes(key[-8:]) for key, _ in state.rows(index)]

    def first_above(prefix: bytes, above: int) -> int:
        rows = state.rows(prefix + u64(above) + b"\0", after_all(prefix), 1)
        return int.from_bytes(rows[0][0][-8:]) if rows else 0

    def next_direct(above: int) -> int:
        later = min((number for number in numbers if number > above), default=0)
        return first_above(index + u32(version), above) if version else later

    def next_child(parent: int, above: int) -> int:
        return 0 if direct_only else first_above(b"models/by-parent/" + u64(parent), above)

    direct, entries = next_direct(after), []
    children = {parent: next_child(parent, after) for parent in asked["frontier"]}
    while len(entries) < asked["limit"] and (due := [number for number in (direct, *children.values()) if number]):
        after, trained = min(due), min(due) == direct
        direct = next_direct(after) if trained else direct
        changed = [after, *[parent for parent, child in children.items() if child == after]]
        children |= {parent: next_child(parent, after) for parent in changed}
        entry_id = state.find("EntryReference", "models/number", u64(after))["entry_id"]
        stored = entry_of(state, entry_id)[0]
        model_id, entry, admission = stored["model_id"], stored["entry"], stored["admission"]
        model = state.find("Model", "models/model", model_id)["name"] if model_id else ""
        facts = [entry["kind"], entry["undeclared"], admission["recorder"], admission["height"]]
        model_facts = [model_id, model, stored["model_version"], stored["superseded_by_entry_id"]]
        entries.append([after, entry_id, int(trained), *facts, *model_facts])
    frontier = sorted(parent for parent, child in children.items() if child)
    require(not (len(frontier) > MAX_PAGE), BAD_QUERY)
    undeclared = state.find("Counters", "models/counters", b"value", needed=False).get("undeclared", 0)
    return [datanet_id, name, version, entries, after, frontier, int(bool(frontier or direct)), undeclared]


def clean(state: State, asked: Document) -> list[Any]:
    entry_id, wanted = find_entry(state, asked), asked["datanet_version"]
    datanet_id, name = find_datanet(state, asked["datanet_id"], asked["datanet_name"], wanted)
    entries = walk(state, [entry_id], 1 << 62, 1 << 62)[0]
    uses = [(one, item) for one, stored in entries for item in stored["entry"]["inputs"]]
    uses = [(one, item) for one, item in uses if item["datanet_id"] == datanet_id and wanted in (0, item["version"])]
    found = [[one, item["version"], item["weight_ppb"]] for one, item in uses]
    facts = [[one, stored["entry"]["kind"], stored["entry"]["undeclared"]] for one, stored in entries]
    unknown = [fact for fact in facts if fact[1] == IMPORT or fact[2]]
    return [entry_id, datanet_id, name, 1 if found else 3 if unknown else 2, found, unknown, len(entries)]


def account(state: State, asked: Document) -> list[Any]:
    found = state.find("Account", "account", tagged("key", asked["address"]), needed=False)
    return [asked["address"], int(bool(found)), *(found.values() or (0, 0, b""))]


QUERIES: dict[str, tuple[Callable[[State, Document], list[Any]], str]] = {
    "models/lineage": (lineage, "[LineagePage]"),
    "models/impact": (impact, "[ImpactPage]"),
    "models/clean": (clean, "[CleanView]"),
    "bank/account": (account, "[AccountView]"),
}


def put_names(state: State, data: bytes, meant: list[Document]) -> Any:
    """Put ids in the place of names (section 4)."""
    fields = unpack(data)
    require(type(fields) is list and [type(one) for one in fields] == [bytes, list], "no question with names")
    arguments, names = unpack(fields[0]), fields[1]
    require(names and all(one < other for one, other in pairwise(names)), "names not sorted or not unique")
    require(all(tagged("name", pack(name)) in arguments for name in names), "a name that is not needed")
    for kind, name in names:
        if kind == "olrun":
            parts = re.fullmatch(r"(.+?)(?:@([1-9][0-9]{0,8}))?", name)
            require(not (parts is None), BAD_QUERY)
            found = model_entry(state, parts[1], int(parts[2] or 0)) if parts else b""
        else:
            found = named(state, {"oldata": "datanets", "olmodel": "models"}[kind], name)
        arguments = [found if item == tagged("name", pack([kind, name])) else item for item in arguments]
        meant.append({"kind": kind, "name": name, "id": found.hex()})
    return arguments


def verify(path: str, data: bytes, proof: bytes, height: int, app_hash: bytes) -> Document:
    """Answer a question from its proof: a `result` or the code of a denial, and what the `names` of it stand for."""
    state = State(proof, height, app_hash)
    require(state.find("AppVersion", "chain/version", b"value")["current"] == RULES_VERSION, "rules unknown here")
    door, query = path[1:].split("/", 1)
    require(door in ("query", "named") and query in QUERIES, "a question that is not known here")
    answer: Document = {"names": [], "result": None, "denied": 0}
    try:
        arguments = put_names(state, data, answer["names"]) if door == "named" else unpack(data)
        run, kind = QUERIES[query]
        answer["result"] = TYPES.show(kind, run(state, TYPES.record(f"/query/{query}", arguments)))
    except Denied as denied:
        answer["denied"] = denied.args[0]
    state.finish()
    return answer


# --- The header (section 5), in CometBFT's own encoding


def field(number: int, value: int | bytes, always: bool = False) -> bytes:
    """Write a protobuf field; zero and nothing are left out unless it is a message."""
    start = uvarint(number << 3 | (0 if isinstance(value, int) else 2))
    end = uvarint(value) if isinstance(value, int) else uvarint(len(value)) + value
    return start + end if value or always else b""


def merkle(items: list[bytes]) -> bytes:
    half = 1 << max(len(items) - 1, 1).bit_length() - 1
    inner = len(items) > 1
    return sha(b"\1" + merkle(items[:half]) + merkle(items[half:])) if inner else sha(b"\0" + items[0])


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text.rstrip("Z").partition(".")[0] + "+00:00").timestamp())


def timestamp(text: str) -> bytes:
    return field(1, seconds(text)) + field(2, int(text.rstrip("Z").partition(".")[2].ljust(9, "0")))


def block_id(item: Document) -> bytes:
    parts = field(1, int(item["parts"]["total"])) + field(2, bytes.fromhex(item["parts"]["hash"]))
    return field(1, bytes.fromhex(item["hash"])) + field(2, parts, always=True)


def header_hash(header: Document) -> bytes:
    version = field(1, int(header["version"]["block"])) + field(2, int(header["version"].get("app", 0)))
    start = [version, field(1, header["chain_id"].encode()), field(1, int(header["height"])), timestamp(header["time"])]
    names = "last_commit data validators next_validators consensus app last_results evidence".split()
    digests = [header[f"{name}_hash"] for name in names] + [header["proposer_address"]]
    return merkle([*start, block_id(header["last_block_id"]), *[field(1, bytes.fromhex(one)) for one in digests]])


def validators_of(items: list[Document]) -> Validators:
    """Read validators as RPC and genesis documents have them: the strongest first, then by address."""
    powers = [
        (base64.b64decode(one["pub_key"]["value"]), int(one.get("voting_power") or one["power"])) for one in items
    ]
    return dict(sorted(powers, key=lambda one: (-one[1], sha(one[0])[:20])))


def validators_hash(validators: Validators) -> str:
    members = [field(1, field(1, key)) + field(2, power) for key, power in validators.items()]
    return merkle(members).hex().upper()


def check_header(block: Document, chain_id: str, validators: Validators, trusted: Validators) -> Document:
    """Refuse a header unless 2/3 of its own validators and more than 1/3 of the trusted ones signed it."""
    header, commit = block["header"], block["commit"]
    digest, height, turn = header_hash(header), int(header["height"]), int(commit["round"])
    require(header["validators_hash"] == validators_hash(validators), "validators that the header does not name")
    require(header["chain_id"] == chain_id and int(commit["height"]) == height, "another chain or height")
    require(bytes.fromhex(commit["block_id"]["hash"]) == digest, "a commit for another header")
    require(len(commit["signatures"]) == len(validators), "more or fewer signatures than validators")
    signers = []
    for key, one in zip(validators, commit["signatures"], strict=True):
        if one["block_id_flag"] == SIGNED_THE_BLOCK:
            place = b"\x11" + height.to_bytes(8, "little") + (b"\x19" + turn.to_bytes(8, "little") if turn else b"")
            vote = field(1, 2) + place + field(4, block_id(commit["block_id"]))
            vote += field(5, timestamp(one["timestamp"]), always=True) + field(6, chain_id.encode())
            try:
                signature = base64.b64decode(one["signature"])
                Ed25519PublicKey.from_public_bytes(key).verify(signature, uvarint(len(vote)) + vote)
            except (InvalidSignature, ValueError) as error:
                raise Refused("a signature that does not hold") from error
            signers.append(key)
    require(3 * sum(validators[key] for key in signers) > 2 * sum(validators.values()), "signed by 2/3 or less")
    require(3 * sum(trusted.get(key, 0) for key in signers) > sum(trusted.values()), "signed by 1/3 of trust or less")
    return dict(header)


class Node:
    """A node that is asked over RPC and trusted in nothing; the genesis document is the anchor."""

    def __init__(self, url: str, genesis: bytes) -> None:
        document = json.loads(genesis)
        self.url, self.chain_id, first = url, document["chain_id"], int(document.get("initial_height") or 1)
        trusted = validators_of(document["validators"])
        self.base = check_header(
            self.call("commit", height=str(first))["signed_header"], self.chain_id, trusted, trusted
        )
        require(
            time.time() < seconds(self.base["time"]) + TRUSTING_PERIOD_S, "an anchor older than the trusting period"
        )

    def call(self, method: str, **params: object) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)["result"]

    def validators(self, height: int) -> Validators:
        return validators_of(self.call("validators", height=str(height), per_page="100")["validators"])

    def header(self, height: int) -> Document:
        """Verify a header from the anchor: next to it by its validators' hash, further by a third of its trust."""
        first = int(self.base["height"])
        trusted, validators = self.validators(first + 1), self.validators(height)
        require(
            validators_hash(trusted) == self.base["next_validators_hash"], "validators that the anchor does not name"
        )
        header = check_header(
            self.call("commit", height=str(height))["signed_header"], self.chain_id, validators, trusted
        )
        require(int(header["height"]) == height > first, "another height")
        require(height > first + 1 or validators == trusted, "validators that the anchor does not name")
        require(header["time"] > self.base["time"], "a time before the anchor")
        require(seconds(header["time"]) < time.time() + CLOCK_DRIFT_S, "a time to come")
        return header

    def ask(self, path: str, data: bytes, height: int = 0) -> Document:
        """Ask a question and verify its answer."""
        said = self.call("abci_query", path=path, data=data.hex(), height=str(height), prove=True)["response"]
        proven, code = int(said["height"]), int(said.get("code", 0))
        require(height in (0, proven) and said.get("value"), "another height, or no proof")
        app_hash = bytes.fromhex(self.header(proven + 1)["app_hash"])
        answer = verify(path, data, base64.b64decode(said["value"]), proven, app_hash)
        require(answer["denied"] == code, "an answer that does not follow from the proven state")
        return answer | {"height": proven}
