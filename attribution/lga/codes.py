"""Codes: the int16 integers that stand for an example's or a query's features; from here on nothing is a float.

value = integer * 2**-exponent, one power-of-two exponent for a whole index and one for each query. A power of two
makes scaling exact, so the only rounding is the one to the nearest integer (ties to even), the same on every machine.

Byte form, little-endian:  01 | exponent, 2 bytes signed | count, 4 bytes | count codes, 2 bytes signed each
Digest: H('openledger/attribution-codes/v1', byte form).
"""

import math
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from abci_app.hashing import TAGS, tagged_hash
from abci_app.integers import NumbersRefused
from attribution.errors import AttributionError

Int16Array = npt.NDArray[np.int16]
Float64Array = npt.NDArray[np.float64]

# Symmetric: -32,768 is no code, so that a code's negative is a code and squares stay below 2**30.
CODE_LIMIT = 32_767
# Codes of one example over all checkpoints: 32 checkpoints of 8,192. Every bound of `scores` is stated with it.
MAX_CODES = 2**18
# Covers every finite float64, subnormal ones included.
EXPONENT_LIMIT = 1_100

_HEADER = struct.Struct("<BhI")
_VERSION = 1
_CODE_BYTES = 2
MAX_ENCODED_BYTES = _HEADER.size + MAX_CODES * _CODE_BYTES


@dataclass(frozen=True, eq=False)
class Codes:
    """Codes of one example or query: int16 [k] within +-CODE_LIMIT, read-only; value = code * 2**-exponent."""

    values: Int16Array
    exponent: int

    def __post_init__(self) -> None:
        """Take an own, read-only copy; raises `AttributionError`."""
        check_exponent("codes.exponent", self.exponent)
        check_code_array("codes.values", self.values, dimensions=1)
        values = np.array(self.values, dtype=np.int16, order="C")
        values.flags.writeable = False
        object.__setattr__(self, "values", values)

    def __eq__(self, other: object) -> bool:
        """Equal codes under an equal exponent."""
        if not isinstance(other, Codes):
            return NotImplemented
        return self.exponent == other.exponent and bool(np.array_equal(self.values, other.values))

    def __hash__(self) -> int:
        return hash(self.digest)

    def encode(self) -> bytes:
        """Byte form."""
        return encode(self)

    @property
    def digest(self) -> bytes:
        """Tagged hash of the byte form, 32 bytes."""
        return tagged_hash(TAGS["attribution_codes"], encode(self))


def choose_exponent(largest: float) -> int:
    """The greatest exponent under which a value of magnitude `largest` still fits: 2**14 <= largest * 2**e < 2**15.

    Zero (nothing to scale) gives 0. Raises `AttributionError` for what is negative, infinite or NaN.
    """
    if not math.isfinite(largest) or largest < 0:
        raise AttributionError("largest", f"{largest} is no magnitude: give the largest absolute feature, finite")
    if largest == 0:
        return 0
    exponent = 15 - math.frexp(largest)[1]
    # 32,767.5 and above would round to 32,768.
    return exponent if math.ldexp(largest, exponent) < CODE_LIMIT + 0.5 else exponent - 1


def quantise(features: npt.NDArray[np.floating], exponent: int) -> Int16Array:
    """int16 codes of features of any shape: clamp(round_half_even(feature * 2**exponent)); NaN and infinity refused."""
    check_exponent("exponent", exponent)
    if features.dtype not in (np.float32, np.float64):
        raise AttributionError("features", f"must be float32 or float64, not {features.dtype}")
    if not np.isfinite(features).all():
        raise AttributionError("features", "hold NaN or infinity: the gradient overflowed, no code stands for that")
    with np.errstate(over="ignore", under="ignore"):  # a far too large value becomes infinity and is clamped
        scaled = np.ldexp(features.astype(np.float64), exponent)
    return np.clip(np.rint(scaled), -CODE_LIMIT, CODE_LIMIT).astype(np.int16)


def dequantise(codes: Codes) -> Float64Array:
    """The values that codes stand for, float64 [k]: for comparing and plotting, never for shares."""
    return np.ldexp(codes.values.astype(np.float64), -codes.exponent)


def encode(codes: Codes) -> bytes:
    """Byte form of the module's docstring."""
    return _HEADER.pack(_VERSION, codes.exponent, len(codes.values)) + codes.values.astype("<i2").tobytes()


def decode(data: bytes, field: str = "codes") -> Codes:
    """Parse the byte form, the only one that `encode` gives; raises `AttributionError` under the name `field`."""
    if not _HEADER.size <= len(data) <= MAX_ENCODED_BYTES:
        raise AttributionError(field, f"{len(data)} bytes; codes take {_HEADER.size} to {MAX_ENCODED_BYTES}")
    version, exponent, count = _HEADER.unpack_from(data)
    if version != _VERSION:
        raise AttributionError(field, f"version {version} is unknown, this program reads {_VERSION}")
    if len(data) != _HEADER.size + count * _CODE_BYTES:
        raise AttributionError(field, f"{len(data)} bytes do not hold the {count} codes that they announce")
    try:
        return Codes(np.frombuffer(data, dtype="<i2", offset=_HEADER.size).astype(np.int16), exponent)
    except NumbersRefused as error:
        raise AttributionError(field, str(error)) from error


def check_exponent(field: str, exponent: int) -> None:
    """An exponent is an integer within +-EXPONENT_LIMIT; raises `AttributionError`."""
    if type(exponent) is not int or abs(exponent) > EXPONENT_LIMIT:
        raise AttributionError(field, f"{exponent!r} is no integer within +-{EXPONENT_LIMIT}")


def check_code_array(field: str, values: object, dimensions: int) -> None:
    """int16, `dimensions` axes, 1 to MAX_CODES codes on the last, none below -CODE_LIMIT; raises `AttributionError`."""
    if not isinstance(values, np.ndarray) or values.dtype != np.int16 or values.ndim != dimensions:
        raise AttributionError(field, f"must be int16 with {dimensions} axes, not {described(values)}")
    if not 0 < values.shape[-1] <= MAX_CODES:
        raise AttributionError(field, f"{values.shape[-1]} codes; an example has 1 to {MAX_CODES}")
    if values.size and int(values.min()) < -CODE_LIMIT:
        raise AttributionError(field, f"holds -32768; codes are within +-{CODE_LIMIT}")


def described(values: object) -> str:
    """Type and shape of what was given in an array's place."""
    return f"{values.dtype} {list(values.shape)}" if isinstance(values, np.ndarray) else type(values).__name__
