"""Real text without a network: the standard library's source, and the help topics of Python's documentation.

Two corpora, each the pretraining text of the other: contributors are modules (source) or topics (English prose).
"""

import hashlib
import string
import sysconfig
from dataclasses import dataclass
from pathlib import Path

ALPHABET = "\n" + string.printable[:95]
"""96 characters: line feed, digits, letters, punctuation, space. Everything else is left out."""

SEQUENCE_CHARACTERS = 49
"""48 predictions, each from what stands before it."""

MODULES = (
    "argparse", "ast", "asyncio.base_events", "calendar", "collections", "configparser", "csv", "datetime",
    "dataclasses", "difflib", "email.message", "fractions", "ftplib", "gettext", "heapq", "http.client",
    "inspect", "ipaddress", "mailbox", "pickle", "random", "statistics", "tarfile", "zipfile",
)  # fmt: skip
"""Contributors of the first corpus."""

OTHER_MODULES = (
    "pathlib", "os", "shutil", "subprocess", "threading", "tokenize", "traceback", "typing", "unittest.case",
    "urllib.parse", "urllib.request", "uuid", "xmlrpc.client", "socketserver", "smtplib", "optparse",
)  # fmt: skip
"""The data that the base of the second corpus is pretrained on: no contributor of the first."""

TRAINING_PER_CONTRIBUTOR = 20
QUERIES_PER_CONTRIBUTOR = 3
CONTRIBUTORS = 24


@dataclass(frozen=True)
class Corpus:
    """Text for pretraining, and sequences of contributors; sequence i belongs to `owners[i]`."""

    name: str
    pretraining: str
    contributors: tuple[str, ...]
    training: tuple[str, ...]
    owners: tuple[int, ...]
    queries: tuple[str, ...]
    query_owners: tuple[int, ...]

    @property
    def digest(self) -> str:
        """Hex digest of everything in it: another Python has other text."""
        parts = [self.pretraining, *self.contributors, *self.training, *self.queries]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def standard_library() -> Corpus:
    """24 modules of the standard library; the base knows the documentation's topics."""
    return _corpus("standard library", _topics_text(), {name: _source(name) for name in MODULES})


def help_topics() -> Corpus:
    """The 24 longest help topics (English prose); the base knows source code of other modules."""
    from pydoc_data.topics import topics

    longest = sorted(topics, key=lambda name: (-len(topics[name]), name))[:CONTRIBUTORS]
    chosen = {name: _known(topics[name]) for name in sorted(longest)}
    return _corpus("help topics", "\n".join(_source(name) for name in OTHER_MODULES), chosen)


def _corpus(name: str, pretraining: str, texts: dict[str, str]) -> Corpus:
    training, owners, queries, query_owners = [], [], [], []
    for owner, (contributor, text) in enumerate(texts.items()):
        pieces = [text[at : at + SEQUENCE_CHARACTERS] for at in range(0, len(text), SEQUENCE_CHARACTERS)]
        pieces = [piece for piece in dict.fromkeys(pieces) if len(piece.strip()) > SEQUENCE_CHARACTERS // 2]
        pieces = [piece for piece in pieces if len(piece) == SEQUENCE_CHARACTERS]
        pieces.sort(key=lambda piece: hashlib.sha256(f"{contributor}\0{piece}".encode()).digest())
        wanted = TRAINING_PER_CONTRIBUTOR + QUERIES_PER_CONTRIBUTOR
        if len(pieces) < wanted:
            raise ValueError(f"{contributor}: {len(pieces)} sequences; {wanted} are needed")
        training += pieces[:TRAINING_PER_CONTRIBUTOR]
        owners += [owner] * TRAINING_PER_CONTRIBUTOR
        queries += pieces[TRAINING_PER_CONTRIBUTOR:wanted]
        query_owners += [owner] * QUERIES_PER_CONTRIBUTOR
    return Corpus(name, pretraining, tuple(texts), tuple(training), tuple(owners), tuple(queries), tuple(query_owners))


def _topics_text() -> str:
    from pydoc_data.topics import topics

    return _known("\n".join(topics[name] for name in sorted(topics)))


def _source(module: str) -> str:
    plain = Path(sysconfig.get_path("stdlib"), *module.split("."))
    path = next((path for path in (plain.with_suffix(".py"), plain / "__init__.py") if path.exists()), None)
    if path is None:
        raise ValueError(f"{module}: this Python has no source of it")
    return _known(path.read_text(encoding="utf-8"))


def _known(text: str) -> str:
    known = set(ALPHABET)
    return "".join(character for character in text if character in known)
