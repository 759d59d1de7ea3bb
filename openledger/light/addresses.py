"""Whether two addresses of nodes are one, however they are spelled. Pure: no name is looked up anywhere.

What spelling cannot show (two names of one machine) the node's own id shows, see `witnesses.py`.
"""

import ipaddress
import re
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
_LOOPBACK = "loopback"
# One to four numbers, each decimal, octal (0...) or hex (0x...), as the C library reads IPv4 addresses.
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")
_MAX_IPV4_PARTS = 4


def same_address(one: str, other: str) -> bool:
    """Whether two texts name the same host and port."""
    return canonical_address(one) == canonical_address(other)


def canonical_address(text: str) -> str:
    """Scheme, host and port of a node's address in one spelling; any other text as it is."""
    text = text.strip()
    with_scheme = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(with_scheme)
        scheme = "http" if parts.scheme in ("tcp", "http") else parts.scheme
        host, port = parts.hostname or "", parts.port or _PORTS.get(scheme, 0)
    except ValueError:
        return text
    if not host or scheme not in _PORTS:
        return text
    return f"{scheme}://{_host(host)}:{port}{parts.path.rstrip('/')}"


def _host(host: str) -> str:
    """A host name in small letters, or an IP address in its shortest form; this machine has one."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return _LOOPBACK
    address = _ip_address(name)
    if address is None:
        try:
            return name.encode("idna").decode("ascii")
        except UnicodeError:
            return name
    mapped = getattr(address, "ipv4_mapped", None) or address
    # Other addresses of 127.0.0.0/8 may have listeners of their own.
    is_here = mapped.is_unspecified or str(mapped) in ("127.0.0.1", "::1")
    return _LOOPBACK if is_here else str(mapped)


def _ip_address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return _short_ipv4(name)


def _short_ipv4(name: str) -> ipaddress.IPv4Address | None:
    """`127.1`, `0x7f000001` and the like: the last number fills what is left of the 32 bits."""
    parts = name.split(".")
    if len(parts) > _MAX_IPV4_PARTS or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    try:
        numbers = [int(part, 16 if part[:2] in ("0x", "0X") else 8 if part[:1] == "0" else 10) for part in parts]
    except ValueError:
        return None
    *first, last = numbers
    room = 8 * (_MAX_IPV4_PARTS - len(first))
    if any(number > 255 for number in first) or last >= 1 << room:
        return None
    value = last
    for place, number in enumerate(first):
        value |= number << (24 - 8 * place)
    return ipaddress.IPv4Address(value)
