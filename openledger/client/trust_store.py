"""Verified blocks on disk, one file a chain, so that a later run starts where this one ended.

The file is trusted: who can write it can make this machine believe anything. It is written to a temporary file,
synced and renamed, so that it is either the old or the new one.
"""

from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from abci_app.hashing import sha256
from openledger.content.files import PRIVATE, replacing
from openledger.errors import OpenLedgerError
from openledger.light.blocks import LightBlock
from openledger.light.errors import Divergence, MalformedAnswer
from openledger.light.parse import (
    JsonCommit,
    JsonHeader,
    JsonValidator,
    decode_json,
    dump_commit,
    dump_header,
    dump_validators,
    parse_commit,
    parse_header,
    parse_validators,
)
from openledger.light.results import Trusted
from openledger.light.verifier import check_light_block
from openledger.settings import file_name_of

DEFAULT_FOLDER = Path("~/.openledger/light")
_FORMAT = 1


class TrustStoreError(OpenLedgerError):
    """The trust store cannot be read or written."""


class TrustStore(Protocol):
    """Where verified blocks survive."""

    def load(self, chain_id: str) -> Trusted | None:
        """Give the stored trust in a chain, or None."""
        ...

    def save(self, chain_id: str, trusted: Trusted) -> None:
        """Replace it."""
        ...

    def chains(self) -> list[str]:
        """Ids of the chains that something is known of."""
        ...

    def save_evidence(self, chain_id: str, divergence: Divergence) -> str:
        """Keep both histories of an attack; returns where."""
        ...


class JsonLightBlock(Struct, frozen=True):
    """A light block in CometBFT's JSON."""

    header: JsonHeader
    commit: JsonCommit
    validators: list[JsonValidator]


class _File(Struct, frozen=True):
    version: int
    chain_id: str
    anchor: str
    blocks: list[JsonLightBlock]
    anchor_id: str = ""


class _Evidence(Struct, frozen=True):
    version: int
    chain_id: str
    witness: str
    primary_blocks: list[JsonLightBlock]
    witness_blocks: list[JsonLightBlock]


def dump_block(block: LightBlock) -> JsonLightBlock:
    """JSON form."""
    return JsonLightBlock(dump_header(block.header), dump_commit(block.commit), dump_validators(block.validators))


def parse_block(raw: JsonLightBlock) -> LightBlock:
    """Light block from its JSON; raises `MalformedAnswer`."""
    return LightBlock(parse_header(raw.header), parse_commit(raw.commit), parse_validators(raw.validators))


class FileTrustStore:
    """A folder of `<chain id>.json`, and `evidence-...json` of attacks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.expanduser()

    def load(self, chain_id: str) -> Trusted | None:
        """Give the stored trust in a chain, or None; raise `TrustStoreError` for a damaged file."""
        path = self._path(chain_id)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TrustStoreError(f"the trust store {path} cannot be read: {error.strerror}") from error
        try:
            file = decode_json(_File, data, "the file")
            blocks = tuple([parse_block(each) for each in file.blocks])
            if file.version != _FORMAT or file.chain_id != chain_id or not blocks:
                raise MalformedAnswer("the file is of another version or chain")
            for block in blocks:
                check_light_block(block, chain_id)
        except OpenLedgerError as error:
            raise TrustStoreError(
                f"the trust store {path} is damaged ({error}): remove it and pass --genesis or --trust again"
            ) from error
        return Trusted(file.anchor, blocks, file.anchor_id)

    def save(self, chain_id: str, trusted: Trusted) -> None:
        """Replace the file in one step."""
        blocks = [dump_block(block) for block in trusted.blocks]
        self._write(
            self._path(chain_id),
            msgspec.json.encode(
                _File(
                    version=_FORMAT,
                    chain_id=chain_id,
                    anchor=trusted.anchor,
                    blocks=blocks,
                    anchor_id=trusted.anchor_id,
                )
            ),
        )

    def chains(self) -> list[str]:
        """Ids of the chains with a file here, as far as their names are plain."""
        found = self._folder.glob("*.json") if self._folder.is_dir() else ()
        return sorted([path.stem for path in found if not path.name.startswith("evidence-")])

    def forget(self, chain_id: str) -> None:
        """Remove what is known of a chain."""
        self._path(chain_id).unlink(missing_ok=True)

    def save_evidence(self, chain_id: str, divergence: Divergence) -> str:
        """Keep both histories; returns the file's path."""
        evidence = _Evidence(
            version=_FORMAT,
            chain_id=chain_id,
            witness=divergence.witness_name,
            primary_blocks=[dump_block(block) for block in divergence.primary],
            witness_blocks=[dump_block(block) for block in divergence.witness],
        )
        data = msgspec.json.encode(evidence)
        height = divergence.primary[-1].height
        path = self._folder / f"evidence-{file_name_of(chain_id)}-{height}-{sha256(data).hex()[:8]}.json"
        self._write(path, data)
        return str(path)

    def _path(self, chain_id: str) -> Path:
        return self._folder / f"{file_name_of(chain_id)}.json"

    def _write(self, path: Path, data: bytes) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with replacing(path, PRIVATE) as file:
                file.write(data)
        except OSError as error:
            raise TrustStoreError(f"the trust store {path} cannot be written: {error.strerror}") from error


class MemoryTrustStore:
    """For one process."""

    def __init__(self) -> None:
        self.known: dict[str, Trusted] = {}
        self.evidence: list[Divergence] = []

    def load(self, chain_id: str) -> Trusted | None:
        """Give the stored trust in a chain, or None."""
        return self.known.get(chain_id)

    def save(self, chain_id: str, trusted: Trusted) -> None:
        """Replace it."""
        self.known[chain_id] = trusted

    def chains(self) -> list[str]:
        """Ids of the chains that something is known of."""
        return sorted(self.known)

    def save_evidence(self, chain_id: str, divergence: Divergence) -> str:
        """Keep both histories."""
        self.evidence.append(divergence)
        return "memory"
