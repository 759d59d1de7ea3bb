"""Ed25519 in plain integers, slow and readable: an independent judge of edge cases (RFC 8032, section 5.1)."""

from hashlib import sha512

FIELD = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, FIELD) % FIELD
Point = tuple[int, int]
IDENTITY: Point = (0, 1)


def _recover_x(y: int, sign: int) -> int | None:
    square = (y * y - 1) * pow(_D * y * y + 1, -1, FIELD) % FIELD
    x = pow(square, (FIELD + 3) // 8, FIELD)
    if (x * x - square) % FIELD:
        x = x * pow(2, (FIELD - 1) // 4, FIELD) % FIELD
    if (x * x - square) % FIELD or (x == 0 and sign):
        return None
    return x if x & 1 == sign else FIELD - x


def decode(data: bytes) -> Point | None:
    """The point of a canonical encoding; None for a y beyond the field, off the curve, or a negative zero."""
    number = int.from_bytes(data, "little")
    y, sign = number % 2**255, number >> 255
    if y >= FIELD:
        return None
    x = _recover_x(y, sign)
    return None if x is None else (x, y)


def encode(point: Point) -> bytes:
    """32 bytes: y, and the lowest bit of x on top."""
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def add(left: Point, right: Point) -> Point:
    """Complete addition on the twisted Edwards curve."""
    x1, y1, x2, y2 = *left, *right
    product = _D * x1 * x2 * y1 * y2 % FIELD
    return (
        (x1 * y2 + x2 * y1) * pow(1 + product, -1, FIELD) % FIELD,
        (y1 * y2 + x1 * x2) * pow(1 - product, -1, FIELD) % FIELD,
    )


def multiply(scalar: int, point: Point) -> Point:
    """Double and add."""
    result = IDENTITY
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


_BASE_Y = 4 * pow(5, -1, FIELD) % FIELD
BASE: Point = (_recover_x(_BASE_Y, 0) or 0, _BASE_Y)


def is_prime_order_point(data: bytes) -> bool:
    """Canonical, on the curve, of prime order: what may enter a policy."""
    point = decode(data)
    return point is not None and point != IDENTITY and multiply(ORDER, point) == IDENTITY


def verifies_without_cofactor(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """s below the order, neither key nor R of small order, and R = sB - kA as bytes."""
    key, s = decode(public_key), int.from_bytes(signature[32:], "little")
    nonce = decode(signature[:32])
    if key is None or nonce is None or s >= ORDER or IDENTITY in (multiply(8, key), multiply(8, nonce)):
        return False
    challenge = int.from_bytes(sha512(signature[:32] + public_key + message).digest(), "little") % ORDER
    minus_key = (FIELD - key[0], key[1])
    return encode(add(multiply(s, BASE), multiply(challenge, minus_key))) == signature[:32]
