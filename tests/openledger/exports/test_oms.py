"""The statement and the signature of model signing, held against the library that others verify with."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from openledger.errors import UsageError
from openledger.exports import differences, make_export, read_reference, sign_statement
from tests.kit.openledger.gallery import FILES, Gallery


def pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_the_standard_tool_verifies_the_signature_over_the_very_files(
    gallery: Gallery, tmp_path: Path, curve: ec.EllipticCurve
) -> None:
    from model_signing import verifying

    config: Any = verifying.Config

    folder = tmp_path / "model"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(gallery.content("gardener", name))
    key = ec.generate_private_key(curve)
    public = tmp_path / "key.pub"
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    facts = gallery.model("gardener")
    signed = sign_statement(make_export("oms", facts), pem(key))
    signature = tmp_path / "model.sig"
    signature.write_bytes(signed)
    config().use_elliptic_key_verifier(public_key=public).verify(folder, signature)
    found = differences("oms", signed, facts)
    assert (found.differs, "signature is not looked at here" in found.beside[0]) == ((), True)
    assert read_reference(signed) is not None
    (folder / "config.json").write_bytes(b"changed")
    with pytest.raises(ValueError, match=r"config\.json"):
        config().use_elliptic_key_verifier(public_key=public).verify(folder, signature)


def test_the_same_key_gives_the_same_bytes(gallery: Gallery) -> None:
    key = pem(ec.generate_private_key(ec.SECP256R1()))
    statement = make_export("oms", gallery.model("gardener"))
    assert sign_statement(statement, key) == sign_statement(statement, key)
    assert json.loads(statement)["predicate"]["serialization"]["method"] == "files"


def test_keys_of_other_kinds_are_refused_in_words(gallery: Gallery) -> None:
    statement = make_export("oms", gallery.model("gardener"))
    for key, said in (
        (b"no key", "no private key in PEM"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "curves P-256, P-384 and P-521"),
        (pem(ec.generate_private_key(ec.SECP256K1())), "curves P-256, P-384 and P-521"),
    ):
        with pytest.raises(UsageError, match=said):
            sign_statement(statement, key)
