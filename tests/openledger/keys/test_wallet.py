"""Wallets: keys come back with the passphrase or the words, and with nothing else."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from abci_app.policy import Policy, PolicyKey, address_of, decode_policy, encode_policy, signature_is_valid
from openledger.errors import KeyFailure, WrongPassphrase
from openledger.keys.key_file import Cost, KeyRecord, read_key_file, write_key_file
from openledger.keys.signer import Signer
from openledger.keys.wallet import Wallet

CHEAP = Cost(memory_kib=32, passes=1, lanes=1)
PASSPHRASE = "correct horse"


@pytest.fixture
def wallet(tmp_path: Path) -> Wallet:
    return Wallet.open(tmp_path, cost=CHEAP)


def test_a_created_key_signs_and_its_words_bring_it_back(wallet: Wallet) -> None:
    info, words = wallet.create("alice", PASSPHRASE)
    signer = wallet.signer("alice", PASSPHRASE)
    assert signature_is_valid(signer.public_key, signer.sign(bytes(32)), bytes(32))
    assert wallet.recover("alice2", words, PASSPHRASE) == replace(info, name="alice2")
    assert wallet.all_keys() == [info, replace(info, name="alice2")]
    assert Signer.from_phrase(words) == signer


def test_the_file_is_private_and_holds_neither_seed_nor_words(wallet: Wallet, tmp_path: Path) -> None:
    _, words = wallet.create("alice", PASSPHRASE)
    path = tmp_path / "keys" / "alice.json"
    text = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert wallet.export_seed("alice", PASSPHRASE).hex() not in text
    assert words not in text
    encryption = json.loads(text)["encryption"]
    assert {name: encryption[name] for name in ("kdf", "memory_kib", "passes", "lanes", "cipher")} == {
        "kdf": "argon2id",
        "memory_kib": 32,
        "passes": 1,
        "lanes": 1,
        "cipher": "chacha20-poly1305",
    }
    assert [file.name for file in path.parent.iterdir()] == ["alice.json"]


def test_the_default_cost_is_rfc_9106s_second_choice() -> None:
    assert Cost() == Cost(memory_kib=65_536, passes=3, lanes=4)


def test_a_wrong_passphrase_is_one_clear_line(wallet: Wallet) -> None:
    wallet.create("alice", PASSPHRASE)
    with pytest.raises(WrongPassphrase) as caught:
        wallet.signer("alice", "wrong horse")
    assert str(caught.value) == "wrong passphrase for key 'alice', or its file was changed: try again"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"passes": 2}, "wrong passphrase for key 'alice', or its file was changed"),
        ({"nonce": "00" * 12}, "wrong passphrase for key 'alice', or its file was changed"),
        ({"memory_kib": 2**40}, "memory_kib must be between 1 and 1048576"),
        ({"memory_kib": "much"}, "memory_kib must be between 1 and 1048576"),
        ({"kdf": "md5"}, "unknown encryption 'md5' with 'chacha20-poly1305'"),
        ({"salt": "zz"}, "key file of 'alice' is damaged"),
    ],
)
def test_an_edited_key_file_does_not_open(wallet: Wallet, change: dict[str, object], message: str) -> None:
    wallet.create("alice", PASSPHRASE)
    path = wallet.folder / "alice.json"
    record = read_key_file(path)
    write_key_file(path, replace(record, encryption={**(record.encryption or {}), **change}))
    with pytest.raises(KeyFailure, match=message):
        wallet.signer("alice", PASSPHRASE)


def test_a_file_cannot_pass_for_another_account(wallet: Wallet) -> None:
    wallet.create("alice", PASSPHRASE)
    bob, _ = wallet.create("bob", PASSPHRASE)
    record = read_key_file(wallet.folder / "alice.json")
    write_key_file(wallet.folder / "alice.json", replace(record, address=bob.address))
    with pytest.raises(KeyFailure, match="address and policy differ"):
        wallet.get("alice")
    with pytest.raises(WrongPassphrase):
        wallet.signer("alice", PASSPHRASE)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"version": 1}', b'{"version": 1, "name": 3}', b"\xff", b"{" * 20_000]
)
def test_a_damaged_file_is_said_to_be_damaged(wallet: Wallet, data: bytes) -> None:
    wallet.create("alice", PASSPHRASE)
    (wallet.folder / "alice.json").write_bytes(data)
    with pytest.raises(KeyFailure, match=r"alice\.json"):
        wallet.get("alice")


def test_plain_keys_are_for_development_chains_only(tmp_path: Path) -> None:
    for chain_id in ("openledger-1", "mainnet-dev"):
        with pytest.raises(KeyFailure, match=rf"for chains named dev\.\.\. only; chain '{chain_id}' is not one"):
            Wallet.open(tmp_path, "test", chain_id)
    unnamed = Wallet.open(tmp_path, "test")
    with pytest.raises(KeyFailure, match="no chain id is given"):
        unnamed.create("alice")
    wallet = Wallet.open(tmp_path, "test", "dev-1")
    info, _ = wallet.create("alice")
    assert wallet.signer("alice").address == info.address_bytes
    assert not wallet.needs_passphrase("alice")
    assert unnamed.get("alice") == info
    with pytest.raises(KeyFailure, match="no chain id is given"):
        unnamed.signer("alice")


def test_a_plain_key_moved_among_encrypted_ones_does_not_sign(tmp_path: Path, wallet: Wallet) -> None:
    Wallet.open(tmp_path, "test", "dev-1").create("alice")
    wallet.create("bob", PASSPHRASE)
    (tmp_path / "keys-test" / "alice.json").rename(tmp_path / "keys" / "alice.json")
    with pytest.raises(KeyFailure, match="lies unencrypted among the encrypted ones"):
        wallet.signer("alice")


def test_a_shared_account_is_its_sorted_policy(wallet: Wallet) -> None:
    keys = [Signer.from_seed(bytes([number]) * 32).public_key for number in (1, 2, 3)]
    info = wallet.add_shared("team", 2, keys)
    policy = Policy(2, tuple([PolicyKey(1, key, 1) for key in sorted(keys)]))
    assert (info.kind, info.threshold, decode_policy(info.policy)) == ("shared", 2, policy)
    assert info.address_bytes == address_of(encode_policy(policy))
    with pytest.raises(KeyFailure, match="has no secret here"):
        wallet.signer("team", PASSPHRASE)


def test_names_are_checked_and_never_overwritten(wallet: Wallet) -> None:
    wallet.create("alice", PASSPHRASE)
    for name in ("", "Alice", "../alice", "a" * 64):
        with pytest.raises(KeyFailure, match="key name"):
            wallet.create(name, PASSPHRASE)
    with pytest.raises(KeyFailure, match="a key named 'alice' exists"):
        wallet.create("alice", PASSPHRASE)
    with pytest.raises(KeyFailure, match="at least 8 characters"):
        wallet.create("bob", "short")
    with pytest.raises(KeyFailure, match="no key named 'bob': see"):
        wallet.get("bob")
    with pytest.raises(KeyFailure, match=r"no key named 'alic': did you mean alice\? see `openledger keys list`"):
        wallet.get("alic")
    wallet.delete("alice")
    assert wallet.all_keys() == []


def test_records_survive_the_disk(tmp_path: Path) -> None:
    record = KeyRecord("a", "watch", "open1x", "00", path="m")
    write_key_file(tmp_path / "a.json", record)
    assert read_key_file(tmp_path / "a.json") == record
