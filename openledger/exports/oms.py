"""OpenSSF model signing: the statement over the files of a model, and its signature by a key of the user's own.

The root in it is the artefact digest that the chain records, so the standard tool and the chain speak of the same
files. With a P-256, P-384 or P-521 key the export is a signature file that `model_signing verify key` takes; the same
key and the same state give the same bytes (RFC 6979). Without a key it is the statement by itself.
"""

import base64
import json
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any

from openledger.errors import UsageError
from openledger.exports.facts import ModelFacts
from openledger.exports.proof_reference import proof_line
from openledger.exports.statements import remarks
from openledger.exports.text import json_document

FORM = "oms"
_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def make_statement(facts: ModelFacts) -> bytes:
    """The statement; raises `UsageError` where the proof does not carry the list of files."""
    files = facts.files(facts.page.entries[0])
    if not files:
        raise UsageError(
            f"the files of {facts.name} are not listed: its manifest is not in the content store at hand, or lists "
            "other files than its record; name the store with --content"
        )
    ordered = sorted(files, key=lambda file: PurePosixPath(file.name))
    return json_document(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": facts.name, "digest": {"sha256": facts.stored.entry.output.artefact_digest.hex()}}],
            "predicateType": "https://model_signing/signature/v1.0",
            "predicate": {
                # Verifiers of model signing pass over what they do not know. It stands before the names of files, which
                # are as strangers chose them.
                "openledger": {
                    "proof": proof_line(FORM, facts.at),
                    "entry": facts.at.urn(facts.lineage.entry),
                    "remarks": list(remarks(facts)),
                },
                "serialization": {
                    "method": "files",
                    "hash_type": "sha256",
                    "allow_symlinks": False,
                    "ignore_paths": [],
                },
                "resources": [
                    {"name": file.name, "algorithm": "sha256", "digest": file.digest.hex()} for file in ordered
                ],
            },
        }
    )


def sign_statement(statement: bytes, key_pem: bytes, password: bytes | None = None) -> bytes:
    """The signature file over a statement; raises `UsageError` for a key that model signing does not take."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = serialization.load_pem_private_key(key_pem, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"the key is no private key in PEM without a passphrase: {reason}") from None
    algorithms = {"secp256r1": hashes.SHA256(), "secp384r1": hashes.SHA384(), "secp521r1": hashes.SHA512()}
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in algorithms:
        raise UsageError("model signing takes keys of the curves P-256, P-384 and P-521: `openssl ecparam -genkey`")
    algorithm = ec.ECDSA(algorithms[key.curve.name], deterministic_signing=True)
    public = key.public_key().public_bytes(
        encoding=serialization.Encoding.PEM, format=serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signature = key.sign(_preauthenticated(statement), algorithm)
    return json_document(
        {
            "mediaType": _BUNDLE_TYPE,
            "verificationMaterial": {"publicKey": {"hint": sha256(public).hexdigest()}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(statement).decode(),
                "payloadType": _PAYLOAD_TYPE,
                "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
            },
        }
    )


def _preauthenticated(payload: bytes) -> bytes:
    """The bytes that a DSSE envelope signs (its specification, section 'signature definition')."""
    kind = _PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def signed_statement(data: bytes) -> bytes:
    """The statement inside of a signature file; the bytes as they are where it is none."""
    try:
        document: Any = json.loads(data)
        return base64.b64decode(document["dsseEnvelope"]["payload"], validate=True)
    except (ValueError, KeyError, TypeError, RecursionError):
        return data
