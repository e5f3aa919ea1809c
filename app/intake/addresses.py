"""Which network addresses are of the public internet, and which are inside some network. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Called global by Python or by their number, yet inside: protocol assignments (RFC 6890), relays of 6to4 (RFC 7526),
# and the host of Azure that every machine there reaches.
_INSIDE_V4: Final = tuple(map(ipaddress.IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))
# An address of IPv4 inside one of IPv6: a gateway somewhere leads there, and may be ours (RFC 4291, 6052, 8215, 3056,
# 4380, 6676). And what is for documents (RFC 9637), which Python 3.11 does not know yet.
_WRAPPED: Final = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "::/96",
            "::ffff:0:0/96",
            "::ffff:0:0:0/96",
            "64:ff9b::/96",
            "64:ff9b:1::/48",
            "2002::/16",
            "2001::/32",
            "3fff::/20",
        ),
    )
)
_GLOBAL_V6: Final = ipaddress.IPv6Network("2000::/3")


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet: not private, loopback, link-local, shared by a provider
    (RFC 6598), multicast, reserved, for documents, nor one of IPv4 wrapped into one of IPv6."""
    try:
        number = ipaddress.ip_address(address)
    except ValueError:
        return False
    if number.is_multicast or number.is_reserved or number.is_unspecified or not number.is_global:
        return False
    if isinstance(number, ipaddress.IPv4Address):
        return not any(number in network for network in _INSIDE_V4)
    return number.scope_id is None and number in _GLOBAL_V6 and not any(number in network for network in _WRAPPED)


@dataclass(frozen=True, slots=True)
class PrivateHosts:
    """Hosts inside a team's network that photos may be fetched from: names, addresses, networks ("10.1.0.0/16")."""

    listed: tuple[str, ...] = ()

    def names(self, host: str) -> bool:
        """Whether a host is listed by itself, as a name or an address, or lies in a network that is."""
        return host.lower().rstrip(".") in {entry.lower() for entry in self.listed} or self._holds(host)

    def allows(self, host: str, address: str) -> bool:
        """Whether this address of a host may be connected to: the name is listed, or the address is."""
        return self.names(host) or self._holds(address)

    def _holds(self, address: str) -> bool:
        try:
            number = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(number in network for entry in self.listed if (network := _network(entry)) is not None)


def _network(entry: str) -> _Network | None:
    try:
        return ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return None
