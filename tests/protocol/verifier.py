"""A verifier of answers, written from docs/protocol and the vectors alone; it imports nothing of this project."""

import base64
import bisect
import hashlib
import json
import re
import time
import urllib.request
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

RULES_VERSION, BAD_QUERY, NOT_FOUND, MAX_PAGE, PAGE_BYTES, EVENTS_SHOWN = 2, 21, 22, 4096, 2 << 20, 32
CLOCK_DRIFT_S, TRUSTING_PERIOD_S, SIGNED_THE_BLOCK = 10, 36 * 3600, 2
CHILDREN, EVENTS = b"models/by-parent/", ("models/evaluation", "models/reproduction")
Document = dict[str, Any]
Validators = dict[bytes, int]  # public key -> power, in CometBFT's order
number_of = partial(int.from_bytes, byteorder="big")
u32, u64 = [partial(int.to_bytes, length=length, byteorder="big") for length in (4, 8)]


class Refused(Exception):
    """A proof, header or answer does not hold; with a number, the proven state refuses the question with that code."""


def require(holds: object, why: str | int) -> None:
    if not holds:
        raise Refused(why)


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def tagged(tag: str, data: bytes) -> bytes:
    return sha(sha(f"openledger/{tag}/v1".encode()) * 2 + data)


def uvarint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + uvarint(number >> 7)


def unpack(data: bytes) -> Any:
    try:
        value = msgpack.unpackb(data)
        require(msgpack.packb(value) == data, "not the canonical encoding")
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError, OverflowError) as error:
        raise Refused(f"no MessagePack: {error}") from error
    waiting = [value]
    for item in waiting:
        printable = type(item) is str and re.fullmatch("[ -~]*", item)
        require(printable or type(item) in (int, bytes, list), "a type or text that the encoding does not have")
        waiting += item if type(item) is list else []
    return value


class Types:
    """Records, arguments, tables and results as reference.md has them, with the types of fields in words."""

    def __init__(self, text: str) -> None:
        self.fields: dict[str, list[tuple[str, str]]] = {}
        self.tables = dict(re.findall(r"^\| `([a-z/-]+)/(?:value)?`.* \| (\[\w+\])\(#\w+\) \|$", text, re.MULTILINE))
        self.results = dict(re.findall(r"^### `(/query/\S+)`\n(?:[^#]|####)*?^Result: (\[\w+\])", text, re.MULTILINE))
        for name, body in re.findall(r"^### `?(.+?)`?\n((?:(?!^##[# ] ?[^#]).*\n)*)", text, re.MULTILINE):
            rows = re.findall(r"^\| \d+ \|(.*?)\| (.*) \|$", body, re.MULTILINE)
            self.fields[f"[{name}]"] = [(field.strip(" `"), kind) for field, kind in rows]

    def read(self, kind: str, value: Any) -> Any:
        require(type(value) is {"i": int, "b": bytes, "s": str}.get(kind[0], list), f"no {kind}")
        if kind[0] == "[":
            fields = self.fields[kind[: kind.index("]") + 1]]
            require(len(value) == len(fields), f"no {kind}")
            read = [(name, self.read(inner, item)) for (name, inner), item in zip(fields, value, strict=True)]
            return {name: item for name, item in read if name}
        exact = re.match(r"(?:bin of|integer) (\d+)$", kind)
        require(not exact or int(exact[1]) == (value if kind[0] == "i" else len(value)), f"no {kind}")
        return [self.read(kind[kind.index("[") + 1 : -1], item) for item in value] if kind[0] == "l" else value


TYPES = Types((Path(__file__).parents[2] / "docs/protocol/reference.md").read_text())


