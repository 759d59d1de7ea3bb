"""Parts that the verifier has no lines for: models/clean, bank/account, names in questions, and answers in words."""

import re
from itertools import pairwise
from typing import Any

import msgpack  # type: ignore[import-untyped]

from tests.protocol.verifier import BAD_QUERY, TYPES, Document, Queries, require, tagged, unpack

IMPORT, EVERYTHING = 9, 1 << 62


class Further(Queries):
    """All queries that are checked here, with names or without."""

    known = (*Queries.known, "/query/models/clean", "/query/bank/account")

    def asked(self, path: str, data: bytes) -> tuple[str, Any]:
        """Put ids in the place of names; `names` says what they stand for."""
        self.names: list[Document] = []
        if not path.startswith("/named/"):
            return super().asked(path, data)
        fields = unpack(data)
        require(type(fields) is list and [type(one) for one in fields] == [bytes, list], "no question with names")
        arguments, names = unpack(fields[0]), fields[1]
        require(names and all(one < other for one, other in pairwise(names)), "names not sorted or not unique")
        require(all(tagged("name", msgpack.packb(name)) in arguments for name in names), "a name that is not needed")
        for kind, name in names:
            model, _, version = name.partition("@")
            require(kind != "olrun" or re.fullmatch("[^@]+(@[1-9][0-9]{0,8})?", name), BAD_QUERY)
            table = {"oldata": "datanets", "olmodel": "models", "olrun": ""}[kind]
            found = self.named(table, name) if table else self.entry_id(b"", model, int(version or 0))
            sign = tagged("name", msgpack.packb([kind, name]))
            arguments = [found if item == sign else item for item in arguments]
            self.names.append({"kind": kind, "name": name, "id": found.hex()})
        return path.replace("/named/", "/query/"), arguments

    @staticmethod
    def with_names(arguments: bytes, names: list[list[str]]) -> bytes:
        """Write the data of a question with names."""
        return bytes(msgpack.packb([arguments, names]))

    def clean(self, asked: Document) -> list[Any]:
        """Answer models/clean."""
        entry_id = self.entry_id(asked["entry_id"], asked["model_name"], asked["model_version"])
        datanet_id, name = self.datanet(asked["datanet_id"], asked["datanet_name"], asked["datanet_version"])
        entries, wanted = self.walk([entry_id], EVERYTHING, EVERYTHING)[0], asked["datanet_version"]
        uses = [(one, item) for one, stored in entries for item in stored["entry"]["inputs"]]
        uses = [use for use in uses if use[1]["datanet_id"] == datanet_id and wanted in (0, use[1]["version"])]
        found = [[one, item["version"], item["weight_ppb"]] for one, item in uses]
        facts = [[one, stored["entry"]["kind"], stored["entry"]["undeclared"]] for one, stored in entries]
        unknown = [fact for fact in facts if fact[1] == IMPORT or fact[2]]
        return [entry_id, datanet_id, name, 1 if found else 3 if unknown else 2, found, unknown, len(entries)]

    def account(self, asked: Document) -> list[Any]:
        """Answer bank/account."""
        found = self.find("account", tagged("key", asked["address"]), needed=False)
        return [asked["address"], int(bool(found)), *(found.values() or (0, 0, b""))]


def show_result(path: str, result: Any) -> Any:
    """Write the result of a query as answers show it."""
    return None if result is None else show(TYPES.results[path.replace("/named/", "/query/")], result)


def show(kind: str, value: Any) -> Any:
    """Write a value as answers show it: words for numbers, bytes in hexadecimal."""
    if kind.startswith("list"):
        return [show(kind[kind.index("[") + 1 : -1], item) for item in value]
    if kind.startswith("["):
        fields = [field for field in TYPES.fields[kind[: kind.index("]") + 1]] if field[0]]
        values = value.values() if isinstance(value, dict) else value
        return {name: show(inner, item) for (name, inner), item in zip(fields, values, strict=True)}
    if kind.startswith("integer") and ":" in kind:
        return dict(pair.split(" ", 1) for pair in kind.split(": ")[1].split(", "))[str(value)]
    return bool(value) if kind == "integer 0 to 1" else value.hex() if isinstance(value, bytes) else value
