"""SLIP-0010 and our path give the published keys."""

import json
from pathlib import Path

import pytest
from nacl.bindings import crypto_sign_seed_keypair

from abci_app.bech32 import encode_id
from abci_app.hashing import sha256
from openledger.errors import KeyFailure
from openledger.keys import derivation, phrase
from openledger.keys.signer import Signer

VECTORS = Path(__file__).parents[2] / "vectors"
SLIP_0010 = json.loads((VECTORS / "keys_slip0010.json").read_text())["cases"]
ACCOUNTS = json.loads((VECTORS / "keys_accounts.json").read_text())["cases"]


@pytest.mark.parametrize("case", SLIP_0010, ids=lambda case: f"{case['seed'][:4]}-{case['path']}")
def test_slip_0010_vector(case: dict[str, str]) -> None:
    key = derivation.derive(bytes.fromhex(case["seed"]), case["path"])
    public_key = crypto_sign_seed_keypair(key.secret)[0]
    found = {"chain_code": key.chain_code.hex(), "secret": key.secret.hex(), "public_key": public_key.hex()}
    assert {"seed": case["seed"], "path": case["path"], **found} == case


@pytest.mark.parametrize("case", ACCOUNTS, ids=lambda case: case["entropy"][:4])
def test_a_phrase_gives_these_accounts_for_ever(case: dict[str, object]) -> None:
    words = phrase.phrase_of_entropy(bytes.fromhex(str(case["entropy"])))
    accounts = []
    for number in (0, 1, 7):
        signer = Signer.from_phrase(words, number)
        accounts.append(
            {
                "path": derivation.account_path(number),
                "public_key": signer.public_key.hex(),
                "policy": signer.policy.hex(),
                "address": encode_id("open", signer.address),
            }
        )
    seed = phrase.seed_of_phrase(words).hex()
    assert {"entropy": case["entropy"], "phrase": words, "seed": seed, "accounts": accounts} == case


def test_the_coin_type_is_the_hash_of_the_name() -> None:
    assert int.from_bytes(sha256(b"openledger")[:4], "big") & 0x7FFFFFFF == derivation.COIN_TYPE


@pytest.mark.parametrize("path", ["", "m/", "m/0", "44'/0'", "m/0'/x'", "m/0'\n", "m/2147483648'"])
def test_a_path_that_is_not_hardened_throughout_is_refused(path: str) -> None:
    with pytest.raises(KeyFailure, match="derivation path"):
        derivation.derive(bytes(64), path)