class State:
    """Proven state: every read is proven or refused, and remembered."""

    def __init__(self, proof: bytes, height: int, app_hash: bytes) -> None:
        fields = unpack(proof)
        require(type(fields) is list and [type(f) for f in fields] == [int, int, list, bytes, bytes, list], "no proof")
        pairs, tokens, hashes, ranges = fields[2:]
        require(fields[:2] == [1, height], "a proof of another version or height")
        whole = len(pairs) % 2 == len(ranges) % 2 == len(hashes) % 32 == 0
        require(whole and all(type(item) is bytes for item in pairs + ranges), "lists of something else")
        self.keys, self.values = list[bytes](pairs[::2]), dict[bytes, bytes](zip(pairs[::2], pairs[1::2], strict=True))
        self.ranges = list(zip(ranges[::2], ranges[1::2], strict=True))
        require(all(a < b for a, b in [*pairwise(self.keys), *pairwise(ranges)]), "keys or ranges that do not increase")
        self.hidden_before, self.leaf, self.hidden, self.hashes, waiting = list[int](), 0, 0, hashes, iter(tokens)
        try:
            root = self.part(waiting)[0] if tokens else sha(b"")
        except (StopIteration, IndexError, RecursionError) as error:
            raise Refused("a tree that is not whole") from error
        left = (next(waiting, None), self.leaf, 32 * self.hidden)
        require(left == (None, len(self.keys), len(hashes)), "tokens, keys or hashes left over")
        require(sha(b"\0\x0aopenledger\x20" + sha(root)) == app_hash, "a proof for another app hash")
        self.shown = {key for start, end in self.ranges for key in self.neighbours(start, end)}
        self.claims: list[tuple[bytes, bytes]] = []

    def part(self, tokens: Any) -> tuple[bytes, bool]:
        token = next(tokens)
        if token == 1:
            (left, left_hidden), (right, right_hidden) = self.part(tokens), self.part(tokens)
            require(not (left_hidden and right_hidden), "two hidden parts below one node")
            return sha(b"\1" + left + right), False
        if token == 2:
            self.hidden, found = self.hidden + 1, self.hashes[32 * self.hidden : 32 * self.hidden + 32]
            self.hidden_before.append(self.leaf)
            return found, True
        require(token == 0, "a token that means nothing")
        key, self.leaf = self.keys[self.leaf], self.leaf + 1
        return sha(b"\0" + uvarint(len(key)) + key + b"\x20" + sha(self.values[key])), False

    def neighbours(self, start: bytes, end: bytes) -> list[bytes]:
        first, last = bisect.bisect_left(self.keys, start), bisect.bisect_left(self.keys, end)
        require(not any(first <= gap <= last for gap in self.hidden_before), "something hidden in a range")
        return self.keys[max(first - 1, 0) : last + 1]

    def get(self, key: bytes) -> bytes | None:
        if key in self.values:
            self.shown.add(key)
        else:
            self.rows(key, key + b"\0")
        return self.values.get(key)

    def rows(self, start: bytes, end: bytes = b"", limit: int = 0, backwards: bool = False) -> list[Any]:
        """Read a range (without an end: all keys that begin so), or its first or last rows, as (key, value)."""
        end = end or (number_of(start) + 1).to_bytes(len(start), "big")
        first, last = bisect.bisect_left(self.keys, start), bisect.bisect_left(self.keys, end)
        found = [(key, self.values[key]) for key in self.keys[first:last]][:: -1 if backwards else 1]
        if limit and len(found) >= limit:
            found = found[:limit]
            start, end = (found[-1][0], end) if backwards else (start, found[-1][0] + b"\0")
        require(any(low <= start and end <= high for low, high in self.ranges), "a read that is not proven")
        self.claims.append((start, end))
        return found

    def finish(self) -> None:
        merged: list[tuple[bytes, bytes]] = []
        for start, end in sorted(self.claims):
            low, high = merged.pop() if merged and start <= merged[-1][1] else (start, end)
            merged.append((low, max(end, high)))
        require(merged == self.ranges, "a proof that claims other ranges than the question reads")
        require(self.shown.issuperset(self.keys), "a proof that shows what nobody asked for")

    def find(self, table: str, *parts: bytes | int, needed: bool = True) -> Document:
        """Read a record (numbers of 4 bytes in its key); without it there is no such thing, if it is needed."""
        key = b"".join(part if isinstance(part, bytes) else u32(part) for part in parts)
        value = self.get(f"{table}/".encode() + key)
        require(value is not None or not needed, NOT_FOUND)
        return {} if value is None else dict(TYPES.read(TYPES.tables[table], unpack(value)))


