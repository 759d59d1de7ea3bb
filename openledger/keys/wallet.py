"""Wallet: named keys in a folder.

`file` backend: `<home>/keys/<name>.json`, encrypted (openledger/keys/key_file.py).
`test` backend: `<home>/keys-test/<name>.json`, not encrypted; refused unless the chain is for development.
"""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from abci_app.bech32 import decode_id, encode_id
from abci_app.errors import Rejected
from abci_app.policy import Policy, address_of, check_policy, decode_policy, encode_policy
from openledger.errors import KeyFailure
from openledger.keys import derivation, phrase
from openledger.keys.key_file import Cost, KeyRecord, decrypt_seed, encrypt_seed, read_key_file, write_key_file
from openledger.keys.signer import SEED_BYTES, Signer, shared_policy
from openledger.references import names_like

BACKENDS = ("file", "test")
MIN_PASSPHRASE_CHARACTERS = 8
_NAME = re.compile(r"\A[a-z0-9][a-z0-9_-]{0,62}\Z")


def is_development_chain(chain_id: str) -> bool:
    """Chains named dev... are for trying things out; only there do plain keys sign."""
    return chain_id.startswith(("dev", "openledger-dev"))


def is_key_name(text: str) -> bool:
    """Whether a key can have this name."""
    return _NAME.match(text) is not None


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """The public side of a key; `threshold` of `public_keys` sign for a shared one."""

    name: str
    kind: str
    address: str
    policy: bytes
    public_keys: tuple[bytes, ...]
    threshold: int
    path: str

    @property
    def address_bytes(self) -> bytes:
        """The address as 32 bytes."""
        return decode_id(self.address, "open")[1]


