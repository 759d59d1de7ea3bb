"""Messages, records and results as JSON documents, and back: what files and people see instead of MessagePack arrays.

A struct is an object of its fields (`type` first where it is a message: `bank.transfer`), 32-byte ids are bech32m where
the field's name says which kind, other bytes are hex, numbers that stand
for words are these words, flags are booleans, other integers stay integers. Reading accepts what people write:
ids in bech32m or hex, amounts like `1.5OPEN`, shares like `12.5%`, names that a `Resolver` knows.
"""

from openledger.documents.describe import describe_type
from openledger.documents.fields import NAME_OF_TAG, id_prefix, type_info
from openledger.documents.read import Resolver, from_document, message_class, message_from_document, read_value
from openledger.documents.write import to_document

__all__ = [
    "NAME_OF_TAG",
    "Resolver",
    "describe_type",
    "from_document",
    "id_prefix",
    "message_class",
    "message_from_document",
    "read_value",
    "to_document",
    "type_info",
]