class Queries(State):
    """The result that each query makes of proven state: the fields of its result, in their order."""

    known: tuple[str, ...] = ("/query/models/lineage", "/query/models/impact")

    def asked(self, path: str, data: bytes) -> tuple[str, Any]:
        return path, unpack(data)

    def named(self, table: str, name: str) -> bytes:
        return bytes(self.find(f"{table}/name", tagged("key", name.encode()))["object_id"])

    def entry_id(self, entry_id: bytes, name: str, version: int) -> bytes:
        require(bool(entry_id) != bool(name) and len(entry_id) in (0, 32) and not (entry_id and version), BAD_QUERY)
        if entry_id:
            return entry_id
        model_id = self.named("models", name)
        latest = self.find("models/model", model_id)["version_count"]
        require(version or latest, NOT_FOUND)
        number = self.find("models/version", model_id, version or latest)["entry_number"]
        return bytes(self.find("models/number", u64(number))["entry_id"])

    def datanet(self, datanet_id: bytes, name: str, version: int) -> tuple[bytes, str]:
        require(bool(datanet_id) != bool(name) and len(datanet_id) in (0, 32), BAD_QUERY)
        datanet_id = datanet_id or self.named("datanets", name)
        records = [self.find("datanets/datanet", datanet_id), self.find("datanets/counts", datanet_id)]
        records += [self.find("datanets/version", datanet_id, version)] if version else []
        return datanet_id, str(records[0]["name"])

    def entry(self, entry_id: bytes) -> Document:
        stored, raw = self.find("models/entry", entry_id), unpack(self.get(b"models/entry/" + entry_id) or b"")
        require(tagged("entry", msgpack.packb(raw[1])) == entry_id, "an entry that hashes otherwise")
        return stored

    def walk(self, start: list[bytes], limit: int, limit_bytes: int) -> tuple[list[Any], list[bytes]]:
        """List entries by falling number, each after its parents were read; and those that were only read."""
        seen, waiting, listed = dict[bytes, Document](), list[Any](), list[Any]()
        while True:
            for entry_id in start:
                if entry_id not in seen:
                    seen[entry_id] = self.entry(entry_id)
                    bisect.insort(waiting, (-seen[entry_id]["admission"]["number"], entry_id))
            if not waiting or len(listed) >= limit or limit_bytes <= 0:
                return listed, [entry_id for _, entry_id in waiting]
            entry_id = waiting.pop(0)[1]
            listed.append((entry_id, seen[entry_id]))
            limit_bytes -= len(self.get(b"models/entry/" + entry_id) or b"")
            start = [parent["entry_id"] for parent in seen[entry_id]["entry"]["parents"]]

    def content(self, table: str, tag: str, ids: set[bytes]) -> list[Any]:
        found = [(one, self.find(table, one), self.get(f"{table}/".encode() + one) or b"") for one in sorted(ids)]
        require(all(tagged(tag, value) == one for one, _, value in found), f"{table}: a record that hashes otherwise")
        return [[one, record] for one, record, _ in found]

    def events(self, table: str, number: int) -> list[Document]:
        rows = self.rows(f"{table}/".encode() + u64(number), limit=EVENTS_SHOWN, backwards=True)
        return [TYPES.read(TYPES.tables[table], unpack(value)) for _, value in rows]

    def lineage(self, asked: Document) -> list[Any]:
        require(not asked["frontier"] or not (asked["entry_id"] or asked["model_name"]), BAD_QUERY)
        root = b"" if asked["frontier"] else self.entry_id(*list(asked.values())[:3])
        entries, frontier = self.walk(asked["frontier"] or [root], asked["limit"], PAGE_BYTES)
        require(len(frontier) <= MAX_PAGE, BAD_QUERY)
        used = sorted({(item["datanet_id"], item["version"]) for _, one in entries for item in one["entry"]["inputs"]})
        datanets = [self.lineage_datanet(*item, asked["contributions_each"]) for item in used]
        model_ids = sorted({one["model_id"] for _, one in entries} - {b""})
        models = [[one, self.find("models/model", one)["name"]] for one in model_ids]
        first = [entries[0][1]["admission"]] if root else []
        joined_ids = {one["joined_terms_id"] for one in [*first, *[datanet[3] for datanet in datanets]]}
        joined = self.content("licences/joined", "joined-terms-id", joined_ids)
        terms_ids = {source["terms_id"] for _, one in joined for source in one["sources"]}
        terms_ids |= {one["entry"]["terms_id"] for _, one in entries} - {b""}
        terms = self.content("licences/terms", "terms-id", terms_ids)
        events = [self.events(table, one["number"]) for one in first for table in EVENTS] or [[], []]
        return [root, entries, datanets, models, joined, terms, *events, frontier]

    def lineage_datanet(self, datanet_id: bytes, version: int, each: int) -> list[Any]:
        name = self.find("datanets/datanet", datanet_id)["name"]
        record = self.find("datanets/version", datanet_id, version)
        usable_from = self.find("datanets/counts", datanet_id)["usable_from_version"]
        last = min(each, record["accepted_through"])
        rows = self.rows(b"datanets/accepted/" + datanet_id, limit=last) if last else []
        found = [(number_of(key[-4:]), TYPES.read("[Accepted]", unpack(value))) for key, value in rows]
        since, until = "present_from_version", "absent_from_version"
        held = [one for one in found if one[1][since] <= version and not 0 < one[1][until] <= version]
        onward = last if last < record["accepted_through"] else 0
        return [datanet_id, version, name, record, int(0 < usable_from <= version), held, onward]

    def above(self, index: bytes, number: int, listed: list[int] | None) -> int:
        if listed is not None:
            return min((one for one in listed if one > number), default=0)
        rows = self.rows(index + u64(number) + b"\0", (number_of(index) + 1).to_bytes(len(index), "big"), 1)
        return number_of(rows[0][0][-8:]) if rows else 0

    def impact(self, asked: Document) -> list[Any]:
        version, after, parents, entries = asked["version"], asked["after_number"], asked["frontier"], list[Any]()
        datanet_id, name = self.datanet(asked["datanet_id"], asked["name"], version)
        require(all(0 < number <= after and not asked["direct_only"] for number in parents), BAD_QUERY)
        direct = b"models/by-input/" + datanet_id + (u32(version) if version else b"")
        listed = {} if version else {direct: [number_of(key[-8:]) for key, _ in self.rows(direct)]}
        reached = [direct, *[CHILDREN + u64(number) for number in parents]]
        ahead = {index: self.above(index, after, listed.get(index)) for index in reached}
        while len(entries) < asked["limit"] and any(ahead.values()):
            after = min(number for number in ahead.values() if number)
            trained, reached = ahead[direct] == after, [index for index in ahead if ahead[index] == after]
            reached += [] if asked["direct_only"] else [CHILDREN + u64(after)]
            ahead |= {index: self.above(index, after, listed.get(index)) for index in reached}
            stored = self.entry(entry_id := self.find("models/number", u64(after))["entry_id"])
            model = self.find("models/model", stored["model_id"])["name"] if stored["model_id"] else ""
            facts, said = [stored["entry"][name] for name in ("kind", "undeclared")], stored["admission"]
            facts += [said["recorder"], stored["owner"], said["height"], stored["model_id"], model]
            entries.append([after, entry_id, int(trained), *facts, *list(stored.values())[4:6]])
        frontier = sorted(number_of(index[-8:]) for index in ahead if ahead[index] and index != direct)
        require(len(frontier) <= MAX_PAGE, BAD_QUERY)
        undeclared = self.find("models/counters", b"value", needed=False).get("undeclared", 0)
        return [datanet_id, name, version, entries, after, frontier, int(any(ahead.values())), undeclared]

    def answer(self, path: str, data: bytes) -> Document:
        """Answer a question: the fields of its `result`, or the code with which the proven state denies it."""
        result, denied = None, 0
        require(self.find("chain/version", b"value")["current"] == RULES_VERSION, "rules that are not known here")
        try:
            query, arguments = self.asked(path, data)
            require(query in self.known, "a question that is not known here")
            result = getattr(self, query.rpartition("/")[2])(TYPES.read(f"[{query}]", arguments))
        except Refused as refused:
            denied = refused.args[0]
            if isinstance(denied, str):
                raise
        self.finish()
        return {"result": result, "denied": denied}