@dataclass(frozen=True, slots=True)
class Wallet:
    """Keys of one folder; `open` makes one."""

    folder: Path
    backend: str
    chain_id: str
    cost: Cost = field(default_factory=Cost)

    @classmethod
    def open(cls, home: str | Path, backend: str = "file", chain_id: str = "", cost: Cost | None = None) -> "Wallet":
        """The wallet under `home`; the folder is made when the first key is. Raises `KeyFailure`."""
        if backend not in BACKENDS:
            raise KeyFailure(f"no key backend {backend!r}: use one of {', '.join(BACKENDS)}")
        if backend == "test" and chain_id and not is_development_chain(chain_id):
            raise _refuse_plain(chain_id)
        folder = Path(home) / ("keys" if backend == "file" else "keys-test")
        return cls(folder, backend, chain_id, cost or Cost())

    def create(self, name: str, passphrase: str = "") -> tuple[KeyInfo, str]:
        """A new key and the 24 words that bring it back; show them once and never store them."""
        words = phrase.new_phrase()
        return self.recover(name, words, passphrase), words

    def recover(self, name: str, words: str, passphrase: str = "", account_index: int = 0) -> KeyInfo:
        """The n-th account of a recovery phrase."""
        path = derivation.account_path(account_index)
        seed = derivation.derive(phrase.seed_of_phrase(words), path).secret
        return self.import_seed(name, seed, passphrase, path)

    def import_seed(self, name: str, seed: bytes, passphrase: str = "", path: str = "") -> KeyInfo:
        """Store a 32-byte Ed25519 seed under a name."""
        if len(seed) != SEED_BYTES:
            raise KeyFailure(f"a secret key has {SEED_BYTES} bytes (64 hex digits), got {len(seed)}")
        signer = Signer.from_seed(seed)
        address = encode_id("open", signer.address)
        record = KeyRecord(
            name=name,
            kind="local",
            address=address,
            policy=signer.policy.hex(),
            public_key=signer.public_key.hex(),
            path=path,
        )
        self._check_new(name)
        if self.backend == "test":
            self._check_plain_allowed()
            return self._store(replace(record, secret=seed.hex()))
        if len(passphrase) < MIN_PASSPHRASE_CHARACTERS:
            raise KeyFailure(f"the passphrase must have at least {MIN_PASSPHRASE_CHARACTERS} characters")
        return self._store(replace(record, encryption=encrypt_seed(seed, passphrase, address, self.cost)))

    def add_shared(
        self, name: str, threshold: int, public_keys: list[bytes], weights: list[int] | None = None
    ) -> KeyInfo:
        """A k-of-n account: its policy, no secret."""
        policy = shared_policy(threshold, public_keys, weights)
        check_policy(policy)
        return self._add_policy(name, "shared", encode_policy(policy))

    def add_watch(self, name: str, policy: bytes) -> KeyInfo:
        """An account of somebody else, known by its policy."""
        check_policy(_as_policy(name, policy))
        return self._add_policy(name, "watch", policy)

    def all_keys(self) -> list[KeyInfo]:
        """All keys by name."""
        return [_info(read_key_file(path)) for path in sorted(self.folder.glob("*.json"))]

    def get(self, name: str) -> KeyInfo:
        """The public side of a key; raises `KeyFailure`."""
        return _info(self._read(name))

    def has(self, name: str) -> bool:
        """Whether there is a key of this name."""
        return self._path(name).exists()

    def signer(self, name: str, passphrase: str = "") -> Signer:
        """The key, opened for signing; raises `WrongPassphrase` or `KeyFailure`."""
        return Signer.from_seed(self.export_seed(name, passphrase))

    def needs_passphrase(self, name: str) -> bool:
        """Whether signing with this key asks for a passphrase."""
        return self._read(name).encryption is not None

    def export_seed(self, name: str, passphrase: str = "") -> bytes:
        """Give the secret itself: anybody who has the secret controls the account."""
        record = self._read(name)
        if not record.secret:
            return decrypt_seed(record, passphrase)
        if self.backend != "test":
            raise KeyFailure(f"key {name!r} lies unencrypted among the encrypted ones: import it again")
        self._check_plain_allowed()
        return bytes.fromhex(record.secret)

    def delete(self, name: str) -> None:
        """Remove the key file; without its phrase the account is lost."""
        self._read(name)
        self._path(name).unlink()

    def _check_plain_allowed(self) -> None:
        """Plain secrets are made and used for a chain that is known to be for development."""
        if not is_development_chain(self.chain_id):
            raise _refuse_plain(self.chain_id)

    def _add_policy(self, name: str, kind: str, policy: bytes) -> KeyInfo:
        self._check_new(name)
        return self._store(
            KeyRecord(name=name, kind=kind, address=encode_id("open", address_of(policy)), policy=policy.hex())
        )

    def _path(self, name: str) -> Path:
        if not is_key_name(name):
            raise KeyFailure(f"key name {name!r}: use 1 to 63 lower-case letters, digits, '-' and '_'")
        return self.folder / f"{name}.json"

    def _check_new(self, name: str) -> None:
        if self._path(name).exists():
            raise KeyFailure(f"a key named {name!r} exists: choose another name or delete that one first")

    def _read(self, name: str) -> KeyRecord:
        path = self._path(name)
        if not path.exists():
            near = names_like(name, sorted([known.stem for known in self.folder.glob("*.json")]))
            meant = f"did you mean {' or '.join(near)}? " if near else ""
            raise KeyFailure(
                f"no key named {name!r}: {meant}see `openledger keys list`, make one with `openledger keys add`"
            )
        return read_key_file(path)

    def _store(self, record: KeyRecord) -> KeyInfo:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_key_file(self._path(record.name), record)
        return _info(record)


def _refuse_plain(chain_id: str) -> KeyFailure:
    named = f"chain {chain_id!r} is not one" if chain_id else "no chain id is given, pass --chain-id"
    return KeyFailure(
        f"the test backend keeps keys unencrypted and is for chains named dev... only; {named}: or use --keys file"
    )


def _as_policy(name: str, data: bytes) -> Policy:
    policy = decode_policy(data)
    if not isinstance(policy, Policy):
        raise KeyFailure(f"key {name!r} holds a delegated key where an account's policy must be")
    return policy


def _info(record: KeyRecord) -> KeyInfo:
    """The public side; raises `KeyFailure` when the file contradicts itself."""
    try:
        policy_bytes = bytes.fromhex(record.policy)
        policy = _as_policy(record.name, policy_bytes)
    except (ValueError, Rejected) as error:
        raise KeyFailure(f"key file of {record.name!r} is damaged ({error}): recover the key") from None
    if encode_id("open", address_of(policy_bytes)) != record.address:
        raise KeyFailure(f"key file of {record.name!r} is damaged (address and policy differ): recover the key")
    return KeyInfo(
        name=record.name,
        kind=record.kind,
        address=record.address,
        policy=policy_bytes,
        public_keys=tuple([key.public_key for key in policy.keys]),
        threshold=policy.threshold,
        path=record.path,
    )
