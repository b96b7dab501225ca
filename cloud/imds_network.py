"""The network interfaces of this machine, as its metadata service tells them. Blocking.

Source: spec/cloud-api.md 7, spec/terway.md 8.4.
"""

import dataclasses
import ipaddress
import json

from cloud import imds as cloud_imds
from core import errors

_MACS = "meta-data/network/interfaces/macs/"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One attached interface. mac: lower case. ipv4: the primary address first.

    cidr_block: the vSwitch's; None where it is not known.
    """

    mac: str
    eni_id: str
    vswitch_id: str
    cidr_block: ipaddress.IPv4Network | None
    gateway: ipaddress.IPv4Address
    ipv4: tuple[ipaddress.IPv4Address, ...]


def read_primary_mac(imds: cloud_imds.Imds) -> str:
    """MAC of the primary interface. Raises Unavailable without an answer."""
    return _required(imds, "meta-data/mac").lower()


def read_macs(imds: cloud_imds.Imds) -> tuple[str, ...]:
    """MACs of all attached interfaces."""
    listing = _required(imds, _MACS)
    return tuple(line.strip().rstrip("/").lower() for line in listing.split() if line.strip())


def read_interface(imds: cloud_imds.Imds, mac: str) -> Interface | None:
    """The interface, None when it is not attached (any more)."""
    eni_id = imds.read(f"{_MACS}{mac}/network-interface-id")
    if not eni_id:
        return None
    texts = {
        key: imds.read(f"{_MACS}{mac}/{key}")
        for key in ("primary-ip-address", "vswitch-id", "vswitch-cidr-block", "gateway")
    }
    if not all(texts.values()):
        return None  # it went while we were reading
    try:
        cidr_block = ipaddress.IPv4Network(texts["vswitch-cidr-block"] or "")
        primary = ipaddress.IPv4Address(texts["primary-ip-address"] or "")
        return Interface(
            mac=mac,
            eni_id=eni_id,
            vswitch_id=texts["vswitch-id"] or "",
            cidr_block=cidr_block,
            gateway=ipaddress.IPv4Address(texts["gateway"] or ""),
            ipv4=(primary, *(a for a in read_addresses(imds, mac) if a != primary)),
        )
    except ValueError as e:
        raise errors.Unavailable(
            f"the metadata service tells nonsense about interface {mac}: {e}"
        ) from e


def read_addresses(imds: cloud_imds.Imds, mac: str) -> tuple[ipaddress.IPv4Address, ...]:
    """All IPv4 addresses of one interface, () when it is not attached."""
    text = imds.read(f"{_MACS}{mac}/private-ipv4s")
    if text is None:
        return ()
    try:
        return tuple(ipaddress.IPv4Address(each) for each in json.loads(text))
    except (ValueError, TypeError) as e:
        raise errors.Unavailable(
            f"the metadata service tells nonsense about the addresses of {mac}: {text[:100]!r}"
        ) from e


def _required(imds: cloud_imds.Imds, path: str) -> str:
    text = imds.read(path)
    if not text:
        raise errors.Unavailable(f"the metadata service does not have {path}")
    return text