def field(number: int, value: int | bytes, always: bool = False) -> bytes:
    start, end = uvarint(number << 3 | 2), uvarint(value if isinstance(value, int) else len(value))
    whole = uvarint(number << 3) + end if isinstance(value, int) else start + end + value
    return whole if value or always else b""


def merkle(items: list[bytes]) -> bytes:
    half = 1 << max(len(items) - 1, 1).bit_length() - 1
    return sha(b"\1" + merkle(items[:half]) + merkle(items[half:]) if len(items) > 1 else b"\0" + items[0])


def timestamp(text: str) -> bytes:
    whole, _, part = text.rstrip("Z").partition(".")
    return field(1, int(datetime.fromisoformat(whole + "Z").timestamp())) + field(2, int(part.ljust(9, "0")))


def block_id(item: Document) -> bytes:
    parts = field(1, int(item["parts"]["total"])) + field(2, bytes.fromhex(item["parts"]["hash"]))
    return field(1, bytes.fromhex(item["hash"])) + field(2, parts, always=True)


def header_hash(header: Document) -> bytes:
    version = field(1, int(header["version"]["block"])) + field(2, int(header["version"].get("app", 0)))
    start = [version, field(1, header["chain_id"].encode()), field(1, int(header["height"])), timestamp(header["time"])]
    names = ["last_commit", "data", "validators", "next_validators", "consensus", "app", "last_results", "evidence"]
    digests = [header[f"{name}_hash"] for name in names] + [header["proposer_address"]]
    return merkle([*start, block_id(header["last_block_id"]), *[field(1, bytes.fromhex(one)) for one in digests]])


