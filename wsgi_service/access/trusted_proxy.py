"""Who asks, and by which scheme, as the one trusted proxy says it; what anybody else says of that is forgotten.

In the place of Waitress's own reading, which takes junk for an address or answers it with an error in plain text.
"""

import re
from ipaddress import IPv6Address, ip_address
from typing import Any

#: What proxies say of a request, as the WSGI environment has it. All of it goes; two of them are read before.
SAID = frozenset(
    f"HTTP_{name}"
    for name in (
        "FORWARDED",
        "X_FORWARDED_BY",
        "X_FORWARDED_FOR",
        "X_FORWARDED_HOST",
        "X_FORWARDED_PORT",
        "X_FORWARDED_PROTO",
    )
)
#: An address with or without a port; one of IPv6 stands in brackets if it has one.
NODE = re.compile(r"\[(?P<six>[^\]]+)\](?::[0-9]{1,5})?|(?P<four>[0-9.]+):[0-9]{1,5}|(?P<bare>[^\[\]]+)")
SCHEMES = frozenset({"http", "https"})


class Forwarding:
    """Reads what a proxy says of the requests that it passes on.

    Args:
        proxy: the address of the proxy that is believed; empty if there is none.
    """

    def __init__(self, proxy: str) -> None:
        self._proxy = address_in(proxy)

    def is_proxy(self, peer: str) -> bool:
        """Whether this peer is believed."""
        return self._proxy is not None and address_in(peer) == self._proxy

    def origin(self, peer: str, said: str) -> str:
        """Where a request comes from: the last address in X-Forwarded-For, or the peer if that is junk."""
        return (said and self.is_proxy(peer) and address_in(_last(said))) or peer

    def apply(self, environ: dict[str, Any]) -> dict[str, Any]:
        """The environment of a request with who asks and by which scheme, and without what was said of that."""
        said = {name: environ.pop(name) for name in SAID & environ.keys()}
        peer = environ["REMOTE_ADDR"]
        if said and self.is_proxy(peer):
            address = self.origin(peer, said.get("HTTP_X_FORWARDED_FOR", ""))
            environ["REMOTE_ADDR"] = environ["REMOTE_HOST"] = address
            scheme = _last(said.get("HTTP_X_FORWARDED_PROTO", "")).lower()
            if scheme in SCHEMES:
                environ["wsgi.url_scheme"] = scheme
        return environ


def address_in(node: str) -> str | None:
    """The IP address in what a proxy says of one, in its one spelling; None if there is none.

    Quotes, brackets, a port and the zone of a link are left out (RFC 7239, section 6; RFC 4007, section 11), and
    an address of IPv4 that stands in one of IPv6 is the same as by itself.
    """
    match = NODE.fullmatch(node.strip().strip('"'))
    if match is None:
        return None
    try:
        address = ip_address((match["six"] or match["four"] or match["bare"]).partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def _last(listed: str) -> str:
    """The last element of a list that is not empty (RFC 9110, section 5.6.1): the one that the proxy has added."""
    return next((part for part in map(str.strip, reversed(listed.split(","))) if part), "")
