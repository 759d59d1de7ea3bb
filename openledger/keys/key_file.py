"""Key files: one JSON file a key, its secret encrypted with a passphrase.

    {"version": 1, "name": "alice", "kind": "local", "address": "open1...", "policy": "<hex>", "public_key": "<hex>",
     "path": "m/44'/1990859097'/0'",
     "encryption": {"kdf": "argon2id", "memory_kib": 65536, "passes": 3, "lanes": 4, "salt": "<hex>",
                    "cipher": "chacha20-poly1305", "nonce": "<hex>", "ciphertext": "<hex>"}}

The cipher's associated data binds the address and all parameters: a file cannot be edited to pass for another key.
`kind` is `local` (secret here), `shared` (a k-of-n policy, no secret) or `watch` (an address and policy to look at).
A plain `secret` in place of `encryption` exists for development chains only (wallet.py refuses it elsewhere).
"""

import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from openledger.content.files import PRIVATE, replacing
from openledger.errors import KeyFailure, WrongPassphrase

VERSION = 1
KINDS = ("local", "shared", "watch")
MAX_FILE_BYTES = 16_384
# A hostile file must not make us take more memory or time than this.
MAX_MEMORY_KIB = 1_048_576
MAX_PASSES = 100
MAX_LANES = 64
_ASSOCIATED = "openledger/key-file/v1"


@dataclass(frozen=True, slots=True)
class Cost:
    """Argon2id cost: RFC 9106's second recommended choice (64 MiB), about 0.1 s on a desktop of 2025."""

    memory_kib: int = 65_536
    passes: int = 3
    lanes: int = 4


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """The public part of a key file; `encryption` or `secret` hold the 32-byte seed of a `local` key."""

    name: str
    kind: str
    address: str
    policy: str
    public_key: str = ""
    path: str = ""
    encryption: dict[str, Any] | None = None
    secret: str = ""


def encrypt_seed(seed: bytes, passphrase: str, address: str, cost: Cost) -> dict[str, Any]:
    """The `encryption` section of a key file."""
    section: dict[str, Any] = {
        "kdf": "argon2id",
        **asdict(cost),
        "salt": secrets.token_hex(16),
        "cipher": "chacha20-poly1305",
        "nonce": secrets.token_hex(12),
    }
    key = _derive_key(passphrase, section)
    associated = _associated(address, section)
    ciphertext = ChaCha20Poly1305(key).encrypt(bytes.fromhex(section["nonce"]), seed, associated)
    return {**section, "ciphertext": ciphertext.hex()}


def decrypt_seed(record: KeyRecord, passphrase: str) -> bytes:
    """The 32-byte seed. Raises `WrongPassphrase`, or `KeyFailure` for a file that cannot be read."""
    section = record.encryption
    if section is None:
        raise KeyFailure(f"key {record.name!r} has no secret here ({record.kind}): sign where its secret is")
    try:
        _check_cost(record.name, section)
        key = _derive_key(passphrase, section)
        nonce, ciphertext = bytes.fromhex(section["nonce"]), bytes.fromhex(section["ciphertext"])
        return ChaCha20Poly1305(key).decrypt(nonce, ciphertext, _associated(record.address, section))
    except InvalidTag:
        raise WrongPassphrase(f"wrong passphrase for key {record.name!r}, or its file was changed: try again") from None
    except (KeyError, TypeError, ValueError) as error:
        raise KeyFailure(f"key file of {record.name!r} is damaged ({error}): recover the key from its phrase") from None


def _check_cost(name: str, section: dict[str, Any]) -> None:
    bounds = {"memory_kib": MAX_MEMORY_KIB, "passes": MAX_PASSES, "lanes": MAX_LANES}
    for field, maximum in bounds.items():
        if not isinstance(section[field], int) or not 1 <= section[field] <= maximum:
            raise KeyFailure(f"key file of {name!r}: {field} must be between 1 and {maximum}")
    if section["kdf"] != "argon2id" or section["cipher"] != "chacha20-poly1305":
        raise KeyFailure(f"key file of {name!r}: unknown encryption {section['kdf']!r} with {section['cipher']!r}")


def _derive_key(passphrase: str, section: dict[str, Any]) -> bytes:
    kdf = Argon2id(
        salt=bytes.fromhex(section["salt"]),
        length=32,
        iterations=section["passes"],
        lanes=section["lanes"],
        memory_cost=section["memory_kib"],
    )
    return kdf.derive(passphrase.encode("utf-8"))


def _associated(address: str, section: dict[str, Any]) -> bytes:
    """The bytes that the cipher authenticates beside the seed: the section without its ciphertext, and the address."""
    bound = {name: value for name, value in section.items() if name != "ciphertext"}
    return json.dumps([_ASSOCIATED, address, bound], sort_keys=True).encode("utf-8")


def read_key_file(path: Path) -> KeyRecord:
    """Read one key file; raises `KeyFailure`."""
    try:
        data = path.read_bytes()[: MAX_FILE_BYTES + 1]
        document = json.loads(data)
        if len(data) > MAX_FILE_BYTES or document.pop("version") != VERSION:
            raise KeyFailure(f"key file {path} is not of version {VERSION}")
        record = KeyRecord(**document)
    except OSError as error:
        raise KeyFailure(f"key file {path} cannot be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise KeyFailure(f"key file {path} is damaged ({error}): recover the key from its phrase") from None
    texts = (record.name, record.kind, record.address, record.policy, record.public_key, record.path, record.secret)
    if record.kind not in KINDS or not all(isinstance(text, str) for text in texts):
        raise KeyFailure(f"key file {path} is damaged: recover the key from its phrase")
    return record


def write_key_file(path: Path, record: KeyRecord) -> None:
    """Write atomically with mode 0600: a crash leaves the old file or the new one."""
    document = {"version": VERSION, **{name: value for name, value in asdict(record).items() if value}}
    with replacing(path, PRIVATE) as file:
        file.write(json.dumps(document, indent=2).encode() + b"\n")