def validators_of(items: list[Document]) -> Validators:
    powers = [
        (base64.b64decode(one["pub_key"]["value"]), int(one.get("voting_power") or one["power"])) for one in items
    ]
    return dict(sorted(powers, key=lambda one: (-one[1], sha(one[0])[:20])))


def validators_hash(validators: Validators) -> str:
    return merkle([field(1, field(1, key)) + field(2, power) for key, power in validators.items()]).hex().upper()


def check_header(block: Document, chain_id: str, validators: Validators, trusted: Validators) -> Document:
    """Refuse a header unless 2/3 of its own validators and more than 1/3 of the trusted ones signed it."""
    header, commit = block["header"], block["commit"]
    height, turn, signers = int(header["height"]), int(commit["round"]), []
    require(header["validators_hash"] == validators_hash(validators), "validators that the header does not name")
    require(header["chain_id"] == chain_id and int(commit["height"]) == height, "another chain or height")
    require(bytes.fromhex(commit["block_id"]["hash"]) == header_hash(header), "a commit for another header")
    require(len(commit["signatures"]) == len(validators), "more or fewer signatures than validators")
    for key, one in zip(validators, commit["signatures"], strict=True):
        if one["block_id_flag"] == SIGNED_THE_BLOCK:
            place = b"\x11" + height.to_bytes(8, "little") + (b"\x19" + turn.to_bytes(8, "little") if turn else b"")
            vote = field(1, 2) + place + field(4, block_id(commit["block_id"]))
            vote += field(5, timestamp(one["timestamp"]), always=True) + field(6, chain_id.encode())
            try:
                signer = Ed25519PublicKey.from_public_bytes(key)
                signer.verify(base64.b64decode(one["signature"]), uvarint(len(vote)) + vote)
            except (InvalidSignature, ValueError) as error:
                raise Refused("a signature that does not hold") from error
            signers.append(key)
    require(3 * sum(validators[key] for key in signers) > 2 * sum(validators.values()), "signed by 2/3 or less")
    require(3 * sum(trusted.get(key, 0) for key in signers) > sum(trusted.values()), "signed by 1/3 of trust or less")
    return dict(header)


class Node:
    """A node that is asked over RPC and trusted in nothing; the genesis document is the anchor."""

    def __init__(self, url: str, genesis: bytes, queries: type[Queries] = Queries) -> None:
        document, self.queries = json.loads(genesis), queries
        self.url, self.chain_id, trusted = url, document["chain_id"], validators_of(document["validators"])
        first = self.call("commit", height=document.get("initial_height") or "1")["signed_header"]
        self.base = check_header(first, self.chain_id, trusted, trusted)
        until = datetime.fromisoformat(self.base["time"]).timestamp() + TRUSTING_PERIOD_S
        require(time.time() < until, "an anchor older than the trusting period")

    def call(self, method: str, **params: object) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        with urllib.request.urlopen(self.url, body, timeout=30) as response:
            return json.load(response)["result"]

    def validators(self, height: int) -> Validators:
        return validators_of(self.call("validators", height=str(height), per_page="100")["validators"])

    def header(self, height: int) -> Document:
        following = int(self.base["height"]) + 1
        trusted, own = self.validators(following), self.validators(height)
        require(validators_hash(trusted) == self.base["next_validators_hash"], "validators that the anchor has not")
        require(height > following or (height == following and own == trusted), "not above the anchor as it says")
        header = check_header(self.call("commit", height=str(height))["signed_header"], self.chain_id, own, trusted)
        before, then = [datetime.fromisoformat(one["time"]).timestamp() for one in (self.base, header)]
        require(int(header["height"]) == height and before < then < time.time() + CLOCK_DRIFT_S, "another time")
        return header

    def ask(self, path: str, data: bytes, height: int = 0) -> Document:
        said = self.call("abci_query", path=path, data=data.hex(), height=str(height), prove=True)["response"]
        proven = int(said["height"])
        require(height in (0, proven) and said.get("value"), "another height, or no proof")
        app_hash = bytes.fromhex(self.header(proven + 1)["app_hash"])
        answer = self.queries(base64.b64decode(said["value"]), proven, app_hash).answer(path, data)
        require(answer["denied"] == int(said.get("code", 0)), "an answer that does not follow from the proven state")
        return answer | {"height": proven}
